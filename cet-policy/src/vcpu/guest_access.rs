//! RDMSR and WRMSR of the guest that exited.

use vmx_core::cet::{CET_S, CetControl, SspRegister};
use vmx_core::cpu::VmcsAccess;
use vmx_core::vmcs::field::{GUEST_INTERRUPT_SSP_TABLE_ADDR, GUEST_S_CET};
use vmx_core::{MsrBitmap, MsrIndex, VmxError};

use super::{VcpuCet, ask_about_address};
use crate::answer::{ReadAnswer, WriteAnswer};
use crate::legality::check_msr_value;
use crate::policy::{Policy, PolicyCpu, Ways};

impl<P: Policy> VcpuCet<P> {
    /// The guest's RDMSR exited.
    ///
    /// # Errors
    /// [`VmxError`] if a VMCS field cannot be read.
    pub fn guest_reads_msr<C: PolicyCpu + VmcsAccess>(
        &mut self,
        cpu: &mut C,
        msr: MsrIndex,
    ) -> Result<ReadAnswer, VmxError> {
        if msr == MsrIndex::IA32_XSS {
            return Ok(match (self.host.cpu.xsaves, self.host.passes_xss) {
                (false, _) => ReadAnswer::GeneralProtection,
                (true, false) => ReadAnswer::Value(self.xss),
                (true, true) => ReadAnswer::NotOurs,
            });
        }
        // Zero is legal for every CET MSR that exists.
        match check_msr_value(msr, 0, &self.guest, self.host.linear_address_width()) {
            None => return Ok(ReadAnswer::NotOurs),
            Some(Err(_)) => return Ok(ReadAnswer::GeneralProtection),
            Some(Ok(())) => {}
        }
        if let Some(register) = SspRegister::from_msr(msr) {
            return Ok(ReadAnswer::Value(self.policy.read(cpu, register).get()));
        }
        Ok(match msr {
            MsrIndex::IA32_S_CET => ReadAnswer::Value(cpu.read(GUEST_S_CET)?.bits()),
            MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR => {
                ReadAnswer::Value(cpu.read(GUEST_INTERRUPT_SSP_TABLE_ADDR)?)
            }
            _ => ReadAnswer::NotOurs,
        })
    }

    /// The guest's WRMSR exited. A value that this CPU refuses, though the guest's CPUID
    /// says that it is legal, is answered with #GP(0), as by the CPU itself.
    ///
    /// # Errors
    /// [`VmxError`] if a VMCS field cannot be written; nothing has changed then.
    pub fn guest_writes_msr<C: PolicyCpu + VmcsAccess>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        msr: MsrIndex,
        value: u64,
    ) -> Result<WriteAnswer, VmxError> {
        if msr == MsrIndex::IA32_XSS {
            return Ok(self.guest_writes_xss(cpu, bitmap, value));
        }
        match check_msr_value(msr, value, &self.guest, self.host.linear_address_width()) {
            None => return Ok(WriteAnswer::NotOurs),
            Some(Err(_)) => return Ok(WriteAnswer::GeneralProtection),
            Some(Ok(())) => {}
        }
        if let Some(register) = SspRegister::from_msr(msr) {
            let Ok(ssp) = self.check_register(cpu, register, value) else {
                return Ok(WriteAnswer::GeneralProtection);
            };
            self.changing(cpu, bitmap, |policy, cpu| policy.write(cpu, register, ssp));
            return Ok(WriteAnswer::Done);
        }
        match msr {
            MsrIndex::IA32_S_CET => {
                let value = CetControl::from_bits_retain(value);
                if ask_about_address(cpu, value.bits() & !0xFFF).is_err() {
                    return Ok(WriteAnswer::GeneralProtection);
                }
                self.write_s_cet(cpu, bitmap, value)?;
                Ok(WriteAnswer::Done)
            }
            MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR => {
                if ask_about_address(cpu, value).is_err() {
                    return Ok(WriteAnswer::GeneralProtection);
                }
                cpu.write(GUEST_INTERRUPT_SSP_TABLE_ADDR, value)?;
                Ok(WriteAnswer::Done)
            }
            _ => Ok(WriteAnswer::NotOurs),
        }
    }

    /// The guest's WRMSR of IA32_XSS exited. After [`WriteAnswer::Done`] load the
    /// new value ([`xss`](Self::xss)) before the next entry.
    ///
    /// Where the register is [passed through](crate::HostXss::PassedThrough): the guest
    /// left this value in it, as when the vCPU is put or a snapshot is taken; or it shall
    /// have it, as when one is restored.
    pub fn guest_writes_xss<C: PolicyCpu>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        value: u64,
    ) -> WriteAnswer {
        if !self.host.cpu.xsaves || value & !self.guest.xss != 0 {
            return WriteAnswer::GeneralProtection;
        }
        self.xss = value;
        if value & CET_S != 0 {
            self.changing(cpu, bitmap, |policy, _| policy.reach(Ways::XSAVES));
        }
        WriteAnswer::Done
    }

    /// Writes a legal IA32_S_CET, and tells the policy.
    pub(super) fn write_s_cet<C: PolicyCpu + VmcsAccess>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        value: CetControl,
    ) -> Result<(), VmxError> {
        cpu.write(GUEST_S_CET, value)?;
        if value.contains(CetControl::SH_STK_EN) {
            self.changing(cpu, bitmap, |policy, _| policy.reach(Ways::SHADOW_STACKS_ON));
        }
        Ok(())
    }
}
