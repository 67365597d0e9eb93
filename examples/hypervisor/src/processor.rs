//! What one CPU of a run does: it enters VMX operation, runs the vCPUs whose turn it is, has
//! their VMCSs cleared where they come from, and leaves.

use cet_policy::Policy;
use vmx_core::cet::CetControl;
use vmx_core::cpu::{ControlRegisters, Cr4, Rflags, VmcsAccess};
use vmx_core::state::HostState;
use vmx_core::vmcs::{Verdict, field};
use vmx_core::{CriticalSection, VmxOperation};
use vmx_mock::Counting;

use crate::Backend;
use crate::canaries::Canaries;
use crate::error::RunError;
use crate::machine::XssRegister;
use crate::page_pool::PoolFrame;
use crate::report::CpuReport;
use crate::scenario::{Fault, Observer};
use crate::shared::Shared;
use crate::slice::run_slice;
use crate::vcpu::Vcpu;

/// Runs the CPU's part of a run to its end: each CPU with a number of its own, from 0, and
/// all of them at the same time.
///
/// The CPU is in VMX operation only meanwhile. In
/// [`HostMode::DoesNot`](cet_policy::HostMode) the three registers hold afterwards what the
/// last guest left.
///
/// # Errors
/// [`RunError`], with the guest's state where a guest was running. The CPU is out of VMX
/// operation then too, if it can be, and the other CPUs end with
/// [`RunError::OtherCpuStopped`].
///
/// # Safety
///
/// 1. That of [`VmxOperation::section`], for `cpu` from call to return; VMX operation is
///    nobody else's meanwhile.
/// 2. CR0, CR3, CR4, segments, descriptor tables and the MSRs that the VMCS holds stay as
///    they are, and the compiled code uses neither x87 nor SSE.
/// 3. The CPU is in 64-bit mode, and every linear address that it uses is mapped to stay,
///    to the same memory on every CPU of the run.
pub unsafe fn run<P: Policy, C: Backend>(
    shared: &Shared<P>,
    number: usize,
    cpu: &mut Counting<C>,
    vmxon: PoolFrame,
    observer: &mut dyn Observer,
) -> Result<CpuReport, RunError> {
    let scenario = &shared.scenario;
    let mut report = CpuReport::default();
    let xss = XssRegister::new(cpu, &shared.machine.cet, scenario.host_xss);
    let canaries = Canaries::place(cpu.inner_mut(), number, scenario, &mut report);
    let before = cpu.counts();
    let mut operation = VmxOperation::new();
    // SAFETY: the caller's contract.
    unsafe { enter(shared, number, cpu, &mut operation, vmxon)? };

    let mut processor =
        Processor { shared, number, cpu, operation, xss, canaries, report, cursor: 0 };
    // SAFETY: the caller's contract.
    let finished = unsafe { processor.work(observer) };
    let Processor { cpu, mut operation, mut report, .. } = processor;
    // SAFETY: the caller's contract.
    let mut section = unsafe { operation.section(&mut *cpu) };
    if let Err(error) = finished {
        shared.stop();
        // VMCSs of guests that were stopped are still active. The pages are static.
        let _ended = section.leave_by_force()?;
        return Err(error);
    }
    section.leave()?;
    let counts = cpu.counts().since(&before);
    report.entries = counts.vmlaunch + counts.vmresume;
    report.clears = counts.vmclear;
    Ok(report)
}

/// Enters VMX operation, if all CPUs do.
///
/// # Safety
///
/// 1. As for [`run`].
unsafe fn enter<P: Policy, C: Backend>(
    shared: &Shared<P>,
    number: usize,
    cpu: &mut Counting<C>,
    operation: &mut VmxOperation<PoolFrame>,
    vmxon: PoolFrame,
) -> Result<(), RunError> {
    let mut machine = shared.machine;
    if shared.scenario.fault == Some(Fault::Enter) && number + 1 == shared.scenario.cpus {
        // As if they had been read on another CPU.
        machine.capabilities.physical_address_width += 1;
    }
    // SAFETY: the caller's contract.
    let entered = machine.enter(&mut unsafe { operation.section(&mut *cpu) }, vmxon);
    shared.rollout.report(entered.is_ok());
    let verdict = loop {
        match shared.rollout.verdict() {
            Some(verdict) => break verdict,
            None => core::hint::spin_loop(),
        }
    };
    entered?;
    if verdict == Verdict::AllEntered {
        return Ok(());
    }
    // SAFETY: the caller's contract. The page is static.
    unsafe { operation.section(&mut *cpu) }.leave()?;
    Err(RunError::RolledBack { in_vmx_operation: cpu.read_cr4().contains(Cr4::VMXE) })
}

/// One CPU in VMX operation.
struct Processor<'a, P, C> {
    shared: &'a Shared<P>,
    number: usize,
    cpu: &'a mut Counting<C>,
    operation: VmxOperation<PoolFrame>,
    xss: XssRegister,
    canaries: Canaries,
    report: CpuReport,
    /// Where in the round robin it looks first.
    cursor: usize,
}

