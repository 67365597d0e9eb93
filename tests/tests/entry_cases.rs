//! The cases of all VM-entry rules against the rules themselves, on five CPUs.

#![allow(clippy::unwrap_used)] // Helpers of tests, which the lint does not take for tests.

use std::collections::BTreeSet;

use vmx_core::control::ControlSet;
use vmx_core::entry_check::{
    Circumstances, EntryState, ExampleGuest, Group, Outcome, Outcomes, SECTIONS, Violation, check,
    valid_fields,
};
use vmx_core::exit::ExitReason;
use vmx_core::msr_list::MsrEntry;
use vmx_core::vmcs::field::VM_ENTRY_MSR_LOAD_COUNT;
use vmx_core::vmcs::{FieldValues, InstructionError};
use vmx_core::{Capabilities, MsrIndex, PhysicalAddress, VmxError};
use vmx_tests::departures;
use vmx_tests::entry_cases::cpus::{
    EVERYTHING, IVY_BRIDGE, SAPPHIRE_RAPIDS, SKYLAKE_X, TIGER_LAKE,
};
use vmx_tests::entry_cases::{
    CASES, Case, CaseMemory, Editor, NotShown, SCRATCH, shown, why_not_shown,
};

/// Every case with every CPU that can be in its states. Those that no model shows are for
/// the CPU that has everything.
fn cases_on_cpus() -> Vec<(&'static Case, Capabilities)> {
    let models = [SAPPHIRE_RAPIDS, TIGER_LAKE, SKYLAKE_X, IVY_BRIDGE].map(model);
    let shown = shown().flat_map(|case| models.map(|cpu| (case, cpu)));
    let all = cases().map(|case| (case, EVERYTHING)).chain(shown);
    all.filter(|(case, cpu)| case.is_possible(cpu)).collect()
}

fn model(dump: &str) -> Capabilities {
    Capabilities::from_dump(dump).unwrap()
}

fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().copied().flatten()
}

/// All rules but those that are judged before any field is looked at.
fn rules() -> impl Iterator<Item = &'static str> {
    let sections = SECTIONS.iter().filter(|section| section.group != Group::Basic);
    sections.flat_map(|section| section.rules).map(|rule| rule.name)
}

/// All that an entry depends on.
struct Scene<'a> {
    values: FieldValues,
    memory: CaseMemory,
    circumstances: Circumstances,
    cpu: &'a Capabilities,
}

impl<'a> Scene<'a> {
    fn valid(guest: ExampleGuest, cpu: &'a Capabilities) -> Self {
        let memory = CaseMemory {
            current_vmcs: PhysicalAddress(0x0010_0000),
            vmxon_region: Some(PhysicalAddress(0x0010_1000)),
            linked_region: PhysicalAddress(0x0010_2000),
            linked_region_start: cpu.basic.revision(),
            pdpt: PhysicalAddress(0x0010_3000),
            pdptes: [0; 4],
            msr_load_area: [MsrEntry::new(MsrIndex(0), 0); 4],
        };
        let values = valid_fields(guest, cpu, &ControlSet::EMPTY).unwrap();
        Self { values, memory, circumstances: Circumstances::LAUNCH, cpu }
    }

    fn broken(case: &Case, cpu: &'a Capabilities) -> Self {
        let mut scene = Self::valid(case.base, cpu);
        case.break_rule(&mut scene.editor());
        scene
    }

    fn at_edge(case: &Case, cpu: &'a Capabilities) -> Self {
        let mut scene = Self::valid(case.base, cpu);
        case.stop_at_edge(&mut scene.editor());
        scene
    }

