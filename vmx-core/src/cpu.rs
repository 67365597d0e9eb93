//! How the CPU is seen: narrow traits, a few methods each.
//!
//! A backend implements them; a hypervisor bounds its generics by those that it
//! uses. All methods take `&mut self`, and every trait is implemented for
//! `&mut T`, so a CPU can be lent. To add a trait: keep it narrow, make a method
//! safe only if no argument of safe code can break memory safety, forward it for
//! `&mut T`, and assert that it is object-safe.
//!
//! | trait | what it reaches |
//! |---|---|
//! | [`Cpuid`] | CPUID |
//! | [`Msr`] | named MSRs to read; any MSR, unsafely |
//! | [`SupervisorSsp`] | IA32_PL0_SSP to IA32_PL2_SSP |
//! | [`CetSupervisorXstate`] | XSAVES and XRSTORS of component 12 |
//! | [`ControlRegisters`] | CR0, CR3, CR4 |
//! | [`Segments`] | selectors, bases and descriptor tables of the host |
//! | [`VmxInstructions`] | entering and leaving VMX operation, VMCS regions |
//! | [`VmcsAccess`] | VMREAD and VMWRITE of the current VMCS |
//! | [`WorldSwitch`] | VMLAUNCH and VMRESUME |
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

use crate::error::VmxError;
use crate::field::{Encoding, Field, FieldValue, ReadWrite};
use crate::guest_registers::GuestRegisters;
use crate::msr::{MsrIndex, NamedMsr};
use crate::operation_error::EnterError;
use crate::region::{VmcsRegion, VmxonRegion};
use crate::ssp::{Ssp, SspRegister};
use crate::xsave_area::CetSupervisorArea;

/// What CPUID returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the register of its name.
pub struct CpuidResult {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

/// The CPUID instruction.
pub trait Cpuid {
    /// CPUID with EAX = `leaf` and ECX = `subleaf`. A leaf above the highest one
    /// that the CPU has gives zeros, not the data of another leaf.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult;
}

/// Model-specific registers.
pub trait Msr {
    /// RDMSR of an MSR from a closed set whose reading affects nothing. Raises
    /// #GP(0) in the host where the CPU lacks the MSR.
    fn read_named(&mut self, msr: NamedMsr) -> u64;

    /// RDMSR of any MSR.
    ///
    /// # Safety
    ///
    /// 1. The MSR exists on this CPU, or the #GP(0) is handled.
    /// 2. Reading it has no effect that anybody relies on not happening.
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64;

    /// WRMSR of any MSR.
    ///
    /// # Safety
    ///
    /// 1. The MSR exists on this CPU and takes `value`, or the #GP(0) is handled.
    /// 2. The effect breaks nothing that Rust code relies on: addresses stay
    ///    mapped, modes stay what the compiler assumes, no handler is replaced by
    ///    one that is not there.
    unsafe fn write_msr(&mut self, msr: MsrIndex, value: u64);
}

/// The three supervisor shadow-stack-pointer registers.
///
/// The CPU uses their values only on a change to ring 0, 1 or 2 and in SETSSBSY.
/// Whoever makes a CPU promises that the host does neither, with shadow stacks
/// on, while foreign values are in the registers.
pub trait SupervisorSsp {
    /// RDMSR of one of the three. Raises #GP(0) in the host where the CPU has no
    /// shadow stacks.
    fn read_ssp(&mut self, register: SspRegister) -> Ssp;

    /// WRMSR of one of the three. Raises #GP(0) in the host where the CPU has no
    /// shadow stacks or narrower linear addresses than `value` was checked for.
    fn write_ssp(&mut self, register: SspRegister, value: Ssp);
}

/// XSAVES and XRSTORS limited to component 12, CET_S: the three registers of
/// [`SupervisorSsp`], with the same promise about their use.
///
/// Both raise #UD in the host where CR4.OSXSAVE is 0 or the CPU lacks XSAVES,
/// #NM where CR0.TS is 1, and XRSTORS raises #GP(0) where IA32_XSS\[12\] is 0.
pub trait CetSupervisorXstate {
    /// XSAVES of component 12. Where IA32_XSS\[12\] is 0 it saves nothing.
    fn xsaves_cet_s(&mut self, area: &mut CetSupervisorArea);

    /// XRSTORS of component 12.
    fn xrstors_cet_s(&mut self, area: &CetSupervisorArea);
}

/// Control registers.
pub trait ControlRegisters {
    /// CR0.
    fn read_cr0(&mut self) -> u64;
    /// CR3.
    fn read_cr3(&mut self) -> u64;
    /// CR4, all bits kept.
    fn read_cr4(&mut self) -> u64;

