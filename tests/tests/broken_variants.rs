//! Each broken variant is found, for what it breaks; the same policies without a
//! flaw are not. The table of hazards is in `vmx_tests::contract::broken`.

use cet_policy::HostMode::{self, DoesNot, UsesShadowStacks};
use cet_policy::{Eager, HostXss, LazyIntercept, Policy, VcpuCet, XsaveBacked};
use vmx_core::cet::SspRegister::Pl0;
use vmx_tests::contract::broken::*;
use vmx_tests::contract::driver::Driver;
use vmx_tests::contract::machine::{Hardware, HostFault, XSS_CET_S};
use vmx_tests::contract::operation::{NOT_OFFERED, Op, alphabet, interrupting_alphabet};
use vmx_tests::contract::violation::{Eye, Owner};
use vmx_tests::{Broken, Point, Setup, Violation, check_driver};

/// Searches until something breaks.
fn search<D: Driver>(setup: Setup) -> Option<Box<Violation>> {
    check_driver::<D>(&setup, &alphabet()).err()
}

fn policy<P: Policy + core::fmt::Debug>(setup: Setup) -> Option<Box<Violation>> {
    search::<VcpuCet<P>>(setup)
}

/// With WRMSR handlers that are torn away in the middle.
fn interrupted<P: Policy + core::fmt::Debug>(setup: Setup) -> Option<Box<Violation>> {
    let setup = Setup { depth: 4, ..setup };
    check_driver::<VcpuCet<P>>(&setup, &interrupting_alphabet()).err()
}

/// This driver is wrong in more ways; only scheduling shows the one that matters.
fn features_at_put(setup: Setup) -> Option<Box<Violation>> {
    let steps = [Op::Run(0, 0), Op::Put(0), Op::SetGuest(0, NOT_OFFERED)];
    check_driver::<FeaturesAtPut>(&setup, &steps).err()
}

/// The hypervisor forgets to write its IA32_XSS back.
fn xss_forgotten<P: Policy + core::fmt::Debug>(setup: Setup) -> Option<Box<Violation>> {
    policy::<P>(Setup { forgets_host_xss: true, ..setup })
}

/// IA32_XSS is passed through to the guests.
fn xss_passed<P: Policy + core::fmt::Debug>(setup: Setup) -> Option<Box<Violation>> {
    let steps = [Op::Run(0, 0), Op::WriteXss(0, XSS_CET_S)];
    let setup = Setup { host_xss: HostXss::PassedThrough, ..setup };
    check_driver::<VcpuCet<P>>(&setup, &steps).err()
}

/// A CPU that refuses what CPUID promises, under a policy that does not ask it.
fn not_asked<P: Policy + core::fmt::Debug>(setup: Setup, write: Op) -> Option<Box<Violation>> {
    let hardware = Hardware { says_yes: true, ..Hardware::WIDE_BY_CPUID };
    let steps = [Op::Run(0, 0), write];
    check_driver::<VcpuCet<P>>(&Setup { hardware, ..setup }, &steps).err()
}

fn not_asked_of_guest<P: Policy + core::fmt::Debug>(setup: Setup) -> Option<Box<Violation>> {
    not_asked::<P>(setup, Op::Write(0, Pl0, 1 << 55))
}

fn not_asked_of_host<P: Policy + core::fmt::Debug>(setup: Setup) -> Option<Box<Violation>> {
    not_asked::<P>(setup, Op::HostWrite(0, Pl0, 1 << 55))
}

fn not_asked_of_snapshot<P: Policy + core::fmt::Debug>(setup: Setup) -> Option<Box<Violation>> {
    not_asked::<P>(setup, Op::Restore(0, [0, 0, 1 << 55]))
}

/// A kind of violation, without its values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A wrong value through an eye, of an owner.
    Value(Eye, Owner),
    HostLost,
    Touched,
    NotRearmed,
    /// A value was taken that should have been refused.
    Taken,
    HostFault(HostFault),
}

fn kind(broken: &Broken) -> Option<Kind> {
    Some(match *broken {
        Broken::WrongValue { eye, owner, .. } => Kind::Value(eye, owner),
        Broken::HostValueLost { .. } => Kind::HostLost,
        Broken::Touched { .. } => Kind::Touched,
        Broken::NotRearmed => Kind::NotRearmed,
        Broken::WrongRefusal { expected: true } => Kind::Taken,
        Broken::Faulted(fault) => Kind::HostFault(fault),
        _ => return None,
    })
}

