//! Every rule of the guest state and of MSR loading, broken alone.

extern crate std;

mod events;
mod registers;
mod scene;
mod segments;

use std::vec::Vec;

use super::*;
use crate::exit::reason::ExitReason;
use crate::msr::index::MsrIndex;
use crate::msr_list::MsrEntry;
use crate::vmcs::error::{InstructionError, VmxError};
use scene::{Base, Scene};

/// The names of all broken rules, those of controls and host too.
fn broken(scene: &Scene) -> Vec<&'static str> {
    scene.with_state(|state| check(state).map(|violation| violation.rule.name).collect())
}

#[test]
fn valid_states_break_nothing() {
    for base in [Base::Guest64, Base::Guest32, Base::GuestReal] {
        assert_eq!(broken(&Scene::new(base)), [""; 0], "{base:?}");
    }
    let mut virtual_8086 = Scene::new(Base::Guest32);
    segments::to_virtual_8086(&mut virtual_8086);
    assert_eq!(broken(&virtual_8086), [""; 0]);
}

#[test]
fn each_row_breaks_its_rule_alone() {
    for (rule, base, breaks) in rows() {
        let mut scene = Scene::new(*base);
        breaks(&mut scene);
        assert_eq!(broken(&scene), [*rule]);
    }
}

#[test]
fn every_rule_has_a_row() {
    let sections = SECTIONS.iter().filter(|section| section.group >= Group::GuestState);
    for rule in sections.flat_map(|section| section.rules) {
        assert!(rows().any(|(name, ..)| *name == rule.name), "{} has no row", rule.name);
    }
}

/// The short cut of each section says what its rules say.
#[test]
fn sections_agree_with_their_rules() {
    for (name, base, breaks) in rows() {
        let mut scene = Scene::new(*base);
        breaks(&mut scene);
        scene.with_state(|state| {
            for section in SECTIONS {
                let all_hold = section.rules.iter().all(|rule| (rule.holds)(state));
                assert_eq!((section.all_hold)(state), all_hold, "{name}, {}", section.title);
            }
        });
    }
}

fn rows() -> impl Iterator<Item = &'static scene::Row> {
    [registers::ROWS, segments::ROWS, events::ROWS].into_iter().flatten()
}

/// One broken rule fixes the answer, unless the CPU need not check it.
#[test]
fn outcomes_follow_the_rule() {
    for (name, base, breaks) in rows() {
        let mut scene = Scene::new(*base);
        breaks(&mut scene);
        // The rows of MSR loading have the bad entry last.
        let bad_entry = scene.get(crate::vmcs::field::VM_ENTRY_MSR_LOAD_COUNT).into();
        scene.with_state(|state| {
            let violation = check(state).next().unwrap();
            let (guest, msrs) = match violation.section.group {
                Group::GuestState => (Some(violation.rule.qualification), None),
                Group::MsrLoad => (None, Some(bad_entry)),
                group => panic!("{name} is of {group:?}"),
            };
            let outcomes = Outcomes::of(state);
            let may_enter = violation.rule.is_optional;
            assert_eq!(outcomes.allow(Outcome::Entered), may_enter, "{name}");
            for number in 0..30 {
                let failed = VmxError::FailValid(InstructionError(number));
                assert!(!outcomes.allow(Outcome::Failed(failed)), "{name}: {number}");
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
fn msr_loading_stops_at_the_first_bad_entry() {
    let entry = |msr, value| MsrEntry::new(MsrIndex(msr), value);
    let mut scene = Scene::new(Base::Guest64);
    // Legal, one that a CPU may refuse, one that it must, another.
    scene.memory.msr_load_area =
        [entry(0x174, 0), entry(0x79, 0), entry(0xC000_0100, 0), entry(0x808, 0)];
    for (count, allowed, may_enter) in [
        (0, &[][..], true),
        (1, &[], true),
        (2, &[2], true),
        (3, &[2, 3], false),
        (4, &[2, 3], false),
    ] {
        scene.set(crate::vmcs::field::VM_ENTRY_MSR_LOAD_COUNT, count);
        scene.with_state(|state| {
            assert!(check(state).all(|violation| violation.section.group == Group::MsrLoad));
            let outcomes = Outcomes::of(state);
            for number in 0..6 {
                let is_allowed = allowed.contains(&number);
                assert_eq!(outcomes.allow(exit(MSR_LOADING, number)), is_allowed, "{number}");
                assert!(!outcomes.allow(exit(GUEST_STATE, number)), "{number}");
            }
            assert_eq!(outcomes.allow(Outcome::Entered), may_enter);
        });
    }
}

/// WRMSR is judged by the guest's mode and the CPU's features.
#[test]
fn what_the_area_loads_is_judged_as_the_guests() {
    let judge = |base, msr, value| {
        let mut scene = Scene::new(base);
        scene.memory.msr_load_area[0] = MsrEntry::new(MsrIndex(msr), value);
        scene.set(crate::vmcs::field::VM_ENTRY_MSR_LOAD_COUNT, 1);
        broken(&scene).is_empty()
    };
    const EFER: u32 = 0xC000_0080;
    // LME does not change under paging; without paging it may.
    assert!(judge(Base::Guest64, EFER, 0x500) && !judge(Base::Guest64, EFER, 0));
    assert!(judge(Base::Guest32, EFER, 0) && !judge(Base::Guest32, EFER, 0x100));
    assert!(judge(Base::GuestReal, EFER, 0) && judge(Base::GuestReal, EFER, 0x100));
    // The CPU of these tests has no CET; IA32_XSS is not judged.
    assert!(!judge(Base::Guest64, MsrIndex::IA32_S_CET.0, 0));
    assert!(judge(Base::Guest64, MsrIndex::IA32_XSS.0, u64::MAX));
}
