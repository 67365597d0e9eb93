//! What EPT does for a guest's shadow stack; chosen by the parameter `ept`.

use cet_policy::Eager;
use hypervisor::guest_dump::GuestDump;
use hypervisor::guest_program::check_meaning;
use hypervisor::machine::Machine;
use hypervisor::page_pool::PagePool;
use hypervisor::scenario::Observer;
use hypervisor::supervisor_shadow_stack::{self, Found};
use vmx_bare_metal::BareMetal;
use vmx_core::entry_check::Explanation;
use vmx_core::{Page, PhysicalAddress};
use vmx_mock::Counting;

use crate::output::console::{say, say_lines};
use crate::output::exit::ExitKind;
use crate::parameters::Parameters;
use crate::system::shadow_stack;

/// Pages for the VMX regions and the guest.
const POOL_PAGES: usize = 32;

static POOL: [Page; POOL_PAGES] = [const { Page::new() }; POOL_PAGES];

/// Runs the scenario of this name.
pub(crate) fn run(name: &str, parameters: &Parameters) -> ExitKind {
    if name != "shadow-stack" {
        say(format_args!("error the image knows ept=shadow-stack, not {name}"));
        return ExitKind::Failed;
    }
    let control = parameters.get("fault") != Some("no-control");
    let mut last_stop = LastStop(None);
    // SAFETY: ring 0 of the running CPU, whose exceptions all have handlers. Nothing
    // ever runs in ring 3, and the host uses no shadow stack in this run.
    let mut cpu = Counting::new(unsafe { BareMetal::new() });
    // SAFETY: the pages are one array in memory that is mapped to its own physical
    // address, and this is the only use of them.
    let pool = unsafe { PagePool::new(&POOL, PhysicalAddress((&raw const POOL).addr() as u64)) };
    // Refuses a CPU that lacks something, by name, before CR4.CET is set.
    let machine = Machine::detect(&mut cpu);
    if machine.is_ok()
        && let Err(error) = shadow_stack::enable_cet()
    {
        say(format_args!("error {error}"));
        return ExitKind::Failed;
    }
    let found = machine.and_then(|_| {
        // SAFETY: (1) One CPU, interrupts never on, nothing else uses VMX. (2) Nothing
        // changes the host's state, and the target has no SSE. (3) Paging stays.
        unsafe {
            supervisor_shadow_stack::run::<Eager, _>(&mut cpu, &pool, control, &mut last_stop)
        }
    });
    match found {
        Ok(found) => tell(&found),
        Err(error) if error.is_refusal() => {
            say(format_args!("refused {error}"));
            ExitKind::Failed
        }
        Err(error) => {
            say(format_args!("error {error}"));
            if let Some(dump) = last_stop.0 {
                say_lines("error", format_args!("{dump}"));
            }
            ExitKind::Failed
        }
    }
}

fn tell(found: &Found) -> ExitKind {
    for (page, violation) in ["without", "with"].into_iter().zip(found.violations) {
        match violation {
            Some(violation) => {
                say(format_args!("note SETSSBSY on a page {page} bit 60: {violation}"));
            }
            None => {
                say(format_args!("note SETSSBSY on a page {page} bit 60: no EPT violation"));
                break;
            }
        }
    }
    let report = &found.report;
    if let Some(failure) = report.first_failure {
        let meaning = check_meaning(failure.check);
        say(format_args!("note first failed check of the guest: {meaning}"));
    }
    let failed = report.failed + report.skipped();
    say(format_args!("end passed={} failed={failed}", report.passed));
    if failed == 0 { ExitKind::Passed } else { ExitKind::Failed }
}

/// Keeps the state in which the guest was stopped last: two stops are wanted.
struct LastStop(Option<GuestDump>);

impl Observer for LastStop {
    fn progress(&mut self, _done: u64, _planned: u64) {}

    fn entry_failed(&mut self, explanation: &Explanation) {
        say_lines("error", format_args!("{explanation}"));
    }

    fn guest_stopped(&mut self, dump: &GuestDump) {
        self.0 = Some(*dump);
    }
}
