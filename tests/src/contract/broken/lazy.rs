//! A lazy policy with a flaw.

use cet_policy::{Exits, HostCet, Policy, PolicyCpu, Refused, Ways};
use vmx_core::cet::{Ssp, SspRegister, SspRegisters};

use super::eager::FlawedEager;
use super::flaw::Flaw;

/// Intercepts until the guest uses the registers, wrongly in the way of `F`.
#[derive(Debug)]
pub struct FlawedLazy<F> {
    eager: FlawedEager<F>,
    active: bool,
    loaded: bool,
}

impl<F: Flaw> Policy for FlawedLazy<F> {
    const NAME: &'static str = F::NAME;

    fn new(host: &HostCet) -> Result<Self, Refused> {
        Ok(Self { eager: FlawedEager::new(host)?, active: false, loaded: false })
    }

    fn exits(&self) -> Exits {
        if self.active {
            return Exits::NONE;
        }
        Exits {
            reads: if F::READS_PASS || F::HOST_WRITE_SLEEPS {
                SspRegisters::empty()
            } else {
                SspRegisters::all()
            },
            writes: SspRegisters::all(),
            s_cet_writes: !F::SHADOW_STACKS_IGNORED,
        }
    }

    fn load<C: PolicyCpu>(&mut self, cpu: &mut C) {
        let first = !self.loaded;
        self.loaded = true;
        if self.active {
            self.eager.load(cpu);
        } else if first && F::HOST_WRITE_SLEEPS {
            // Reads pass: so that they find zero.
            for register in SspRegister::ALL {
                cpu.write_ssp(register, Ssp::ZERO);
            }
        }
    }

    fn put<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.loaded = false;
        if self.active {
            self.eager.put(cpu);
        }
    }

    fn is_resident(&self) -> bool {
        self.eager.is_resident()
    }

    fn read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        self.eager.read(cpu, register)
    }

    fn write<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister, value: Ssp) {
        let activates = !self.active && value != Ssp::ZERO;
        if activates && self.loaded && F::LOADS_ONLY_THE_WRITTEN {
            self.active = true;
            self.eager.take_registers_as_they_are();
        }
        if activates && self.loaded && F::ACTIVE_BEFORE_WRITTEN {
            self.active = true;
            self.eager.take_registers_as_they_are();
            for other in SspRegister::ALL {
                cpu.write_ssp(other, Ssp::ZERO);
            }
        }
        self.eager.write(cpu, register, value);
        self.active |= activates && (self.loaded || !F::HOST_WRITE_SLEEPS);
    }

    fn reach(&mut self, ways: Ways) {
        let mut heard = ways;
        if F::XRSTORS_IGNORED {
            heard.remove(Ways::XSAVES);
        }
        if F::SHADOW_STACKS_IGNORED {
            heard.remove(Ways::SHADOW_STACKS_ON);
        }
        self.active |= !heard.is_empty();
    }

    fn reset<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.eager.reset(cpu);
    }

    fn rearm<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.eager.put(cpu);
        if self.eager.is_parked_at_zero() && !F::NEVER_REARMED {
            self.active = false;
        }
    }
}