type Search = fn(Setup) -> Option<Box<Violation>>;

/// (hazard, variant, what it is built into, the host, accesses counted, search, found)
type Row = (&'static str, &'static str, HostMode, bool, Search, Kind);

const LOST: Owner = Owner::Nobody;

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("H1", "eager", DoesNot, true, policy::<FlawedEager<NoResidentFlag>>, Kind::Touched),
    ("H1", "eager", DoesNot, false, policy::<FlawedEager<NoResidentFlag>>, Kind::Value(Eye::Host, Owner::Host)),
    ("H2", "eager", UsesShadowStacks, false, policy::<FlawedEager<NoResidentFlag>>, Kind::Value(Eye::Host, Owner::Host)),
    ("H1", "lazy", UsesShadowStacks, false, policy::<FlawedLazy<NoResidentFlag>>, Kind::Value(Eye::Host, Owner::Host)),
    ("H1", "xsave", DoesNot, true, policy::<FlawedXsave<NoResidentFlag>>, Kind::Touched),
    ("H1", "xsave", UsesShadowStacks, false, policy::<FlawedXsave<NoResidentFlag>>, Kind::Value(Eye::Host, Owner::Host)),
    ("", "eager", UsesShadowStacks, true, policy::<FlawedEager<ForgetsPl2>>, Kind::Value(Eye::Host, Owner::Host)),
    ("", "lazy", UsesShadowStacks, true, policy::<FlawedLazy<ForgetsPl2>>, Kind::Value(Eye::Host, Owner::Host)),
    ("", "xsave", DoesNot, true, policy::<FlawedXsave<ForgetsPl2>>, Kind::Value(Eye::Host, LOST)),
    ("H3", "eager", UsesShadowStacks, true, policy::<FlawedEager<HostZeroed>>, Kind::HostLost),
    ("H3", "lazy", UsesShadowStacks, true, policy::<FlawedLazy<HostZeroed>>, Kind::HostLost),
    ("H3", "xsave", UsesShadowStacks, true, policy::<FlawedXsave<HostZeroed>>, Kind::HostLost),
    ("H4", "lazy", DoesNot, true, policy::<FlawedLazy<HostWriteSleeps>>, Kind::Value(Eye::Rdmsr, LOST)),
    ("H5", "lazy", UsesShadowStacks, true, policy::<FlawedLazy<ReadsPass>>, Kind::Value(Eye::Rdmsr, Owner::Host)),
    ("H5", "lazy", DoesNot, true, policy::<FlawedLazy<ReadsPass>>, Kind::Value(Eye::Rdmsr, Owner::Host)),
    ("H6", "lazy", UsesShadowStacks, true, policy::<FlawedLazy<LoadsOnlyTheWritten>>, Kind::Value(Eye::Host, Owner::Host)),
    ("H7", "lazy", UsesShadowStacks, true, interrupted::<FlawedLazy<ActiveBeforeWritten>>, Kind::Value(Eye::Host, Owner::Host)),
    ("H7", "lazy", DoesNot, true, interrupted::<FlawedLazy<ActiveBeforeWritten>>, Kind::Value(Eye::Host, Owner::Host)),
    ("H8", "lazy", UsesShadowStacks, true, policy::<FlawedLazy<XrstorsIgnored>>, Kind::Value(Eye::Xsaves, Owner::Host)),
    ("H8", "lazy", DoesNot, true, policy::<FlawedLazy<XrstorsIgnored>>, Kind::Value(Eye::Xsaves, Owner::Host)),
    ("H8", "lazy", DoesNot, true, xss_passed::<FlawedLazy<XrstorsIgnored>>, Kind::Value(Eye::Xsaves, Owner::Host)),
    ("H9", "lazy", UsesShadowStacks, true, policy::<FlawedLazy<ShadowStacksIgnored>>, Kind::Value(Eye::RingChange, Owner::Host)),
    ("H10", "lazy", UsesShadowStacks, true, policy::<FlawedLazy<NeverRearmed>>, Kind::NotRearmed),
    ("H11", "eager", DoesNot, true, policy::<FlawedEager<ResetForgetsSaved>>, Kind::Value(Eye::Host, Owner::Itself)),
    ("H11", "xsave", DoesNot, true, policy::<FlawedXsave<ResetForgetsSaved>>, Kind::Value(Eye::Host, Owner::Itself)),
    ("H12", "eager", DoesNot, true, policy::<FlawedEager<HostReadsCopy>>, Kind::Value(Eye::Host, LOST)),
    ("H12", "xsave", DoesNot, true, policy::<FlawedXsave<HostReadsCopy>>, Kind::Value(Eye::Host, LOST)),
    ("H12", "eager", DoesNot, true, policy::<FlawedEager<HostWritesCopy>>, Kind::Value(Eye::Host, LOST)),
    ("H12", "xsave", DoesNot, true, policy::<FlawedXsave<HostWritesCopy>>, Kind::Value(Eye::Host, LOST)),
    ("H13", "eager", UsesShadowStacks, true, features_at_put, Kind::HostLost),
    ("H24", "xsave", DoesNot, true, policy::<FlawedXsave<ReadsAreaRaw>>, Kind::Value(Eye::Host, Owner::Itself)),
    ("H32", "lazy", UsesShadowStacks, true, search::<RearmsAtInit>, Kind::Value(Eye::Xsaves, Owner::Host)),
    ("H33", "xsave", DoesNot, true, policy::<FlawedXsave<ClearsArea>>, Kind::Value(Eye::Host, LOST)),
    ("H33", "xsave", UsesShadowStacks, true, policy::<FlawedXsave<HostByXsaves>>, Kind::HostLost),
    ("H34", "lazy", DoesNot, true, not_asked_of_guest::<LazyIntercept>, Kind::HostFault(HostFault::IllegalSsp)),
    ("H34", "eager", DoesNot, true, not_asked_of_host::<Eager>, Kind::Taken),
    ("H34", "eager", UsesShadowStacks, true, not_asked_of_snapshot::<Eager>, Kind::Taken),
    ("H34", "xsave", DoesNot, true, not_asked_of_host::<XsaveBacked>, Kind::Taken),
    ("H36", "xsave", DoesNot, true, xss_forgotten::<FlawedXsave<UnsavedIgnored>>, Kind::Value(Eye::Host, LOST)),
    ("H36", "xsave", UsesShadowStacks, true, xss_forgotten::<FlawedXsave<UnsavedIgnored>>, Kind::Value(Eye::Host, LOST)),
];

