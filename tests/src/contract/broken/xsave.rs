//! An XSAVE-backed policy with a flaw.

use core::marker::PhantomData;

use cet_policy::{Exits, HostCet, HostMode, Policy, PolicyCpu, Refused, Ways};
use vmx_core::cet::{CetSupervisorArea, Ssp, SspRegister};

use super::flaw::Flaw;

/// Moves all three registers by XSAVES and XRSTORS, wrongly in the way of `F`.
#[derive(Debug)]
pub struct FlawedXsave<F> {
    guest: CetSupervisorArea,
    host: CetSupervisorArea,
    /// What the component's 24 bytes in `guest` hold, whatever XSTATE_BV says.
    memory: [Ssp; 3],
    host_uses: bool,
    resident: bool,
    flaw: PhantomData<F>,
}

impl<F: Flaw> Policy for FlawedXsave<F> {
    const NAME: &'static str = F::NAME;

    fn new(host: &HostCet) -> Result<Self, Refused> {
        host.require_cet_s_xstate()?;
        Ok(Self {
            guest: CetSupervisorArea::new(),
            host: CetSupervisorArea::new(),
            memory: [Ssp::ZERO; 3],
            host_uses: host.mode() == HostMode::UsesShadowStacks,
            resident: false,
            flaw: PhantomData,
        })
    }

    fn exits(&self) -> Exits {
        Exits::NONE
    }

    fn load<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if self.resident {
            return;
        }
        if self.host_uses && F::HOST_BY_XSAVES {
            let _ = cpu.xsaves_cet_s(&mut self.host);
        } else if self.host_uses && !F::HOST_ZEROED {
            for register in SspRegister::ALL {
                self.host.set(register, cpu.read_ssp(register));
            }
        }
        cpu.xrstors_cet_s(&self.guest);
        self.resident = true;
    }

    fn put<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if !self.resident && !F::NO_RESIDENT_FLAG {
            return;
        }
        if F::CLEARS_AREA {
            self.guest.clear();
        }
        let saved = cpu.xsaves_cet_s(&mut self.guest);
        for register in SspRegister::ALL {
            if !saved && !F::UNSAVED_IGNORED {
                self.guest.set(register, cpu.read_ssp(register));
            }
        }
        if F::FORGETS_PL2 {
            self.guest.set(SspRegister::Pl2, Ssp::ZERO);
        }
        if self.guest.values() != [Ssp::ZERO; 3] {
            self.memory = self.guest.values();
        }
        self.resident = false;
        for register in SspRegister::ALL {
            if self.host_uses && !saved {
                cpu.write_ssp(register, self.host.get(register));
            }
        }
        if self.host_uses && saved {
            cpu.xrstors_cet_s(&self.host);
        }
    }

    fn is_resident(&self) -> bool {
        self.resident
    }

    fn read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        if self.resident && !F::HOST_READS_COPY {
            cpu.read_ssp(register)
        } else if F::READS_AREA_RAW {
            self.memory[register.index()]
        } else {
            self.guest.get(register)
        }
    }

    fn write<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister, value: Ssp) {
        if self.resident && !F::HOST_WRITES_COPY {
            cpu.write_ssp(register, value);
        } else {
            self.guest.set(register, value);
            self.memory = self.guest.values();
        }
    }

    fn reach(&mut self, _ways: Ways) {}

    fn reset<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if self.resident {
            for register in SspRegister::ALL {
                cpu.write_ssp(register, Ssp::ZERO);
            }
        } else if !F::RESET_FORGETS_SAVED {
            self.guest.clear();
            self.memory = [Ssp::ZERO; 3];
        }
    }
}
