//! One vCPU's CET state: what every policy shares.

use vmx_core::cet::CET_S;
use vmx_core::cet::CetControl;
use vmx_core::cet::{Ssp, SspRegister};
use vmx_core::cpu::VmcsAccess;
use vmx_core::intercept::MsrAccess;
use vmx_core::vmcs::field::{GUEST_INTERRUPT_SSP_TABLE_ADDR, GUEST_S_CET, GUEST_SSP};
use vmx_core::{MsrBitmap, MsrIndex, VmxError};

use crate::answer::{ReadAnswer, Reset, WriteAnswer};
use crate::error::{NotOffered, OfferError, RestoreError, SCetError};
use crate::features::GuestCet;
use crate::host::{HostCet, Refused};
use crate::legality::{IllegalValue, check_msr_value, check_ssp, offered_control_bits};
use crate::policy::{Exits, Policy, PolicyCpu, Ways};
use crate::state::SupervisorState;

/// One vCPU's CET state, switched by the policy `P`.
///
/// Call [`attach`](Self::attach) once, [`load`](Self::load) before the first entry
/// after the vCPU came to a CPU, [`put`](Self::put) before it leaves or another
/// vCPU runs there. Methods that take a CPU run with preemption off, and where
/// that CPU is a [`VmcsAccess`] the vCPU's VMCS is its current one. `bitmap` is
/// always this vCPU's.
#[derive(Clone, Debug)]
pub struct VcpuCet<P> {
    policy: P,
    host: HostCet,
    guest: GuestCet,
    /// The guest's IA32_XSS.
    xss: u64,
    /// Between load and put, even while a lazy policy leaves the registers alone.
    loaded: bool,
}

impl<P: Policy> VcpuCet<P> {
    /// The state after power-up.
    ///
    /// # Errors
    /// [`Refused`] if the guest is offered what the machine lacks, or the policy
    /// needs it.
    pub fn new(host: &HostCet, guest: GuestCet) -> Result<Self, Refused> {
        host.check_guest(&guest)?;
        Ok(Self { policy: P::new(host)?, host: *host, guest, xss: 0, loaded: false })
    }

    /// The policy, to look at.
    pub const fn policy(&self) -> &P {
        &self.policy
    }

    /// What the guest is offered.
    pub const fn guest(&self) -> &GuestCet {
        &self.guest
    }

    /// The guest's IA32_XSS. The register must hold it while the guest runs.
    pub const fn xss(&self) -> u64 {
        self.xss
    }

    /// Sets the bits of the CET MSRs and of IA32_XSS in the vCPU's MSR bitmap; the
    /// user half (IA32_U_CET, IA32_PL3_SSP) and RDMSR of IA32_XSS stay as they are.
    pub fn attach(&self, bitmap: &MsrBitmap<'_>) {
        let exits = self.exits();
        let set = |msr, access, exits| {
            // Every CET MSR is in the low range of the bitmap: this cannot fail.
            let _ = bitmap.set_exits(msr, access, exits);
        };
        for register in SspRegister::ALL {
            let one = register.as_set();
            set(register.msr(), MsrAccess::Read, exits.reads.contains(one));
            set(register.msr(), MsrAccess::Write, exits.writes.contains(one));
        }
        let guest = &self.guest;
        let any = guest.shadow_stacks || guest.indirect_branch_tracking;
        // The CPU would take bits of a feature that the guest does not have.
        let same = guest.shadow_stacks == self.host.cpu.shadow_stacks
            && guest.indirect_branch_tracking == self.host.cpu.indirect_branch_tracking;
        set(MsrIndex::IA32_S_CET, MsrAccess::Read, !any);
        set(MsrIndex::IA32_S_CET, MsrAccess::Write, !same || exits.s_cet_writes);
        for access in [MsrAccess::Read, MsrAccess::Write] {
            set(MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR, access, !guest.shadow_stacks);
        }
        set(MsrIndex::IA32_XSS, MsrAccess::Write, true);
    }

    fn exits(&self) -> Exits {
        if self.guest.shadow_stacks { self.policy.exits() } else { Exits::ALL }
    }

