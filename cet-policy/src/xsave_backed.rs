//! Save and reload by XSAVES and XRSTORS of component 12.

use vmx_core::cet::{CetSupervisorArea, Ssp, SspRegister};
use vmx_core::cpu::SupervisorSsp;

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
/// A put that finds IA32_XSS\[12\] = 0, because the host's value was not written back,
/// loses nothing: it moves the registers by RDMSR and WRMSR. A load cannot see it, and
/// XRSTORS raises #GP(0) in the host.
///
/// The areas are 640 bytes each: component 12 starts behind 512 bytes of legacy
/// region that nothing uses.
#[derive(Debug)]
pub struct XsaveBacked {
    guest: CetSupervisorArea,
    /// The host's values while the guest's are in the registers.
    host: CetSupervisorArea,
    host_uses: bool,
    resident: bool,
}

/// RDMSR of all three into an area. It is loaded by XRSTORS before XSAVES writes it
/// again, as the modified optimisation demands.
fn read_all<C: SupervisorSsp>(cpu: &mut C, area: &mut CetSupervisorArea) {
    for register in SspRegister::ALL {
        area.set(register, cpu.read_ssp(register));
    }
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
            read_all(cpu, &mut self.host);
        }
        cpu.xrstors_cet_s(&self.guest);
        self.resident = true;
    }

    fn put<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if !self.resident {
            return;
        }
        let saved = cpu.xsaves_cet_s(&mut self.guest);
        if !saved {
            read_all(cpu, &mut self.guest);
        }
        self.resident = false;
        if self.host_uses && saved {
            cpu.xrstors_cet_s(&self.host);
        } else if self.host_uses {
            for register in SspRegister::ALL {
                cpu.write_ssp(register, self.host.get(register));
            }
        }
    }

    fn is_resident(&self) -> bool {
        self.resident
    }

    fn read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        if self.resident { cpu.read_ssp(register) } else { self.guest.get(register) }
    }

    /// A parked area is only edited; the XRSTORS of the next load comes before
    /// XSAVES writes it again.
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
