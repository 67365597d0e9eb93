//! A logical processor that behaves: VMX operation and the VMCSs that are active on it,
//! by the manual, over memory that several of them share.
//!
//! - [`PhysicalMemory`] has pages, with owners that software is given, and knows which of
//!   them a CPU uses.
//! - [`VmxCpu`] is a CPU. Its own methods are the instructions, with the operands and the
//!   errors of the manual; it implements `vmx-core`'s traits on top of them.
//!
//! What the manual calls undefined, and what silently corrupts a real CPU, is a panic
//! here that says what software did: a VMCS loaded on two CPUs, a page that is freed or
//! touched while a CPU uses it, VMXOFF with active VMCSs, an instruction that would raise
//! #UD in the host.
//!
//! ```
//! use vmx_core::vmcs::{Vmcs, VmxOperation, field};
//! use vmx_core::cpu::VmcsAccess;
//! use vmx_tests::vmx_cpu::{CAPABILITIES, PhysicalMemory, VmxCpu};
//!
//! let memory = PhysicalMemory::new(2);
//! let mut cpu = VmxCpu::new(&memory, 0);
//! let [vmxon, region] = [(); 2].map(|()| memory.allocate().unwrap());
//!
//! let mut operation = VmxOperation::new();
//! // SAFETY: no CPU is behind it.
//! let mut section = unsafe { operation.section(&mut cpu) };
//! section.enter(vmxon, &CAPABILITIES).unwrap();
//! let mut vmcs = Vmcs::new(region, &CAPABILITIES);
//! section.load(&mut vmcs).unwrap().write(field::GUEST_RIP, 0x1000).unwrap();
//! section.clear(&mut vmcs).unwrap();
//! drop(section.leave().unwrap());
//! drop(vmcs);
//! assert_eq!(memory.free(), 2);
//! ```

// The panics are what a test looks for.
#![allow(clippy::panic)]

mod active_vmcs;
mod guest;
mod instructions;
mod invalidation;
mod memory;
mod traits;

pub use guest::GuestEvent;
pub use instructions::{CAPABILITIES, Instruction, VmxCpu};
pub use memory::{OwnedPage, PhysicalMemory, Use};
