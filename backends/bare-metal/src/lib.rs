//! The instructions behind `vmx-core`'s CPU traits, and the world switch.
//!
//! [`BareMetal`] is the running logical processor. It implements every trait of
//! [`vmx_core::cpu`] by executing the instruction of the same name; it decides
//! nothing and remembers nothing. [`OffsetMapping`] reaches physical memory
//! through a linear mapping that the host already has.
//!
//! Builds for ring 0 of a 64-bit host, with or without SSE; allocates nothing and
//! keeps no global.
//!
//! ```no_run
//! use vmx_bare_metal::BareMetal;
//! use vmx_core::vmcs::VmxOperation;
//! use vmx_core::{Capabilities, Error, Frame, Page};
//!
//! /// What this kernel keeps for each CPU.
//! type PerCpu = VmxOperation<Frame<&'static Page>>;
//!
//! fn start(here: &mut PerCpu, page: Frame<&'static Page>) -> Result<(), Error> {
//!     // SAFETY: this kernel runs in ring 0, has a handler for every exception, uses no
//!     // shadow stacks, and VMX belongs to this function alone.
//!     let mut cpu = unsafe { BareMetal::new() };
//!     let capabilities = Capabilities::read(&mut cpu)?;
//!     // SAFETY: interrupts are off from here to the end of the function, and `here` is
//!     // the running CPU's.
//!     let mut section = unsafe { here.section(cpu) };
//!     section.enter(page, &capabilities)?;
//!     // … load a VMCS, enter the guest …
//!     section.leave()?;
//!     Ok(())
//! }
//! ```
//!
//! # What the world switch does not move
//!
//! [`WorldSwitch::enter`](vmx_core::cpu::WorldSwitch::enter) moves RAX to R15
//! without RSP, and CR2. RIP, RSP, RFLAGS, SSP, segments, CR0, CR3, CR4 and the
//! MSRs with a VMCS field travel in the VMCS. Everything else is shared between
//! host and guest unless the caller moves it or keeps the guest from it:
//!
//! - XCR0, IA32_XSS, IA32_XFD and PKRU;
//! - x87, SSE, AVX and AMX state, MXCSR and the x87 control word included;
//! - DR0 to DR3 and DR6;
//! - the system-call MSRs: IA32_STAR, IA32_LSTAR, IA32_CSTAR, IA32_FMASK and
//!   IA32_KERNEL_GS_BASE;
//! - IA32_TSC_AUX, which RDTSCP and RDPID show;
//! - IA32_U_CET and IA32_PL3_SSP;
//! - IA32_PL0_SSP, IA32_PL1_SSP and IA32_PL2_SSP: the job of a policy of
//!   `cet-policy`;
//! - IA32_SPEC_CTRL and every other defence against speculation but one: general
//!   registers with guest values are cleared or restored after the exit. The
//!   return-stack buffer is not refilled, no predictor or cache is flushed;
//! - CR2 of the host: it holds the guest's value after an exit. A page fault sets
//!   it anew, so only a handler that is interrupted by the VM entry would notice;
//! - performance counters, tracing and machine-check MSRs.
//!
//! # What VM exit leaves changed in the host
//!
//! The processor itself sets these at every exit; restore those that matter
//! (SDM, "Loading Host State"):
//!
//! - the limits of GDTR and IDTR are FFFFh;
//! - LDTR is unusable, its selector 0;
//! - the limit of TR is 67h: an I/O permission bitmap is out of reach;
//! - the hidden limits and access rights of CS to GS are those of flat segments;
//! - DR7 is 400h: no breakpoint is on;
//! - IA32_DEBUGCTL is 0;
//! - RFLAGS is 2: interrupts are off, as they were, DF, AC and IOPL are 0;
//! - blocking by NMI stays as the exit made it: after an NMI exit NMIs are blocked
//!   until the next IRET.
#![no_std]
#![cfg(target_arch = "x86_64")]

mod control_registers;
mod cpu;
mod cpuid;
mod instructions;
mod memory;
mod msr;
mod operation;
mod segments;
mod shadow_stack;
mod world_switch;

pub use cpu::BareMetal;
pub use cpuid::CpuidInstruction;
pub use memory::{InRange, OffsetMapping, Reaches};
pub use world_switch::{
    Mxcsr, Plain, RegisterFile, SpecCtrl, SwitchOptions, VectorRegisters, WithSpecCtrl, WithVectors,
};
