//! What a table of one broken rule at a time does not show: other values of a field, CPUs
//! that lack something, answers to several broken rules. (That each rule can be broken
//! alone is tested in `vmx-tests`, which has the table.)

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::ExampleGuest::{Guest32, Guest64, GuestReal};
use super::*;
use crate::capability::capabilities::Capabilities;
use crate::capability::ept_vpid::EptVpidCapabilities;
use crate::capability::fixed_bits::FixedBits;
use crate::capability::tests::TIGER_LAKE;
use crate::cet::control::CetControl;
use crate::control::allowed_settings::AllowedSettings;
use crate::control::entry::EntryControls;
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls,
};
use crate::control::exit::{ExitControls, SecondaryExitControls};
use crate::control::set::ControlSet;
use crate::cpu::register_bits::Cr0;
use crate::event::interruption::InterruptionInformation;
use crate::exit::reason::ExitReason;
use crate::memory::address::PhysicalAddress;
use crate::msr::index::MsrIndex;
use crate::msr_list::MsrEntry;
use crate::vmcs::field::existence::Existence;
use crate::vmcs::field::*;
use crate::vmcs::field_values::FieldValues;

/// A valid entry on Tiger Lake, and the means to change it.
struct Entry {
    fields: FieldValues,
    cpu: Capabilities,
    circumstances: Circumstances,
    msr_load_area: Vec<MsrEntry>,
}

impl Entry {
    fn to(guest: ExampleGuest, controls: ControlSet) -> Self {
        let cpu = Capabilities::from_dump(TIGER_LAKE).unwrap();
        Self {
            fields: valid_fields(guest, &cpu, &controls).unwrap(),
            cpu,
            circumstances: Circumstances::LAUNCH,
            msr_load_area: Vec::new(),
        }
    }

    fn with_state<R>(&self, look: impl FnOnce(&EntryState<'_>) -> R) -> R {
        let memory = EntryMemory { msr_load_area: &self.msr_load_area, ..EntryMemory::default() };
        look(&EntryState::new(&self.fields, &self.cpu, self.circumstances).with_memory(memory))
    }

    fn broken(&self) -> Vec<&'static str> {
        self.with_state(|state| check(state).map(|violation| violation.rule.name).collect())
    }

    fn set<V: FieldValue>(&mut self, field: Field<V>, value: V) {
        self.fields.set(field, value);
    }

    fn inject(&mut self, event: u32) {
        let information = InterruptionInformation(1 << 31 | event);
        self.set(VM_ENTRY_INTERRUPTION_INFORMATION, information);
    }
}

const EXIT_LOADS: ControlSet = ControlSet {
    exit: ExitControls::LOAD_CET_STATE
        .union(ExitControls::LOAD_IA32_PAT)
        .union(ExitControls::LOAD_IA32_EFER),
    ..ControlSet::EMPTY
};

#[test]
fn names_are_unique_and_sections_in_order() {
    let names = || SECTIONS.iter().flat_map(|section| section.rules).map(|rule| rule.name);
    for (index, name) in names().enumerate() {
        assert!(names().skip(index + 1).all(|other| other != name), "{name} is there twice");
    }
    assert!(SECTIONS.is_sorted_by_key(|section| section.group));
}

/// A CPU that fixes no control and has all of them.
fn permissive() -> Capabilities {
    let all = AllowedSettings { must_be_one: 0, may_be_one: u32::MAX };
    Capabilities {
        pin_based: all,
        primary: all,
        secondary: all,
        tertiary: AllowedSettings::from_allowed_ones(u64::MAX),
        exit: all,
        secondary_exit: AllowedSettings::from_allowed_ones(u64::MAX),
        entry: all,
        cr0_fixed: FixedBits { must_be_one: 0x8000_0021, may_be_one: 0xFFFF_FFFF },
        cr4_fixed: FixedBits { must_be_one: 0x2000, may_be_one: 0x1_03FF_FFFF },
        ept_vpid: EptVpidCapabilities::from_bits_retain(!0),
        has_shadow_stacks: true,
        has_indirect_branch_tracking: true,
        ..Capabilities::NOTHING
    }
}

