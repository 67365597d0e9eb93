//! The VMX architecture of Intel processors, as data and types.
//!
//! This crate holds what a hypervisor knows *about* VT-x. It executes no instruction.
//! The CPU is a set of narrow traits in [`cpu`], so the same hypervisor runs on a real
//! processor (`vmx-bare-metal`) and in `cargo test` (`vmx-mock`).
//!
//! | chapter | it holds |
//! |---|---|
//! | [`memory`] | pages that the CPU also touches, addresses |
//! | [`msr`], [`cet`] | MSR numbers and values; shadow-stack pointers and their XSAVE component |
//! | [`cpu`] | how the CPU is seen: the traits |
//! | [`control`] | control words and their negotiation |
//! | [`capability`] | what the CPU can do |
//! | [`vmcs`] | fields, their values, dumps; VMXON, VMCLEAR, VMPTRLD, launch and resume |
//! | [`intercept`] | which guest accesses exit |
//! | [`exit`] | what a VM exit means |
//! | [`event`] | events for the guest |
//! | [`state`] | filling a VMCS |
//! | [`msr_list`] | MSRs moved at entry and exit |
//! | [`ept`] | the second translation |
//! | [`apic`] | the virtual APIC |
//! | [`entry_check`] | **why VM entry fails** |
//!
//! Not here, beyond the fields and controls: the tables of sub-page permissions, PASID
//! translation and IPI virtualisation; the dual-monitor treatment of SMIs; TDX. Nested
//! VMX has its VMCS-access bitmaps and the union of MSR bitmaps, and no more.
//!
//! # What is safe
//!
//! Safety lives in the methods. A safe method takes closed names and checked
//! values: one of three shadow-stack-pointer registers with an [`Ssp`](cet::Ssp), a VMX
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

// In the order of the manual.
pub mod memory;

pub mod msr;

pub mod cet;

pub mod cpu;

pub mod control;

pub mod capability;

pub mod vmcs;

pub mod intercept;

pub mod exit;

pub mod event;

pub mod state;

pub mod msr_list;

pub mod ept;

pub mod apic;

pub mod entry_check;

mod error;

pub use capability::Capabilities;
pub use cpu::GuestRegisters;
pub use error::Error;
pub use intercept::MsrBitmap;
pub use memory::{Frame, Page, PhysicalAddress};
pub use msr::MsrIndex;
pub use vmcs::{CriticalSection, CurrentVmcs, Vmcs, VmxError, VmxOperation};
