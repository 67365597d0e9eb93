//! Two vCPUs on two CPUs under one policy, beside the ideal guests that they are
//! compared with.

mod look;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use cet_policy::{Error, GuestCet, HostXss, Reset, SupervisorState, WriteAnswer};
use vmx_core::cet::SspRegister;
use vmx_core::intercept::MsrAccess;
use vmx_core::memory::PhysicalPage;
use vmx_core::{MsrBitmap, MsrIndex, Page, VmxError};

use crate::contract::driver::Driver;
use crate::contract::legality::{control_is_legal, guest_may_write};
use crate::contract::machine::{Accesses, Cpu, Fields, HostFault, XSS_CET_S};
use crate::contract::operation::Op;
use crate::contract::setup::Setup;
use crate::contract::violation::Broken;

const SHADOW_STACK_BITS: u64 = 0b11;
const SH_STK_EN: u64 = 1;
/// More puts than any policy waits for before it calls a guest idle.
const CHURN: usize = 9;

/// What a guest alone on a CPU of its own would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ideal {
    pub(crate) ssp: [u64; 3],
    pub(crate) s_cet: u64,
    pub(crate) xss: u64,
    pub(crate) offered: [u64; 3],
}

pub(crate) struct Vcpu<'p, D> {
    /// Boxed: the modified optimisation goes by address.
    pub(crate) driver: Box<D>,
    pub(crate) bitmap: MsrBitmap<'p>,
    pub(crate) vmcs: Fields,
    pub(crate) ideal: Ideal,
    offered: GuestCet,
    /// The CPU on which it is loaded.
    pub(crate) on: Option<usize>,
    exits_at_start: cet_policy::Exits,
}

/// The model of it all.
pub(crate) struct World<'p, D> {
    pub(crate) cpus: [Cpu; 2],
    pub(crate) vcpus: [Vcpu<'p, D>; 2],
    setup: &'p Setup,
}

/// What a step came to: not possible now, done, or a promise broken.
pub(crate) enum Step {
    NotNow,
    Done,
    Broken(usize, Broken),
}

type Outcome<T = ()> = Result<T, Broken>;

/// The host's value of a register on a CPU.
const fn canary(cpu: usize, ring: usize) -> u64 {
    0xFFFF_8000_0000_0000 | (cpu as u64) << 12 | (ring as u64 + 1) << 4
}

fn offered_bits(guest: GuestCet) -> [u64; 3] {
    [u64::from(guest.shadow_stacks), u64::from(guest.indirect_branch_tracking), guest.xss]
}

impl<'p, D: Driver> World<'p, D> {
    /// A fresh world. The pages must once have been filled by
    /// [`MsrBitmap::all_exit`]; the rest is set by [`Driver::attach`].
    pub(crate) fn new(setup: &'p Setup, pages: &'p [Page; 2]) -> Result<Self, Error> {
        let host = setup.host()?;
        let host_xss = match setup.host_xss {
            HostXss::Fixed(value) => value,
            HostXss::PassedThrough => 0,
        };
        let mut cpus = [0, 1]
            .map(|cpu| Cpu::new(setup.hardware, [0, 1, 2].map(|ring| canary(cpu, ring)), host_xss));
        let mut make = |vcpu: usize| -> Result<_, Error> {
            let offered = setup.offered[vcpu];
            let mut driver = Box::new(D::new(&host, offered)?);
            let bitmap = MsrBitmap::from_page(PhysicalPage::unplaced(&pages[vcpu]));
            cpus[0].vmcs = Some(Fields::UNWRITTEN);
            driver.attach(&mut cpus[0], &bitmap)?;
            let exits_at_start = driver.exits();
            Ok(Vcpu {
                driver,
                bitmap,
                vmcs: cpus[0].vmcs.take().unwrap_or(Fields::UNWRITTEN),
                ideal: Ideal { ssp: [0; 3], s_cet: 0, xss: 0, offered: offered_bits(offered) },
                offered,
                on: None,
                exits_at_start,
            })
        };
        let vcpus = [make(0)?, make(1)?];
        Ok(Self { cpus, vcpus, setup })
    }

