//! A wrapper around any backend that counts.

use core::cell::Cell;

use vmx_core::cet::{CetSupervisorArea, Ssp, SspRegister};
use vmx_core::cpu::{
    CetSupervisorXstate, ControlRegisters, Cpuid, CpuidResult, Cr0, Cr4, EntryInstruction,
    HostPointers, InvalidateTranslations, InveptScope, InvvpidScope, Msr, SegmentState, Segments,
    SupervisorSsp, VmcsAccess, VmxInstructions, WorldSwitch,
};
use vmx_core::msr::NamedMsr;
use vmx_core::vmcs::field::Encoding;
use vmx_core::vmcs::{EnterError, VmcsPointer, VmxonPointer};
use vmx_core::{Capabilities, MsrIndex, PhysicalAddress, VmxError};

use crate::Counts;

/// A CPU that counts what goes through it and passes everything on.
///
/// It implements each CPU trait that `C` implements. An access is counted before
/// it is made, so one that faults counts too.
///
/// ```
/// use vmx_core::cpu::SupervisorSsp;
/// use vmx_core::cet::{Ssp, SspRegister};
/// use vmx_core::memory::LinearAddressWidth;
/// use vmx_mock::Counting;
///
/// /// What you test: puts a value into IA32_PL0_SSP if it is not there yet.
/// fn ensure<C: SupervisorSsp>(cpu: &mut C, value: Ssp) {
///     if cpu.read_ssp(SspRegister::Pl0) != value {
///         cpu.write_ssp(SspRegister::Pl0, value);
///     }
/// }
///
/// /// A CPU of three registers; the one you have may be a better one.
/// #[derive(Default)]
/// struct Registers([Ssp; 3]);
///
/// impl SupervisorSsp for Registers {
///     fn read_ssp(&mut self, register: SspRegister) -> Ssp {
///         self.0[register.index()]
///     }
///     fn write_ssp(&mut self, register: SspRegister, value: Ssp) {
///         self.0[register.index()] = value;
///     }
///     fn accepts_ssp(&mut self, _: SspRegister, _: Ssp) -> bool {
///         true
///     }
/// }
///
/// let mut cpu = Counting::new(Registers::default());
/// let value = Ssp::new(0x8000, LinearAddressWidth::Bits48)?;
/// ensure(&mut cpu, value);
/// assert_eq!(cpu.counts().wrmsr_ssp, [1, 0, 0]);
///
/// let before = cpu.counts();
/// ensure(&mut cpu, value);
/// let second = cpu.counts().since(&before);
/// assert_eq!((second.ssp_reads(), second.ssp_writes()), (1, 0));
/// # Ok::<(), vmx_core::cet::IllegalSsp>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Counting<C> {
    inner: C,
    counts: Counts,
    /// VMREAD takes the CPU by shared reference.
    vmreads: Cell<u64>,
}

impl<C> Counting<C> {
    /// Wraps a CPU; all counters start at zero.
    pub fn new(inner: C) -> Self {
        Self { inner, counts: Counts::default(), vmreads: Cell::new(0) }
    }

    /// The counters as they are now.
    pub const fn counts(&self) -> Counts {
        Counts { vmread: self.vmreads.get(), ..self.counts }
    }

    /// The CPU, to access it without being counted.
    pub const fn inner_mut(&mut self) -> &mut C {
        &mut self.inner
    }

    /// The CPU back; the counters are gone.
    pub fn into_inner(self) -> C {
        self.inner
    }
}

// By hand, without `forward_cpu_traits`: each access adds to a counter of its own.

impl<C: Cpuid> Cpuid for Counting<C> {
    #[inline]
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult {
        self.counts.cpuid += 1;
        self.inner.cpuid(leaf, subleaf)
    }
}

impl<C: Msr> Msr for Counting<C> {
    #[inline]
    fn read_named(&mut self, msr: NamedMsr) -> u64 {
        *self.counts.rdmsr(msr.index()) += 1;
        self.inner.read_named(msr)
    }
    #[inline]
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64 {
        *self.counts.rdmsr(msr) += 1;
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.read_msr(msr) }
    }
    #[inline]
    unsafe fn write_msr(&mut self, msr: MsrIndex, value: u64) {
        *self.counts.wrmsr(msr) += 1;
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.write_msr(msr, value) }
    }
}

impl<C: SupervisorSsp> SupervisorSsp for Counting<C> {
    #[inline]
    fn read_ssp(&mut self, register: SspRegister) -> Ssp {
        self.counts.rdmsr_ssp[register.index()] += 1;
        self.inner.read_ssp(register)
    }
    #[inline]
    fn write_ssp(&mut self, register: SspRegister, value: Ssp) {
        self.counts.wrmsr_ssp[register.index()] += 1;
        self.inner.write_ssp(register, value);
    }
    #[inline]
    fn accepts_ssp(&mut self, register: SspRegister, value: Ssp) -> bool {
        self.counts.ssp_trials += 1;
        self.inner.accepts_ssp(register, value)
    }
}

