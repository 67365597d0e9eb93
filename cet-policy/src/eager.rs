//! Save and reload at every put and load.

use vmx_core::cet::{Ssp, SspRegister};
use vmx_core::cpu::SupervisorSsp;

use crate::host::{HostCet, HostMode, Refused};
use crate::policy::{Exits, Policy, PolicyCpu, Ways};

/// Moves all three registers by MSR instructions at every load and put; no guest
/// access exits.
///
/// Cost of a put and load pair: 3 RDMSR and 3 WRMSR, twice that where the host uses
/// shadow stacks. Choose it for guests that use supervisor shadow stacks and for
/// its simplicity. After put the registers hold the guest's values unless the host
/// uses shadow stacks; the next load overwrites them before any guest can see them.
#[derive(Debug)]
pub struct Eager {
    saved: [Ssp; 3],
    /// The host's values while the guest's are in the registers; `None` where the
    /// host has no use for them.
    host: Option<[Ssp; 3]>,
    resident: bool,
}

fn read_all<C: SupervisorSsp>(cpu: &mut C) -> [Ssp; 3] {
    SspRegister::ALL.map(|register| cpu.read_ssp(register))
}

fn write_all<C: SupervisorSsp>(cpu: &mut C, values: &[Ssp; 3]) {
    for (register, value) in SspRegister::ALL.into_iter().zip(values) {
        cpu.write_ssp(register, *value);
    }
}

impl Policy for Eager {
    const NAME: &'static str = "eager";

    fn new(host: &HostCet) -> Result<Self, Refused> {
        let host = (host.mode() == HostMode::UsesShadowStacks).then_some([Ssp::ZERO; 3]);
        Ok(Self { saved: [Ssp::ZERO; 3], host, resident: false })
    }

    fn exits(&self) -> Exits {
        Exits::NONE
    }

    fn load<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if self.resident {
            return;
        }
        if let Some(host) = &mut self.host {
            *host = read_all(cpu);
        }
        write_all(cpu, &self.saved);
        self.resident = true;
    }

    fn put<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if !self.resident {
            return;
        }
        self.saved = read_all(cpu);
        self.resident = false;
        if let Some(host) = &self.host {
            write_all(cpu, host);
        }
    }

    fn is_resident(&self) -> bool {
        self.resident
    }

    fn read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        if self.resident { cpu.read_ssp(register) } else { self.saved[register.index()] }
    }

    fn write<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister, value: Ssp) {
        if self.resident {
            cpu.write_ssp(register, value);
        } else {
            self.saved[register.index()] = value;
        }
    }

    fn reach(&mut self, _ways: Ways) {}

    fn reset<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.saved = [Ssp::ZERO; 3];
        if self.resident {
            write_all(cpu, &self.saved);
        }
    }
}

impl Eager {
    /// Whether a parked state is three zeros.
    pub(crate) fn is_parked_at_zero(&self) -> bool {
        !self.resident && self.saved == [Ssp::ZERO; 3]
    }
}
