//! Intercept until the guest uses the registers; then as [`Eager`].

use vmx_core::cet::{Ssp, SspRegister};

use crate::eager::Eager;
use crate::host::{HostCet, Refused};
use crate::policy::{Exits, Policy, PolicyCpu, Ways};

/// Touches no register for a guest that does not use supervisor shadow stacks.
///
/// While inactive the guest's three values are zero, RDMSR and WRMSR of them exit
/// and are answered from memory, and so does WRMSR of IA32_S_CET. What activates:
/// a value other than zero, from the guest or the host; IA32_S_CET.SH_STK_EN, since
/// a ring change would consume a register; IA32_XSS\[12\], since XRSTORS does not
/// consult the MSR bitmap. From then on it works and costs as [`Eager`]; it is
/// inactive again after reset, or once the state was zero with no way to it for
/// [`IDLE_PUTS`](Self::IDLE_PUTS) puts in a row. It needs an MSR bitmap of the
/// vCPU's own.
///
/// Choose it where few of the guests that are offered shadow stacks use them in
/// supervisor mode. Cost: nothing while inactive; one exit to activate.
#[derive(Debug)]
pub struct LazyIntercept {
    eager: Eager,
    active: bool,
    idle_puts: u8,
}

impl LazyIntercept {
    /// All-zero puts in a row after which an active policy wants to intercept
    /// again. More than one, so that a guest in the middle of switching shadow
    /// stacks does not exit twice for it.
    pub const IDLE_PUTS: u8 = 8;

    /// Whether the guest's values move at load and put.
    pub const fn is_active(&self) -> bool {
        self.active
    }
}

impl Policy for LazyIntercept {
    const NAME: &'static str = "lazy";

    fn new(host: &HostCet) -> Result<Self, Refused> {
        Ok(Self { eager: Eager::new(host)?, active: false, idle_puts: 0 })
    }

    fn exits(&self) -> Exits {
        if self.active { Exits::NONE } else { Exits::ALL }
    }

    fn load<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if self.active {
            self.eager.load(cpu);
        }
    }

    fn put<C: PolicyCpu>(&mut self, cpu: &mut C) {
        if !self.eager.is_resident() {
            return;
        }
        self.eager.put(cpu);
        let idle = self.eager.is_parked_at_zero();
        self.idle_puts = if idle { self.idle_puts.saturating_add(1) } else { 0 };
    }

    fn is_resident(&self) -> bool {
        self.eager.is_resident()
    }

    fn read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp {
        self.eager.read(cpu, register)
    }

    fn write<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister, value: Ssp) {
        // The value is in its place before anything acts on `active`.
        self.eager.write(cpu, register, value);
        if value != Ssp::ZERO {
            self.active = true;
        }
    }

    fn reach(&mut self, ways: Ways) {
        if !ways.is_empty() {
            self.active = true;
        }
    }

    fn reset<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.eager.reset(cpu);
    }

    fn wants_to_rearm(&self) -> bool {
        self.active && self.idle_puts >= Self::IDLE_PUTS && self.eager.is_parked_at_zero()
    }

    fn rearm<C: PolicyCpu>(&mut self, cpu: &mut C) {
        self.eager.put(cpu);
        if self.eager.is_parked_at_zero() {
            self.active = false;
            self.idle_puts = 0;
        }
    }
}