impl<P: Policy, C: Backend> Processor<'_, P, C> {
    /// Runs slices until every guest has ended.
    ///
    /// # Safety
    ///
    /// 1. As for [`run`].
    unsafe fn work(&mut self, observer: &mut dyn Observer) -> Result<(), RunError> {
        let shared = self.shared;
        loop {
            // SAFETY: the caller's contract.
            unsafe { self.serve() };
            if shared.is_stopped() {
                return Err(RunError::OtherCpuStopped);
            }
            match shared.take(self.number, self.cursor) {
                Some((place, mut vcpu)) => {
                    self.cursor = place + 1;
                    // SAFETY: the caller's contract.
                    unsafe { self.fetch(&mut vcpu)? };
                    // SAFETY: the caller's contract.
                    unsafe { self.turn(&mut vcpu, observer)? };
                    vcpu.last_cpu = Some(self.number);
                }
                None if shared.all_finished() => return Ok(()),
                None => core::hint::spin_loop(),
            }
        }
    }

    /// Clears the VMCS that another CPU asks for, if one does.
    ///
    /// # Safety
    ///
    /// 1. As for [`run`].
    unsafe fn serve(&mut self) {
        if let Some(mailbox) = self.shared.mailboxes.get(self.number) {
            // SAFETY: the caller's contract.
            let mut section = unsafe { self.operation.section(&mut *self.cpu) };
            self.report.remote_clears += u64::from(section.serve_mailbox(mailbox));
        }
    }

    /// Has the VMCS of a vCPU that comes from another CPU cleared there. Outside of a
    /// critical section, and while it serves others: they may be waiting for this CPU.
    ///
    /// # Safety
    ///
    /// 1. As for [`run`].
    unsafe fn fetch(&mut self, vcpu: &mut Vcpu<P>) -> Result<(), RunError> {
        let Some(last) = vcpu.last_cpu.filter(|last| *last != self.number) else { return Ok(()) };
        self.report.moves += 1;
        if self.shared.scenario.fault == Some(Fault::NoClear) {
            return Ok(());
        }
        let Some(mailbox) = self.shared.mailboxes.get(last) else { return Ok(()) };
        let Some(mut request) = vcpu.vmcs.request_clear() else { return Ok(()) };
        let mut posted = loop {
            match mailbox.post(request) {
                Ok(posted) => break posted,
                Err(full) => request = full,
            }
            // SAFETY: the caller's contract.
            unsafe { self.serve() };
        };
        let receipt = loop {
            match posted.poll() {
                Ok(answer) => break answer?,
                Err(waiting) => posted = waiting,
            }
            if self.shared.is_stopped() {
                return Err(RunError::OtherCpuStopped);
            }
            // SAFETY: the caller's contract.
            unsafe { self.serve() };
        };
        // It is this VMCS's: the request was.
        let _ = vcpu.vmcs.accept_clear(receipt);
        Ok(())
    }

    /// Runs one slice of the vCPU, which is active here or nowhere, and checks the host.
    ///
    /// # Safety
    ///
    /// 1. As for [`run`].
    unsafe fn turn(
        &mut self,
        vcpu: &mut Vcpu<P>,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let Self { shared, cpu, operation, xss, canaries, .. } = self;
        let machine = &shared.machine;
        // SAFETY: the caller's contract.
        let mut section = unsafe { operation.section(&mut **cpu) };
        match vcpu.last_cpu {
            None => {
                vcpu.fill_vmcs(machine, &mut section)?;
                break_on_purpose(shared.scenario.fault, vcpu, &mut section)?;
            }
            // Another CPU has other stacks, descriptor tables and a TSS of its own.
            Some(last) if last != self.number => {
                let host =
                    HostState::from_cpu(&mut section, &machine.capabilities, &machine.controls);
                host.write(&mut section.load(&mut vcpu.vmcs)?, machine.controls.exit)?;
            }
            Some(_) => {}
        }
        let before = section.cpu().counts();
        // SAFETY: the caller's contract.
        unsafe { run_slice(machine, vcpu, &mut section, xss, observer)? };
        vcpu.report.moves.add(&section.cpu().counts().since(&before));
        vcpu.report.switches += 1;
        // SAFETY: the canaries read three registers, and nothing takes the CPU's place.
        canaries.check(unsafe { section.cpu_mut() }.inner_mut(), &mut vcpu.report);
        let (done, planned) = shared.count_slice();
        if self.number == 0 {
            observer.progress(done, planned);
        }
        if vcpu.finished {
            finish(shared, vcpu, &mut section)?;
        }
        Ok(())
    }
}

/// The last checks of a guest that has ended, and VMCLEAR.
fn finish<P: Policy, C: Backend>(
    shared: &Shared<P>,
    vcpu: &mut Vcpu<P>,
    section: &mut CriticalSection<'_, &mut Counting<C>, PoolFrame>,
) -> Result<(), RunError> {
    vcpu.report.add_guest_checks(&vcpu.memory, shared.scenario.rounds);
    let current = section.load(&mut vcpu.vmcs)?;
    let shadow_stack = current.read(field::HOST_S_CET)?.contains(CetControl::SH_STK_EN)
        && current.read(field::HOST_SSP)? != 0;
    vcpu.report.check(shadow_stack == shared.scenario.on_shadow_stack);
    Ok(section.clear(&mut vcpu.vmcs)?)
}

/// Breaks what the scenario wants broken.
fn break_on_purpose<P: Policy, C: Backend>(
    fault: Option<Fault>,
    vcpu: &mut Vcpu<P>,
    section: &mut CriticalSection<'_, C, PoolFrame>,
) -> Result<(), RunError> {
    let mut current = section.load(&mut vcpu.vmcs)?;
    match fault {
        None | Some(Fault::Enter | Fault::NoClear) => {}
        // TR must not be the null selector.
        Some(Fault::HostState) => current.write(field::HOST_TR_SELECTOR, 0)?,
        // Bit 1 of RFLAGS is always 1.
        Some(Fault::GuestState) => current.write(field::GUEST_RFLAGS, Rflags::empty())?,
    }
    Ok(())
}
