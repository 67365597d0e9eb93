//! Save and reload by XSAVES and XRSTORS of component 12.

use vmx_core::cet::{CetSupervisorArea, Ssp, SspRegister};

use crate::host::{HostCet, HostMode, Refused};
use crate::policy::{Exits, Policy, PolicyCpu, Ways};

/// Moves all three registers by one XSAVES and one XRSTORS, in an area of its own;
/// no guest access exits.
///
/// Needs IA32_XSS\[12\] = 1 whenever the host runs, CR4.OSXSAVE and CR0.TS = 0. Cost
/// of a put and load pair: 1 XSAVES and 1 XRSTORS; where the host uses shadow stacks
/// 3 RDMSR and 1 XRSTORS more. Choose it for guests that set IA32_XSS\[12\]
/// themselves, so that the host's and the guest's IA32_XSS are equal. After put the
/// registers hold the guest's values unless the host uses shadow stacks.
///
/// The areas are 640 bytes each: component 12 starts behind 512 bytes of legacy
/// region that nothing uses.
#[derive(Clone, Debug)]
pub struct XsaveBacked {
    guest: CetSupervisorArea,
    /// The host's values while the guest's are in the registers.
    host: CetSupervisorArea,
    host_uses: bool,
    resident: bool,
}

impl Policy for XsaveBacked {
    const NAME: &'static str = "xsave";

    fn new(host: &HostCet) -> Result<Self, Refused> {
        host.require_cet_s_xstate()?;
        Ok(Self {
            guest: CetSupervisorArea::new(),
            host: CetSupervisorArea::new(),
            host_uses: host.mode() == HostMode::UsesShadowStacks,
            resident: false,
        })
    }

    fn exits(&self) -> Exits {
        Exits::NONE
    }

    fn load<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if self.resident {
            return;
        }
        if self.host_uses {
            // Not by XSAVES: where the last XRSTORS of this CPU was from this area, it
            // may skip what it takes for unmodified, though another CPU's values were
            // stored there since, or another vCPU's area had the address.
            for register in SspRegister::ALL {
                self.host.set(register, cpu.read_ssp(register));
            }
        }
        cpu.xrstors_cet_s(&self.guest);
        self.resident = true;
    }

    fn put<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if !self.resident {
            return;
        }
        cpu.xsaves_cet_s(&mut self.guest);
        self.resident = false;
        if self.host_uses {
            cpu.xrstors_cet_s(&self.host);
        }
    }

    fn is_resident(&self) -> bool {
        self.resident
    }

    fn read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        if self.resident { cpu.read_ssp(register) } else { self.guest.get(register) }
    }

    /// A parked area is only edited; the XRSTORS of the next load comes before
    /// XSAVES writes it again, as the modified optimisation demands.
    fn write<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister, value: Ssp) {
        if self.resident {
            cpu.write_ssp(register, value);
        } else {
            self.guest.set(register, value);
        }
    }

    fn reach(&mut self, _ways: Ways) {}

    fn reset<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if self.resident {
            for register in SspRegister::ALL {
                cpu.write_ssp(register, Ssp::ZERO);
            }
        } else {
            self.guest.clear();
        }
    }
}
