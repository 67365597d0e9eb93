extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::control::execution::PinBasedControls;
use crate::exit::reason::ExitReason;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::field;
use crate::vmcs::field::encoding::Width;

/// Without the feature `dumps`, each line ends at the number.
#[test]
fn a_dump_has_groups_and_decoded_values() {
    let mut values = FieldValues::new();
    values.set(field::GUEST_CS_ACCESS_RIGHTS, AccessRights::CODE_64);
    values.set(field::HOST_RIP, 0xFFFF_8000_0000_1000);
    values.set(field::EXIT_REASON, ExitReason(0x8000_0021));
    let pins = PinBasedControls::NMI_EXITING | PinBasedControls::from_bits_retain(0x16);
    values.set(field::PIN_BASED_CONTROLS, pins);
    let lines: Vec<String> = values
        .to_string()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let decoded = [
        "control fields:",
        "PIN_BASED_CONTROLS 0x1e: NMI_EXITING | 0x16",
        "VM-exit information:",
        "EXIT_REASON 0x80000021: VM-entry failure due to invalid guest state (reason 33)",
        "guest state:",
        "GUEST_CS_ACCESS_RIGHTS 0xa09b: type 11, code or data, DPL 0, present, L, G",
        "host state:",
        "HOST_RIP 0xffff800000001000",
    ];
    let shown = |line: &'static str| match line.split_once(": ") {
        Some((number, _)) if cfg!(not(feature = "dumps")) => number,
        _ => line,
    };
    assert_eq!(lines, decoded.map(shown));
}

#[test]
fn values_in_memory_answer_as_a_vmcs() {
    let mut values = FieldValues::new();
    let fails = |number| Err(VmxError::FailValid(InstructionError(number)));
    assert_eq!(values.write(field::GUEST_ES_SELECTOR, 0x10), Ok(()));
    assert_eq!(values.vmwrite(field::GUEST_ES_SELECTOR.encoding(), 0x12_3456), Ok(()));
    assert_eq!(values.read(field::GUEST_ES_SELECTOR), Ok(0x3456));
    assert_eq!(values.vmread(field::GUEST_ES_SELECTOR.encoding()), Ok(0x3456));
    assert_eq!(values.vmwrite(field::EXIT_REASON.encoding(), 0), fails(13));
    assert_eq!(values.vmwrite(Encoding(0x7FFE), 0), fails(12));
    assert_eq!(values.read(field::GUEST_RIP).map(|_| ()), fails(12));
}

fn any_values() -> impl Strategy<Value = FieldValues> {
    let value = prop::option::of(prop_oneof![any::<u64>(), 0u64..4]);
    prop::collection::vec(value, FIELD_COUNT).prop_map(|raw| {
        let mut values = FieldValues::new();
        for (row, value) in FIELDS.iter().zip(raw) {
            if let Some(value) = value {
                values.set_raw(row.encoding, value & row.encoding.width().mask());
            }
        }
        values
    })
}

proptest! {
    /// The changes, applied to the earlier values, give the later ones; and there
    /// are none between equal values.
    #[test]
    fn changes_lead_from_one_to_the_other(before in any_values(), after in any_values()) {
        let mut values = before.clone();
        for change in before.changes(&after) {
            prop_assert_eq!(values.get_raw(change.encoding), change.before);
            match change.after {
                Some(value) => values.set_raw(change.encoding, value),
                None => values.remove(change.encoding),
            }
        }
        prop_assert_eq!(values.changes(&after).next(), None);
        prop_assert_eq!(values, after);
    }

    /// A copy through VMREAD is the same, and a line is printed for each field.
    #[test]
    fn a_copy_is_the_same(values in any_values()) {
        let copy = FieldValues::read(&values);
        prop_assert!(copy == values);
        let text = values.to_string();
        let lines = text.lines().filter(|line| line.starts_with("  "));
        prop_assert_eq!(lines.count(), values.iter().count());
    }
}

#[test]
fn the_mask_has_the_width() {
    let masks = [Width::Bits16, Width::Bits32, Width::Bits64, Width::Natural].map(Width::mask);
    assert_eq!(masks, [0xFFFF, 0xFFFF_FFFF, u64::MAX, u64::MAX]);
}

#[cfg(feature = "serde")]
mod serialized {
    use super::*;

    proptest! {
        #[test]
        fn values_survive_json(values in any_values()) {
            let json = serde_json::to_string(&values).unwrap();
            let copy: FieldValues = serde_json::from_str(&json).unwrap();
            prop_assert!(copy == values);
        }
    }

    #[test]
    fn names_are_keys_and_wrong_ones_are_refused() {
        let mut values = FieldValues::new();
        values.set(field::GUEST_RIP, 4096);
        assert_eq!(serde_json::to_string(&values).unwrap(), r#"{"GUEST_RIP":4096}"#);
        for (json, words) in [
            (r#"{"GUEST_RIPE":1}"#, "no VMCS field has the name `GUEST_RIPE`"),
            (r#"{"GUEST_RIP":1,"GUEST_RIP":1}"#, "GUEST_RIP (0x681e) is given twice"),
            (r#"{"VPID":65536}"#, "0x10000 is wider than VPID (0x0000)"),
            (r#"{"VPID":-1}"#, "invalid value: integer `-1`"),
            ("[]", "a map from names of VMCS fields to their values"),
        ] {
            let error = serde_json::from_str::<FieldValues>(json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