impl<C: CetSupervisorXstate> CetSupervisorXstate for Counting<C> {
    #[inline]
    fn xsaves_cet_s(&mut self, area: &mut CetSupervisorArea) -> bool {
        self.counts.xsaves += 1;
        self.inner.xsaves_cet_s(area)
    }
    #[inline]
    fn xrstors_cet_s(&mut self, area: &CetSupervisorArea) {
        self.counts.xrstors += 1;
        self.inner.xrstors_cet_s(area);
    }
}

impl<C: ControlRegisters> ControlRegisters for Counting<C> {
    #[inline]
    fn read_cr0(&mut self) -> Cr0 {
        self.counts.control_register_reads += 1;
        self.inner.read_cr0()
    }
    #[inline]
    fn read_cr2(&mut self) -> u64 {
        self.counts.control_register_reads += 1;
        self.inner.read_cr2()
    }
    #[inline]
    fn read_cr3(&mut self) -> u64 {
        self.counts.control_register_reads += 1;
        self.inner.read_cr3()
    }
    #[inline]
    fn read_cr4(&mut self) -> Cr4 {
        self.counts.control_register_reads += 1;
        self.inner.read_cr4()
    }
    #[inline]
    unsafe fn write_cr0(&mut self, value: Cr0) {
        self.counts.control_register_writes += 1;
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.write_cr0(value) }
    }
    #[inline]
    unsafe fn write_cr4(&mut self, value: Cr4) {
        self.counts.control_register_writes += 1;
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.write_cr4(value) }
    }
}

impl<C: Segments> Segments for Counting<C> {
    #[inline]
    fn segments(&mut self) -> SegmentState {
        self.counts.segments += 1;
        self.inner.segments()
    }
}

// SAFETY: the CPU inside keeps the contract, and every call reaches it as it is.
unsafe impl<C: VmxInstructions> VmxInstructions for Counting<C> {
    #[inline]
    fn enter_vmx_operation(
        &mut self,
        region: &VmxonPointer,
        capabilities: &Capabilities,
    ) -> Result<(), EnterError> {
        self.counts.vmxon += 1;
        self.inner.enter_vmx_operation(region, capabilities)
    }
    #[inline]
    fn leave_vmx_operation(&mut self, region: &VmxonPointer) -> Result<(), VmxError> {
        self.counts.vmxoff += 1;
        self.inner.leave_vmx_operation(region)
    }
    #[inline]
    fn vmclear(&mut self, region: &VmcsPointer) -> Result<(), VmxError> {
        self.counts.vmclear += 1;
        self.inner.vmclear(region)
    }
    #[inline]
    fn vmptrld(&mut self, region: &VmcsPointer) -> Result<(), VmxError> {
        self.counts.vmptrld += 1;
        self.inner.vmptrld(region)
    }
    // For debug assertions, and so not counted.
    #[inline]
    fn current_vmcs(&mut self) -> Option<PhysicalAddress> {
        self.inner.current_vmcs()
    }
    #[inline]
    fn local_apic_id(&mut self) -> Option<u32> {
        self.inner.local_apic_id()
    }
}

impl<C: InvalidateTranslations> InvalidateTranslations for Counting<C> {
    #[inline]
    fn invept(&mut self, scope: InveptScope) -> Result<(), VmxError> {
        self.counts.invept += 1;
        self.inner.invept(scope)
    }
    #[inline]
    fn invvpid(&mut self, scope: InvvpidScope) -> Result<(), VmxError> {
        self.counts.invvpid += 1;
        self.inner.invvpid(scope)
    }
}

impl<C: VmcsAccess> VmcsAccess for Counting<C> {
    #[inline]
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        self.vmreads.set(self.vmreads.get() + 1);
        self.inner.vmread(encoding)
    }
    #[inline]
    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        self.counts.vmwrite += 1;
        self.inner.vmwrite(encoding, value)
    }
}

impl<C: WorldSwitch> WorldSwitch for Counting<C> {
    type Registers = C::Registers;

    #[inline]
    unsafe fn enter(
        &mut self,
        instruction: EntryInstruction,
        host: &mut HostPointers,
        registers: &mut Self::Registers,
    ) -> Result<(), VmxError> {
        match instruction {
            EntryInstruction::Launch => self.counts.vmlaunch += 1,
            EntryInstruction::Resume => self.counts.vmresume += 1,
        }
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.enter(instruction, host, registers) }
    }
}

#[cfg(test)]
mod tests;