#[test]
fn every_broken_variant_is_found() {
    let mut wrong = Vec::new();
    for (hazard, into, mode, count_accesses, search, expected) in TABLE {
        let found = search(Setup { count_accesses: *count_accesses, ..Setup::new(*mode) });
        match found {
            Some(violation) => {
                println!("{hazard:4} {into:6} {violation}");
                if kind(&violation.broken) != Some(*expected) {
                    wrong.push(format!("{hazard} {into}: wanted {expected:?}, got {violation}"));
                }
            }
            None => wrong.push(format!("{hazard} {into}: {expected:?} not found")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_same_policies_without_a_flaw_pass() {
    for mode in [UsesShadowStacks, DoesNot] {
        let setup = Setup { depth: 4, ..Setup::new(mode) };
        for result in [
            check_driver::<VcpuCet<FlawedEager<Sound>>>(&setup, &alphabet()),
            check_driver::<VcpuCet<FlawedLazy<Sound>>>(&setup, &alphabet()),
            check_driver::<VcpuCet<FlawedXsave<Sound>>>(&setup, &alphabet()),
            check_driver::<VcpuCet<FlawedXsave<Sound>>>(
                &Setup { forgets_host_xss: true, ..setup.clone() },
                &alphabet(),
            ),
        ] {
            assert!(result.is_ok(), "{}", result.unwrap_err());
        }
    }
}

/// Two flaws need the freedoms that XSAVES has: a CPU that writes everything hides
/// them, which is why an emulator without the freedoms is no proof.
#[test]
fn a_plain_cpu_hides_what_the_optimisations_show() {
    let setup = Setup { hardware: Hardware::PLAIN, ..Setup::new(DoesNot) };
    assert_eq!(policy::<FlawedXsave<ClearsArea>>(setup.clone()), None);
    let setup = Setup { mode: UsesShadowStacks, ..setup };
    assert_eq!(policy::<FlawedXsave<HostByXsaves>>(setup), None);
}

#[test]
fn violations_name_the_point_of_the_contract() {
    let violation = policy::<FlawedEager<HostZeroed>>(Setup::new(UsesShadowStacks)).unwrap();
    assert_eq!(violation.broken.point(), Point::HostIntegrity);
    assert!(violation.to_string().contains("overwrites the host's values by zero"));
}
