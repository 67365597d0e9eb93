//! A scenario on every CPU of the image at once.

use core::ffi::c_void;
use core::fmt;

use cet_policy::Policy;
use hypervisor::error::RunError;
use hypervisor::guest_dump::GuestDump;
use hypervisor::page_pool::{PagePool, PoolFrame};
use hypervisor::processor;
use hypervisor::report::{CpuReport, GuestReport};
use hypervisor::scenario::Observer;
use hypervisor::shared::Shared;
use vmx_bare_metal::BareMetal;
use vmx_core::entry_check::Explanation;
use vmx_mock::Counting;

use crate::output::console::{say, say_lines};
use crate::processors::call::{CallError, on_all};
use crate::processors::lock::Lock;
use crate::processors::number::{MOST, Number};
use crate::system::shadow_stack::{
    self, PL0_SSP_WRITES, ShadowStackError, ShadowStackPage, run_on_shadow_stack,
};

/// Switches between two progress lines.
const PROGRESS_STEP: u64 = 300;

static HOST_SHADOW_STACKS: [ShadowStackPage; MOST] = [const { ShadowStackPage::new() }; MOST];

/// Why a CPU has no results.
pub(super) enum Stop {
    Run(RunError),
    ShadowStack(ShadowStackError),
    Call(CallError),
    /// It did not come to run anything.
    Nothing,
    /// For reasons that have been told.
    Told,
}

impl From<RunError> for Stop {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl From<ShadowStackError> for Stop {
    fn from(error: ShadowStackError) -> Self {
        Self::ShadowStack(error)
    }
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(error) => fmt::Display::fmt(error, f),
            Self::ShadowStack(error) => fmt::Display::fmt(error, f),
            Self::Call(error) => fmt::Display::fmt(error, f),
            Self::Nothing => f.write_str("nothing was run"),
            Self::Told => f.write_str("for the reasons above"),
        }
    }
}

/// What came of one CPU's part.
struct Part {
    result: Result<CpuReport, Stop>,
    /// The state of the guest that ended it.
    dump: Option<GuestDump>,
}

/// What came of a scenario.
pub(super) struct Finished {
    pub(super) reports: [GuestReport; 3],
    pub(super) cpus: [Option<CpuReport>; MOST],
}

impl Finished {
    /// Adds what came of another scenario.
    pub(super) fn merge(&mut self, more: &Self) {
        for (sum, more) in self.reports.iter_mut().zip(&more.reports) {
            sum.merge(more);
        }
        for (sum, more) in self.cpus.iter_mut().zip(&more.cpus) {
            if let (Some(sum), Some(more)) = (sum, more) {
                sum.merge(more);
            }
        }
    }
}

/// Runs a scenario, the image's one of this number, on all CPUs.
///
/// # Errors
///
/// [`Stop`]; what went wrong on the CPUs has been told.
pub(super) fn run<P: Policy + Send>(
    shared: Shared<P>,
    pool: &PagePool,
    number: u32,
) -> Result<Finished, Stop> {
    let cpus = shared.scenario.cpus;
    let pages: [Lock<Option<PoolFrame>>; MOST] = core::array::from_fn(|index| {
        Lock::new(if index < cpus { pool.take_frame() } else { None })
    });
    let on_shadow_stack = shared.scenario.on_shadow_stack;
    // To map a shadow stack takes translations away from all CPUs, which do not answer while
    // they run guests.
    let prepares = on_shadow_stack && cpus > 1;
    let mut canary_writes = 0;
    if prepares {
        for prepared in
            on_all(|number| on_shadow_stack_of(number, &mut || ())).into_iter().flatten()
        {
            prepared??;
            canary_writes += PL0_SSP_WRITES;
        }
    }
    let parts = on_all(|cpu| {
        let page = pages[cpu.index()].lock().take();
        part(&shared, cpu, page, number)
    });
    let parts = parts.map(|part| {
        part.map(|part| part.unwrap_or_else(|error| Part { result: Err(error.into()), dump: None }))
    });
    if parts.iter().flatten().any(|part| part.result.is_err()) {
        tell_failure(&parts);
        return Err(Stop::Told);
    }
    let mut reports = shared.into_reports();
    let cpus = parts.map(|part| part.and_then(|part| part.result.ok()));
    for cpu in cpus.iter().flatten() {
        reports[0].canary_reads += cpu.canary_reads;
        reports[0].canary_writes += cpu.canary_writes;
        if on_shadow_stack {
            reports[0].canary_writes += PL0_SSP_WRITES;
        }
    }
    reports[0].canary_writes += canary_writes;
    Ok(Finished { reports, cpus })
}

