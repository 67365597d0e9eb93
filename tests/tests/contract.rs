//! The contract, over the good policies.
#![allow(clippy::panic)] // Helpers of tests, which the lint does not take for tests.

use std::time::Instant;

use cet_policy::{Eager, HostMode, HostXss, LazyIntercept, VcpuCet, XsaveBacked};
use vmx_tests::contract::driver::Driver;
use vmx_tests::contract::machine::Hardware;
use vmx_tests::contract::operation::{
    NOT_OFFERED, OFFERED, Op, alphabet, interrupting_alphabet, wide_address_alphabet, wide_alphabet,
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

/// Every history of so many steps, in both modes of the host.
fn exhaustive_with<D: Driver>(changed: impl Fn(Setup) -> Setup, steps: &[Op]) {
    for mode in MODES {
        let setup = changed(Setup { depth: 4, ..Setup::new(mode) });
        let stats = check_driver::<D>(&setup, steps).unwrap_or_else(|v| panic!("{v}"));
        println!("{} {mode:?}: {stats:?}", D::NAME);
    }
}

/// Addresses of 57 bits, on a CPU that takes them and on one that refuses them though
/// CPUID reports them.
#[test]
fn all_keep_the_contract_on_cpus_with_wide_addresses() {
    for hardware in [Hardware::WIDE, Hardware::WIDE_BY_CPUID, Hardware::FREE] {
        let steps = wide_address_alphabet();
        let changed = |setup| Setup { hardware, ..setup };
        exhaustive_with::<VcpuCet<Eager>>(changed, &steps);
        exhaustive_with::<VcpuCet<LazyIntercept>>(changed, &steps);
        exhaustive_with::<VcpuCet<XsaveBacked>>(changed, &steps);
    }
}

#[test]
fn xsave_keeps_the_contract_though_the_hosts_xss_is_not_written_back() {
    let changed = |setup| Setup { forgets_host_xss: true, ..setup };
    exhaustive_with::<VcpuCet<XsaveBacked>>(changed, &alphabet());
}

/// Guests that are offered all of IA32_XSS, as they must be.
#[test]
fn eager_and_lazy_keep_the_contract_with_xss_passed_through() {
    let changed = |setup| Setup { host_xss: HostXss::PassedThrough, ..setup };
    let mut steps = alphabet();
    steps.retain(|step| *step != Op::SetGuest(0, NOT_OFFERED));
    exhaustive_with::<VcpuCet<Eager>>(changed, &steps);
    exhaustive_with::<VcpuCet<LazyIntercept>>(changed, &steps);
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
