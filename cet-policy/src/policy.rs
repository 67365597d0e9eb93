//! The policy trait and its contract.

use bitflags::bitflags;
use vmx_core::cet::{Ssp, SspRegister, SspRegisters};
use vmx_core::cpu::{CetSupervisorXstate, SupervisorSsp};

use crate::host::{HostCet, Refused};

/// What a policy may use of a CPU.
pub trait PolicyCpu: SupervisorSsp + CetSupervisorXstate {}

impl<C: SupervisorSsp + CetSupervisorXstate + ?Sized> PolicyCpu for C {}

/// Which guest accesses exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exits {
    /// RDMSR of these.
    pub reads: SspRegisters,
    /// WRMSR of these.
    pub writes: SspRegisters,
    /// WRMSR of IA32_S_CET.
    pub s_cet_writes: bool,
}

impl Exits {
    /// Nothing exits.
    pub const NONE: Self =
        Self { reads: SspRegisters::empty(), writes: SspRegisters::empty(), s_cet_writes: false };
    /// Everything exits.
    pub const ALL: Self =
        Self { reads: SspRegisters::all(), writes: SspRegisters::all(), s_cet_writes: true };
}

bitflags! {
    /// How a guest reaches the registers other than by RDMSR and WRMSR.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Ways: u8 {
        /// IA32_S_CET.SH_STK_EN: ring changes and SETSSBSY use the registers.
        const SHADOW_STACKS_ON = 1 << 0;
        /// IA32_XSS\[12\]: XSAVES and XRSTORS move them, past the MSR bitmap.
        const XSAVES = 1 << 1;
    }
}

/// When IA32_PL0_SSP to IA32_PL2_SSP move between the CPU and memory, and which
/// guest accesses exit.
///
/// One value belongs to one vCPU. [`VcpuCet`](crate::VcpuCet) drives it: it judges
/// what the guest writes, keeps the MSR bitmap as [`exits`](Self::exits) says and
/// tells the policy when the guest finds another way to the registers.
///
/// # Contract
///
/// 1. **Preservation.** Whatever order of load, put, guest use, host access and
///    change of CPU: the guest finds exactly what it wrote. Only a resident state
///    is saved (a second put, or a put that no load preceded, saves nothing).
/// 2. **Isolation.** While the guest's values are not in the registers, it can
///    neither read, save nor consume what is: `exits` covers RDMSR, and
///    [`reach`](Self::reach) is answered by becoming resident.
/// 3. **Host integrity.** With [`HostMode::UsesShadowStacks`](crate::HostMode) the
///    host's values are back after every put.
/// 4. **Idempotence.** Load of a resident state and put of a parked one touch no
///    register.
/// 5. **Transparency.** Values and faults are the same under every policy.
/// 6. **Reset.** [`reset`](Self::reset) leaves three zeros wherever the values are.
/// 7. **Honesty.** What the machine cannot do is refused by [`new`](Self::new).
///
/// Methods run with preemption off, on the CPU on which the vCPU is loaded or
/// shall be. `read` and `write` of a resident state go to the registers; of any other,
/// to memory alone. A policy need not judge values: this CPU takes every one that is
/// written, and every parked one that is loaded, because the caller has asked it.
pub trait Policy: Sized {
    /// A short name for tables and options.
    const NAME: &'static str;

    /// A parked state of three zeros. For a host that offers guests
    /// [nothing](HostCet::offering_nothing), one that is never loaded.
    ///
    /// # Errors
    /// [`Refused`] names what the policy needs and the machine lacks.
    fn new(host: &HostCet) -> Result<Self, Refused>;

    /// Which guest accesses must exit now.
    fn exits(&self) -> Exits;

    /// Makes the CPU ready for the guest to run: afterwards everything that does
    /// not exit reaches the guest's own values.
    fn load<C: PolicyCpu>(&mut self, cpu: &mut C);

    /// Parks the state in memory, and gives the host its values back.
    fn put<C: PolicyCpu>(&mut self, cpu: &mut C);

    /// Whether the newest values are in the registers rather than in memory.
    fn is_resident(&self) -> bool;

    /// The guest's value of a register, wherever it is.
    fn read<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister) -> Ssp;

    /// Changes the guest's value of a register, wherever it is: for the guest's
    /// own WRMSR that exited, and for the host.
    fn write<C: PolicyCpu>(&mut self, cpu: &mut C, register: SspRegister, value: Ssp);

    /// The guest reaches the registers in these ways from now on. A state that is
    /// loaded is loaded again after this.
    fn reach(&mut self, ways: Ways);

    /// Three zeros, in the registers if the state is resident.
    fn reset<C: PolicyCpu>(&mut self, cpu: &mut C);

    /// Whether the policy would rather intercept again. The caller then makes sure
    /// that the guest has no [`Ways`] to the registers and calls
    /// [`rearm`](Self::rearm). Never, unless a policy says otherwise.
    fn wants_to_rearm(&self) -> bool {
        false
    }

    /// The guest has no way to the registers and its values are all zero:
    /// intercept again, parking a resident state.
    fn rearm<C: PolicyCpu>(&mut self, _cpu: &mut C) {}
}
