//! The round robin: three vCPUs on one CPU, and the checks on the host's registers.

use cet_policy::{HostCet, HostMode, HostXss, Policy};
use vmx_core::cet::CetControl;
use vmx_core::cet::{Ssp, SspRegister};
use vmx_core::cpu::{SupervisorSsp, VmcsAccess};
use vmx_core::entry_check::Explanation;
use vmx_core::ept::EptPointerFlags;
use vmx_core::vmcs::field;
use vmx_core::{CriticalSection, VmxOperation};
use vmx_mock::Counting;

use crate::Backend;
use crate::error::{RunError, unexpected_exit};
use crate::exits::{self, Next};
use crate::guest_dump::GuestDump;
use crate::guest_program::Role;
use crate::machine::{Machine, XssRegister};
use crate::page_pool::{PagePool, PoolFrame};
use crate::report::GuestReport;
use crate::vcpu::Vcpu;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Whether the host has use for the registers.
    pub mode: HostMode,
    /// Whether the hypervisor runs on a shadow stack that IA32_PL0_SSP points to.
    pub on_shadow_stack: bool,
    /// The value that IA32_XSS has whenever the host runs.
    pub host_xss: u64,
    /// Rounds of each guest; each ends with a switch.
    pub rounds: u64,
    /// The guests, in the order of the round robin.
    pub roles: [Role; 3],
    /// Something to break on purpose, to see it reported.
    pub fault: Option<Fault>,
}

/// What can be broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host state of the VMCS: entry fails with VM-instruction error 8.
    HostState,
    /// The guest state: entry fails with exit reason 33.
    GuestState,
}

/// Who hears of a run while it goes on.
pub trait Observer {
    /// So many switches are done, of so many.
    fn progress(&mut self, done: u64, planned: u64);

    /// VM entry failed, for these reasons; the guest's state comes next.
    fn entry_failed(&mut self, explanation: &Explanation);

    /// A guest cannot go on; the run ends with the error that follows.
    fn guest_stopped(&mut self, dump: &GuestDump);
}

/// Values in the registers that a host with shadow stacks of its own would have
/// there, and wants back after every put.
struct Canaries {
    expected: Option<[Ssp; 3]>,
}

impl Canaries {
    const READS: u64 = 3;

    /// Places canaries where the host uses the registers. IA32_PL0_SSP keeps what
    /// it holds where the hypervisor's own shadow stack is there.
    fn place<C: SupervisorSsp>(cpu: &mut C, scenario: &Scenario, report: &mut GuestReport) -> Self {
        if scenario.mode == HostMode::DoesNot {
            return Self { expected: None };
        }
        for register in SspRegister::ALL {
            if register != SspRegister::Pl0 || !scenario.on_shadow_stack {
                let value = 0x7777_1110 + 0x1114 * register as u64;
                cpu.write_ssp(register, Ssp::from_register(value));
                report.canary_writes += 1;
            }
        }
        report.canary_reads += Self::READS;
        Self { expected: Some(SspRegister::ALL.map(|register| cpu.read_ssp(register))) }
    }

    /// Checks that all of them are there.
    fn check<C: SupervisorSsp>(&self, cpu: &mut C, report: &mut GuestReport) {
        for (register, expected) in SspRegister::ALL.into_iter().zip(self.expected.iter().flatten())
        {
            report.canary_reads += 1;
            report.check(cpu.read_ssp(register) == *expected);
        }
    }
}

/// Runs the scenario to its end and reports on each guest, in the order of
/// `scenario.roles`.
///
/// The CPU is in VMX operation only meanwhile. In [`HostMode::DoesNot`] the three
/// registers hold afterwards what the last guest left.
///
/// # Errors
/// [`RunError`], with the guest's state where a guest was running. The CPU is out of VMX
/// operation then too, if it can be.
///
/// # Safety
///
/// 1. That of [`VmxOperation::section`], for `cpu` from call to return; VMX operation is
///    nobody else's meanwhile.
/// 2. CR0, CR3, CR4, segments, descriptor tables and the MSRs that the VMCS holds stay as
///    they are, and the compiled code uses neither x87 nor SSE.
/// 3. The CPU is in 64-bit mode, and every linear address that it uses is mapped to stay.
pub unsafe fn run<P: Policy, C: Backend>(
    cpu: &mut Counting<C>,
    pool: &PagePool,
    scenario: &Scenario,
    observer: &mut dyn Observer,
) -> Result<[GuestReport; 3], RunError> {
    let machine = Machine::detect(cpu)?;
    let host_xss = HostXss::Fixed(scenario.host_xss);
    let host = HostCet::new(machine.cet, &machine.capabilities, scenario.mode, host_xss)?;
    let ept = EptPointerFlags::empty();
    let new = |role| Vcpu::<P>::new(&machine, &host, pool, role, scenario.rounds, ept);
    let [a, b, c] = scenario.roles;
    let mut vcpus = [new(a)?, new(b)?, new(c)?];

    let mut xss = XssRegister::new(cpu, &machine.cet, scenario.host_xss);
    let canaries = Canaries::place(cpu.inner_mut(), scenario, &mut vcpus[0].report);
    let mut operation = VmxOperation::new();
    // SAFETY: the caller's contract (1).
    let mut section = unsafe { operation.section(cpu) };
    machine.enter(&mut section, pool)?;
    let run = Run { machine: &machine, scenario, canaries: &canaries };
    // SAFETY: the caller's contract.
    let finished = unsafe { run.all(&mut vcpus, &mut section, &mut xss, observer) };
    if let Err(error) = finished {
        // The guest that stopped is still loaded. The pages are static.
        let _ended = section.leave_by_force()?;
        return Err(error);
    }
    section.leave()?;
    Ok(vcpus.map(|vcpu| vcpu.report))
}

