//! Every CPU trait for `&mut T`, so that a CPU can be lent.

use super::control_registers::ControlRegisters;
use super::cpuid::{Cpuid, CpuidResult};
use super::guest_registers::GuestRegisters;
use super::invalidation::{InveptScope, InvvpidScope};
use super::msr::Msr;
use super::segments::{SegmentState, Segments};
use super::shadow_stack::{CetSupervisorXstate, SupervisorSsp};
use super::vmcs_access::VmcsAccess;
use super::vmx_instructions::VmxInstructions;
use super::world_switch::{EntryInstruction, WorldSwitch};
use crate::cet::ssp::{Ssp, SspRegister};
use crate::cet::xsave_area::CetSupervisorArea;
use crate::msr::index::MsrIndex;
use crate::msr::named::NamedMsr;
use crate::vmcs::error::VmxError;
use crate::vmcs::field::encoding::Encoding;
use crate::vmcs::operation_error::EnterError;
use crate::vmcs::region::{VmcsRegion, VmxonRegion};

impl<T: Cpuid + ?Sized> Cpuid for &mut T {
    #[inline]
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult {
        (**self).cpuid(leaf, subleaf)
    }
}

impl<T: Msr + ?Sized> Msr for &mut T {
    #[inline]
    fn read_named(&mut self, msr: NamedMsr) -> u64 {
        (**self).read_named(msr)
    }
    #[inline]
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64 {
        // SAFETY: the caller keeps the same contract.
        unsafe { (**self).read_msr(msr) }
    }
    #[inline]
    unsafe fn write_msr(&mut self, msr: MsrIndex, value: u64) {
        // SAFETY: the caller keeps the same contract.
        unsafe { (**self).write_msr(msr, value) }
    }
}

impl<T: SupervisorSsp + ?Sized> SupervisorSsp for &mut T {
    #[inline]
    fn read_ssp(&mut self, register: SspRegister) -> Ssp {
        (**self).read_ssp(register)
    }
    #[inline]
    fn write_ssp(&mut self, register: SspRegister, value: Ssp) {
        (**self).write_ssp(register, value);
    }
}

impl<T: CetSupervisorXstate + ?Sized> CetSupervisorXstate for &mut T {
    #[inline]
    fn xsaves_cet_s(&mut self, area: &mut CetSupervisorArea) {
        (**self).xsaves_cet_s(area);
    }
    #[inline]
    fn xrstors_cet_s(&mut self, area: &CetSupervisorArea) {
        (**self).xrstors_cet_s(area);
    }
}

impl<T: ControlRegisters + ?Sized> ControlRegisters for &mut T {
    #[inline]
    fn read_cr0(&mut self) -> u64 {
        (**self).read_cr0()
    }
    #[inline]
    fn read_cr3(&mut self) -> u64 {
        (**self).read_cr3()
    }
    #[inline]
    fn read_cr4(&mut self) -> u64 {
        (**self).read_cr4()
    }
    #[inline]
    unsafe fn write_cr0(&mut self, value: u64) {
        // SAFETY: the caller keeps the same contract.
        unsafe { (**self).write_cr0(value) }
    }
    #[inline]
    unsafe fn write_cr4(&mut self, value: u64) {
        // SAFETY: the caller keeps the same contract.
        unsafe { (**self).write_cr4(value) }
    }
}

impl<T: Segments + ?Sized> Segments for &mut T {
    #[inline]
    fn segments(&mut self) -> SegmentState {
        (**self).segments()
    }
}

impl<T: VmxInstructions + ?Sized> VmxInstructions for &mut T {
    #[inline]
    fn enter_vmx_operation(&mut self, region: &VmxonRegion<'_>) -> Result<(), EnterError> {
        (**self).enter_vmx_operation(region)
    }
    #[inline]
    fn leave_vmx_operation(&mut self) -> Result<(), VmxError> {
        (**self).leave_vmx_operation()
    }
    #[inline]
    fn vmclear(&mut self, region: &VmcsRegion<'_>) -> Result<(), VmxError> {
        (**self).vmclear(region)
    }
    #[inline]
    fn vmptrld(&mut self, region: &VmcsRegion<'_>) -> Result<(), VmxError> {
        (**self).vmptrld(region)
    }
    #[inline]
    fn invept(&mut self, scope: InveptScope) -> Result<(), VmxError> {
        (**self).invept(scope)
    }
    #[inline]
    fn invvpid(&mut self, scope: InvvpidScope) -> Result<(), VmxError> {
        (**self).invvpid(scope)
    }
}

impl<T: VmcsAccess + ?Sized> VmcsAccess for &mut T {
    #[inline]
    fn vmread(&mut self, encoding: Encoding) -> Result<u64, VmxError> {
        (**self).vmread(encoding)
    }
    #[inline]
    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        (**self).vmwrite(encoding, value)
    }
}

impl<T: WorldSwitch + ?Sized> WorldSwitch for &mut T {
    #[inline]
    unsafe fn enter(
        &mut self,
        instruction: EntryInstruction,
        registers: &mut GuestRegisters,
    ) -> Result<(), VmxError> {
        // SAFETY: the caller keeps the same contract.
        unsafe { (**self).enter(instruction, registers) }
    }
}
