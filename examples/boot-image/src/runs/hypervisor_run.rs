//! The example hypervisor on all CPUs of the image: three scenarios under one policy.
//!
//! | scenario | the host |
//! |---|---|
//! | 1 | has values of its own in IA32_PL0_SSP to PL2_SSP, IA32_S_CET is 0 |
//! | 2 | has no use for the registers |
//! | 3 | as 1, and the hypervisor itself executes on a shadow stack |

use core::fmt;

use cet_policy::{Eager, HostMode, LazyIntercept, Policy, VcpuCet, XsaveBacked};
use hypervisor::guest_program::{Role, check_meaning};
use hypervisor::machine::Machine;
use hypervisor::page_pool::PagePool;
use hypervisor::report::{CpuReport, GuestReport};
use hypervisor::scenario::{Fault, Scenario};
use hypervisor::shared::Shared;
use vmx_bare_metal::BareMetal;
use vmx_core::cet::CET_S;
use vmx_core::{Page, PhysicalAddress};

use crate::output::console::say;
use crate::output::exit::ExitKind;
use crate::parameters::Parameters;
use crate::processors::number;
use crate::runs::broken_policy::ForgetsPl2;
use crate::runs::on_cpus::{self, Finished, Stop};
use crate::system::shadow_stack;

/// Rounds of each guest in each scenario: three guests switch after each.
const ROUNDS: u64 = 400;
/// Pages for the VMX regions and guests of all scenarios.
const POOL_PAGES: usize = 168;

static POOL: [Page; POOL_PAGES] = [const { Page::new() }; POOL_PAGES];

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
fn run_policy<P: Policy + Send>(parameters: &Parameters, host_xss: u64) -> ExitKind {
    match parameters.get("fault") {
        Some("forget-register") => run_and_tell::<ForgetsPl2<P>>(parameters, host_xss),
        _ => run_and_tell::<P>(parameters, host_xss),
    }
}

fn run_and_tell<P: Policy + Send>(parameters: &Parameters, host_xss: u64) -> ExitKind {
    match scenarios::<P>(parameters, host_xss) {
        Ok(finished) => return tell::<P>(&finished),
        Err(Stop::Run(error)) if error.is_refusal() => say(format_args!("refused {error}")),
        Err(Stop::Told) => {}
        Err(error) => say(format_args!("error {error}")),
    }
    ExitKind::Failed
}

/// All scenarios; the reports of each guest and of each CPU are added up.
fn scenarios<P: Policy + Send>(parameters: &Parameters, host_xss: u64) -> Result<Finished, Stop> {
    // SAFETY: ring 0 of the running CPU, whose exceptions all have handlers. Nothing
    // ever runs in ring 3, and nothing of a guest is loaded here.
    let mut cpu = unsafe { BareMetal::new() };
    // Refuses a CPU that lacks something, by name, before CR4.CET is set.
    let machine = Machine::detect(&mut cpu)?;
    shadow_stack::enable_cet()?;
    // SAFETY: the pages are one array in memory that is mapped to its own physical
    // address, and this is the only use of them: the image runs one policy.
    let pool = unsafe { PagePool::new(&POOL, PhysicalAddress((&raw const POOL).addr() as u64)) };

    let rounds = parameters.get("rounds").and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let (roles, fault) = match parameters.get("fault") {
        Some("guest-hang") => ([Role::Wrmsr, Role::Hang, Role::Unused], None),
        Some("host-state") => (Role::ALL, Some(Fault::HostState)),
        Some("guest-state") => (Role::ALL, Some(Fault::GuestState)),
        Some("no-clear") => (Role::ALL, Some(Fault::NoClear)),
        Some("enter") => (Role::ALL, Some(Fault::Enter)),
        _ => (Role::ALL, None),
    };
    let cpus = number::online().len();
    let scenarios = [
        (HostMode::UsesShadowStacks, false),
        (HostMode::DoesNot, false),
        (HostMode::UsesShadowStacks, true),
    ];
    let mut sum: Option<Finished> = None;
    for (number, (mode, on_shadow_stack)) in (1..).zip(scenarios) {
        let scenario = Scenario { mode, on_shadow_stack, host_xss, cpus, rounds, roles, fault };
        let shared = Shared::<P>::new(&machine, &pool, &scenario)?;
        let finished = on_cpus::run(shared, &pool, number)?;
        match &mut sum {
            Some(sum) => sum.merge(&finished),
            None => sum = Some(finished),
        }
    }
    sum.ok_or(Stop::Nothing)
}

/// Tells the results: a line per guest and one for all, and one per CPU if there are more.
fn tell<P: Policy>(finished: &Finished) -> ExitKind {
    let reports = &finished.reports;
    if number::others().len() != 0 {
        for (number, cpu) in finished.cpus.iter().enumerate() {
            let Some(CpuReport { entries, clears, remote_clears, moves, .. }) = cpu else {
                continue;
            };
            say(format_args!(
                "cpu id={number} entries={entries} clears={clears} \
                 remote_clears={remote_clears} moves={moves}"
            ));
        }
    }
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
