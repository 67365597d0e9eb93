//! What the host reads and changes of a vCPU.

use vmx_core::cet::{CetControl, Ssp, SspRegister};
use vmx_core::control::EntryControls;
use vmx_core::cpu::VmcsAccess;
use vmx_core::state::GuestCetState;
use vmx_core::vmcs::field::GUEST_S_CET;
use vmx_core::{MsrBitmap, MsrIndex, VmxError};

use super::{VcpuCet, ask_about_address};
use crate::answer::Reset;
use crate::error::{NotAttached, OfferError, RegisterError, SCetError};
use crate::features::GuestCet;
use crate::legality::{check_msr_value, offered_control_bits};
use crate::policy::{Policy, PolicyCpu, Ways};
use crate::state::SupervisorState;

impl<P: Policy> VcpuCet<P> {
    /// Writes the guest's IA32_S_CET into the VMCS and tells the policy: for a
    /// restored snapshot, and whatever else the host does to the field.
    ///
    /// # Errors
    /// [`SCetError`], and nothing changes, if the guest's own WRMSR would raise
    /// #GP(0) (VM entry judges by the CPU, not by what the guest is offered), if the
    /// VMCS was not [taken over](Self::attach), or if the field cannot be written.
    pub fn host_write_s_cet<C: PolicyCpu + VmcsAccess>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        value: CetControl,
    ) -> Result<(), SCetError> {
        if !self.attached {
            return Err(SCetError::NotAttached(NotAttached));
        }
        if value.is_empty() && !self.has_fields() {
            return Ok(());
        }
        if !value.is_empty() {
            let width = self.host.linear_address_width();
            if let Some(Err(illegal)) =
                check_msr_value(MsrIndex::IA32_S_CET, value.bits(), &self.guest, width)
            {
                return Err(SCetError::Illegal(illegal));
            }
            ask_about_address(cpu, value.bits() & !0xFFF).map_err(SCetError::Illegal)?;
        }
        self.write_s_cet(cpu, bitmap, value).map_err(SCetError::Vmcs)
    }

    /// The guest's value of a register, for the host: resident or parked.
    pub fn host_read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        self.policy.read(cpu, register)
    }

    /// Changes the guest's value of a register from the host, resident or parked.
    ///
    /// # Errors
    /// [`RegisterError`], and nothing changes, if the register cannot have the value on
    /// this machine: by what the guest is offered (zero always passes), by the width of
    /// its addresses, or because this CPU refuses it as it is set up now.
    pub fn host_write<C: PolicyCpu>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        register: SspRegister,
        value: u64,
    ) -> Result<(), RegisterError> {
        let value = self.check_register(cpu, register, value)?;
        self.changing(cpu, bitmap, |policy, cpu| policy.write(cpu, register, value));
        Ok(())
    }

    /// The state in the external format.
    pub fn state<C: PolicyCpu>(&mut self, cpu: &mut C) -> SupervisorState {
        SupervisorState { ssp: SspRegister::ALL.map(|r| self.policy.read(cpu, r).get()) }
    }

    /// Takes a state over, all of it or nothing. IA32_XSS and IA32_S_CET of a
    /// snapshot go in by [`guest_writes_xss`](Self::guest_writes_xss) and
    /// [`host_write_s_cet`](Self::host_write_s_cet).
    ///
    /// # Errors
    /// [`RegisterError`] if a register cannot have the value on this machine, as
    /// [`host_write`](Self::host_write) has it.
    pub fn restore<C: PolicyCpu>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        state: &SupervisorState,
    ) -> Result<(), RegisterError> {
        let mut values = [Ssp::ZERO; 3];
        for register in SspRegister::ALL {
            let value = state.ssp[register.index()];
            values[register.index()] = self.check_register(cpu, register, value)?;
        }
        self.changing(cpu, bitmap, |policy, cpu| {
            for register in SspRegister::ALL {
                policy.write(cpu, register, values[register.index()]);
            }
        });
        Ok(())
    }

    /// Power-up or INIT of the vCPU, loaded or parked: zeros, in the VMCS too, and
    /// the intercepts as after [`new`](Self::new) unless IA32_XSS still gives the
    /// guest a way to the registers.
    ///
    /// # Errors
    /// [`VmxError`] if a VMCS field cannot be written; the registers are zero.
    pub fn reset<C: PolicyCpu + VmcsAccess>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        kind: Reset,
    ) -> Result<(), VmxError> {
        if kind == Reset::PowerUp {
            self.xss = 0;
        }
        self.policy.reset(cpu);
        if self.has_fields() {
            GuestCetState::OFF.write(cpu, EntryControls::LOAD_CET_STATE)?;
        }
        if !self.xsaves_reaches() {
            self.changing(cpu, bitmap, |policy, cpu| policy.rearm(cpu));
        }
        Ok(())
    }

    /// Offers the guest something else from now on, as when its CPUID is rewritten
    /// before it runs. Without shadow stacks its registers become zero, and bits of
    /// IA32_S_CET that belong to a feature withdrawn are cleared: shadow stacks left
    /// on would use registers that are no longer the guest's. What it keeps, it keeps.
    ///
    /// # Errors
    /// [`OfferError`], and nothing changes, if the machine lacks it or a VMCS field
    /// cannot be accessed.
    pub fn set_guest<C: PolicyCpu + VmcsAccess>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        guest: GuestCet,
    ) -> Result<(), OfferError> {
        self.host.check_guest(&guest).map_err(OfferError::Refused)?;
        // Before `attach` the field holds nobody's value, and is cleared there.
        if self.attached && self.has_fields() {
            let s_cet = cpu.read(GUEST_S_CET).map_err(OfferError::Vmcs)?;
            let kept = s_cet.bits() & offered_control_bits(&guest);
            if kept != s_cet.bits() {
                let kept = CetControl::from_bits_retain(kept);
                cpu.write(GUEST_S_CET, kept).map_err(OfferError::Vmcs)?;
            }
        }
        self.xss &= guest.xss;
        if !guest.shadow_stacks {
            self.policy.reset(cpu);
            self.policy.put(cpu);
            self.policy.rearm(cpu);
        }
        self.guest = guest;
        if self.xsaves_reaches() {
            self.policy.reach(Ways::XSAVES);
        }
        if self.loaded && guest.shadow_stacks {
            self.policy.load(cpu);
        }
        self.set_exits(bitmap);
        Ok(())
    }
}
