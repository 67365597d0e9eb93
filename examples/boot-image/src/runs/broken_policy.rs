//! A policy that is broken on purpose: the guests must notice.

use cet_policy::{Exits, HostCet, Policy, PolicyCpu, Refused, Ways};
use vmx_core::cet::{Ssp, SspRegister};

/// `P`, but it forgets IA32_PL2_SSP whenever the vCPU leaves the CPU.
#[derive(Debug)]
pub(crate) struct ForgetsPl2<P>(P);

impl<P: Policy> Policy for ForgetsPl2<P> {
    const NAME: &'static str = P::NAME;

    fn new(host: &HostCet) -> Result<Self, Refused> {
        P::new(host).map(Self)
    }

    fn exits(&self) -> Exits {
        self.0.exits()
    }

    fn load<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.0.load(cpu);
    }

    fn put<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.0.put(cpu);
        self.0.write(cpu, SspRegister::Pl2, Ssp::ZERO);
    }

    fn is_resident(&self) -> bool {
        self.0.is_resident()
    }

    fn read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        self.0.read(cpu, register)
    }

    fn write<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister, value: Ssp) {
        self.0.write(cpu, register, value);
    }

    fn reach(&mut self, ways: Ways) {
        self.0.reach(ways);
    }

    fn reset<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.0.reset(cpu);
    }

    fn wants_to_rearm(&self) -> bool {
        self.0.wants_to_rearm()
    }

    fn rearm<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.0.rearm(cpu);
    }
}