    /// One step, and a look through all eyes after it.
    pub(crate) fn step(&mut self, op: Op) -> Step {
        let actor = match op {
            Op::Run(v, _) | Op::Put(v) | Op::Churn(v) | Op::Write(v, ..) => v,
            Op::WriteXss(v, _) | Op::WriteSCet(v, _) | Op::Xrstors(v, _) => v,
            Op::HostWrite(v, ..) | Op::HostSCet(v, _) | Op::Restore(v, _) => v,
            Op::Reset(v, _) | Op::SetGuest(v, _) | Op::InterruptedWrite(v, ..) => v,
        };
        match self.apply(op) {
            Ok(true) => {}
            Ok(false) => return Step::NotNow,
            Err(broken) => return Step::Broken(actor, broken),
        }
        for vcpu in 0..2 {
            if let Err(broken) = self.look(vcpu) {
                return Step::Broken(vcpu, broken);
            }
        }
        match self.check_host() {
            Ok(()) => Step::Done,
            Err(broken) => Step::Broken(actor, broken),
        }
    }

    /// Calls the driver as a hypervisor does: on a CPU, the vCPU's VMCS current.
    fn drive<R>(
        &mut self,
        vcpu: usize,
        call: impl FnOnce(&mut D, &mut Cpu, &MsrBitmap<'p>) -> R,
    ) -> Outcome<R> {
        let vcpu = &mut self.vcpus[vcpu];
        // A parked vCPU may be worked on anywhere, even where another one runs.
        let cpu = &mut self.cpus[vcpu.on.unwrap_or(0)];
        let previous = cpu.vmcs.replace(vcpu.vmcs);
        let result = catch_unwind(AssertUnwindSafe(|| call(&mut vcpu.driver, cpu, &vcpu.bitmap)));
        cpu.interrupt_after(None);
        vcpu.vmcs = core::mem::replace(&mut cpu.vmcs, previous).unwrap_or(vcpu.vmcs);
        result.map_err(|payload| match payload.downcast_ref::<HostFault>() {
            Some(fault) => Broken::Faulted(*fault),
            None => resume_unwind(payload),
        })
    }

    /// As [`drive`](Self::drive), for what cannot fail while the fields exist.
    fn drive_fields<R>(
        &mut self,
        vcpu: usize,
        call: impl FnOnce(&mut D, &mut Cpu, &MsrBitmap<'p>) -> Result<R, VmxError>,
    ) -> Outcome<R> {
        self.drive(vcpu, call)?.map_err(|_| Broken::WrongRefusal { expected: false })
    }

    fn accesses(&self) -> Accesses {
        let [a, b] = [self.cpus[0].accesses, self.cpus[1].accesses];
        Accesses {
            reads: a.reads + b.reads,
            writes: a.writes + b.writes,
            trials: a.trials + b.trials,
            xsaves: a.xsaves + b.xsaves,
            xrstors: a.xrstors + b.xrstors,
        }
    }

    fn untouched_since(&self, before: Accesses) -> Outcome {
        let accesses = self.accesses().total() - before.total();
        if accesses == 0 || !self.setup.count_accesses {
            Ok(())
        } else {
            Err(Broken::Touched { accesses })
        }
    }

    fn put(&mut self, vcpu: usize) -> Outcome {
        let before = self.accesses();
        let on = self.vcpus[vcpu].on.unwrap_or(0);
        let host_xss = self.cpus[on].xss;
        if self.setup.forgets_host_xss {
            self.cpus[on].xss = self.guest_xss(vcpu);
        }
        self.drive(vcpu, |driver, cpu, bitmap| driver.put(cpu, bitmap))?;
        self.cpus[on].xss = host_xss;
        match self.vcpus[vcpu].on.take() {
            None => self.untouched_since(before),
            Some(_) => self.check_host(),
        }
    }

    fn run(&mut self, vcpu: usize, cpu: usize) -> Outcome {
        let before = self.accesses();
        let there = self.vcpus[vcpu].on == Some(cpu);
        if !there {
            if self.vcpus[vcpu].on.is_some() {
                self.put(vcpu)?;
            }
            if self.vcpus[1 - vcpu].on == Some(cpu) {
                self.put(1 - vcpu)?;
            }
            self.vcpus[vcpu].on = Some(cpu);
        }
        self.load(vcpu)?;
        if there { self.untouched_since(before) } else { Ok(()) }
    }

    fn load(&mut self, vcpu: usize) -> Outcome {
        self.drive(vcpu, |driver, cpu, _| driver.load(cpu))?
            .map_err(|_| Broken::WrongRefusal { expected: false })
    }

    /// What the hypervisor has in IA32_XSS while the guest runs.
    pub(crate) fn guest_xss(&self, vcpu: usize) -> u64 {
        let vcpu = &self.vcpus[vcpu];
        match self.setup.host_xss {
            HostXss::Fixed(_) => vcpu.driver.xss(),
            HostXss::PassedThrough => vcpu.ideal.xss,
        }
    }

    /// Carries the step out; `false` if it is not possible now.
    fn apply(&mut self, op: Op) -> Outcome<bool> {
        match op {
            Op::Run(v, cpu) => self.run(v, cpu)?,
            Op::Put(v) => self.put(v)?,
            Op::Churn(v) => {
                let Some(cpu) = self.vcpus[v].on else { return Ok(false) };
                for _ in 0..CHURN {
                    self.put(v)?;
                    self.run(v, cpu)?;
                }
            }
            Op::HostWrite(v, register, value) => self.host_write(v, register, value)?,
            Op::HostSCet(v, value) => {
                let legal = guest_may_write(
                    MsrIndex::IA32_S_CET,
                    value,
                    &self.vcpus[v].offered,
                    self.width(),
                );
                // What is refused must change nothing, which the looks that follow see.
                let written = self.drive(v, |driver, cpu, bitmap| {
                    driver.host_write_s_cet(cpu, bitmap, value).is_ok()
                })?;
                if legal && !written {
                    return Err(Broken::WrongRefusal { expected: false });
                }
                if legal || value == 0 {
                    self.vcpus[v].ideal.s_cet = value;
                }
            }
            Op::Restore(v, ssp) => self.restore(v, ssp)?,
            Op::Reset(v, kind) => self.reset(v, kind)?,
            Op::SetGuest(v, guest) => self.set_guest(v, guest)?,
            Op::Write(v, ..) | Op::WriteXss(v, _) | Op::WriteSCet(v, _) | Op::Xrstors(v, _)
                if self.vcpus[v].on.is_none() =>
            {
                return Ok(false);
            }
            Op::Write(v, register, value) => {
                if self.guest_writes(v, register.msr(), value)? {
                    self.vcpus[v].ideal.ssp[register.index()] = value;
                }
            }
            Op::WriteXss(v, value) => {
                if self.guest_writes(v, MsrIndex::IA32_XSS, value)? {
                    self.vcpus[v].ideal.xss = value;
                }
            }
            Op::WriteSCet(v, value) => {
                if self.guest_writes(v, MsrIndex::IA32_S_CET, value)? {
                    self.vcpus[v].ideal.s_cet = value;
                }
            }
            Op::Xrstors(v, image) => self.guest_xrstors(v, image)?,
            Op::InterruptedWrite(v, register, value, access) => {
                return self.interrupted_write(v, register, value, access);
            }
        }
        Ok(true)
    }

    fn host_write(&mut self, v: usize, register: SspRegister, value: u64) -> Outcome {
        let taken =
            self.drive(v, |driver, cpu, bitmap| driver.host_write(cpu, bitmap, register, value))?;
        let offered = &self.vcpus[v].offered;
        let legal = value == 0 || guest_may_write(register.msr(), value, offered, self.width());
        if taken != legal {
            return Err(Broken::WrongRefusal { expected: !legal });
        }
        if legal {
            self.vcpus[v].ideal.ssp[register.index()] = value;
        }
        Ok(())
    }

    fn restore(&mut self, v: usize, ssp: [u64; 3]) -> Outcome {
        let taken = self.drive(v, |driver, cpu, bitmap| {
            driver.restore(cpu, bitmap, &SupervisorState { ssp })
        })?;
        let offered = self.vcpus[v].offered;
        let msr = MsrIndex::IA32_PL0_SSP;
        let legal = ssp
            .iter()
            .all(|value| *value == 0 || guest_may_write(msr, *value, &offered, self.width()));
        if taken != legal {
            return Err(Broken::WrongRefusal { expected: !legal });
        }
        if legal {
            self.vcpus[v].ideal.ssp = ssp;
        }
        Ok(())
    }

    fn reset(&mut self, v: usize, kind: Reset) -> Outcome {
        self.drive_fields(v, |driver, cpu, bitmap| driver.reset(cpu, bitmap, kind))?;
        let vcpu = &mut self.vcpus[v];
        vcpu.ideal.ssp = [0; 3];
        vcpu.ideal.s_cet = 0;
        if kind == Reset::PowerUp {
            vcpu.ideal.xss = 0;
        }
        if vcpu.ideal.xss == 0 && vcpu.driver.exits() != vcpu.exits_at_start {
            return Err(Broken::NotRearmed);
        }
        Ok(())
    }

    fn set_guest(&mut self, v: usize, guest: GuestCet) -> Outcome {
        self.drive(v, |driver, cpu, bitmap| driver.set_guest(cpu, bitmap, guest))?
            .map_err(|_| Broken::WrongRefusal { expected: false })?;
        let vcpu = &mut self.vcpus[v];
        vcpu.offered = guest;
        vcpu.ideal.offered = offered_bits(guest);
        vcpu.ideal.xss &= guest.xss;
        if !guest.shadow_stacks {
            vcpu.ideal.ssp = [0; 3];
            vcpu.ideal.s_cet &= !SHADOW_STACK_BITS;
        }
        if !guest.indirect_branch_tracking {
            vcpu.ideal.s_cet &= SHADOW_STACK_BITS;
        }
        Ok(())
    }

    /// The guest's WRMSR, through the bitmap; whether it was done.
    fn guest_writes(&mut self, v: usize, msr: MsrIndex, value: u64) -> Outcome<bool> {
        let legal = guest_may_write(msr, value, &self.vcpus[v].offered, self.width());
        let done = if self.vcpus[v].bitmap.exits(msr, MsrAccess::Write) {
            let answer = self.drive_fields(v, |driver, cpu, bitmap| {
                driver.guest_writes_msr(cpu, bitmap, msr, value)
            })?;
            answer == WriteAnswer::Done
        } else if let Some(register) = SspRegister::from_msr(msr) {
            let on = self.vcpus[v].on.unwrap_or(0);
            self.cpus[on].guest_wrmsr(register, value).is_ok()
        } else if msr == MsrIndex::IA32_XSS {
            // Passed through: judged by what the CPU supports.
            value & !XSS_CET_S == 0
        } else {
            // IA32_S_CET, judged by the features of the CPU and saved on VM exit.
            let legal = control_is_legal(value, true, true, self.width());
            if legal {
                self.vcpus[v].vmcs.set_guest_s_cet(value);
            }
            legal
        };
        if done == legal { Ok(done) } else { Err(Broken::WrongFault { expected: !legal }) }
    }

    fn guest_xrstors(&mut self, v: usize, image: [u64; 3]) -> Outcome {
        let offered = self.vcpus[v].offered;
        let msr = MsrIndex::IA32_PL0_SSP;
        let legal = self.vcpus[v].ideal.xss & XSS_CET_S != 0
            && image.iter().all(|value| guest_may_write(msr, *value, &offered, self.width()));
        let xss = self.guest_xss(v);
        let cpu = &mut self.cpus[self.vcpus[v].on.unwrap_or(0)];
        let host = core::mem::replace(&mut cpu.xss, xss);
        let done = cpu.guest_xrstors(image).is_ok();
        cpu.xss = host;
        if done != legal {
            return Err(Broken::WrongFault { expected: !legal });
        }
        if done {
            self.vcpus[v].ideal.ssp = image;
        }
        Ok(())
    }

    /// Whatever the torn handler left: the register has its old or its new value,
    /// the other two what they had.
    fn interrupted_write(
        &mut self,
        v: usize,
        register: SspRegister,
        value: u64,
        access: u32,
    ) -> Outcome<bool> {
        let Some(on) = self.vcpus[v].on else { return Ok(false) };
        if !self.vcpus[v].bitmap.exits(register.msr(), MsrAccess::Write) {
            return Ok(false);
        }
        self.cpus[on].interrupt_after(Some(access));
        let torn = self.drive(v, |driver, cpu, bitmap| {
            driver.guest_writes_msr(cpu, bitmap, register.msr(), value)
        });
        match torn {
            Err(Broken::Faulted(HostFault::Interrupted)) => {}
            Err(other) => return Err(other),
            // It needed fewer accesses.
            Ok(_) => {
                self.vcpus[v].ideal.ssp[register.index()] = value;
                return Ok(true);
            }
        }
        // The scheduler comes along. What the host lost of its own values in the
        // middle of a load is not this check's matter.
        self.drive(v, |driver, cpu, bitmap| driver.put(cpu, bitmap))?;
        self.cpus[on].ssp = [0, 1, 2].map(|ring| canary(on, ring));
        self.load(v)?;
        let now = self.drive(v, |driver, cpu, _| driver.host_read(cpu, register))?.get();
        if now == value {
            self.vcpus[v].ideal.ssp[register.index()] = value;
        }
        Ok(true)
    }

    /// By which width host and guest are judged; the checker knows no CPU on which the
    /// two differ.
    fn width(&self) -> vmx_core::memory::LinearAddressWidth {
        assert_eq!(self.setup.hardware.host_judges, self.setup.hardware.guest_judges);
        self.setup.hardware.guest_judges
    }
}
