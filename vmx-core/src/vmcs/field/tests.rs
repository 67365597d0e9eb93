extern crate std;

use crate::capability::capabilities::Capabilities;
use crate::vmcs::field::table::row_of;
use core::fmt;
use std::format;

use proptest::prelude::*;

use super::*;
use crate::control::allowed_settings::AllowedSettings;
use crate::control::execution::{PrimaryControls, SecondaryControls};

mod x86_table;

#[test]
fn names_and_encodings_are_unique() {
    for (index, row) in FIELDS.iter().enumerate() {
        for other in &FIELDS[index + 1..] {
            assert_ne!(row.encoding.0, other.encoding.0);
            assert_ne!(row.name, other.name);
        }
    }
}

#[test]
fn groups_follow_the_encodings() {
    for row in &FIELDS {
        let expected = match row.name {
            name if name.ends_with("_ADDRESS") && name.starts_with("GUEST_") => {
                Group::ExitInformation
            }
            "GUEST_DEADLINE_SHADOW" => Group::Control,
            name if name.starts_with("GUEST_") => Group::GuestState,
            name if name.starts_with("HOST_") => Group::HostState,
            "VMCS_LINK_POINTER" | "VMX_PREEMPTION_TIMER_VALUE" | "PML_INDEX" => Group::GuestState,
            "VM_INSTRUCTION_ERROR" | "EXIT_REASON" | "EXIT_QUALIFICATION" => Group::ExitInformation,
            _ => continue,
        };
        assert_eq!(row.encoding.group(), expected, "{}", row.name);
    }
}

#[test]
fn the_list_is_sorted_by_group_and_encoding() {
    let key = |row: &FieldRow| (row.encoding.group() as u32, row.encoding.0);
    assert!(FIELDS.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
}

#[test]
fn no_named_field_is_a_high_half_or_has_reserved_bits() {
    for row in &FIELDS {
        assert!(!row.encoding.is_high(), "{}", row.name);
        assert_eq!(row.encoding.0 & 0xFFFF_9000, 0, "{}", row.name);
    }
}

#[test]
fn every_row_is_found_by_encoding_and_by_name() {
    for (index, row) in FIELDS.iter().enumerate() {
        assert_eq!(row_of(row.encoding), index);
        assert_eq!(Encoding::from_name(row.name), Some(row.encoding));
    }
    assert_eq!(
        GUEST_RIP.row().and_then(|row| FIELDS.get(row)).map(|row| row.name),
        Some("GUEST_RIP")
    );
    assert_eq!(Field::<u64>::new(Encoding(0x7FFE)).row(), None);
}

proptest! {
    /// The binary search finds what a linear one does, for any encoding.
    #[test]
    fn any_encoding_is_found_or_not(raw in prop_oneof![any::<u32>(), 0u32..0x8000]) {
        let encoding = Encoding(raw);
        let found = FIELDS.iter().position(|row| row.encoding == encoding);
        prop_assert_eq!(row_of(encoding), found.unwrap_or(FIELD_COUNT));
        prop_assert_eq!(encoding.full().0, raw & !1);
        // Nothing about an encoding panics.
        let _ = (format!("{encoding:?}"), encoding.exists(&Capabilities::NOTHING));
    }

    /// No bit within the width is lost, and describing never fails.
    #[test]
    fn values_survive(raw: u64) {
        struct Described(Encoding, u64);
        impl fmt::Display for Described {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.describe(self.1, f)
            }
        }
        for row in &FIELDS {
            let text = format!("{}", Described(row.encoding, raw));
            let digits = text.strip_prefix("0x").map(|text| text.split(':').next());
            let number = digits.flatten().and_then(|text| u64::from_str_radix(text, 16).ok());
            let mask = row.encoding.width().mask();
            let expected = if cfg!(feature = "dumps") { raw & mask } else { raw };
            prop_assert_eq!(number, Some(expected), "{}: {}", row.name, text);
        }
    }
}

#[test]
fn fields_exist_with_what_brings_them() {
    let none = Capabilities::NOTHING;
    let exists = |cpu: &Capabilities, row: &FieldRow| row.encoding.exists(cpu);
    for row in &FIELDS {
        assert_eq!(exists(&none, row), row.existence == Existence::Always, "{}", row.name);
    }
    let ept = Capabilities {
        primary: AllowedSettings::from_msr(
            u64::from(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS.bits()) << 32,
        ),
        secondary: AllowedSettings::from_msr(u64::from(SecondaryControls::ENABLE_EPT.bits()) << 32),
        misc: crate::capability::vmx_misc::VmxMisc(2 << 16),
        ..none
    };
    let news = FIELDS.iter().filter(|row| exists(&ept, row) && !exists(&none, row));
    assert!(news.map(|row| row.name).eq([
        "EPT_POINTER",
        "SECONDARY_CONTROLS",
        "CR3_TARGET_VALUE_0",
        "CR3_TARGET_VALUE_1",
        "GUEST_PHYSICAL_ADDRESS",
        "GUEST_PDPTE_0",
        "GUEST_PDPTE_1",
        "GUEST_PDPTE_2",
        "GUEST_PDPTE_3",
    ]));
    assert!(Encoding(0x201B).exists(&ept), "the high half of EPT_POINTER");
    assert!(!Encoding(0x401F).exists(&ept), "no half of a 32-bit field");
    assert!(!Encoding(0x7FFE).exists(&ept), "no field at all");
}
