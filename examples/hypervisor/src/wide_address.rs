//! An address that a CPU may refuse though it is legal by CPUID, by every way into a
//! guest's IA32_PL0_SSP.
//!
//! With five-level paging in CPUID, [`WIDE_ADDRESS`] is a value for the register. Most
//! CPUs take it; some, most of them emulated, go by CR4.LA57, which is 0 here. Either
//! way the host must not fault, and all must agree: the host's own writes, to a parked
//! and to a loaded vCPU, the guest's WRMSR, whether it exits (a lazy policy) or not, and
//! what the register holds after a switch.

use cet_policy::{
    HostCet, HostMode, HostXss, IllegalValue, Policy, RegisterError, SupervisorState, VcpuCet,
};
use vmx_core::cet::{Ssp, SspRegister};
use vmx_core::cpu::{SupervisorSsp, VmcsAccess};
use vmx_core::vmcs::VmxOperation;
use vmx_core::{CriticalSection, MsrBitmap};
use vmx_mock::Counting;

use crate::Backend;
use crate::error::RunError;
use crate::guest_program::{Role, WIDE_ADDRESS, WIDE_FAULTS, WIDE_VALUE};
use crate::machine::{Machine, XssRegister};
use crate::page_pool::{PagePool, PoolFrame};
use crate::report::GuestReport;
use crate::scenario::Observer;
use crate::slice::run_slice;
use crate::vcpu::Vcpu;

/// Rounds of the guest: the second finds what a switch made of the value.
const ROUNDS: u64 = 2;

/// What the scenario found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Why the host's own write was refused; `None` where the CPU takes the address.
    pub refused: Option<IllegalValue>,
    /// Whether all agreed.
    pub report: GuestReport,
}

/// Runs the scenario. IA32_XSS is `host_xss` whenever the host runs.
///
/// # Errors
/// [`RunError`]. The CPU is out of VMX operation then too, if it can be.
///
/// # Safety
///
/// 1. As for [`processor::run`](crate::processor::run).
pub unsafe fn run<P: Policy, C: Backend>(
    cpu: &mut Counting<C>,
    pool: &PagePool,
    mode: HostMode,
    host_xss: u64,
    observer: &mut dyn Observer,
) -> Result<Found, RunError> {
    let machine = Machine::detect(cpu)?;
    let fixed = HostXss::Fixed(host_xss);
    let host = HostCet::new(machine.cet, &machine.capabilities, mode, fixed)?;
    let ept = vmx_core::ept::EptPointerFlags::empty();
    let mut vcpu = Vcpu::<P>::new(&machine, &host, pool, Role::WideAddress, ROUNDS, ept)?;
    let mut xss = XssRegister::new(cpu, &machine.cet, host_xss);
    let before = registers(cpu);
    // A value that every CPU takes is tried without a trace too.
    for register in SspRegister::ALL {
        let taken = cpu.accepts_ssp(register, Ssp::from_register(0x1234_5678_9ABC));
        vcpu.report.check(taken && registers(cpu) == before);
    }
    let mut operation = VmxOperation::new();
    // SAFETY: the caller's contract.
    let mut section = unsafe { operation.section(&mut *cpu) };
    machine.enter(&mut section, pool.take_frame().ok_or(RunError::OutOfMemory)?)?;
    // SAFETY: the caller's contract.
    let found = unsafe { all_ways(&machine, &mut vcpu, &mut section, &mut xss, observer) };
    let refused = match found {
        Ok(refused) => refused,
        Err(error) => {
            let _ended = section.leave_by_force()?;
            return Err(error);
        }
    };
    section.leave()?;
    if mode == HostMode::UsesShadowStacks {
        vcpu.report.check(registers(cpu) == before);
    }
    Ok(Found { refused, report: vcpu.report })
}

fn registers<C: SupervisorSsp>(cpu: &mut C) -> [u64; 3] {
    SspRegister::ALL.map(|register| cpu.read_ssp(register).get())
}

/// # Safety
///
/// 1. As for [`run`].
unsafe fn all_ways<P: Policy, C: Backend>(
    machine: &Machine,
    vcpu: &mut Vcpu<P>,
    section: &mut CriticalSection<'_, &mut Counting<C>, PoolFrame>,
    xss: &mut XssRegister,
    observer: &mut dyn Observer,
) -> Result<Option<IllegalValue>, RunError> {
    vcpu.fill_vmcs(machine, section)?;

    let Vcpu { vmcs, cet, bitmap, report, .. } = &mut *vcpu;
    let mut current = section.load(vmcs)?;
    let refused = write(cet, &mut current, bitmap);
    cet.load(&mut current)?;
    report.check(write(cet, &mut current, bitmap) == refused);
    cet.put(&mut current, bitmap);
    let expected = refused.map_or(WIDE_ADDRESS, |_| 0);
    report.check(cet.state(&mut current).ssp == [expected, 0, 0]);

    while !vcpu.finished {
        // SAFETY: the caller's contract.
        unsafe { run_slice(machine, vcpu, section, xss, observer)? };
        vcpu.report.check(vcpu.memory.data(WIDE_FAULTS) == u64::from(refused.is_some()));
        vcpu.report.check(vcpu.memory.data(WIDE_VALUE) == expected);
        let mut current = section.load(&mut vcpu.vmcs)?;
        vcpu.report.check(vcpu.cet.state(&mut current).ssp == [expected, 0, 0]);
    }
    section.clear(&mut vcpu.vmcs)?;
    Ok(refused)
}

/// Both ways of the host's, which must agree; why they were refused.
fn write<P: Policy, C: cet_policy::PolicyCpu + VmcsAccess>(
    cet: &mut VcpuCet<P>,
    cpu: &mut C,
    bitmap: &MsrBitmap<'_>,
) -> Option<IllegalValue> {
    let cause = |error: RegisterError| error.cause;
    let state = SupervisorState { ssp: [WIDE_ADDRESS, 0, 0] };
    let restored = cet.restore(cpu, bitmap, &state).err().map(cause);
    let written = cet.host_write(cpu, bitmap, SspRegister::Pl0, WIDE_ADDRESS).err().map(cause);
    // A disagreement is no reason that any caller expects.
    if restored == written { written } else { Some(IllegalValue::NoSuchMsr) }
}
