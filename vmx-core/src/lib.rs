//! The VMX architecture of Intel processors, as data and types.
//!
//! This crate holds what a hypervisor knows *about* VT-x. It executes no instruction.
//! The CPU is a set of narrow traits in [`cpu`], so the same hypervisor runs on a real
//! processor (`vmx-bare-metal`) and in `cargo test` (`vmx-mock`).
//!
//! | you look for | it is in |
//! |---|---|
//! | what the CPU can do | [`capability`], [`control`], [`control_set`] |
//! | VMCS fields, their values, dumps | [`field`], [`field_values`], [`access_rights`] |
//! | VMXON, VMCLEAR, VMPTRLD, launch and resume | [`lifecycle`], [`region`], [`error`] |
//! | filling a VMCS | [`host_state`], [`guest_state`] |
//! | **why VM entry fails** | [`entry_check`] |
//! | which guest accesses exit | [`msr_bitmap`], [`io_bitmap`], [`vmcs_access_bitmap`] |
//! | what a VM exit means | [`exit_reason`], [`exit_qualification`], [`instruction_information`] |
//! | events for the guest | [`interruption`], [`guest_event_state`] |
//! | MSRs moved at entry and exit | [`msr_list`] |
//! | the second translation | [`ept`], [`eptp_list`], [`virtualization_exception`] |
//! | the virtual APIC | [`virtual_apic_page`], [`posted_interrupt`] |
//! | shadow stacks | [`ssp`], [`xsave_area`] |
//! | memory that the CPU also touches | [`frame`] |
//!
//! Not here, beyond the fields and controls: the tables of sub-page permissions, PASID
//! translation and IPI virtualisation; the dual-monitor treatment of SMIs; TDX. Nested
//! VMX has its VMCS-access bitmaps and the union of MSR bitmaps, and no more.
//!
//! # What is safe
//!
//! Safety lives in the methods. A safe method takes closed names and checked
//! values: one of three shadow-stack-pointer registers with an [`Ssp`], a VMX
//! region that owns its page. What can break memory safety (an MSR by number, a
//! control register, VM entry) is an `unsafe fn` with a numbered contract. A safe
//! method may raise an exception in the host on a CPU that lacks the feature: an
//! exception is a defined stop and reaches the host's own handler. Each method
//! that can do so says when.
//!
//! # Conventions
//!
//! Addresses are in bytes. Names are those of Intel's Software Developer's
//! Manual (SDM); sections are cited by title because their numbers move. Bits
//! that this crate does not know are kept, never cleared. Nothing here allocates,
//! logs or keeps a global, and no input makes it panic.
//!
//! # Example
//!
//! Asking for controls, and being told by name what the CPU refuses:
//!
//! ```
//! use vmx_core::control::{AllowedSettings, SecondaryControls};
//!
//! // A CPU that can enable EPT (bit 1) and nothing else.
//! let allowed = AllowedSettings::from_msr(0x0000_0002_0000_0000);
//! let refused = allowed
//!     .negotiate(SecondaryControls::ENABLE_XSAVES, SecondaryControls::ENABLE_EPT)
//!     .unwrap_err();
//! assert_eq!(refused.to_string(), "secondary processor-based controls: ENABLE_XSAVES");
//! ```
#![no_std]

pub mod access_rights;
pub mod capability;
pub mod control;
pub mod control_set;
pub mod cpu;
pub mod cpu_id;
pub mod entry_check;
pub mod ept;
pub mod eptp_list;
pub mod error;
pub mod exit_qualification;
pub mod exit_reason;
pub mod field;
pub mod field_values;
pub mod frame;
pub mod general_register;
pub mod guest_event_state;
pub mod guest_registers;
pub mod guest_state;
pub mod host_state;
pub mod instruction_information;
pub mod interruption;
pub mod io_bitmap;
pub mod lifecycle;
pub mod msr;
pub mod msr_bitmap;
pub mod msr_list;
pub mod operation_error;
mod page_bits;
pub mod posted_interrupt;
pub mod region;
pub mod ssp;
pub mod virtual_apic_page;
pub mod virtualization_exception;
pub mod vmcs_access_bitmap;
pub mod vmx_basic;
pub mod vmx_misc;
pub mod xsave_area;

pub use access_rights::AccessRights;
pub use capability::Capabilities;
pub use control_set::ControlSet;
pub use cpu_id::CpuId;
pub use error::{InstructionError, VmxError};
pub use exit_reason::{BasicExitReason, ExitReason};
pub use frame::{Frame, Memory, Page, PhysicalAddress};
pub use guest_registers::GuestRegisters;
pub use lifecycle::{CurrentVmcs, Vmcs, VmxOperation};
pub use msr::MsrIndex;
pub use msr_bitmap::{MsrAccess, MsrBitmap};
pub use ssp::{LinearAddressWidth, Ssp, SspRegister, SspRegisters};
pub use xsave_area::CetSupervisorArea;
