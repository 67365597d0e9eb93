//! The contract of [`Policy`], as a function that runs over good and broken ones.
//!
//! Histories are searched breadth first, so that the first violation is a shortest
//! one; a history that ends in a state seen before is not continued. Longer ones are
//! drawn at random from a fixed seed and shortened when they show something.

use core::fmt::Debug;
use core::hash::{Hash, Hasher};
use std::collections::HashSet;
use std::hash::DefaultHasher;

use cet_policy::{Policy, VcpuCet};
use vmx_core::cet::SspRegister;
use vmx_core::intercept::MsrAccess;
use vmx_core::memory::PhysicalPage;
use vmx_core::{MsrBitmap, MsrIndex, Page};

use crate::contract::driver::Driver;
use crate::contract::machine::LastXrstors;
use crate::contract::operation::{Op, alphabet};
use crate::contract::setup::Setup;
use crate::contract::violation::{Broken, Violation};
use crate::contract::world::{Step, World};

/// How much was searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Histories carried out.
    pub histories: usize,
    /// States that were found to be different.
    pub states: usize,
}

/// Checks a policy in every history up to `setup.depth` steps of the
/// [`alphabet`].
///
/// # Errors
/// The first [`Violation`], by a history of the fewest steps.
pub fn check_policy<P: Policy + Debug>(setup: &Setup) -> Result<Stats, Box<Violation>> {
    check_driver::<VcpuCet<P>>(setup, &alphabet())
}

/// As [`check_policy`], for any driver and any steps.
///
/// # Errors
/// As there.
pub fn check_driver<D: Driver>(setup: &Setup, alphabet: &[Op]) -> Result<Stats, Box<Violation>> {
    let pages = pages();
    let mut stats = Stats::default();
    let mut seen = HashSet::new();
    let mut frontier: Vec<Vec<Op>> = vec![Vec::new()];
    for _ in 0..setup.depth {
        let mut next = Vec::new();
        for history in &frontier {
            for op in alphabet {
                let mut world = replay::<D>(setup, &pages, history);
                stats.histories += 1;
                let longer = || history.iter().copied().chain([*op]).collect();
                match world.step(*op) {
                    Step::NotNow => {}
                    Step::Broken(vcpu, broken) => {
                        return Err(violation::<D>(vcpu, broken, longer()));
                    }
                    Step::Done if seen.insert(fingerprint(&world)) => next.push(longer()),
                    Step::Done => {}
                }
            }
        }
        frontier = next;
    }
    stats.states = seen.len();
    Ok(stats)
}

/// Checks `histories` random histories of `length` steps of `alphabet`.
///
/// # Errors
/// A [`Violation`]; no step can be left out of its history.
pub fn check_random<D: Driver>(
    setup: &Setup,
    alphabet: &[Op],
    seed: u64,
    histories: usize,
    length: usize,
) -> Result<Stats, Box<Violation>> {
    let pages = pages();
    let mut random = Random(seed);
    for _ in 0..histories {
        let history: Vec<Op> =
            (0..length).map(|_| alphabet[random.below(alphabet.len())]).collect();
        if let Some((steps, vcpu, broken)) = run::<D>(setup, &pages, &history) {
            let history = history[..steps].to_vec();
            return Err(shorten::<D>(setup, &pages, vcpu, broken, history));
        }
    }
    Ok(Stats { histories, states: 0 })
}

fn pages() -> [Page; 2] {
    let pages = [Page::new(), Page::new()];
    for page in &pages {
        MsrBitmap::all_exit(PhysicalPage::unplaced(page));
    }
    pages
}

fn violation<D: Driver>(vcpu: usize, broken: Broken, history: Vec<Op>) -> Box<Violation> {
    Box::new(Violation { name: D::NAME, broken, vcpu, history })
}

/// States are reached again by their history, not copied: the addresses of XSAVE
/// areas are part of them.
fn replay<'p, D: Driver>(setup: &'p Setup, pages: &'p [Page; 2], history: &[Op]) -> World<'p, D> {
    let mut world = fresh(setup, pages);
    for op in history {
        world.step(*op);
    }
    world
}

#[allow(clippy::expect_used)] // A setup that the policy refuses is the test's mistake.
fn fresh<'p, D: Driver>(setup: &'p Setup, pages: &'p [Page; 2]) -> World<'p, D> {
    World::new(setup, pages).expect("the policy takes the machine of the setup")
}

/// The number of steps up to the first violation, and that.
fn run<D: Driver>(
    setup: &Setup,
    pages: &[Page; 2],
    history: &[Op],
) -> Option<(usize, usize, Broken)> {
    let mut world = fresh::<D>(setup, pages);
    history.iter().enumerate().find_map(|(number, op)| match world.step(*op) {
        Step::Broken(vcpu, broken) => Some((number + 1, vcpu, broken)),
        Step::NotNow | Step::Done => None,
    })
}

fn shorten<D: Driver>(
    setup: &Setup,
    pages: &[Page; 2],
    mut vcpu: usize,
    mut broken: Broken,
    mut history: Vec<Op>,
) -> Box<Violation> {
    let mut position = history.len();
    while position > 0 {
        position -= 1;
        let mut shorter = history.clone();
        shorter.remove(position);
        if let Some((steps, on, found)) = run::<D>(setup, pages, &shorter) {
            shorter.truncate(steps);
            (vcpu, broken, history) = (on, found, shorter);
            position = history.len();
        }
    }
    violation::<D>(vcpu, broken, history)
}

/// Two worlds with one fingerprint behave alike from now on.
fn fingerprint<D: Driver>(world: &World<'_, D>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for cpu in &world.cpus {
        let last = match cpu.last_xrstors {
            LastXrstors::None => (0, 0),
            LastXrstors::NonRoot => (1, 0),
            LastXrstors::Root(address) => world
                .vcpus
                .iter()
                .enumerate()
                .find_map(|(number, vcpu)| {
                    let offset = address.checked_sub(core::ptr::from_ref(&*vcpu.driver).addr())?;
                    (offset < size_of::<D>()).then_some((2 + number, offset))
                })
                .unwrap_or((9, 0)),
        };
        (cpu.ssp, cpu.xss, last, cpu.modified).hash(&mut hasher);
    }
    for vcpu in &world.vcpus {
        (vcpu.vmcs, vcpu.ideal, vcpu.on).hash(&mut hasher);
        let exits = |msr, access| vcpu.bitmap.exits(msr, access);
        for access in [MsrAccess::Read, MsrAccess::Write] {
            let registers = SspRegister::ALL.map(|register| exits(register.msr(), access));
            (registers, exits(MsrIndex::IA32_S_CET, access)).hash(&mut hasher);
        }
        // As one text: a hasher is slow at many small ones.
        format!("{:?}", vcpu.driver).hash(&mut hasher);
    }
    hasher.finish()
}

/// A xorshift generator: the same histories everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}
