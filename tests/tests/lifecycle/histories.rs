//! Every history, in small worlds; long ones at random in a larger one.

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

/// What came of trying steps one after another.
struct Tried {
    steps: usize,
    /// The last one led to a state that nobody had seen.
    found: Option<Step>,
}

/// Tries `steps` after `history` until one of them changes something. One that is refused
/// must leave everything as it was, so the next one may follow it.
fn try_steps(size: Size, history: &[Step], steps: &[Step], seen: &mut HashSet<Vec<u16>>) -> Tried {
    replay(size, history, |mut world| {
        let before = world.fingerprint();
        for (number, step) in (1..).zip(steps) {
            if !world.step(*step) {
                continue;
            }
            let after = world.fingerprint();
            if after != before {
                let is_new = seen.insert(after);
                if is_new {
                    world.finish();
                }
                return Tried { steps: number, found: is_new.then_some(*step) };
            }
        }
        Tried { steps: steps.len(), found: None }
    })
}

/// Takes every step in every state, breadth first to `depth` steps, and undoes everything
/// from each. States that differ in names only are one. Returns how many there are, and
/// whether there was nothing left to try.
fn search(size: Size, depth: usize) -> (usize, bool) {
    let steps = alphabet(size);
    let mut seen = HashSet::new();
    let mut frontier = vec![Vec::new()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for history in &frontier {
            let mut tried = 0;
            while tried < steps.len() {
                let Tried { steps, found } = try_steps(size, history, &steps[tried..], &mut seen);
                tried += steps;
                next.extend(found.map(|step| [&history[..], &[step]].concat()));
            }
        }
        frontier = next;
    }
    (seen.len(), frontier.is_empty())
}

/// No history of any length leads out of these states.
#[test]
fn every_history_of_a_vmcs_on_one_cpu() {
    let size = Size { cpus: 1, vmcss: 1, ended: 1, tokens: 2, pages: 3 };
    assert_eq!(search(size, 40), (13440, true));
}

#[test]
fn every_history_of_a_vmcs_on_two_cpus() {
    let size = Size { cpus: 2, vmcss: 1, ended: 1, tokens: 1, pages: 3 };
    assert_eq!(search(size, 40), (31102, true));
}

#[test]
fn every_short_history_of_two_vmcss_on_two_cpus() {
    let size = Size { cpus: 2, vmcss: 2, ended: 1, tokens: 2, pages: 5 };
    let (states, _) = search(size, 6);
    assert!(states > 3000, "{states}");
}

const LARGE: Size = Size { cpus: 3, vmcss: 3, ended: 2, tokens: 3, pages: 9 };

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// With instructions that fail. A failure shows the shortest history that was found,
    /// and the seed.
    #[test]
    fn long_histories(
        history in prop::collection::vec(
            select([alphabet(LARGE), failures(LARGE)].concat()),
            0..400,
        )
    ) {
        replay(LARGE, &history, |world| world.finish());
    }
}
