extern crate std;

use std::string::ToString;

use proptest::prelude::*;

use super::*;
use crate::control::{
    Control, EntryControls, PinBasedControls, PrimaryControls, SecondaryControls,
    SecondaryExitControls, TertiaryControls,
};

#[test]
fn all_refused_words_are_named() {
    let required = ControlSet {
        secondary: SecondaryControls::ENABLE_XSAVES,
        tertiary: TertiaryControls::ENABLE_HLAT,
        secondary_exit: SecondaryExitControls::PREMATURELY_BUSY_SHADOW_STACK,
        exit: ExitControls::LOAD_CET_STATE,
        ..ControlSet::EMPTY
    };
    let refused = ControlSet::negotiate(&Capabilities::NOTHING, &required, &ControlSet::EMPTY);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "this CPU's VMX lacks primary processor-based controls: ACTIVATE_TERTIARY_CONTROLS \
         ACTIVATE_SECONDARY_CONTROLS; secondary processor-based controls: ENABLE_XSAVES; \
         tertiary processor-based controls: ENABLE_HLAT; VM-exit controls: LOAD_CET_STATE \
         ACTIVATE_SECONDARY_CONTROLS; secondary VM-exit controls: PREMATURELY_BUSY_SHADOW_STACK"
    );
}

/// A CPU that allows everything and fixes nothing.
const EVERYTHING: Capabilities = Capabilities {
    pin_based: AllowedSettings { must_be_one: 0, may_be_one: !0 },
    primary: AllowedSettings { must_be_one: 0, may_be_one: !0 },
    secondary: AllowedSettings { must_be_one: 0, may_be_one: !0 },
    tertiary: AllowedSettings::from_allowed_ones(!0),
    exit: AllowedSettings { must_be_one: 0, may_be_one: !0 },
    secondary_exit: AllowedSettings::from_allowed_ones(!0),
    entry: AllowedSettings { must_be_one: 0, may_be_one: !0 },
    ..Capabilities::NOTHING
};

/// A set that holds what `control` needs, and what that needs, but for `spared`.
fn with_needs(control: Control, spared: Rule, set: &mut ControlSet) {
    control.insert_into(set);
    for rule in RULES {
        if let Rule::Needs(first, second) = *rule
            && *rule != spared
            && rule.is_broken_by(set)
            && first.is_in(set)
        {
            with_needs(second, spared, set);
        }
    }
}

#[test]
fn each_rule_is_named_when_it_alone_is_broken() {
    for &rule in &RULES[3..] {
        let mut required = ControlSet::EMPTY;
        match rule {
            Rule::Needs(control, _) => with_needs(control, rule, &mut required),
            Rule::Excludes(first, second) => {
                with_needs(first, rule, &mut required);
                with_needs(second, rule, &mut required);
            }
        }
        assert!(required.broken_rules().eq([rule]), "{rule}: {required:?}");
        let result = ControlSet::negotiate(&EVERYTHING, &required, &ControlSet::EMPTY);
        assert_eq!(result, Err(ControlError::Rule(rule)));

        // The same controls, only wanted: granted without the one that breaks it.
        let granted = ControlSet::negotiate(&EVERYTHING, &ControlSet::EMPTY, &required).unwrap();
        assert_eq!(granted.broken_rules().next(), None);
        match rule {
            Rule::Needs(control, _) => assert!(!control.is_in(&granted), "{rule}"),
            Rule::Excludes(first, second) => {
                assert!(first.is_in(&granted) && !second.is_in(&granted), "{rule}");
            }
        }
    }
}

#[test]
fn the_words_in_use_are_activated() {
    let wanted = ControlSet {
        secondary: SecondaryControls::ENABLE_EPT,
        tertiary: TertiaryControls::ENABLE_HLAT,
        secondary_exit: SecondaryExitControls::LOAD_FRED_STATE,
        ..ControlSet::EMPTY
    };
    let activated = ControlSet {
        primary: PrimaryControls::ACTIVATE_SECONDARY_CONTROLS
            | PrimaryControls::ACTIVATE_TERTIARY_CONTROLS,
        exit: ExitControls::ACTIVATE_SECONDARY_CONTROLS,
        ..wanted
    };
    for (required, wanted) in [(wanted, ControlSet::EMPTY), (ControlSet::EMPTY, wanted)] {
        assert_eq!(ControlSet::negotiate(&EVERYTHING, &required, &wanted), Ok(activated));
    }
    // What a CPU without the activating control grants is not activated.
    let cpu = Capabilities { primary: AllowedSettings::<u32>::NOTHING, ..EVERYTHING };
    let granted = ControlSet::negotiate(&cpu, &ControlSet::EMPTY, &wanted).unwrap();
    assert!(granted.secondary.is_empty() && granted.tertiary.is_empty());
}

