//! Policies that manage a guest's supervisor shadow-stack state.
//!
//! IA32_PL0_SSP, IA32_PL1_SSP and IA32_PL2_SSP have no VMCS field: VM entry and
//! VM exit leave them alone, so a hypervisor that offers shadow stacks must move
//! them itself. *When* they move, and which guest accesses exit meanwhile, is a
//! [`Policy`]; [`VcpuCet`] is one vCPU's CET state with the policy as its type
//! parameter.
//!
//! | policy | moves the registers | guest accesses that exit |
//! |---|---|---|
//! | [`Eager`] | at every load and put, by MSR instructions | none |
//! | [`LazyIntercept`] | as `Eager`, once the guest uses them | all, until then |
//! | [`XsaveBacked`] | at every load and put, by XSAVES and XRSTORS | none |
//!
//! # Who owns what
//!
//! - The policy owns IA32_PL0_SSP to IA32_PL2_SSP between
//!   [`load`](VcpuCet::load) and [`put`](VcpuCet::put).
//! - IA32_S_CET, SSP and IA32_INTERRUPT_SSP_TABLE_ADDR travel in the VMCS, in both
//!   directions: the "load CET state" controls of entry and exit must both be on,
//!   and [`HostCet::new`] refuses a CPU without them. [`VcpuCet::attach`] writes the
//!   guest's fields first, and the guest states of [`vmx_core::state`] leave them out.
//!   Write the guest's IA32_S_CET through [`VcpuCet::host_write_s_cet`], never behind
//!   its back.
//! - The hypervisor owns IA32_XSS: it fixes the host's value, holds the guest's
//!   value ([`VcpuCet::xss`]) in the register while the guest runs, lets every
//!   WRMSR of it exit, and reports each to [`VcpuCet::guest_writes_xss`]. Or it
//!   [passes the register through](HostXss::PassedThrough).
//! - CR4.CET is the hypervisor's: put bit 23 into the CR4 guest/host mask of a guest
//!   that is offered nothing, or the guest can set it.
//! - The user half, IA32_U_CET and IA32_PL3_SSP, is the hypervisor's, to be
//!   switched with the rest of the extended state (component 11). Until it does,
//!   leave both intercepted and IA32_XSS\[11\] unoffered. [`VcpuCet::attach`]
//!   intercepts what the guest is not offered.
//! - CET_SSS (CPUID.(7,1):EDX\[18\]) is never shown to the guest: a VM exit could
//!   leave a token busy.
//!
//! # Values that the CPU refuses
//!
//! Every value that comes in, from the guest or the host, is judged by what the guest is
//! offered and by the width of this CPU's addresses. CPUs exist, most of them emulated,
//! that refuse more, by CR4.LA57: so those that need more than 48 bits are tried
//! ([`accepts_ssp`](vmx_core::cpu::SupervisorSsp::accepts_ssp)), and what the CPU refuses
//! becomes the guest's #GP(0), or the error of the host's call, but never a fault in the
//! host. On bare metal this needs a line in the host's #GP handler: see
//! `general_protection_fix_up` of the crate `vmx-bare-metal`.
//!
//! # Example
//!
//! ```
//! use cet_policy::{Error, LazyIntercept, VcpuCet, WriteAnswer};
//! use vmx_core::{MsrBitmap, MsrIndex};
//! use vmx_core::cpu::{CetSupervisorXstate, SupervisorSsp, VmcsAccess};
//!
//! /// One vCPU of your hypervisor, whatever CPU it runs on.
//! fn run<C: SupervisorSsp + CetSupervisorXstate + VmcsAccess>(
//!     cpu: &mut C,
//!     cet: &mut VcpuCet<LazyIntercept>,
//!     bitmap: &MsrBitmap<'_>,
//! ) -> Result<(), Error> {
//!     cet.load(cpu)?; // before the first entry on this CPU
//!     // … enter; the guest executed WRMSR of IA32_PL0_SSP and it exited:
//!     match cet.guest_writes_msr(cpu, bitmap, MsrIndex::IA32_PL0_SSP, 0x8000)? {
//!         WriteAnswer::Done => { /* advance RIP */ }
//!         WriteAnswer::GeneralProtection => { /* inject #GP(0), leave RIP */ }
//!         WriteAnswer::NotOurs => { /* your own MSRs */ }
//!     }
//!     cet.put(cpu, bitmap); // before another vCPU runs here
//!     Ok(())
//! }
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate alloc;

mod answer;
mod cpuid;
mod eager;
mod error;
mod features;
mod host;
mod lazy_intercept;
mod legality;
mod policy;
mod state;
mod vcpu;
mod xsave_backed;

pub use answer::{ReadAnswer, Reset, WriteAnswer};
pub use cpuid::{filter_cpuid, xsaves_area_size};
pub use eager::Eager;
pub use error::{Error, LoadError, NotAttached, OfferError, RegisterError, SCetError};
pub use features::{CpuCet, GuestCet};
pub use host::{HostCet, HostMode, HostXss, Refused};
pub use lazy_intercept::LazyIntercept;
pub use legality::{IllegalValue, check_msr_value};
pub use policy::{Exits, Policy, PolicyCpu, Ways};
pub use state::SupervisorState;
pub use vcpu::VcpuCet;
pub use xsave_backed::XsaveBacked;
