//! The rules of VM entry, tried on this CPU.
//!
//! Every case of `vmx-tests` is two states of a VMCS: one that breaks a single rule and
//! one at its edge. Both are judged by `vmx_core::entry_check`, and entered; what the
//! CPU answers must be what the rules allow.

use vmx_bare_metal::BareMetal;
use vmx_core::entry_check::{
    EntryState, ExampleGuest, Group as RuleGroup, Outcomes, SECTIONS, check,
};
use vmx_core::exit::BasicExitReason;
use vmx_core::state::HostState;
use vmx_core::vmcs::FieldValues;
use vmx_core::{Capabilities, Page, Vmcs, VmxOperation};
use vmx_tests::entry_cases::{Case, CaseMemory, Editor, shown, why_not_shown};

use crate::output::console::say;
use crate::output::exit::ExitKind;
use crate::system::shadow_stack;
use crate::trials::entry_basics::{self, Wrong};
use crate::trials::entry_trial::{self, Bench, address_of, frame};

static VMXON_REGION: Page = Page::new();
static VMCS_REGION: Page = Page::new();

/// What the trials came to.
#[derive(Default)]
struct Tally {
    states: u64,
    failed: u64,
    impossible: u64,
}

/// Tries every case that this CPU can be in.
pub(crate) fn run() -> ExitKind {
    match trials() {
        Ok(tally) => tell(&tally),
        Err(reason) => {
            say(format_args!("error {reason}"));
            ExitKind::Failed
        }
    }
}

fn tell(tally: &Tally) -> ExitKind {
    let (mut rules, mut cases, mut exceptions, mut failed) = (0, 0, 0, tally.failed);
    for section in SECTIONS {
        for rule in section.rules {
            let has_case = shown().any(|case| case.rule == rule.name)
                // `entry_basics` tries these.
                || section.group == RuleGroup::Basic;
            let has_reason = why_not_shown(rule.name).is_some();
            rules += 1;
            cases += u64::from(has_case);
            exceptions += u64::from(has_reason);
            if has_case == has_reason {
                failed += 1;
                say(format_args!("error {}: must have a case or a reason", rule.name));
            }
        }
    }
    say(format_args!(
        "summary {rules} rules: {cases} with a case, {exceptions} without, each with its reason; \
         here {} states entered, {} cases not possible on this CPU, {failed} disagreements",
        tally.states, tally.impossible,
    ));
    say(format_args!("end passed={} failed={failed}", tally.states.saturating_sub(failed)));
    if failed == 0 { ExitKind::Passed } else { ExitKind::Failed }
}

fn trials() -> Result<Tally, &'static str> {
    let mut tally = Tally::default();
    with_bench(|bench, capabilities| try_all(bench, capabilities, &mut tally))?;
    Ok(tally)
}

/// Brings the CPU into VMX operation with a valid VMCS for `work`.
pub(crate) fn with_bench(
    work: impl FnOnce(&mut Bench<'_>, &Capabilities),
) -> Result<(), &'static str> {
    // SAFETY: ring 0 of the running CPU, whose exceptions have handlers; nothing uses
    // shadow stacks.
    let mut cpu = unsafe { BareMetal::new() };
    let capabilities = Capabilities::read(&mut cpu).map_err(|_| "this CPU has no VMX")?;
    if shadow_stack::supported() {
        shadow_stack::enable_cet().map_err(|_| "CR4.CET was not set")?;
    }
    // SAFETY: an image runs one thing, and only that uses the page.
    let region = unsafe { frame(&VMXON_REGION) };
    let mut operation = VmxOperation::new();
    // SAFETY: (1, 2, 4, 5) The running CPU, on which interrupts stay off and nothing else uses
    // VMX. (3) There is no other CPU to swap in.
    let mut section = unsafe { operation.section(cpu) };
    section.enter(region, &capabilities).map_err(|_| "this CPU did not enter VMX operation")?;
    if let Some((rule, outcome)) = entry_basics::without_vmcs(&capabilities) {
        say(format_args!("error {rule}: the CPU answers: {outcome}"));
        return Err("VMLAUNCH without a VMCS was not refused");
    }
    // CR4.VMXE is on from here.
    let controls = entry_trial::controls(&capabilities)?;
    let host = HostState::from_cpu(&mut section, &capabilities, &controls);
    // SAFETY: as for the other page.
    let mut vmcs = Vmcs::new(unsafe { frame(&VMCS_REGION) }, &capabilities);
    let current = section.load(&mut vmcs).map_err(|_| "the VMCS was not loaded")?;
    let region = address_of(&VMCS_REGION);
    work(&mut Bench::new(current, region, &capabilities, &controls, &host)?, &capabilities);
    Ok(())
}