#[test]
fn a_wanted_control_that_others_need_takes_them_with_it() {
    // Posted interrupts need virtual-interrupt delivery, which needs the TPR
    // shadow, which this CPU lacks.
    let cpu = Capabilities {
        primary: AllowedSettings {
            must_be_one: 0,
            may_be_one: !PrimaryControls::USE_TPR_SHADOW.bits(),
        },
        ..EVERYTHING
    };
    let wanted = ControlSet {
        pin_based: PinBasedControls::PROCESS_POSTED_INTERRUPTS
            | PinBasedControls::EXTERNAL_INTERRUPT_EXITING,
        primary: PrimaryControls::USE_TPR_SHADOW,
        secondary: SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY,
        exit: ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT,
        ..ControlSet::EMPTY
    };
    let granted = ControlSet::negotiate(&cpu, &ControlSet::EMPTY, &wanted).unwrap();
    assert_eq!(granted.pin_based, PinBasedControls::EXTERNAL_INTERRUPT_EXITING);
    assert!(granted.secondary.is_empty());
}

fn any_set() -> impl Strategy<Value = ControlSet> {
    any::<(u32, u32, u32, u64, u32, u64, u32)>().prop_map(
        |(pin_based, primary, secondary, tertiary, exit, secondary_exit, entry)| ControlSet {
            pin_based: PinBasedControls::from_bits_retain(pin_based),
            primary: PrimaryControls::from_bits_retain(primary),
            secondary: SecondaryControls::from_bits_retain(secondary),
            tertiary: TertiaryControls::from_bits_retain(tertiary),
            exit: ExitControls::from_bits_retain(exit),
            secondary_exit: SecondaryExitControls::from_bits_retain(secondary_exit),
            entry: EntryControls::from_bits_retain(entry),
        },
    )
}

proptest! {
    /// What is granted, any CPU accepts; it holds all that is required, and nothing
    /// that is neither required nor wanted but activations and fixed bits.
    #[test]
    fn what_is_granted_is_legal(
        allowed in any_set(), fixed in any_set(), required in any_set(), wanted in any_set(),
        is_lenient: bool,
    ) {
        let settings = |must: u32, may: u32| AllowedSettings { must_be_one: must & may, may_be_one: may };
        let cpu = Capabilities {
            pin_based: settings(fixed.pin_based.bits(), allowed.pin_based.bits()),
            primary: settings(fixed.primary.bits(), allowed.primary.bits()),
            secondary: settings(0, allowed.secondary.bits()),
            tertiary: AllowedSettings::from_allowed_ones(allowed.tertiary.bits()),
            exit: settings(fixed.exit.bits(), allowed.exit.bits()),
            secondary_exit: AllowedSettings::from_allowed_ones(allowed.secondary_exit.bits()),
            entry: settings(fixed.entry.bits(), allowed.entry.bits()),
            ..Capabilities::NOTHING
        };
        let required = if is_lenient { ControlSet::EMPTY } else { required };
        match ControlSet::negotiate(&cpu, &required, &wanted) {
            Ok(granted) => {
                prop_assert_eq!(granted.broken_rules().next(), None);
                prop_assert_eq!(granted.union(required), granted);
                prop_assert_eq!(ControlSet::negotiate(&cpu, &granted, &ControlSet::EMPTY), Ok(granted));
                let known = required.union(wanted).activated();
                let fixed = ControlSet::EMPTY.settle(&cpu, &ControlSet::EMPTY).unwrap();
                prop_assert_eq!(granted.union(known).union(fixed), known.union(fixed));
            }
            Err(ControlError::Refused(RefusedControls(refused))) => {
                prop_assert_ne!(refused, ControlSet::EMPTY);
                prop_assert_eq!(required.activated().union(refused), required.activated());
            }
            Err(ControlError::Rule(rule)) => {
                let firm = required.activated().settle(&cpu, &ControlSet::EMPTY).unwrap();
                prop_assert!(rule.is_broken_by(&firm), "{}", rule);
            }
        }
    }
}