proptest! {
    /// Whatever controls are wanted, what the CPU grants of them is valid with each guest.
    #[test]
    fn valid_fields_break_no_rule(wanted: ([u32; 5], [u64; 2]), is_permissive: bool) {
        let cpu = if is_permissive {
            permissive()
        } else {
            Capabilities::from_dump(TIGER_LAKE).unwrap()
        };
        let smm = EntryControls::ENTRY_TO_SMM | EntryControls::DEACTIVATE_DUAL_MONITOR_TREATMENT;
        let ([pin_based, primary, secondary, exit, entry], [tertiary, secondary_exit]) = wanted;
        let wanted = ControlSet {
            pin_based: PinBasedControls::from_bits_truncate(pin_based),
            primary: PrimaryControls::from_bits_truncate(primary),
            secondary: SecondaryControls::from_bits_truncate(secondary),
            tertiary: TertiaryControls::from_bits_truncate(tertiary),
            exit: ExitControls::from_bits_truncate(exit),
            secondary_exit: SecondaryExitControls::from_bits_truncate(secondary_exit),
            entry: EntryControls::from_bits_truncate(entry) - smm,
        };
        let required = ControlSet {
            exit: ExitControls::HOST_ADDRESS_SPACE_SIZE,
            ..ControlSet::EMPTY
        };
        let granted = ControlSet::negotiate(&cpu, &required, &wanted).unwrap();
        for guest in [Guest64, Guest32, GuestReal] {
            // What EPT and the unrestricted guest add may exclude what was granted.
            let Ok(fields) = valid_fields(guest, &cpu, &granted) else {
                prop_assert_eq!(guest, GuestReal);
                continue;
            };
            let state = EntryState::new(&fields, &cpu, Circumstances::LAUNCH);
            let broken: Vec<_> = check(&state).map(|violation| violation.rule.name).collect();
            prop_assert_eq!(broken, [""; 0]);
        }
    }
}

