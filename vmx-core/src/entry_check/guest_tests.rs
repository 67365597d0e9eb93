//! Every rule of the guest state and of MSR loading, broken alone.

extern crate std;

mod events;
mod registers;
mod scene;
mod segments;

use std::vec::Vec;

use super::*;
use crate::msr::MsrIndex;
use crate::msr_list::MsrEntry;
use scene::{Base, Scene};

/// The names of the broken rules of guest state and MSR loading.
fn broken(scene: &Scene) -> Vec<&'static str> {
    scene.with_state(|state| {
        check(state)
            .filter(|violation| violation.section.group >= Group::GuestState)
            .map(|violation| violation.rule.name)
            .collect()
    })
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

/// One broken guest rule fixes the answer, unless the CPU need not check it.
#[test]
fn outcomes_follow_the_rule() {
    let exit = |reason, qualification| Outcome::ExitedAtOnce {
        reason: crate::ExitReason(reason),
        qualification,
    };
    for (name, base, breaks) in rows() {
        let mut scene = Scene::new(*base);
        breaks(&mut scene);
        // The valid states are those of the guest alone.
        let is_msr = name.starts_with("msr-load");
        scene.with_state(|state| {
            let mut guest = check(state).filter(|v| v.section.group >= Group::GuestState);
            let Some(violation) = guest.next() else { panic!("{name} is not broken") };
            if check(state).any(|v| v.section.group < Group::GuestState) {
                return;
            }
            let outcomes = Outcomes::of(state);
            let optional = violation.rule.is_optional;
            assert_eq!(outcomes.allow(Outcome::Entered), optional, "{name}");
            if !is_msr {
                let answer = exit(0x8000_0021, violation.rule.qualification);
                assert!(outcomes.allow(answer), "{name}");
                assert!(!outcomes.allow(exit(0x8000_0021, 9)), "{name}");
            }
        });
    }
}

#[test]
fn msr_loading_stops_at_the_first_bad_entry() {
    let entry = |msr, value| MsrEntry::new(MsrIndex(msr), value);
    let mut scene = Scene::new(Base::Guest64);
    // Legal, one that a CPU may refuse, one that it must, another.
    scene.memory.msr_load_area =
        [entry(0x174, 0), entry(0x79, 0), entry(0xC000_0100, 0), entry(0x808, 0)];
    let exit = |qualification| Outcome::ExitedAtOnce {
        reason: crate::ExitReason(0x8000_0022),
        qualification,
    };
    for (count, allowed, may_enter) in [
        (0, &[][..], true),
        (1, &[], true),
        (2, &[2], true),
        (3, &[2, 3], false),
        (4, &[2, 3], false),
    ] {
        scene.set(crate::field::VM_ENTRY_MSR_LOAD_COUNT, count);
        scene.with_state(|state| {
            if check(state).any(|v| v.section.group < Group::GuestState) {
                return;
            }
            let outcomes = Outcomes::of(state);
            for qualification in 0..6 {
                let is_allowed = allowed.contains(&qualification);
                assert_eq!(outcomes.allow(exit(qualification)), is_allowed, "{qualification}");
            }
            assert_eq!(outcomes.allow(Outcome::Entered), may_enter);
        });
    }
}