fn try_all(bench: &mut Bench<'_>, capabilities: &Capabilities, tally: &mut Tally) {
    let Some((base, _)) = bench.base(ExampleGuest::Guest64) else {
        tally.failed += 1;
        say(format_args!("error there is no valid state to begin with"));
        return;
    };
    tally.basics(entry_basics::with_vmcs(bench.vmcs(), &base, capabilities, false));
    for base in [ExampleGuest::Guest64, ExampleGuest::Guest32, ExampleGuest::GuestReal] {
        let Some((values, memory)) = bench.base(base) else {
            if bench.has(base) {
                tally.failed += 1;
                say(format_args!("error no valid state could be made for {base:?}"));
            }
            continue;
        };
        let trial = Trial { values, memory, what: "the valid state", case: None };
        tally.compare(bench, capabilities, &trial);
        let reason = bench.exit_reason().basic();
        if reason != BasicExitReason::VMCALL {
            tally.failed += 1;
            say(format_args!("error the valid state, {base:?}: exits by {reason}, not VMCALL"));
        }
    }
    tally.basics(entry_basics::with_vmcs(bench.vmcs(), &base, capabilities, true));
    for case in shown() {
        let base = bench.base(case.base).filter(|_| case.is_possible(capabilities));
        let Some((values, memory)) = base else {
            tally.impossible += 1;
            continue;
        };
        for (what, breaks) in [("breaks", true), ("edge", false)] {
            let mut trial =
                Trial { values: values.clone(), memory, what, case: Some((case, breaks)) };
            let mut editor = Editor {
                values: &mut trial.values,
                memory: &mut trial.memory,
                // Cases that are shown leave them alone.
                circumstances: &mut bench.circumstances(),
                capabilities,
            };
            if breaks {
                case.break_rule(&mut editor)
            } else {
                case.stop_at_edge(&mut editor)
            }
            tally.compare(bench, capabilities, &trial);
        }
    }
}

/// One state, and what it should show.
struct Trial {
    values: FieldValues,
    memory: CaseMemory,
    what: &'static str,
    /// The case, and whether this is its state that breaks the rule.
    case: Option<(&'static Case, bool)>,
}

impl Tally {
    /// Counts answers to entries whose fields nobody looks at.
    fn basics<const N: usize>(&mut self, answers: [Option<Wrong>; N]) {
        for answer in answers {
            self.states += 1;
            if let Some((rule, outcome)) = answer {
                self.failed += 1;
                say(format_args!("error {rule}: the CPU answers: {outcome}"));
            }
        }
    }

    /// Judges a state, enters it, and prints what does not fit together.
    fn compare(&mut self, bench: &mut Bench<'_>, capabilities: &Capabilities, trial: &Trial) {
        self.states += 1;
        let Trial { values, memory, what, case } = trial;
        let state = EntryState::new(values, capabilities, bench.circumstances())
            .with_memory(memory.as_entry_memory());
        let (rule, detail) = case.map_or(("none", ""), |(case, _)| (case.rule, case.what));
        let mut good = true;
        let mut broken = check(&state).map(|violation| violation.rule.name);
        match (case, broken.next(), broken.next()) {
            (Some((case, true)), Some(name), None) if name == case.rule => {}
            (None | Some((_, false)), None, _) => {}
            (_, first, second) => {
                good = false;
                say(format_args!(
                    "error {rule} ({detail}), {what}: the checker finds {first:?} {second:?}"
                ));
            }
        }
        match bench.enter(values, memory) {
            Ok(outcome) if Outcomes::of(&state).allow(outcome) => {}
            Ok(outcome) => {
                good = false;
                say(format_args!("error {rule} ({detail}), {what}: the CPU answers: {outcome}"));
            }
            Err(field) => {
                good = false;
                say(format_args!("error {rule} ({detail}), {what}: {field:?} was not written"));
            }
        }
        self.failed += u64::from(!good);
    }
}
