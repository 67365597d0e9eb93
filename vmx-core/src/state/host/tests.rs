use super::*;
use crate::control::allowed_settings::AllowedSettings;
use crate::control::entry::EntryControls;
use crate::cpu::segments::SegmentState;
use crate::msr::index::MsrIndex;
use crate::vmcs::field::FIELDS;
use crate::vmcs::field::encoding::{Encoding, Group};
use crate::vmcs::field::existence::Existence;
use crate::vmcs::field_values::FieldValues;

/// A CPU whose MSRs hold their own number, so that mixing two up shows; reading
/// one of rarer features is an error unless it has them.
struct Numbers {
    has_rare: bool,
}

impl Msr for Numbers {
    fn read_named(&mut self, msr: NamedMsr) -> u64 {
        let is_rare = matches!(msr.index().0, 0x48 | 0x1CC..=0x1D4 | 0x38F | 0x6E1);
        assert!(self.has_rare || !is_rare, "RDMSR of {msr:?} raises #GP(0)");
        msr.index().0.into()
    }
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64 {
        panic!("{msr} is not of the closed set");
    }
    unsafe fn write_msr(&mut self, msr: MsrIndex, _: u64) {
        panic!("{msr} written");
    }
}

impl ControlRegisters for Numbers {
    fn read_cr0(&mut self) -> Cr0 {
        Cr0::from_bits_retain(10)
    }
    fn read_cr2(&mut self) -> u64 {
        12
    }
    fn read_cr3(&mut self) -> u64 {
        13
    }
    fn read_cr4(&mut self) -> Cr4 {
        Cr4::from_bits_retain(14)
    }
    unsafe fn write_cr0(&mut self, _: Cr0) {
        panic!("CR0 written");
    }
    unsafe fn write_cr4(&mut self, _: Cr4) {
        panic!("CR4 written");
    }
}

impl Segments for Numbers {
    fn segments(&mut self) -> SegmentState {
        SegmentState { cs: 0x0B, tr: 0x2C, tr_base: 7, ..SegmentState::default() }
    }
}

const CAPABILITIES: Capabilities = Capabilities {
    exit: AllowedSettings { must_be_one: 0, may_be_one: !0 },
    secondary_exit: AllowedSettings::from_allowed_ones(!0),
    has_shadow_stacks: true,
    ..Capabilities::NOTHING
};

const EVERYTHING: ControlSet = ControlSet {
    exit: ExitControls::all(),
    secondary_exit: SecondaryExitControls::all(),
    entry: EntryControls::all(),
    ..ControlSet::EMPTY
};

fn area(controls: &ControlSet, has_rare: bool) -> FieldValues {
    let host = HostState::from_cpu(&mut Numbers { has_rare }, &CAPABILITIES, controls);
    let mut area = FieldValues::new();
    host.write(&mut area, controls.exit).unwrap();
    area
}

#[test]
fn every_field_but_rsp_and_rip_is_written_where_exit_loads_it() {
    for controls in [ControlSet::EMPTY, EVERYTHING] {
        let area = area(&controls, controls == EVERYTHING);
        for row in FIELDS.iter().filter(|row| row.encoding.group() == Group::HostState) {
            let is_loaded = match row.existence {
                // The world switch writes them.
                _ if matches!(row.name, "HOST_RSP" | "HOST_RIP") => false,
                Existence::Exit(ExitControls::LOAD_CET_STATE) => true,
                Existence::Exit(control) => controls.exit.contains(control),
                Existence::SecondaryExit(control) => controls.secondary_exit.contains(control),
                _ => true,
            };
            assert_eq!(area.get_raw(row.encoding).is_some(), is_loaded, "{}", row.name);
        }
        assert!(area.iter().all(|(field, _)| field.group() == Group::HostState));
    }
}

#[test]
fn each_value_comes_from_its_register() {
    let area = area(&EVERYTHING, true);
    for (encoding, value) in [
        (0x0C02, 0x08),
        (0x0C0C, 0x28),
        (0x2C00, 0x277),
        (0x2C02, 0xC000_0080),
        (0x2C04, 0x38F),
        (0x2C06, 0x6E1),
        (0x2C08, 0x1D4),
        (0x2C0A, 0x1CD),
        (0x2C0E, 0x1CF),
        (0x2C10, 0x1D0),
        (0x2C12, 0x1D1),
        (0x2C16, 0x1D3),
        (0x2C1A, 0x48),
        (0x4C00, 0x174),
        (0x6C00, 10),
        (0x6C02, 13),
        (0x6C04, 14),
        (0x6C08, 0xC000_0101),
        (0x6C0A, 7),
        (0x6C12, 0x176),
        (0x6C18, 0x6A2),
        (0x6C1C, 0x6A8),
    ] {
        assert_eq!(area.get_raw(Encoding(encoding)), Some(value), "{:?}", Encoding(encoding));
    }
}

#[test]
fn without_cet_no_cet_msr_is_read() {
    let capabilities = Capabilities { has_shadow_stacks: false, ..CAPABILITIES };
    let host =
        HostState::from_cpu(&mut Numbers { has_rare: false }, &capabilities, &ControlSet::EMPTY);
    assert_eq!(host.cet, None);
    let capabilities = Capabilities { has_indirect_branch_tracking: true, ..capabilities };
    let host =
        HostState::from_cpu(&mut Numbers { has_rare: false }, &capabilities, &ControlSet::EMPTY);
    assert_eq!(host.cet.map(|cet| cet.interrupt_ssp_table_address), Some(0));
}
