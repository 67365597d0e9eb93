//! One vCPU's CET state: what every policy shares.

mod guest_access;
mod host_access;

use vmx_core::cet::{CET_S, CetControl, Ssp, SspRegister};
use vmx_core::control::EntryControls;
use vmx_core::cpu::{SupervisorSsp, VmcsAccess};
use vmx_core::intercept::MsrAccess;
use vmx_core::state::GuestCetState;
use vmx_core::vmcs::field::GUEST_S_CET;
use vmx_core::{MsrBitmap, MsrIndex, VmxError};

use crate::error::{LoadError, NotAttached, RegisterError};
use crate::features::GuestCet;
use crate::host::{HostCet, Refused};
use crate::legality::{IllegalValue, check_ssp};
use crate::policy::{Exits, Policy, PolicyCpu, Ways};

/// One vCPU's CET state, switched by the policy `P`.
///
/// Call [`attach`](Self::attach) once the vCPU has a VMCS, [`load`](Self::load) before
/// the first entry after the vCPU came to a CPU, [`put`](Self::put) before it leaves or
/// another vCPU runs there. Methods that take a CPU run with preemption off, and where
/// that CPU is a [`VmcsAccess`] the vCPU's VMCS is its current one. `bitmap` is
/// always this vCPU's.
///
/// A snapshot is [`state`](Self::state), not a copy: there is none of a loaded vCPU,
/// whose values are in the CPU.
#[derive(Debug)]
pub struct VcpuCet<P> {
    policy: P,
    host: HostCet,
    guest: GuestCet,
    /// The guest's IA32_XSS.
    xss: u64,
    attached: bool,
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
        let policy = P::new(host)?;
        let mut cet = Self { policy, host: *host, guest, xss: 0, attached: false, loaded: false };
        if cet.xsaves_reaches() {
            cet.policy.reach(Ways::XSAVES);
        }
        Ok(cet)
    }

    /// The policy, to look at.
    pub const fn policy(&self) -> &P {
        &self.policy
    }

    /// What the guest is offered.
    pub const fn guest(&self) -> &GuestCet {
        &self.guest
    }

    /// The guest's IA32_XSS. The register must hold it while the guest runs. Where it
    /// is [passed through](crate::HostXss::PassedThrough), what
    /// [`guest_writes_xss`](Self::guest_writes_xss) was told last.
    pub const fn xss(&self) -> u64 {
        self.xss
    }

    /// Takes over the vCPU's VMCS, which is `vmcs`'s current one, and its MSR bitmap:
    /// writes the guest's CET fields (IA32_S_CET, SSP and the table address, all zero)
    /// and sets the bits of the CET MSRs and of IA32_XSS. Call it when either is new,
    /// and before a snapshot is restored.
    ///
    /// From here on nobody else writes these fields: the guest states of
    /// [`vmx_core::state`] leave them out. Of the user half, IA32_U_CET and
    /// IA32_PL3_SSP exit where the guest is not offered them, and otherwise as they did
    /// before; so does RDMSR of IA32_XSS.
    ///
    /// # Errors
    /// [`VmxError`] if a field cannot be written.
    pub fn attach<V: VmcsAccess>(
        &mut self,
        vmcs: &mut V,
        bitmap: &MsrBitmap<'_>,
    ) -> Result<(), VmxError> {
        if self.has_fields() {
            GuestCetState::OFF.write(vmcs, EntryControls::LOAD_CET_STATE)?;
        }
        self.set_exits(bitmap);
        self.attached = true;
        Ok(())
    }

    /// The CET fields of the VMCS need not exist where guests are offered nothing.
    const fn has_fields(&self) -> bool {
        self.host.offers_shadow_stacks()
    }

    /// Makes the bitmap say what exits.
    fn set_exits(&self, bitmap: &MsrBitmap<'_>) {
        let exits = self.exits();
        let set = |msr, access, exits| {
            // Every CET MSR is in the low range of the bitmap: this cannot fail.
            if exits {
                bitmap.intercept(msr, access);
            } else {
                let _ = bitmap.pass(msr, access);
            }
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
            if !any {
                set(MsrIndex::IA32_U_CET, access, true);
            }
            if !guest.shadow_stacks {
                set(MsrIndex::IA32_PL3_SSP, access, true);
            }
        }
        set(MsrIndex::IA32_XSS, MsrAccess::Write, !self.host.passes_xss);
    }

    fn exits(&self) -> Exits {
        if self.guest.shadow_stacks { self.policy.exits() } else { Exits::ALL }
    }

    /// Whether the guest can reach the registers by XSAVES and XRSTORS, now or without
    /// an exit before.
    const fn xsaves_reaches(&self) -> bool {
        let xss = if self.host.passes_xss { self.guest.xss } else { self.xss };
        xss & CET_S != 0
    }

    /// The vCPU runs on this CPU from now on. IA32_XSS holds the host's value, for
    /// policies that use XRSTORS.
    ///
    /// # Errors
    /// [`LoadError`]: the vCPU is as it was, no register has changed, and it must not be
    /// entered. A value of the guest's can be one that this CPU refuses
    /// ([`IllegalValue::RefusedByCpu`]) where the guest took it with CR4.LA57 = 1.
    pub fn load<C: PolicyCpu>(&mut self, cpu: &mut C) -> Result<(), LoadError> {
        if !self.attached {
            return Err(LoadError::NotAttached(NotAttached));
        }
        if self.guest.shadow_stacks {
            if !self.policy.is_resident() {
                for register in SspRegister::ALL {
                    let value = self.policy.read(cpu, register);
                    ask(cpu, register, value).map_err(LoadError::Register)?;
                }
            }
            self.policy.load(cpu);
        }
        self.loaded = true;
        Ok(())
    }

    /// The vCPU leaves the CPU; its state is in memory afterwards. IA32_XSS holds the
    /// host's value, for policies that use XSAVES.
    pub fn put<C: PolicyCpu + VmcsAccess>(&mut self, cpu: &mut C, bitmap: &MsrBitmap<'_>) {
        let was_loaded = core::mem::take(&mut self.loaded);
        self.policy.put(cpu);
        // Of a vCPU that was parked already, the current VMCS may be another's.
        if was_loaded
            && self.policy.wants_to_rearm()
            && !self.xsaves_reaches()
            && cpu.read(GUEST_S_CET).is_ok_and(|s_cet| !s_cet.contains(CetControl::SH_STK_EN))
        {
            self.changing(cpu, bitmap, |policy, cpu| policy.rearm(cpu));
        }
    }

    /// Lets `change` work on the policy, then makes the registers and the bitmap
    /// follow, in this order: the guest must not reach a register before it holds
    /// the guest's value.
    ///
    /// What is loaded here cannot fault: every parked value was asked about by
    /// [`load`](Self::load), and the one that is new by whoever changes it.
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
            self.set_exits(bitmap);
        }
    }

    /// The door for values of the three registers: by what the guest is offered, by the
    /// width of this CPU, and by the CPU itself.
    fn check_register<C: SupervisorSsp>(
        &self,
        cpu: &mut C,
        register: SspRegister,
        value: u64,
    ) -> Result<Ssp, RegisterError> {
        let error = |cause| RegisterError { register, value, cause };
        if !self.guest.shadow_stacks && value != 0 {
            return Err(error(IllegalValue::NoSuchMsr));
        }
        let checked = check_ssp(value, self.host.linear_address_width()).map_err(error)?;
        ask(cpu, register, checked)?;
        Ok(checked)
    }
}

/// Asks the CPU about a value that it may refuse though it is legal by CPUID.
fn ask<C: SupervisorSsp>(
    cpu: &mut C,
    register: SspRegister,
    value: Ssp,
) -> Result<(), RegisterError> {
    if value.needs_more_than_48_bits() && !cpu.accepts_ssp(register, value) {
        let cause = IllegalValue::RefusedByCpu;
        return Err(RegisterError { register, value: value.get(), cause });
    }
    Ok(())
}

/// Asks the CPU about the address in any CET MSR: it judges all of them by one width.
fn ask_about_address<C: SupervisorSsp>(cpu: &mut C, address: u64) -> Result<(), IllegalValue> {
    ask(cpu, SspRegister::Pl0, Ssp::from_register(address)).map_err(|error| error.cause)
}
