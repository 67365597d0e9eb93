//! An eager policy with a flaw.

use core::fmt::Debug;
use core::marker::PhantomData;

use cet_policy::{Exits, HostCet, HostMode, Policy, PolicyCpu, Refused, Ways};
use vmx_core::cet::{Ssp, SspRegister};

use super::flaw::Flaw;

/// Moves all three registers at every load and put, wrongly in the way of `F`.
#[derive(Debug)]
pub struct FlawedEager<F> {
    saved: [Ssp; 3],
    host: [Ssp; 3],
    host_uses: bool,
    resident: bool,
    flaw: PhantomData<F>,
}

fn moved<F: Flaw>() -> impl Iterator<Item = SspRegister> {
    SspRegister::ALL.into_iter().filter(|one| !F::FORGETS_PL2 || *one != SspRegister::Pl2)
}

impl<F: Flaw> Policy for FlawedEager<F> {
    const NAME: &'static str = F::NAME;

    fn new(host: &HostCet) -> Result<Self, Refused> {
        Ok(Self {
            saved: [Ssp::ZERO; 3],
            host: [Ssp::ZERO; 3],
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
        for register in SspRegister::ALL {
            if self.host_uses && !F::HOST_ZEROED {
                self.host[register.index()] = cpu.read_ssp(register);
            }
        }
        for register in moved::<F>() {
            cpu.write_ssp(register, self.saved[register.index()]);
        }
        self.resident = true;
    }

    fn put<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if !self.resident && !F::NO_RESIDENT_FLAG {
            return;
        }
        for register in moved::<F>() {
            self.saved[register.index()] = cpu.read_ssp(register);
        }
        self.resident = false;
        for register in SspRegister::ALL {
            if self.host_uses {
                cpu.write_ssp(register, self.host[register.index()]);
            }
        }
    }

    fn is_resident(&self) -> bool {
        self.resident
    }

    fn read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        if self.resident && !F::HOST_READS_COPY {
            cpu.read_ssp(register)
        } else {
            self.saved[register.index()]
        }
    }

    fn write<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister, value: Ssp) {
        if self.resident && !F::HOST_WRITES_COPY {
            cpu.write_ssp(register, value);
        } else {
            self.saved[register.index()] = value;
        }
    }

    fn reach(&mut self, _ways: Ways) {}

    fn reset<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if !F::RESET_FORGETS_SAVED {
            self.saved = [Ssp::ZERO; 3];
        }
        for register in SspRegister::ALL {
            if self.resident {
                cpu.write_ssp(register, Ssp::ZERO);
            }
        }
    }
}

impl<F: Flaw> FlawedEager<F> {
    pub(super) fn is_parked_at_zero(&self) -> bool {
        !self.resident && self.saved == [Ssp::ZERO; 3]
    }

    /// For activation: nothing moves, whatever the registers hold is the guest's.
    pub(super) const fn take_registers_as_they_are(&mut self) {
        self.resident = true;
    }
}