    /// MOV to CR0.
    ///
    /// # Safety
    ///
    /// 1. The CPU accepts the value (fixed bits in VMX operation; CR0.WP stays 1
    ///    while CR4.CET is 1), or the #GP(0) is handled.
    /// 2. Paging, protection and the FPU stay as the running code needs them.
    unsafe fn write_cr0(&mut self, value: u64);

    /// MOV to CR4.
    ///
    /// # Safety
    ///
    /// 1. The CPU accepts the value (fixed bits in VMX operation; CR4.CET needs
    ///    CR0.WP), or the #GP(0) is handled.
    /// 2. Paging and the extensions that the running code uses stay on.
    unsafe fn write_cr4(&mut self, value: u64);
}

/// Where the segments and descriptor tables of the running CPU are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Selectors and linear addresses of the registers named.
pub struct SegmentState {
    pub es: u16,
    pub cs: u16,
    pub ss: u16,
    pub ds: u16,
    pub fs: u16,
    pub gs: u16,
    pub tr: u16,
    pub tr_base: u64,
    pub gdtr_base: u64,
    pub idtr_base: u64,
}

/// Segment and descriptor-table registers.
pub trait Segments {
    /// Reads them all. The base of TR comes from its descriptor in the GDT.
    fn segments(&mut self) -> SegmentState;
}

/// VMX instructions other than VMREAD, VMWRITE and VM entry.
pub trait VmxInstructions {
    /// Brings this CPU into VMX operation: checks each precondition, sets
    /// CR4.VMXE, locks IA32_FEATURE_CONTROL if firmware left it open, VMXON.
    ///
    /// # Errors
    /// [`EnterError`] names the precondition that failed; the CPU is as before,
    /// except that IA32_FEATURE_CONTROL may be locked now if VMXON itself failed.
    fn enter_vmx_operation(&mut self, region: &VmxonRegion<'_>) -> Result<(), EnterError>;

    /// VMXOFF, then CR4.VMXE = 0. Clear every VMCS that is active here first.
    ///
    /// # Errors
    /// [`VmxError`] if VMXOFF fails. #UD in the host outside VMX operation.
    fn leave_vmx_operation(&mut self) -> Result<(), VmxError>;

    /// VMCLEAR: writes the VMCS back to its region and makes it clear.
    ///
    /// # Errors
    /// [`VmxError`]. #UD in the host outside VMX operation.
    fn vmclear(&mut self, region: &VmcsRegion<'_>) -> Result<(), VmxError>;

    /// VMPTRLD: makes the VMCS active and current.
    ///
    /// # Errors
    /// [`VmxError`]. #UD in the host outside VMX operation.
    fn vmptrld(&mut self, region: &VmcsRegion<'_>) -> Result<(), VmxError>;

    /// INVEPT: drops cached translations. They can only be loaded again.
    ///
    /// # Errors
    /// [`VmxError`] for a type or pointer that the CPU refuses. #UD in the host
    /// outside VMX operation or without EPT.
    fn invept(&mut self, scope: InveptScope) -> Result<(), VmxError>;

    /// INVVPID: drops cached translations. They can only be loaded again.
    ///
    /// # Errors
    /// [`VmxError`] for a type or VPID that the CPU refuses. #UD in the host
    /// outside VMX operation or without VPID.
    fn invvpid(&mut self, scope: InvvpidScope) -> Result<(), VmxError>;
}

/// What INVEPT invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InveptScope {
    /// Type 1: the mappings of one extended-page-table pointer.
    SingleContext {
        /// The EPT pointer as it stands in the VMCS.
        ept_pointer: u64,
    },
    /// Type 2: those of all of them.
    AllContexts,
}

impl InveptScope {
    /// The instruction's type operand.
    pub const fn instruction_type(self) -> u64 {
        match self {
            Self::SingleContext { .. } => 1,
            Self::AllContexts => 2,
        }
    }

    /// The instruction's 128-bit descriptor.
    pub const fn descriptor(self) -> [u64; 2] {
        match self {
            Self::SingleContext { ept_pointer } => [ept_pointer, 0],
            Self::AllContexts => [0, 0],
        }
    }
}

/// What INVVPID invalidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvvpidScope {
    /// Type 0: one linear address under one VPID.
    IndividualAddress {
        /// The virtual-processor identifier, not 0.
        vpid: u16,
        /// The linear address.
        linear_address: u64,
    },
    /// Type 1: everything under one VPID.
    SingleContext {
        /// The virtual-processor identifier, not 0.
        vpid: u16,
    },
    /// Type 2: everything under every VPID but 0.
    AllContexts,
    /// Type 3: everything under one VPID but global translations.
    SingleContextRetainingGlobals {
        /// The virtual-processor identifier, not 0.
        vpid: u16,
    },
}

impl InvvpidScope {
    /// The instruction's type operand.
    pub const fn instruction_type(self) -> u64 {
        match self {
            Self::IndividualAddress { .. } => 0,
            Self::SingleContext { .. } => 1,
            Self::AllContexts => 2,
            Self::SingleContextRetainingGlobals { .. } => 3,
        }
    }