    /// The vCPU runs on this CPU from now on.
    pub fn load<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.loaded = true;
        if self.guest.shadow_stacks {
            self.policy.load(cpu);
        }
    }

    /// The vCPU leaves the CPU; its state is in memory afterwards.
    pub fn put<C: PolicyCpu + VmcsAccess>(&mut self, cpu: &mut C, bitmap: &MsrBitmap<'_>) {
        self.loaded = false;
        self.policy.put(cpu);
        if self.policy.wants_to_rearm()
            && self.xss & CET_S == 0
            && cpu.read(GUEST_S_CET).is_ok_and(|s_cet| !s_cet.contains(CetControl::SH_STK_EN))
        {
            self.changing(cpu, bitmap, |policy, cpu| policy.rearm(cpu));
        }
    }

    /// Lets `change` work on the policy, then makes the registers and the bitmap
    /// follow, in this order: the guest must not reach a register before it holds
    /// the guest's value.
    fn changing<C: PolicyCpu>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        change: impl FnOnce(&mut P, &mut C),
    ) {
        let before = self.exits();
        change(&mut self.policy, cpu);
        if self.loaded && self.guest.shadow_stacks {
            self.policy.load(cpu);
        }
        if self.exits() != before {
            self.attach(bitmap);
        }
    }

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
            return Ok(ReadAnswer::Value(self.xss));
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

    /// The guest's WRMSR exited.
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
        let width = self.host.linear_address_width();
        match check_msr_value(msr, value, &self.guest, width) {
            None => return Ok(WriteAnswer::NotOurs),
            Some(Err(_)) => return Ok(WriteAnswer::GeneralProtection),
            Some(Ok(())) => {}
        }
        if let (Some(register), Ok(ssp)) = (SspRegister::from_msr(msr), check_ssp(value, width)) {
            self.changing(cpu, bitmap, |policy, cpu| policy.write(cpu, register, ssp));
            return Ok(WriteAnswer::Done);
        }
        match msr {
            MsrIndex::IA32_S_CET => {
                self.write_s_cet(cpu, bitmap, CetControl::from_bits_retain(value))?;
                Ok(WriteAnswer::Done)
            }
            MsrIndex::IA32_INTERRUPT_SSP_TABLE_ADDR => {
                cpu.write(GUEST_INTERRUPT_SSP_TABLE_ADDR, value)?;
                Ok(WriteAnswer::Done)
            }
            _ => Ok(WriteAnswer::NotOurs),
        }
    }

    /// The guest's WRMSR of IA32_XSS exited. After [`WriteAnswer::Done`] load the
    /// new value ([`xss`](Self::xss)) before the next entry.
    pub fn guest_writes_xss<C: PolicyCpu>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        value: u64,
    ) -> WriteAnswer {
        if value & !self.guest.xss != 0 {
            return WriteAnswer::GeneralProtection;
        }
        self.xss = value;
        if value & CET_S != 0 {
            self.changing(cpu, bitmap, |policy, _| policy.reach(Ways::XSAVES));
        }
        WriteAnswer::Done
    }

    /// Writes the guest's IA32_S_CET into the VMCS and tells the policy: for a
    /// restored snapshot, and whatever else the host does to the field.
    ///
    /// # Errors
    /// [`SCetError`], and nothing changes, if the guest's own WRMSR would raise
    /// #GP(0) (VM entry judges by the CPU, not by what the guest is offered), or if
    /// the field cannot be written.
    pub fn host_write_s_cet<C: PolicyCpu + VmcsAccess>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        value: CetControl,
    ) -> Result<(), SCetError> {
        let width = self.host.linear_address_width();
        if let Some(Err(illegal)) =
            check_msr_value(MsrIndex::IA32_S_CET, value.bits(), &self.guest, width)
            && !value.is_empty()
        {
            return Err(SCetError::Illegal(illegal));
        }
        self.write_s_cet(cpu, bitmap, value).map_err(SCetError::Vmcs)
    }

    /// Writes a legal IA32_S_CET, and tells the policy.
    fn write_s_cet<C: PolicyCpu + VmcsAccess>(
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

    /// The guest's value of a register, for the host: resident or parked.
    pub fn host_read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        self.policy.read(cpu, register)
    }

    /// Changes the guest's value of a register from the host, resident or parked.
    ///
    /// # Errors
    /// [`NotOffered`] if the guest has no shadow stacks and the value is not zero.
    pub fn host_write<C: PolicyCpu>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        register: SspRegister,
        value: Ssp,
    ) -> Result<(), NotOffered> {
        if !self.guest.shadow_stacks && value != Ssp::ZERO {
            return Err(NotOffered);
        }
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
    /// [`RestoreError`] if a register cannot have the value on this machine.
    pub fn restore<C: PolicyCpu>(
        &mut self,
        cpu: &mut C,
        bitmap: &MsrBitmap<'_>,
        state: &SupervisorState,
    ) -> Result<(), RestoreError> {
        let mut values = [Ssp::ZERO; 3];
        for register in SspRegister::ALL {
            let value = state.ssp[register.index()];
            let checked = match check_ssp(value, self.host.linear_address_width()) {
                Ok(ssp) if ssp != Ssp::ZERO && !self.guest.shadow_stacks => {
                    Err(IllegalValue::NoSuchMsr)
                }
                checked => checked,
            };
            values[register.index()] =
                checked.map_err(|cause| RestoreError { register, value, cause })?;
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
        cpu.write(GUEST_S_CET, CetControl::empty())?;
        cpu.write(GUEST_SSP, 0)?;
        cpu.write(GUEST_INTERRUPT_SSP_TABLE_ADDR, 0)?;
        if self.xss & CET_S == 0 {
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
        let s_cet = cpu.read(GUEST_S_CET).map_err(OfferError::Vmcs)?;
        let kept = s_cet.bits() & offered_control_bits(&guest);
        if kept != s_cet.bits() {
            let kept = CetControl::from_bits_retain(kept);
            cpu.write(GUEST_S_CET, kept).map_err(OfferError::Vmcs)?;
        }
        self.xss &= guest.xss;
        if !guest.shadow_stacks {
            self.policy.reset(cpu);
            self.policy.put(cpu);
            self.policy.rearm(cpu);
        }
        self.guest = guest;
        if self.loaded && guest.shadow_stacks {
            self.policy.load(cpu);
        }
        self.attach(bitmap);
        Ok(())
    }
}
