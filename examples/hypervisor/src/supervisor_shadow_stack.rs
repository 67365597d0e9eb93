//! Supervisor shadow-stack control: what EPT does for a guest's shadow stack.
//!
//! A guest's kernel cannot be trusted with its own page tables if it is to be
//! protected from itself. With EPTP\[7\] the hypervisor says which pages a supervisor
//! shadow stack may lie in (bit 60 of the EPT entry), and can take ordinary writes to
//! them away. This scenario runs one guest through three states of the page:
//!
//! | page in EPT | SETSSBSY |
//! |---|---|
//! | read, write, execute | exits: the page is no supervisor shadow-stack page |
//! | execute, supervisor shadow stack | exits: it is one, but not readable |
//! | read, supervisor shadow stack | works, and all that follows |
//!
//! After each change of what a CPU has cached, INVEPT.

use cet_policy::{HostCet, HostMode, HostXss, Policy};
use vmx_core::CriticalSection;
use vmx_core::cpu::{InvalidateTranslations, VmxInstructions};
use vmx_core::ept::{EntryFlags, EptPointerFlags};
use vmx_core::exit::qualification::EptViolation;
use vmx_core::vmcs::VmxOperation;
use vmx_mock::Counting;

use crate::Backend;
use crate::ept_access::EptAccess;
use crate::error::RunError;
use crate::guest_memory::{SHADOW_STACK, TOKEN};
use crate::guest_program::Role;
use crate::machine::{Machine, XssRegister};
use crate::page_pool::{PagePool, PoolFrame};
use crate::report::GuestReport;
use crate::scenario::Observer;
use crate::slice::run_slice;
use crate::vcpu::Vcpu;

/// Rounds of the guest once its shadow stack works.
const ROUNDS: u64 = 10;

/// What the scenario found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The EPT violations, one for each of the first two states of the page; `None`
    /// where the access did not exit.
    pub violations: [Option<EptAccess>; 2],
    /// The guest's checks, and the host's.
    pub report: GuestReport,
}

/// Runs the scenario; with `control` false it leaves EPTP\[7\] at 0, and the checks
/// fail. It ends with the first state of the page that does not do what it should.
///
/// # Errors
/// [`RunError`]; a refusal if the CPU lacks supervisor shadow-stack control.
///
/// # Safety
///
/// 1. As for [`processor::run`](crate::processor::run).
pub unsafe fn run<P: Policy, C: Backend>(
    cpu: &mut Counting<C>,
    pool: &PagePool,
    control: bool,
    observer: &mut dyn Observer,
) -> Result<Found, RunError> {
    let machine = Machine::detect(cpu)?;
    let host_xss = HostXss::Fixed(0);
    let host = HostCet::new(machine.cet, &machine.capabilities, HostMode::DoesNot, host_xss)?;
    let ept = if control {
        EptPointerFlags::SUPERVISOR_SHADOW_STACK_CONTROL
    } else {
        EptPointerFlags::empty()
    };
    let mut vcpu = Vcpu::<P>::new(&machine, &host, pool, Role::Wrmsr, ROUNDS, ept)?;
    let mut xss = XssRegister::new(cpu, &machine.cet, 0);
    let mut operation = VmxOperation::new();
    // SAFETY: the caller's contract.
    let mut section = unsafe { operation.section(cpu) };
    machine.enter(&mut section, pool.take_frame().ok_or(RunError::OutOfMemory)?)?;
    vcpu.fill_vmcs(&machine, &mut section)?;

    let supervisor = EntryFlags::SUPERVISOR_SHADOW_STACK;
    let states = [EntryFlags::ALL_ACCESS, EntryFlags::EXECUTE | supervisor];
    let mut violations = [None; 2];
    for (flags, violation) in states.into_iter().zip(&mut violations) {
        protect(&mut vcpu, &mut section, flags)?;
        // SAFETY: the caller's contract.
        match unsafe { run_slice(&machine, &mut vcpu, &mut section, &mut xss, observer) } {
            Err(RunError::EptViolation(_, found)) => *violation = Some(found),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        let as_it_should = violation.is_some_and(|found| {
            found.qualification.contains(EptViolation::SHADOW_STACK_ACCESS)
                && found.qualification.contains(EptViolation::SUPERVISOR_SHADOW_STACK_PAGE)
                    == flags.contains(supervisor)
                && found.guest_physical_address.0 == SHADOW_STACK.0 + TOKEN % 0x1000
                && found.guest_linear_address == TOKEN
        });
        vcpu.report.check(as_it_should);
        if !as_it_should {
            break;
        }
    }
    if vcpu.report.failed == 0 {
        protect(&mut vcpu, &mut section, EntryFlags::READ | supervisor)?;
        while !vcpu.finished {
            // SAFETY: the caller's contract.
            unsafe { run_slice(&machine, &mut vcpu, &mut section, &mut xss, observer)? };
        }
        vcpu.report.add_guest_checks(&vcpu.memory, ROUNDS);
    }
    section.clear(&mut vcpu.vmcs)?;
    section.leave()?;
    Ok(Found { violations, report: vcpu.report })
}

/// Gives the shadow-stack page other flags, and drops what this CPU, the only one,
/// has cached of it.
fn protect<P: Policy, C: VmxInstructions + InvalidateTranslations>(
    vcpu: &mut Vcpu<P>,
    section: &mut CriticalSection<'_, C, PoolFrame>,
    flags: EntryFlags,
) -> Result<(), RunError> {
    if let Some(scope) = vcpu.memory.protect_shadow_stack(flags)? {
        section.invept(scope)?;
    }
    Ok(())
}
