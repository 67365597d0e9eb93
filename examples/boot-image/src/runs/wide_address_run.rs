//! An address that this CPU may refuse though it is legal by CPUID; chosen by the
//! parameter `wide-address`, which names the policy.
//!
//! Run twice, the second time in a host that executes on a shadow stack: there the
//! fix-up of a #GP must leave RIP alone. With `fault=no-fix-up` the handler does not
//! mend the #GP, as that of a host that knows nothing of it.

use core::ffi::c_void;

use cet_policy::{Eager, HostMode, LazyIntercept, Policy, XsaveBacked};
use hypervisor::error::RunError;
use hypervisor::guest_dump::GuestDump;
use hypervisor::guest_program::WIDE_ADDRESS;
use hypervisor::machine::Machine;
use hypervisor::page_pool::PagePool;
use hypervisor::scenario::Observer;
use hypervisor::wide_address::{self, Found};
use vmx_bare_metal::BareMetal;
use vmx_core::cet::CET_S;
use vmx_core::entry_check::Explanation;
use vmx_core::{Page, PhysicalAddress};
use vmx_mock::Counting;

use crate::output::console::{say, say_lines};
use crate::output::exit::ExitKind;
use crate::parameters::Parameters;
use crate::system::exceptions;
use crate::system::shadow_stack::{self, ShadowStackPage, run_on_shadow_stack};

/// Pages for the VMX regions and the guests of both runs.
const POOL_PAGES: usize = 64;

static POOL: [Page; POOL_PAGES] = [const { Page::new() }; POOL_PAGES];
static HOST_SHADOW_STACK: ShadowStackPage = ShadowStackPage::new();

/// Runs the scenario under the policy of this name.
pub(crate) fn run(policy: &str, parameters: &Parameters) -> ExitKind {
    if parameters.get("fault") == Some("no-fix-up") {
        exceptions::mend_nothing();
    }
    let found = match policy {
        "eager" => both::<Eager>(0),
        "lazy" => both::<LazyIntercept>(0),
        "xsave" => both::<XsaveBacked>(CET_S),
        other => {
            say(format_args!("error the image knows eager, lazy and xsave, not {other}"));
            return ExitKind::Failed;
        }
    };
    match found {
        Ok(found) => tell(policy, &found),
        Err(Stop::Run(error)) if error.is_refusal() => {
            say(format_args!("refused {error}"));
            ExitKind::Failed
        }
        Err(Stop::Run(error)) => {
            say(format_args!("error {error}"));
            ExitKind::Failed
        }
        Err(Stop::ShadowStack(error)) => {
            say(format_args!("error {error}"));
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

/// The run with a host that has no use for the registers, and the one on a shadow stack.
fn both<P: Policy>(host_xss: u64) -> Result<[Found; 2], Stop> {
    // SAFETY: ring 0 of the running CPU, whose exceptions all have handlers. Nothing ever
    // runs in ring 3, and SETSSBSY is executed while no foreign value is loaded.
    let mut cpu = Counting::new(unsafe { BareMetal::new() });
    // Refuses a CPU that lacks something, by name, before CR4.CET is set.
    Machine::detect(&mut cpu)?;
    shadow_stack::enable_cet()?;
    // SAFETY: the pages are one array in memory that is mapped to its own physical
    // address, and this is the only use of them.
    let pool = unsafe { PagePool::new(&POOL, PhysicalAddress((&raw const POOL).addr() as u64)) };
    let mut call = Call { cpu: &mut cpu, pool: &pool, host_xss, result: None };
    let first = call.run::<P>(HostMode::DoesNot)?;
    // SAFETY: (1) IA32_S_CET is 0 and everything is ring 0. (2) Nothing else uses the
    // page. (3) The function takes this pointer, which lives until it returns, and the
    // hypervisor comes back from every VM exit with the host's CET state. (4) It nests a
    // few dozen calls.
    unsafe {
        let argument = (&raw mut call).cast::<c_void>();
        run_on_shadow_stack(&HOST_SHADOW_STACK, run_second::<P>, argument)?;
    }
    match call.result {
        Some(second) => Ok([first, second?]),
        // It was run: anything else is an error above.
        None => Ok([first, first]),
    }
}

/// What a run needs, behind a pointer.
struct Call<'a> {
    cpu: &'a mut Counting<BareMetal>,
    pool: &'a PagePool,
    host_xss: u64,
    result: Option<Result<Found, RunError>>,
}

impl Call<'_> {
    fn run<P: Policy>(&mut self, mode: HostMode) -> Result<Found, RunError> {
        let Self { cpu, pool, host_xss, .. } = self;
        // SAFETY: (1) One CPU, interrupts never on, nothing else uses VMX. (2) Nothing
        // changes the host's state, and the target has no SSE. (3) Paging stays.
        unsafe { wide_address::run::<P, _>(cpu, pool, mode, *host_xss, &mut Console) }
    }
}

extern "C" fn run_second<P: Policy>(call: *mut c_void) {
    // SAFETY: the caller passes a pointer to a `Call` that nobody else uses until this
    // returns.
    let call = unsafe { &mut *call.cast::<Call<'_>>() };
    call.result = Some(call.run::<P>(HostMode::UsesShadowStacks));
}

fn tell(policy: &str, found: &[Found; 2]) -> ExitKind {
    for (host, found) in ["", ", on a shadow stack"].into_iter().zip(found) {
        let address = format_args!("{WIDE_ADDRESS:#x} for IA32_PL0_SSP, policy {policy}{host}");
        match found.refused {
            Some(cause) => say(format_args!("summary {address}: #GP in the guest: {cause}")),
            None => say(format_args!("summary {address}: the CPU takes it")),
        }
    }
    let passed: u64 = found.iter().map(|found| found.report.passed).sum();
    let failed: u64 = found.iter().map(|found| found.report.failed).sum();
    say(format_args!("end passed={passed} failed={failed}"));
    if failed == 0 { ExitKind::Passed } else { ExitKind::Failed }
}

/// Tells the console of what stops a guest.
struct Console;

impl Observer for Console {
    fn progress(&mut self, _done: u64, _planned: u64) {}

    fn entry_failed(&mut self, explanation: &Explanation) {
        say_lines("error", format_args!("{explanation}"));
    }

    fn guest_stopped(&mut self, dump: &GuestDump) {
        say_lines("error", format_args!("{dump}"));
    }
}