    /// The instruction's 128-bit descriptor.
    pub const fn descriptor(self) -> [u64; 2] {
        match self {
            Self::IndividualAddress { vpid, linear_address } => [vpid as u64, linear_address],
            Self::SingleContext { vpid } | Self::SingleContextRetainingGlobals { vpid } => {
                [vpid as u64, 0]
            }
            Self::AllContexts => [0, 0],
        }
    }
}

/// VMREAD and VMWRITE of the current VMCS. Nothing written takes effect before
/// VM entry, whose contract covers it.
pub trait VmcsAccess {
    /// VMREAD of any encoding.
    ///
    /// # Errors
    /// [`VmxError::FailInvalid`] without a current VMCS,
    /// [`VmxError::FailValid`] number 12 where the CPU has no such field.
    fn vmread(&mut self, encoding: Encoding) -> Result<u64, VmxError>;

    /// VMWRITE of any encoding.
    ///
    /// # Errors
    /// As [`vmread`](Self::vmread), and number 13 for a read-only field.
    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError>;

    /// Reads a field as its type.
    ///
    /// # Errors
    /// As [`vmread`](Self::vmread).
    fn read<V: FieldValue, A>(&mut self, field: Field<V, A>) -> Result<V, VmxError>
    where
        Self: Sized,
    {
        self.vmread(field.encoding()).map(V::from_field)
    }

    /// Writes a field. A read-only one does not compile.
    ///
    /// # Errors
    /// As [`vmwrite`](Self::vmwrite).
    fn write<V: FieldValue>(&mut self, field: Field<V, ReadWrite>, value: V) -> Result<(), VmxError>
    where
        Self: Sized,
    {
        self.vmwrite(field.encoding(), value.into_field())
    }
}

/// Which instruction enters the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryInstruction {
    /// VMLAUNCH, for a clear VMCS.
    Launch,
    /// VMRESUME, for a launched one.
    Resume,
}

/// The world switch: VM entry, and everything up to the return after VM exit.
pub trait WorldSwitch {
    /// Enters the guest with the current VMCS and returns after the VM exit, or
    /// when VM entry failed with a VM-instruction error.
    ///
    /// The switch writes the host's RSP, RIP and SSP fields itself. `Ok` also
    /// covers an entry failure of the kind that exits (bit 31 of the reason).
    ///
    /// # Errors
    /// [`VmxError`] when the instruction failed; the guest did not run.
    ///
    /// # Safety
    ///
    /// 1. The other host-state fields restore the running environment: CR0, CR3,
    ///    CR4, segments, descriptor tables, MSRs.
    /// 2. Everything that the guest can reach is the guest's: its page tables or
    ///    EPT, I/O bitmaps, MSR bitmap, MSR lists, APIC pages and every other
    ///    structure whose address the VMCS holds, for as long as it can be entered.
    /// 3. What the world switch does not move (the backend lists it) and the guest
    ///    can change is not relied on afterwards, or the caller moves it.
    /// 4. Interrupts are disabled (RFLAGS.IF = 0) and the thread stays on this CPU.
    /// 5. Where the host uses CET, the VMCS loads the host's CET state on exit.
    unsafe fn enter(
        &mut self,
        instruction: EntryInstruction,
        registers: &mut GuestRegisters,
    ) -> Result<(), VmxError>;
}

static_assertions::assert_obj_safe!(Cpuid, Msr, SupervisorSsp, CetSupervisorXstate);
static_assertions::assert_obj_safe!(ControlRegisters, Segments, VmxInstructions);
static_assertions::assert_obj_safe!(VmcsAccess, WorldSwitch);

mod forward;
