//! The example hypervisor on this CPU: three scenarios under one policy.
//!
//! | scenario | the host |
//! |---|---|
//! | 1 | has values of its own in IA32_PL0_SSP to PL2_SSP, IA32_S_CET is 0 |
//! | 2 | has no use for the registers |
//! | 3 | as 1, and the hypervisor itself executes on a shadow stack |

use core::ffi::c_void;
use core::fmt;

use cet_policy::{Eager, HostMode, LazyIntercept, Policy, VcpuCet, XsaveBacked};
use hypervisor::error::RunError;
use hypervisor::guest_dump::GuestDump;
use hypervisor::guest_program::{Role, check_meaning};
use hypervisor::machine::Machine;
use hypervisor::page_pool::PagePool;
use hypervisor::processor;
use hypervisor::report::GuestReport;
use hypervisor::scenario::{Fault, Observer, Scenario};
use hypervisor::shared::Shared;
use vmx_bare_metal::BareMetal;
use vmx_core::cet::CET_S;
use vmx_core::entry_check::Explanation;
use vmx_core::{Page, PhysicalAddress};
use vmx_mock::Counting;

use crate::output::console::{say, say_lines};
use crate::output::exit::ExitKind;
use crate::parameters::Parameters;
use crate::runs::broken_policy::ForgetsPl2;
use crate::system::shadow_stack::{self, PL0_SSP_WRITES, ShadowStackPage, run_on_shadow_stack};

/// Rounds of each guest in each scenario: three guests switch after each.
const ROUNDS: u64 = 400;
/// Switches between two progress lines.
const PROGRESS_STEP: u64 = 300;
/// Pages for the VMX regions and guests of all scenarios.
const POOL_PAGES: usize = 160;

static POOL: [Page; POOL_PAGES] = [const { Page::new() }; POOL_PAGES];
static HOST_SHADOW_STACK: ShadowStackPage = ShadowStackPage::new();

/// Runs the policy that the parameters name.
pub(crate) fn run(parameters: &Parameters) -> ExitKind {
    match parameters.get("policy") {
        Some("eager") => run_policy::<Eager>(parameters, 0),
        Some("lazy") => run_policy::<LazyIntercept>(parameters, 0),
        // The host's IA32_XSS is fixed here, at boot.
        Some("xsave") => run_policy::<XsaveBacked>(parameters, CET_S),
        other => {
            let name = other.unwrap_or("none");
            say(format_args!("error the image knows eager, lazy and xsave, not {name}"));
            ExitKind::Failed
        }
    }
}

/// Runs `P`, or a broken variant of it if the parameters say so.
fn run_policy<P: Policy>(parameters: &Parameters, host_xss: u64) -> ExitKind {
    match parameters.get("fault") {
        Some("forget-register") => run_and_tell::<ForgetsPl2<P>>(parameters, host_xss),
        _ => run_and_tell::<P>(parameters, host_xss),
    }
}

fn run_and_tell<P: Policy>(parameters: &Parameters, host_xss: u64) -> ExitKind {
    let mut observer = Console { policy: P::NAME, scenario: 1, dump: None };
    match scenarios::<P>(parameters, host_xss, &mut observer) {
        Ok(reports) => tell::<P>(&reports),
        Err(Stop::Run(error)) if error.is_refusal() => {
            say(format_args!("refused {error}"));
            ExitKind::Failed
        }
        Err(error) => {
            say(format_args!("error {error}"));
            if let Some(dump) = observer.dump {
                say_lines("error", format_args!("{dump}"));
            }
            ExitKind::Failed
        }
    }
}