    fn editor(&mut self) -> Editor<'_> {
        Editor {
            values: &mut self.values,
            memory: &mut self.memory,
            circumstances: &mut self.circumstances,
            capabilities: self.cpu,
        }
    }

    fn with_state<R>(&self, look: impl FnOnce(&EntryState<'_>) -> R) -> R {
        let state = EntryState::new(&self.values, self.cpu, self.circumstances);
        look(&state.with_memory(self.memory.as_entry_memory()))
    }

    /// The names of the broken rules of which `look` wants to know.
    fn broken_rules(&self, look: impl Fn(&Violation<'_>) -> bool) -> Vec<&'static str> {
        self.with_state(|state| check(state).filter(look).map(|broken| broken.rule.name).collect())
    }
}

/// The group of a rule; a CPU comes to them in their order.
fn group_of(rule: &str) -> Group {
    let mut sections = SECTIONS.iter();
    sections.find(|section| section.rules.iter().any(|of| of.name == rule)).unwrap().group
}

#[test]
fn each_rule_has_a_case_and_each_case_a_rule() {
    let with_case: BTreeSet<_> = cases().map(|case| case.rule).collect();
    let rules: BTreeSet<_> = rules().collect();
    let one_sided: Vec<_> = with_case.symmetric_difference(&rules).collect();
    assert!(one_sided.is_empty(), "a rule without a case, or a case without a rule: {one_sided:?}");
}

#[test]
fn cases_of_one_rule_are_told_apart() {
    let mut names = BTreeSet::new();
    for case in cases() {
        assert!(names.insert((case.rule, case.what)), "{} {} is there twice", case.rule, case.what);
    }
}

/// A case that is shown breaks its rule alone. One that is not may break some that a CPU
/// comes to later: an entry to SMM, for example, cannot be all right outside of it.
#[test]
fn a_case_breaks_its_rule_alone_and_its_edge_none() {
    for (case, cpu) in cases_on_cpus() {
        let last = if case.not_shown.is_none() { Group::MsrLoad } else { group_of(case.rule) };
        let look = |broken: &Violation<'_>| broken.section.group <= last;
        let name = format!("{} {}", case.rule, case.what);
        assert_eq!(Scene::broken(case, &cpu).broken_rules(look), [case.rule], "{name}");
        assert_eq!(Scene::at_edge(case, &cpu).broken_rules(look), [""; 0], "edge of {name}");
    }
}

#[test]
fn each_case_is_possible_somewhere() {
    let tried: BTreeSet<_> =
        cases_on_cpus().into_iter().map(|(case, _)| (case.rule, case.what)).collect();
    for case in cases() {
        assert!(tried.contains(&(case.rule, case.what)), "{} {}", case.rule, case.what);
    }
}

/// On `sapphire_rapids` every case that is shown is possible, but for those that want a
/// feature to be missing.
#[test]
fn few_cases_are_left_to_other_models() {
    let sapphire_rapids = model(SAPPHIRE_RAPIDS);
    let left: BTreeSet<_> =
        shown().filter(|case| !case.is_possible(&sapphire_rapids)).map(|case| case.rule).collect();
    let expected = [
        "eptp-accessed-and-dirty",
        "eptp-supervisor-shadow-stack",
        "injected-error-code-fits-vector",
        "injected-error-code-is-of-exception",
        "injected-instruction-length",
    ];
    assert_eq!(left, BTreeSet::from(expected));
}

/// Whoever shows a case cannot change them.
#[test]
fn cases_that_are_shown_leave_the_circumstances_alone() {
    for case in shown() {
        for scene in [Scene::broken(case, &EVERYTHING), Scene::at_edge(case, &EVERYTHING)] {
            assert_eq!(scene.circumstances, Circumstances::LAUNCH, "{}", case.rule);
        }
    }
}

#[test]
fn a_rule_is_shown_or_a_reason_is_given_that_exists() {
    for rule in rules() {
        let is_shown = shown().any(|case| case.rule == rule);
        assert_ne!(is_shown, why_not_shown(rule).is_some(), "{rule}");
        if let Some(NotShown::Departure(id)) = why_not_shown(rule) {
            assert!(departures::find(id).is_some(), "{id}");
        }
    }
}

/// `check` takes a short cut by sections: it must find what the rules say one by one.
#[test]
fn the_check_finds_what_the_rules_say() {
    for (case, cpu) in cases_on_cpus() {
        for scene in [Scene::broken(case, &cpu), Scene::at_edge(case, &cpu)] {
            scene.with_state(|state| {
                let rules = SECTIONS.iter().flat_map(|section| section.rules);
                let broken = rules.filter(|rule| !(rule.holds)(state)).map(|rule| rule.name);
                assert!(broken.eq(check(state).map(|found| found.rule.name)), "{}", case.rule);
            });
        }
    }
}

/// One broken rule of the guest state or of MSR loading fixes the answer, unless the CPU
/// need not check it.
#[test]
fn outcomes_follow_the_rule() {
    let mut tried = BTreeSet::new();
    for (case, cpu) in cases_on_cpus() {
        if !tried.insert((case.rule, case.what)) {
            continue;
        }
        let scene = Scene::broken(case, &cpu);
        // The cases of MSR loading have the bad entry last.
        let bad_entry = scene.values.get_or_zero(VM_ENTRY_MSR_LOAD_COUNT).into();
        scene.with_state(|state| {
            let violation = check(state).next().unwrap();
            let (error, guest, msrs) = match violation.section.group {
                Group::Controls => (Some(7), None, None),
                Group::HostState => (Some(8), None, None),
                Group::GuestState => (None, Some(violation.rule.qualification), None),
                Group::MsrLoad => (None, None, Some(bad_entry)),
                Group::Basic => panic!("{} is judged before", case.rule),
            };
            let (outcomes, name) = (Outcomes::of(state), case.rule);
            assert_eq!(outcomes.allow(Outcome::Entered), violation.rule.is_optional, "{name}");
            for number in 0..30 {
                let failed = VmxError::FailValid(InstructionError(number));
                let is_it = error == Some(number);
                assert_eq!(outcomes.allow(Outcome::Failed(failed)), is_it, "{name}: {number}");
            }
            for number in 0..6 {
                let (is_guest, is_msrs) = (guest == Some(number), msrs == Some(number));
                assert_eq!(outcomes.allow(exit(GUEST_STATE, number)), is_guest, "{name}: {number}");
                assert_eq!(outcomes.allow(exit(MSR_LOADING, number)), is_msrs, "{name}: {number}");
            }
        });
    }
}

const GUEST_STATE: u32 = 0x8000_0021;
const MSR_LOADING: u32 = 0x8000_0022;

fn exit(reason: u32, qualification: u64) -> Outcome {
    Outcome::ExitedAtOnce { reason: ExitReason(reason), qualification }
}

#[test]
fn the_scratch_page_is_a_page() {
    assert_eq!(PhysicalAddress(SCRATCH).page_offset(), 0);
}
