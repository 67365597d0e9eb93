//! A look through all eyes: what the guests, their CPUs and the host can see.

use cet_policy::{HostMode, ReadAnswer};
use vmx_core::cet::SspRegister;
use vmx_core::intercept::MsrAccess;

use super::{Outcome, SH_STK_EN, World, canary};
use crate::contract::driver::Driver;
use crate::contract::violation::{Broken, Eye, Owner};

impl<D: Driver> World<'_, D> {
    /// Everything that a guest and the host can see of a vCPU.
    pub(super) fn look(&mut self, v: usize) -> Outcome {
        let ideal = self.vcpus[v].ideal;
        for register in SspRegister::ALL {
            let found = self.drive(v, |driver, cpu, _| driver.host_read(cpu, register))?.get();
            self.compare(v, Eye::Host, register.index(), found)?;
        }
        let state = self.drive(v, |driver, cpu, _| driver.state(cpu))?;
        for (ring, found) in state.ssp.into_iter().enumerate() {
            self.compare(v, Eye::Host, ring, found)?;
        }
        let control = |found, expected| {
            if found == expected { Ok(()) } else { Err(Broken::WrongControl { found, expected }) }
        };
        control(self.guest_xss(v), ideal.xss)?;
        // Before what S_CET holds: a ring change does not ask what it should hold.
        let Some(on) = self.vcpus[v].on else {
            return control(self.vcpus[v].vmcs.guest_s_cet(), ideal.s_cet);
        };
        for register in SspRegister::ALL {
            self.guest_reads(v, on, register)?;
        }
        let registers = self.cpus[on].ssp;
        for (ring, found) in registers.into_iter().enumerate() {
            if self.vcpus[v].vmcs.guest_s_cet() & SH_STK_EN != 0 {
                self.compare(v, Eye::RingChange, ring, found)?;
            }
        }
        let xss = self.guest_xss(v);
        let host = core::mem::replace(&mut self.cpus[on].xss, xss);
        let saved = self.cpus[on].guest_xsaves();
        self.cpus[on].xss = host;
        for (ring, found) in saved.into_iter().flatten().enumerate() {
            self.compare(v, Eye::Xsaves, ring, found)?;
        }
        control(self.vcpus[v].vmcs.guest_s_cet(), ideal.s_cet)
    }

    fn guest_reads(&mut self, v: usize, on: usize, register: SspRegister) -> Outcome {
        let offered = self.vcpus[v].offered.shadow_stacks;
        let found = if self.vcpus[v].bitmap.exits(register.msr(), MsrAccess::Read) {
            let answer =
                self.drive_fields(v, |driver, cpu, _| driver.guest_reads_msr(cpu, register.msr()))?;
            match answer {
                ReadAnswer::Value(value) => Some(value),
                ReadAnswer::GeneralProtection | ReadAnswer::NotOurs => None,
            }
        } else {
            Some(self.cpus[on].ssp[register.index()])
        };
        match found {
            Some(found) if offered => self.compare(v, Eye::Rdmsr, register.index(), found),
            None if !offered => Ok(()),
            _ => Err(Broken::WrongFault { expected: !offered }),
        }
    }

    fn compare(&self, v: usize, eye: Eye, ring: usize, found: u64) -> Outcome {
        let expected = self.vcpus[v].ideal.ssp[ring];
        if found == expected {
            return Ok(());
        }
        let owner = match found {
            0 => Owner::Nobody,
            _ if found >> 63 != 0 => Owner::Host,
            _ if self.vcpus[1 - v].ideal.ssp.contains(&found) => Owner::OtherGuest,
            _ => Owner::Itself,
        };
        Err(Broken::WrongValue { eye, ring, found, expected, owner })
    }

    /// A host that uses shadow stacks has its values wherever no vCPU is loaded.
    pub(super) fn check_host(&self) -> Outcome {
        if self.setup.mode == HostMode::DoesNot {
            return Ok(());
        }
        for (number, cpu) in self.cpus.iter().enumerate() {
            if self.vcpus.iter().any(|vcpu| vcpu.on == Some(number)) {
                continue;
            }
            for (ring, found) in cpu.ssp.into_iter().enumerate() {
                if found != canary(number, ring) {
                    return Err(Broken::HostValueLost { ring, found });
                }
            }
        }
        Ok(())
    }
}
