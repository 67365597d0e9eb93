//! How the CPU is seen: narrow traits, a few methods each.
//!
//! A backend implements them; a hypervisor bounds its generics by those that it
//! uses. All methods but VMREAD take `&mut self`, and every trait is implemented for
//! `&mut T`, so a CPU can be lent. A wrapper around a CPU gets those that it does not
//! change from [`forward_cpu_traits`](crate::forward_cpu_traits). To add a trait:
//! keep it narrow, make a method safe only if no argument of safe code can break
//! memory safety, add it to the table of that macro, and assert that it is
//! object-safe.
//!
//! | trait | what it reaches |
//! |---|---|
//! | [`Cpuid`] | CPUID |
//! | [`Msr`] | named MSRs to read; any MSR, unsafely |
//! | [`SupervisorSsp`] | IA32_PL0_SSP to IA32_PL2_SSP |
//! | [`CetSupervisorXstate`] | XSAVES and XRSTORS of component 12 |
//! | [`ControlRegisters`] | CR0, CR2, CR3, CR4 |
//! | [`Segments`] | selectors, bases and descriptor tables of the host |
//! | [`VmxInstructions`] | entering and leaving VMX operation, VMCS regions |
//! | [`InvalidateTranslations`] | INVEPT and INVVPID |
//! | [`VmcsAccess`] | VMREAD and VMWRITE of the current VMCS |
//! | [`WorldSwitch`] | VMLAUNCH and VMRESUME |
//!
//! Not here: the instructions, which a backend executes; and which CPU a VMCS may be used
//! on ([`vmcs`](crate::vmcs)).
//!
//! A CPU of your own for a unit test is a few lines:
//!
//! ```
//! use vmx_core::cpu::{Cpuid, CpuidResult};
//!
//! struct NoVmx;
//! impl Cpuid for NoVmx {
//!     fn cpuid(&mut self, _leaf: u32, _subleaf: u32) -> CpuidResult {
//!         CpuidResult::default()
//!     }
//! }
//! fn has_vmx(cpu: &mut impl Cpuid) -> bool {
//!     cpu.cpuid(1, 0).ecx & 1 << 5 != 0
//! }
//! assert!(!has_vmx(&mut NoVmx));
//! ```

pub(crate) mod control_registers;
pub(crate) mod cpuid;
mod forward;
pub(crate) mod guest_registers;
pub(crate) mod invalidation;
pub(crate) mod msr;
pub(crate) mod register_bits;
pub(crate) mod segments;
pub(crate) mod shadow_stack;
pub(crate) mod vmcs_access;
pub(crate) mod vmx_instructions;
pub(crate) mod world_switch;

pub use control_registers::ControlRegisters;
pub use cpuid::{Cpuid, CpuidResult};
pub use guest_registers::GuestRegisters;
pub use invalidation::{InvalidateTranslations, InveptScope, InvvpidScope};
pub use msr::Msr;
pub use register_bits::{Cr0, Cr4, Rflags};
pub use segments::{SegmentState, Segments};
pub use shadow_stack::{CetSupervisorXstate, SupervisorSsp};
pub use vmcs_access::VmcsAccess;
pub use vmx_instructions::VmxInstructions;
pub use world_switch::{EntryInstruction, HostPointers, WorldSwitch};

static_assertions::assert_obj_safe!(Cpuid, Msr, SupervisorSsp, CetSupervisorXstate);
static_assertions::assert_obj_safe!(ControlRegisters, Segments, VmxInstructions);
static_assertions::assert_obj_safe!(InvalidateTranslations, VmcsAccess);
static_assertions::assert_obj_safe!(WorldSwitch<Registers = GuestRegisters>);
