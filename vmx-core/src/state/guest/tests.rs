use super::*;
use crate::capability::capabilities::Capabilities;
use crate::capability::fixed_bits::FixedBits;
use crate::vmcs::field::FIELDS;
use crate::vmcs::field::encoding::{Encoding, Group};
use crate::vmcs::field::existence::Existence;
use crate::vmcs::field_values::FieldValues;

/// The fixed bits of Tiger Lake.
const CPU: Capabilities = Capabilities {
    cr0_fixed: FixedBits { must_be_one: 0x8000_0021, may_be_one: 0xFFFF_FFFF },
    cr4_fixed: FixedBits { must_be_one: 0x2000, may_be_one: 0x00F7_2FFF },
    ..Capabilities::NOTHING
};

/// The guest-state area of each mode.
fn areas(controls: EntryControls) -> [FieldValues; 4] {
    let mut areas = [const { FieldValues::new() }; 4];
    let [long, protected, unpaged, real] = &mut areas;
    GuestState64::default().write(long, &CPU, controls).unwrap();
    GuestState32::default().write(protected, &CPU, controls).unwrap();
    let guest = GuestState32 { is_unrestricted: true, ..GuestState32::default() };
    guest.write(unpaged, &CPU, controls).unwrap();
    GuestStateReal::AFTER_RESET.write(real, &CPU, controls).unwrap();
    areas
}

/// Fields of features of their own, which no mode has a value for.
const LEFT: [&str; 8] = [
    "GUEST_INTERRUPT_STATUS",
    "PML_INDEX",
    "GUEST_PDPTE_0",
    "GUEST_PDPTE_1",
    "GUEST_PDPTE_2",
    "GUEST_PDPTE_3",
    "GUEST_DEADLINE",
    "VMX_PREEMPTION_TIMER_VALUE",
];

#[test]
fn every_field_that_entry_loads_is_written() {
    for controls in [EntryControls::empty(), EntryControls::all()] {
        for area in areas(controls) {
            for row in FIELDS.iter().filter(|row| row.encoding.group() == Group::GuestState) {
                let is_loaded = match row.existence {
                    Existence::Always => true,
                    // Not a mode's: see the next test.
                    Existence::Entry(EntryControls::LOAD_CET_STATE) => false,
                    Existence::Entry(control)
                    | Existence::EntryOrExit(control, _)
                    | Existence::EntryOrSecondaryExit(control, _) => controls.contains(control),
                    _ => !LEFT.contains(&row.name) && !controls.is_empty(),
                };
                assert_eq!(area.get_raw(row.encoding).is_some(), is_loaded, "{}", row.name);
            }
            assert!(area.iter().all(|(field, _)| field.group() == Group::GuestState));
        }
    }
}

#[test]
fn cet_has_a_state_of_its_own() {
    let mut written = FieldValues::new();
    GuestCetState::OFF.write(&mut written, !EntryControls::LOAD_CET_STATE).unwrap();
    assert_eq!(written.iter().count(), 0);
    GuestCetState::OFF.write(&mut written, EntryControls::LOAD_CET_STATE).unwrap();
    for row in &FIELDS {
        let is_cet = row.existence == Existence::Entry(EntryControls::LOAD_CET_STATE);
        assert_eq!(written.get_raw(row.encoding), is_cet.then_some(0), "{}", row.name);
    }
    assert_eq!(written.iter().count(), 3);
}

/// What VM entry demands of segment registers whatever the mode (SDM, "Checks on
/// Guest Segment Registers").
#[test]
fn segments_are_legal() {
    for area in areas(EntryControls::empty()) {
        for fields in [&CS, &LDTR, &TR].into_iter().chain(&DATA) {
            let rights = area.get(fields.rights).unwrap();
            if rights.is_unusable() {
                continue;
            }
            assert!(rights.is_present() && rights.reserved() == 0);
            assert!(rights.fits_limit(area.get(fields.limit).unwrap()));
            assert_eq!(area.get(fields.base).unwrap() >> 32, 0);
        }
        let [code, stack, task] =
            [CS.rights, DATA[0].rights, TR.rights].map(|field| area.get(field).unwrap());
        assert!(code.is_code() && code.segment_type() & 1 == 1 && code.dpl() == stack.dpl());
        assert!(stack.is_code_or_data() && matches!(stack.segment_type(), 3 | 7));
        assert!(!task.is_unusable() && !task.is_code_or_data() && task.segment_type() == 11);
        let limits = [field::GUEST_GDTR_LIMIT, field::GUEST_IDTR_LIMIT];
        assert!(limits.iter().all(|&limit| area.get(limit).unwrap() <= 0xFFFF));
        assert_eq!(code.is_long(), area.get(field::GUEST_CR4).unwrap().contains(Cr4::PAE));
    }
}

#[test]
fn control_registers_follow_the_mode() {
    let values = areas(EntryControls::all()).map(|area| {
        let raw = |field| area.get_raw(field).unwrap();
        (
            raw(field::GUEST_CR0.encoding()),
            raw(field::GUEST_CR4.encoding()),
            raw(field::GUEST_IA32_EFER.encoding()),
        )
    });
    assert_eq!(
        values,
        [
            (0x8000_0021, 0x2020, 0x500),
            (0x8000_0021, 0x2000, 0),
            (0x21, 0x2000, 0),
            (0x6000_0030, 0x2000, 0),
        ]
    );
}

#[test]
fn reset_starts_below_4_gib() {
    let [.., real] = areas(EntryControls::empty());
    let start = real.get(field::GUEST_CS_BASE).unwrap() + real.get(field::GUEST_RIP).unwrap();
    assert_eq!(start, 0xFFFF_FFF0);
    assert_eq!(GuestStateReal::at(0x9A00, 0).code_base, 0x9_A000);
    assert_eq!(real.get_raw(Encoding(0x2800)), Some(u64::MAX));
}