/// Tells why each CPU stopped, with the state of the guest that it could not go on with.
fn tell_failure(parts: &[Option<Part>; MOST]) {
    let several = parts.iter().flatten().count() > 1;
    for (number, part) in parts.iter().enumerate() {
        let Some(Part { result: Err(error), dump }) = part else { continue };
        match error {
            Stop::Run(error) if error.is_refusal() && !several => {
                say(format_args!("refused {error}"));
            }
            error if several => say(format_args!("error CPU {number}: {error}")),
            error => say(format_args!("error {error}")),
        }
        if let Some(dump) = dump {
            say_lines("error", format_args!("{dump}"));
        }
    }
}

/// One CPU's part of a scenario.
fn part<P: Policy + Send>(
    shared: &Shared<P>,
    cpu: Number,
    page: Option<PoolFrame>,
    scenario: u32,
) -> Part {
    let mut observer = Console { policy: P::NAME, scenario, dump: None };
    let mut result = Err(Stop::Nothing);
    let mut page = page;
    let mut work = || {
        result = match page.take() {
            Some(page) => run_here(shared, cpu, page, &mut observer),
            None => Err(RunError::OutOfMemory.into()),
        };
    };
    let ran = if shared.scenario.on_shadow_stack {
        on_shadow_stack_of(cpu, &mut work)
    } else {
        work();
        Ok(())
    };
    // The function ran, and may have ended well, though its stack did not.
    let result = ran.map_err(Stop::from).and(result);
    Part { result, dump: observer.dump }
}

fn run_here<P: Policy + Send>(
    shared: &Shared<P>,
    cpu: Number,
    page: PoolFrame,
    observer: &mut Console,
) -> Result<CpuReport, Stop> {
    shadow_stack::enable_cet()?;
    // SAFETY: ring 0 of the running CPU, whose exceptions all have handlers. Nothing
    // ever runs in ring 3, and SETSSBSY is executed before the hypervisor loads a
    // guest's values and after it has put them.
    let mut here = Counting::new(unsafe { BareMetal::new() });
    // SAFETY: (1) This runs on the CPU with interrupts off from call to return, each CPU
    // has a number and an operation of its own, and nothing else uses VMX. (2) Nothing
    // changes the state of the host meanwhile, and the target has no SSE. (3) All CPUs use
    // one set of paging structures, which maps memory to itself and stays.
    Ok(unsafe { processor::run(shared, cpu.index(), &mut here, page, observer)? })
}

/// Does this on the shadow stack that the CPU with this number has; it is the running one.
fn on_shadow_stack_of(cpu: Number, mut work: &mut dyn FnMut()) -> Result<(), ShadowStackError> {
    extern "C" fn call(work: *mut c_void) {
        // SAFETY: the function below passes a pointer to its argument, which nobody else
        // uses until this returns.
        unsafe { (*work.cast::<&mut dyn FnMut()>())() };
    }
    let argument = (&raw mut work).cast::<c_void>();
    // SAFETY: (1) IA32_S_CET is 0 and everything is ring 0. (2) Nothing else uses the page of
    // this CPU. (3) The function takes this pointer, which lives until it returns, and the
    // hypervisor comes back from every VM exit with the host's CET state. (4) It nests a few
    // dozen calls.
    unsafe { run_on_shadow_stack(&HOST_SHADOW_STACKS[cpu.index()], call, argument) }
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
