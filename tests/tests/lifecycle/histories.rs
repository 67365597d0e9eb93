//! All short histories, and long ones at random.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::sample::select;

use crate::step::{Size, Step, alphabet, failures};
use crate::world::{Board, World};

/// Carries `history` out and hands its world on.
fn replay<R>(size: Size, history: &[Step], then: impl FnOnce(World<'_>) -> R) -> R {
    let board = Board::new(size);
    let mut world = World::new(&board);
    for step in history {
        world.step(*step);
    }
    then(world)
}

/// Takes every step in every state that `depth` steps lead to, and undoes everything in
/// each of them. A state is one but for names; returns how many there are.
fn search(size: Size, depth: usize) -> usize {
    let steps = alphabet(size);
    let mut seen = HashSet::new();
    let mut frontier = vec![Vec::new()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for history in &frontier {
            let mut rest = &steps[..];
            while !rest.is_empty() {
                let (taken, changed) = replay(size, history, |mut world| {
                    let before = world.fingerprint();
                    // Steps that are refused leave everything as it was, so the next one
                    // may follow.
                    for (number, step) in rest.iter().enumerate() {
                        if world.step(*step) {
                            let after = world.fingerprint();
                            if after != before {
                                if seen.insert(after) {
                                    world.finish();
                                    return (number + 1, Some(*step));
                                }
                                return (number + 1, None);
                            }
                        }
                    }
                    (rest.len(), None)
                });
                rest = &rest[taken..];
                next.extend(changed.map(|step| [&history[..], &[step]].concat()));
            }
        }
        println!("{} new states", next.len());
        frontier = next;
    }
    seen.len()
}

#[test]
fn every_short_history_on_one_cpu() {
    let size = Size { cpus: 1, vmcss: 1, ended: 1, tokens: 2, pages: 3 };
    println!("{}", search(size, 12));
}

#[test]
fn every_short_history_on_two_cpus() {
    let size = Size { cpus: 2, vmcss: 2, ended: 1, tokens: 2, pages: 5 };
    println!("{}", search(size, 4));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn long_histories(history in long_history()) {
        replay(LONG, &history, |world| world.finish());
    }
}

const LONG: Size = Size { cpus: 3, vmcss: 3, ended: 2, tokens: 3, pages: 9 };

fn long_history() -> impl Strategy<Value = Vec<Step>> {
    let steps = [alphabet(LONG), failures(LONG)].concat();
    prop::collection::vec(select(steps), 0..400)
}
