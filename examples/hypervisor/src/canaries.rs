//! The host's own values in the registers.

use cet_policy::HostMode;
use vmx_core::cet::{Ssp, SspRegister};
use vmx_core::cpu::SupervisorSsp;

use crate::report::{CpuReport, GuestReport};
use crate::scenario::Scenario;

/// Values in the registers that a host with shadow stacks of its own would have
/// there, and wants back after every put.
#[derive(Clone, Copy, Debug)]
pub struct Canaries {
    expected: Option<[Ssp; 3]>,
}

impl Canaries {
    const READS: u64 = 3;

    /// Places canaries of the CPU with this number where the host uses the registers. IA32_PL0_SSP keeps what
    /// it holds where the hypervisor's own shadow stack is there.
    pub fn place<C: SupervisorSsp>(
        cpu: &mut C,
        number: usize,
        scenario: &Scenario,
        report: &mut CpuReport,
    ) -> Self {
        if scenario.mode == HostMode::DoesNot {
            return Self { expected: None };
        }
        for register in SspRegister::ALL {
            if register != SspRegister::Pl0 || !scenario.on_shadow_stack {
                let value = 0x7777_1110 + 0x1_0000 * number as u64 + 0x1114 * register as u64;
                cpu.write_ssp(register, Ssp::from_register(value));
                report.canary_writes += 1;
            }
        }
        report.canary_reads += Self::READS;
        Self { expected: Some(SspRegister::ALL.map(|register| cpu.read_ssp(register))) }
    }

    /// Checks that all of them are there.
    pub fn check<C: SupervisorSsp>(&self, cpu: &mut C, report: &mut GuestReport) {
        for (register, expected) in SspRegister::ALL.into_iter().zip(self.expected.iter().flatten())
        {
            report.canary_reads += 1;
            report.check(cpu.read_ssp(register) == *expected);
        }
    }
}
