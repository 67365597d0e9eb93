//! The contract, over the good policies.
#![allow(clippy::panic)] // Helpers of tests, which the lint does not take for tests.

use std::time::Instant;

use cet_policy::{Eager, HostMode, LazyIntercept, VcpuCet, XsaveBacked};
use vmx_tests::contract::driver::Driver;
use vmx_tests::contract::machine::Hardware;
use vmx_tests::contract::operation::{
    NOT_OFFERED, OFFERED, alphabet, interrupting_alphabet, wide_alphabet,
};
use vmx_tests::{Setup, check_driver, check_random};

const MODES: [HostMode; 2] = [HostMode::UsesShadowStacks, HostMode::DoesNot];

/// Every history of so many steps.
fn exhaustive<D: Driver>(hardware: Hardware, depth: usize) {
    for mode in MODES {
        for offered in [[OFFERED, OFFERED], [OFFERED, NOT_OFFERED]] {
            let started = Instant::now();
            let setup = Setup { hardware, depth, offered, ..Setup::new(mode) };
            let stats = check_driver::<D>(&setup, &alphabet()).unwrap_or_else(|v| panic!("{v}"));
            println!("{} {mode:?}: {stats:?} in {:.1?}", D::NAME, started.elapsed());
        }
    }
}

fn random<D: Driver>(hardware: Hardware) {
    for mode in MODES {
        let setup = Setup { hardware, ..Setup::new(mode) };
        let started = Instant::now();
        let stats = check_random::<D>(&setup, &wide_alphabet(), 0x5EED, 200, 300)
            .unwrap_or_else(|v| panic!("{v}"));
        println!("{} {mode:?}: {stats:?} in {:.1?}", D::NAME, started.elapsed());
    }
}

#[test]
fn eager_keeps_the_contract_in_every_short_history() {
    exhaustive::<VcpuCet<Eager>>(Hardware::FREE, 5);
}

#[test]
fn lazy_keeps_the_contract_in_every_short_history() {
    exhaustive::<VcpuCet<LazyIntercept>>(Hardware::FREE, 5);
}

#[test]
fn xsave_keeps_the_contract_in_every_short_history() {
    exhaustive::<VcpuCet<XsaveBacked>>(Hardware::FREE, 5);
}

#[test]
fn xsave_keeps_the_contract_without_the_optimisations() {
    exhaustive::<VcpuCet<XsaveBacked>>(Hardware::PLAIN, 5);
}

/// Preemption is off in a policy's methods; even so, a handler that is torn away
/// costs the guest nothing but the write itself (H7).
#[test]
fn an_interrupted_write_loses_nothing_else() {
    for mode in MODES {
        let setup = Setup { depth: 5, ..Setup::new(mode) };
        let steps = interrupting_alphabet();
        let stats = check_driver::<VcpuCet<LazyIntercept>>(&setup, &steps);
        println!("lazy {mode:?}: {:?}", stats.unwrap_or_else(|v| panic!("{v}")));
    }
}

#[test]
fn all_keep_the_contract_in_long_random_histories() {
    random::<VcpuCet<Eager>>(Hardware::FREE);
    random::<VcpuCet<LazyIntercept>>(Hardware::FREE);
    random::<VcpuCet<XsaveBacked>>(Hardware::FREE);
    random::<VcpuCet<XsaveBacked>>(Hardware::PLAIN);
}