/// A rule, and what makes a valid entry to a 64-bit guest break only it.
type Break = (&'static str, fn(&mut Entry));

/// Values beside those of the table, and CPUs that lack something.
const BREAKS: &[Break] = &[
    ("secondary-reserved-bits", |e| {
        e.cpu.secondary.may_be_one &= !SecondaryControls::WBINVD_EXITING.bits();
        add(e, SECONDARY_CONTROLS, SecondaryControls::WBINVD_EXITING.bits().into());
        add(e, PRIMARY_CONTROLS, 1 << 31);
    }),
    ("eptp-memory-type", |e| {
        e.cpu.ept_vpid.remove(EptVpidCapabilities::UNCACHEABLE_STRUCTURES);
        use_ept(e);
        e.fields.set_raw(EPT_POINTER.encoding(), 0x1000 | 3 << 3);
    }),
    ("exit-msr-load-area-within-physical-width", |e| {
        e.set(VM_EXIT_MSR_LOAD_COUNT, u32::MAX);
        e.set(VM_EXIT_MSR_LOAD_ADDRESS, PhysicalAddress((1 << 39) - 16));
    }),
    ("injected-event-type", |e| {
        e.cpu.primary.may_be_one &= !PrimaryControls::MONITOR_TRAP_FLAG.bits();
        e.inject(7 << 8);
    }),
    ("injected-error-code-is-of-exception", |e| {
        add(e, GUEST_RFLAGS, 1 << 9);
        e.inject(1 << 11 | 0x20);
    }),
    ("injected-event-reserved-bits", |e| e.inject(1 << 13 | 2 << 8 | 2)),
    ("injected-event-reserved-bits", |e| {
        // A CPU with nested exceptions: the bit belongs to exceptions.
        e.cpu.basic.0 |= 1 << 58;
        e.inject(1 << 12 | 2 << 8 | 2);
    }),
    ("injected-instruction-length", |e| {
        e.inject(6 << 8 | 3);
        e.set(VM_ENTRY_INSTRUCTION_LENGTH, 16);
    }),
    ("host-cr3-within-physical-width", |e| add(e, HOST_CR3, 1 << 61)),
    ("host-s-cet-reserved-bits", |e| {
        e.cpu.has_indirect_branch_tracking = false;
        e.set(HOST_S_CET, CetControl::ENDBR_EN);
    }),
    ("host-s-cet-reserved-bits", |e| {
        e.cpu.has_shadow_stacks = false;
        e.set(HOST_S_CET, CetControl::SH_STK_EN);
    }),
    ("host-selectors-rpl-and-ti", |e| add(e, HOST_TR_SELECTOR, 3)),
];

fn add<V>(e: &mut Entry, field: Field<V>, bits: u64) {
    let old = e.fields.get_raw(field.encoding()).unwrap();
    e.fields.set_raw(field.encoding(), old | bits);
}

fn use_ept(e: &mut Entry) {
    add(e, PRIMARY_CONTROLS, PrimaryControls::ACTIVATE_SECONDARY_CONTROLS.bits().into());
    add(e, SECONDARY_CONTROLS, SecondaryControls::ENABLE_EPT.bits().into());
}

#[test]
fn each_is_broken_alone() {
    for (rule, break_it) in BREAKS {
        let mut entry = Entry::to(Guest64, EXIT_LOADS);
        break_it(&mut entry);
        assert_eq!(entry.broken(), [*rule]);
    }
}

/// The rules that speak of the mode: an exception with an error code, to a guest in real
/// mode; a 64-bit host that is none.
#[test]
fn modes_are_looked_at() {
    let mut entry = Entry::to(GuestReal, ControlSet::EMPTY);
    entry.inject(1 << 11 | 3 << 8 | 13);
    assert_eq!(entry.broken(), ["injected-error-code-is-of-exception"]);

    let mut entry = Entry::to(Guest32, ControlSet::EMPTY);
    entry.circumstances.host_ia32e_mode = false;
    assert_eq!(entry.broken(), ["host-address-space-size-is-hosts"]);
}

/// A field that the CPU lacks reads as zero, and its rules hold.
#[test]
fn an_older_cpu_needs_no_newer_fields() {
    let mut entry = Entry::to(Guest64, ControlSet::EMPTY);
    for row in FIELDS.iter().filter(|row| !matches!(row.existence, Existence::Always)) {
        entry.fields.remove(row.encoding);
    }
    assert_eq!(entry.broken(), [""; 0]);
}

/// Structures stay below 4 GiB where IA32_VMX_BASIC\[48\] is 1.
#[test]
fn addresses_of_32_bits() {
    let primary = PrimaryControls::USE_MSR_BITMAPS;
    let mut entry = Entry::to(Guest64, ControlSet { primary, ..ControlSet::EMPTY });
    entry.set(MSR_BITMAP, PhysicalAddress(1 << 32));
    assert_eq!(entry.broken(), [""; 0]);
    entry.cpu.basic.0 |= 1 << 48;
    assert_eq!(entry.broken(), ["msr-bitmap-within-physical-width"]);
}

/// Areas of no entry may be anywhere.
#[test]
fn addresses_of_empty_areas_do_not_matter() {
    let mut entry = Entry::to(Guest64, ControlSet::EMPTY);
    for address in [VM_EXIT_MSR_STORE_ADDRESS, VM_EXIT_MSR_LOAD_ADDRESS, VM_ENTRY_MSR_LOAD_ADDRESS]
    {
        entry.set(address, PhysicalAddress(u64::MAX));
    }
    assert_eq!(entry.broken(), [""; 0]);
}

/// Each event that the architecture can deliver, and #CP on both kinds of CPU.
#[test]
fn legal_events_are_injected() {
    let broken = |any_error_code: bool, information| {
        let mut entry = Entry::to(Guest64, ControlSet::EMPTY);
        entry.cpu.basic.0 &= !(1 << 56);
        entry.cpu.basic.0 |= u64::from(any_error_code) << 56;
        add(&mut entry, GUEST_RFLAGS, 1 << 9);
        entry.inject(information);
        entry.broken()
    };
    for information in [0x20, 0xFF, 2 << 8 | 2, 3 << 8 | 6, 3 << 8 | 1 << 11 | 14, 7 << 8] {
        assert_eq!(broken(false, information), [""; 0], "{information:#x}");
    }
    for (any_error_code, information) in [(false, 0x315), (true, 0x315), (true, 0xB15)] {
        assert_eq!(broken(any_error_code, information), [""; 0], "{information:#x}");
    }
}

/// Every value of one PAT entry, in every place.
#[test]
fn pat_has_six_memory_types() {
    let mut entry = Entry::to(Guest64, EXIT_LOADS);
    for place in 0..8 {
        for memory_type in 0..=0xFF_u64 {
            entry.set(HOST_IA32_PAT, memory_type << (8 * place));
            let is_legal = matches!(memory_type, 0 | 1 | 4..=7);
            assert_eq!(entry.broken().is_empty(), is_legal, "{memory_type} at {place}");
        }
    }
}

/// NW and CD are free in CR0, bits 62:61 of CR3 with linear-address masking.
#[test]
fn what_is_not_checked() {
    let mut entry = Entry::to(Guest64, ControlSet::EMPTY);
    entry.set(HOST_CR0, Cr0::from_bits_retain(0xE001_0033));
    entry.cpu.cr4_fixed.may_be_one |= 1 << 28;
    entry.set(HOST_CR3, 3 << 61 | 0x1000);
    assert_eq!(entry.broken(), [""; 0]);
}

/// CET fields are not looked at where they are not loaded, CR4.CET always.
#[test]
fn cet_state_is_checked_if_loaded() {
    let mut entry = Entry::to(Guest64, ControlSet::EMPTY);
    add(&mut entry, HOST_CR4, 1 << 23);
    entry.set(HOST_S_CET, CetControl::from_bits_retain(u64::MAX));
    entry.set(HOST_SSP, 3);
    assert_eq!(entry.broken(), [""; 0]);
    entry.set(HOST_CR0, Cr0::from_bits_retain(0x8000_0033));
    assert_eq!(entry.broken(), ["host-cr4-cet-needs-cr0-wp"]);
}

const GUEST_STATE: u32 = 0x8000_0021;
const MSR_LOADING: u32 = 0x8000_0022;

fn exit(reason: u32, qualification: u64) -> Outcome {
    Outcome::ExitedAtOnce { reason: ExitReason(reason), qualification }
}

#[test]
fn msr_loading_stops_at_the_first_bad_entry() {
    let entry = |msr| MsrEntry::new(MsrIndex(msr), 0);
    let mut scene = Entry::to(Guest64, ControlSet::EMPTY);
    // Legal, one that a CPU may refuse, one that it must, another.
    scene.msr_load_area = [0x174, 0x79, 0xC000_0100, 0x808].map(entry).to_vec();
    for (count, allowed, may_enter) in [
        (0, &[][..], true),
        (1, &[], true),
        (2, &[2], true),
        (3, &[2, 3], false),
        (4, &[2, 3], false),
    ] {
        scene.set(VM_ENTRY_MSR_LOAD_COUNT, count);
        scene.with_state(|state| {
            assert!(check(state).all(|violation| violation.section.group == rule::Group::MsrLoad));
            let outcomes = Outcomes::of(state);
            for number in 0..6 {
                let is_allowed = allowed.contains(&number);
                assert_eq!(outcomes.allow(exit(MSR_LOADING, number)), is_allowed, "{number}");
                assert!(!outcomes.allow(exit(GUEST_STATE, number)), "{number}");
            }
            assert_eq!(outcomes.allow(Outcome::Entered), may_enter);
        });
    }
}

/// WRMSR is judged by the guest's mode and the CPU's features.
#[test]
fn what_the_area_loads_is_judged_as_the_guests() {
    let judge = |guest, msr, value| {
        let mut entry = Entry::to(guest, ControlSet::EMPTY);
        entry.cpu.has_shadow_stacks = false;
        entry.cpu.has_indirect_branch_tracking = false;
        entry.msr_load_area = [MsrEntry::new(MsrIndex(msr), value)].to_vec();
        entry.set(VM_ENTRY_MSR_LOAD_COUNT, 1);
        entry.broken().is_empty()
    };
    const EFER: u32 = 0xC000_0080;
    // LME does not change under paging; without paging it may.
    assert!(judge(Guest64, EFER, 0x500) && !judge(Guest64, EFER, 0));
    assert!(judge(Guest32, EFER, 0) && !judge(Guest32, EFER, 0x100));
    assert!(judge(GuestReal, EFER, 0) && judge(GuestReal, EFER, 0x100));
    // This CPU has no CET; IA32_XSS is not judged.
    assert!(!judge(Guest64, MsrIndex::IA32_S_CET.0, 0));
    assert!(judge(Guest64, MsrIndex::IA32_XSS.0, u64::MAX));
}