/// What stays the same in a run.
struct Run<'a> {
    machine: &'a Machine,
    scenario: &'a Scenario,
    canaries: &'a Canaries,
}

impl Run<'_> {
    /// Runs every guest to its end, and clears their VMCSs.
    ///
    /// # Safety
    ///
    /// 1. As for [`run`].
    unsafe fn all<P: Policy, C: Backend>(
        &self,
        vcpus: &mut [Vcpu<P>; 3],
        section: &mut CriticalSection<'_, &mut Counting<C>, PoolFrame>,
        xss: &mut XssRegister,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let Self { machine, scenario, canaries } = *self;
        for vcpu in vcpus.iter_mut() {
            vcpu.fill_vmcs(machine, section)?;
            break_on_purpose(scenario.fault, vcpu, section)?;
        }

        let planned = vcpus.len() as u64 * (scenario.rounds + 1);
        let mut done = 0;
        while vcpus.iter().any(|vcpu| !vcpu.finished) {
            for vcpu in vcpus.iter_mut().filter(|vcpu| !vcpu.finished) {
                let before = section.cpu().counts();
                // SAFETY: the caller's contract.
                unsafe { run_slice(machine, vcpu, section, xss, observer)? };
                vcpu.report.moves.add(&section.cpu().counts().since(&before));
                vcpu.report.switches += 1;
                // SAFETY: the canaries read three registers, and nothing takes the CPU's place.
                let cpu = unsafe { section.cpu_mut() }.inner_mut();
                canaries.check(cpu, &mut vcpu.report);
                done += 1;
                observer.progress(done, planned);
            }
        }

        for vcpu in vcpus {
            vcpu.report.add_guest_checks(&vcpu.memory, scenario.rounds);
            let current = section.load(&mut vcpu.vmcs)?;
            let shadow_stack = current.read(field::HOST_S_CET)?.contains(CetControl::SH_STK_EN)
                && current.read(field::HOST_SSP)? != 0;
            vcpu.report.check(shadow_stack == scenario.on_shadow_stack);
            section.clear(&mut vcpu.vmcs)?;
        }
        Ok(())
    }
}

/// Loads the vCPU, runs its guest until it gives the CPU away, and puts it.
///
/// # Errors
/// [`RunError`] of an exit without an answer. The vCPU is still loaded then, and may
/// go on from where it was by another call.
///
/// # Safety
///
/// 1. As for [`run`], which is where the vCPU's VMCS was filled.
pub(crate) unsafe fn run_slice<P: Policy, C: Backend>(
    machine: &Machine,
    vcpu: &mut Vcpu<P>,
    section: &mut CriticalSection<'_, &mut Counting<C>, PoolFrame>,
    xss: &mut XssRegister,
    observer: &mut dyn Observer,
) -> Result<(), RunError> {
    let Vcpu { role, vmcs, registers, cet, bitmap, report, finished, .. } = vcpu;
    let mut current = section.load(vmcs)?;
    cet.load(&mut current)?;
    loop {
        xss.load(&mut current, cet.xss());
        // SAFETY: (1, 2) The section's contract. (3) `current` keeps the account. (4)
        // `fill_vmcs` took the host state from this CPU, and it stays so (2 of the contract
        // of `run`); there are no MSR lists. (5) "Load CET state" is a required exit
        // control. (6) The guest's EPT maps its own pages only, its tables and the bitmap
        // are pages of the pool, which is static, and no other structure is in use. (7) EPT
        // takes nothing away without INVEPT. (8) I/O exits without bitmaps, by a required
        // control, and the bitmap passes the shadow-stack pointers only. (9) Of what the
        // switch does not move, XCR0 cannot be changed without an exit, MOV DR exits by a
        // required control, IA32_XSS and the shadow-stack pointers are moved here, and
        // neither the program nor the host uses x87 or SSE. (10) General registers hold
        // anything.
        let stop = match unsafe { current.enter(registers) } {
            Err(failure) => {
                observer.entry_failed(&current.explain(failure, &machine.capabilities));
                RunError::Entry(*role, failure)
            }
            Ok(reason) => {
                report.exits.add(reason.basic());
                let basic = machine.capabilities.basic;
                match exits::answer(reason, &mut current, registers, cet, bitmap, basic)? {
                    Next::Resume => continue,
                    Next::Yield => break,
                    Next::Finished => {
                        *finished = true;
                        break;
                    }
                    Next::GuestException => RunError::GuestException {
                        role: *role,
                        vector: registers.rbx,
                        top: registers.rcx,
                        next: registers.rdx,
                    },
                    Next::Unexpected => unexpected_exit(&mut current, *role, reason),
                }
            }
        };
        observer.guest_stopped(&GuestDump::capture(&mut current, registers));
        return Err(stop);
    }
    // A policy's XSAVES and XRSTORS work under the host's IA32_XSS.
    xss.load_host(&mut current);
    cet.put(&mut current, bitmap);
    Ok(())
}

/// Breaks what the scenario wants broken.
fn break_on_purpose<P: Policy, C: Backend>(
    fault: Option<Fault>,
    vcpu: &mut Vcpu<P>,
    section: &mut CriticalSection<'_, C, PoolFrame>,
) -> Result<(), RunError> {
    let mut current = section.load(&mut vcpu.vmcs)?;
    match fault {
        None => {}
        // TR must not be the null selector.
        Some(Fault::HostState) => current.write(field::HOST_TR_SELECTOR, 0)?,
        // Bit 1 of RFLAGS is always 1.
        Some(Fault::GuestState) => current.write(field::GUEST_RFLAGS, 0)?,
    }
    Ok(())
}