/// Why there are no results.
enum Stop {
    Run(RunError),
    ShadowStack(shadow_stack::ShadowStackError),
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<shadow_stack::ShadowStackError> for Stop {
    fn from(error: shadow_stack::ShadowStackError) -> Self {
        Self::ShadowStack(error)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(error) => fmt::Display::fmt(error, f),
            Self::ShadowStack(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// All scenarios; the reports of each guest are added up.
fn scenarios<P: Policy>(
    parameters: &Parameters,
    host_xss: u64,
    observer: &mut Console,
) -> Result<[GuestReport; 3], Stop> {
    // SAFETY: ring 0 of the running CPU, whose exceptions all have handlers. Nothing
    // ever runs in ring 3, and SETSSBSY is executed before the hypervisor loads a
    // guest's values and after it has put them.
    let mut cpu = Counting::new(unsafe { BareMetal::new() });
    // Refuses a CPU that lacks something, by name, before CR4.CET is set.
    Machine::detect(&mut cpu)?;
    shadow_stack::enable_cet()?;
    // SAFETY: the pages are one array in memory that is mapped to its own physical
    // address, and this is the only use of them: the image runs one policy.
    let pool = unsafe { PagePool::new(&POOL, PhysicalAddress((&raw const POOL).addr() as u64)) };

    let rounds = parameters.get("rounds").and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let (roles, fault) = match parameters.get("fault") {
        Some("guest-hang") => ([Role::Wrmsr, Role::Hang, Role::Unused], None),
        Some("host-state") => (Role::ALL, Some(Fault::HostState)),
        Some("guest-state") => (Role::ALL, Some(Fault::GuestState)),
        _ => (Role::ALL, None),
    };
    let scenario = |mode, on_shadow_stack| Scenario {
        mode,
        on_shadow_stack,
        host_xss,
        cpus: 1,
        rounds,
        roles,
        fault,
    };
    let first = scenario(HostMode::UsesShadowStacks, false);
    // SAFETY: (1) The image has one CPU and never enables interrupts, and nothing else in
    // it uses VMX. (2) Nor does anything change the state of the host meanwhile, and the
    // target has no SSE. (3) Paging is set up once.
    let mut reports = unsafe { run_alone::<P>(&mut cpu, &pool, &first, observer)? };
    observer.scenario = 2;
    let second = scenario(HostMode::DoesNot, false);
    // SAFETY: as above.
    let more = unsafe { run_alone::<P>(&mut cpu, &pool, &second, observer)? };
    merge(&mut reports, &more);
    observer.scenario = 3;
    let third = scenario(HostMode::UsesShadowStacks, true);
    let mut call =
        OnShadowStack { cpu: &mut cpu, pool: &pool, scenario: &third, observer, result: None };
    // SAFETY: (1) IA32_S_CET is 0 and everything is ring 0. (2) Nothing else uses
    // the page. (3) The function takes this pointer, which lives until it returns,
    // and the hypervisor comes back from every VM exit with the host's CET state.
    // (4) It nests a few dozen calls.
    unsafe {
        run_on_shadow_stack(&HOST_SHADOW_STACK, run_third::<P>, (&raw mut call).cast::<c_void>())?;
    }
    if let Some(result) = call.result {
        merge(&mut reports, &result?);
    }
    reports[0].canary_writes += PL0_SSP_WRITES;
    Ok(reports)
}

/// Runs a scenario on this CPU alone.
///
/// # Safety
///
/// 1. As for [`processor::run`].
unsafe fn run_alone<P: Policy>(
    cpu: &mut Counting<BareMetal>,
    pool: &PagePool,
    scenario: &Scenario,
    observer: &mut Console,
) -> Result<[GuestReport; 3], RunError> {
    let machine = Machine::detect(cpu)?;
    let shared = Shared::<P>::new(&machine, pool, scenario)?;
    let vmxon = pool.take_frame().ok_or(RunError::OutOfMemory)?;
    // SAFETY: the caller's contract.
    let report = unsafe { processor::run(&shared, 0, cpu, vmxon, observer)? };
    let mut reports = shared.into_reports();
    reports[0].canary_reads += report.canary_reads;
    reports[0].canary_writes += report.canary_writes;
    Ok(reports)
}

/// What the third scenario needs, behind a pointer.
struct OnShadowStack<'a> {
    cpu: &'a mut Counting<BareMetal>,
    pool: &'a PagePool,
    scenario: &'a Scenario,
    observer: &'a mut Console,
    result: Option<Result<[GuestReport; 3], RunError>>,
}

extern "C" fn run_third<P: Policy>(call: *mut c_void) {
    // SAFETY: the caller passes a pointer to an `OnShadowStack` that nobody else
    // uses until this returns.
    let call = unsafe { &mut *call.cast::<OnShadowStack<'_>>() };
    // SAFETY: as in `scenarios`, which sets CR4.CET and the shadow stack up before.
    let result = unsafe { run_alone::<P>(call.cpu, call.pool, call.scenario, call.observer) };
    call.result = Some(result);
}

fn merge(sum: &mut [GuestReport; 3], more: &[GuestReport; 3]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        sum.merge(more);
    }
}

/// Tells the console of a run.
struct Console {
    policy: &'static str,
    scenario: u32,
    /// The state of the guest that ended the run.
    dump: Option<GuestDump>,
}

impl Observer for Console {
    fn progress(&mut self, done: u64, planned: u64) {
        if done.is_multiple_of(PROGRESS_STEP) || done == planned {
            let Self { policy, scenario, .. } = self;
            say(format_args!(
                "progress policy={policy} scenario={scenario} done={done} of={planned}"
            ));
        }
    }

    fn entry_failed(&mut self, explanation: &Explanation) {
        say_lines("error", format_args!("{explanation}"));
    }

    fn guest_stopped(&mut self, dump: &GuestDump) {
        self.dump = Some(*dump);
    }
}

/// Tells the results: a line per guest and one for all.
fn tell<P: Policy>(reports: &[GuestReport; 3]) -> ExitKind {
    let mut all = reports[0];
    all.merge(&reports[1]);
    all.merge(&reports[2]);
    for report in reports {
        tell_one::<P>(report, &report.role);
        for (reason, count) in report.exits.iter() {
            let reason = Joined(reason.meaning().unwrap_or("unknown"));
            say(format_args!("exits guest={} reason={reason} count={count}", report.role));
        }
        if let Some(failure) = report.first_failure {
            say(format_args!(
                "note guest {}: first failed check: {} (found {:#x}, expected {:#x})",
                report.role,
                check_meaning(failure.check),
                failure.found,
                failure.expected
            ));
        }
    }
    tell_one::<P>(&all, &"all");
    say(format_args!("end passed={} failed={}", all.passed, all.failed));
    let good = all.failed == 0 && all.skipped() == 0 && all.passed == all.planned;
    if good { ExitKind::Passed } else { ExitKind::Failed }
}

fn tell_one<P: Policy>(report: &GuestReport, guest: &dyn fmt::Display) {
    let (policy, moves) = (P::NAME, &report.moves);
    say(format_args!(
        "result policy={policy} guest={guest} passed={} failed={} skipped={} switches={} \
         exits={} rdmsr={} wrmsr={} wrmsr_xss={} xsaves={} xrstors={} canary_rdmsr={} \
         canary_wrmsr={} bytes_per_vcpu={}",
        report.passed,
        report.failed,
        report.skipped(),
        report.switches,
        report.exits.total(),
        moves.rdmsr,
        moves.wrmsr,
        moves.wrmsr_xss,
        moves.xsaves,
        moves.xrstors,
        report.canary_reads,
        report.canary_writes,
        size_of::<VcpuCet<P>>(),
    ));
}

/// A text without spaces, as a value in a line of the protocol must be.
struct Joined(&'static str);

impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.split(' ').enumerate() {
            f.write_str(if index == 0 { "" } else { "-" })?;
            f.write_str(word)?;
        }
        Ok(())
    }
}
