//! Each rule is in one table, and each case does as it says on a CPU like
//! `sapphire_rapids`.

use std::collections::BTreeSet;

use vmx_core::capability::VmxBasic;
use vmx_core::capability::VmxMisc;
use vmx_core::capability::{EptVpidCapabilities, FixedBits};
use vmx_core::control::{
    AllowedSettings, EntryControls, ExitControls, PinBasedControls, PrimaryControls,
    SecondaryControls, VmFunctions,
};
use vmx_core::entry_check::{Circumstances, EntryState, Group, SECTIONS, check};
use vmx_core::memory::LinearAddressWidth;
use vmx_core::msr_list::MsrEntry;
use vmx_core::vmcs::FieldValues;
use vmx_core::vmcs::field;
use vmx_core::{Capabilities, MsrIndex, PhysicalAddress};

use super::*;
use crate::departures;
use crate::entry_case::{Base, CaseMemory, Editor, NotShown};

const MEMORY: CaseMemory = CaseMemory {
    current_vmcs: PhysicalAddress(0x0010_0000),
    linked_region: PhysicalAddress(0x0010_1000),
    linked_region_start: 4,
    pdpt: PhysicalAddress(0x0010_2000),
    pdptes: [0; 4],
    msr_load_area: [MsrEntry::new(MsrIndex(0), 0); 4],
};

const fn is_ours(group: Group) -> bool {
    matches!(group, Group::Controls | Group::HostState)
}

fn sapphire_rapids() -> Capabilities {
    Capabilities {
        basic: VmxBasic(0x01D8_1000_0000_0004),
        pin_based: AllowedSettings::from_msr(0x0000_00FF_0000_0016),
        primary: AllowedSettings::from_msr(0xFFFB_FFFE_0400_6172),
        secondary: AllowedSettings::from_msr(0x06D7_7FFF_0000_0000),
        tertiary: AllowedSettings::from_allowed_ones(0x80),
        exit: AllowedSettings::from_msr(0xF87F_FFFF_0003_6DFB),
        secondary_exit: AllowedSettings::from_allowed_ones(0x0100_000C),
        entry: AllowedSettings::from_msr(0x0058_FFFF_0000_11FB),
        misc: VmxMisc(0x6004_01E0),
        cr0_fixed: FixedBits { must_be_one: 0x8000_0021, may_be_one: 0xFFFF_FFFF },
        cr4_fixed: FixedBits { must_be_one: 0x2000, may_be_one: 0x03F7_3FFF },
        vmcs_enum: 0x34,
        ept_vpid: EptVpidCapabilities::from_bits_retain(0x0F01_06F3_4141),
        vm_functions: VmFunctions::EPTP_SWITCHING,
        linear_address_width: LinearAddressWidth::Bits57,
        physical_address_width: 40,
        has_shadow_stacks: true,
        has_indirect_branch_tracking: true,
    }
}

/// The controls and the host state of a base, and of the guest what their rules read.
fn base(base: Base) -> FieldValues {
    let is_real = base == Base::GuestReal;
    let is_64_bit = base == Base::Guest64;
    let mut values = FieldValues::new();
    values.set(field::PIN_BASED_CONTROLS, PinBasedControls::from_bits_retain(0x16));
    let primary = PrimaryControls::from_bits_retain(0x0400_6172);
    let with_secondary = primary | PrimaryControls::ACTIVATE_SECONDARY_CONTROLS;
    values.set(field::PRIMARY_CONTROLS, if is_real { with_secondary } else { primary });
    if is_real {
        let ept = SecondaryControls::ENABLE_EPT | SecondaryControls::UNRESTRICTED_GUEST;
        values.set(field::SECONDARY_CONTROLS, ept);
        values.set(field::EPT_POINTER, 0x0010_001E);
    }
    let exit = ExitControls::from_bits_retain(0x0003_6DFB);
    let efer_and_size = ExitControls::LOAD_IA32_EFER | ExitControls::HOST_ADDRESS_SPACE_SIZE;
    values.set(field::VM_EXIT_CONTROLS, exit | efer_and_size);
    let entry = EntryControls::from_bits_retain(0x11FB);
    let ia32e = if is_64_bit { EntryControls::IA32E_MODE_GUEST } else { EntryControls::empty() };
    values.set(field::VM_ENTRY_CONTROLS, entry | ia32e);
    values.set(field::GUEST_CR0, if is_real { 0x20 } else { 0x8000_0021 });
    values.set(field::GUEST_CR4, 0x2020);
    values.set(field::HOST_CR0, 0x8001_0033);
    values.set(field::HOST_CR3, 0x0010_0000);
    values.set(field::HOST_CR4, 0x2020);
    values.set(field::HOST_CS_SELECTOR, 0x08);
    values.set(field::HOST_SS_SELECTOR, 0x10);
    values.set(field::HOST_TR_SELECTOR, 0x18);
    values.set(field::HOST_IA32_EFER, 0x500);
    values.set(field::HOST_RIP, 0x0010_0000);
    values
}

/// The cases of the rules that are judged here.
fn our_cases() -> Vec<Case> {
    [
        execution_controls::CASES,
        apic_controls::CASES,
        ept_controls::CASES,
        exit_controls::CASES,
        entry_controls::CASES,
        host::CASES,
    ]
    .concat()
}

fn broken(values: &FieldValues, capabilities: &Capabilities) -> Vec<&'static str> {
    let state = EntryState::new(values, capabilities, Circumstances::LAUNCH)
        .with_memory(MEMORY.as_entry_memory());
    let broken = check(&state).filter(|v| is_ours(v.section.group));
    broken.map(|violation| violation.rule.name).collect()
}

#[test]
fn bases_are_valid() {
    for of in [Base::Guest64, Base::Guest32, Base::GuestReal] {
        assert_eq!(broken(&base(of), &sapphire_rapids()), [""; 0], "{of:?}");
    }
}

#[test]
fn each_rule_has_a_case_or_a_reason() {
    let cases: BTreeSet<_> = CASES.iter().copied().flatten().map(|case| case.rule).collect();
    let all_exceptions = || EXCEPTIONS.iter().copied().flatten();
    let exceptions: BTreeSet<_> = all_exceptions().map(|exception| exception.rule).collect();
    assert_eq!(exceptions.len(), all_exceptions().count(), "an exception is there twice");
    let mut rules = BTreeSet::new();
    for section in SECTIONS {
        let of_section = section.rules.iter().map(|rule| rule.name);
        if is_ours(section.group) {
            for rule in of_section.clone() {
                let places = (cases.contains(rule), exceptions.contains(rule));
                assert!(matches!(places, (true, false) | (false, true)), "{rule}: {places:?}");
            }
        }
        rules.extend(of_section);
    }
    for rule in cases.union(&exceptions) {
        assert!(rules.contains(rule), "there is no rule {rule}");
    }
    for exception in all_exceptions() {
        match exception.reason {
            NotShown::Departure(id) => assert!(departures::find(id).is_some(), "{id}"),
            NotShown::ImpliedBy(rule) => assert!(rules.contains(rule), "{rule}"),
            _ => {}
        }
    }
}

/// Each case is named once, breaks its rule alone, and does not at the edge.
#[test]
fn cases_do_as_they_say() {
    let capabilities = sapphire_rapids();
    let mut names = BTreeSet::new();
    for case in our_cases() {
        assert!(names.insert((case.rule, case.what)), "{} {} is there twice", case.rule, case.what);
        if !(case.possible)(&capabilities) {
            continue;
        }
        let after = |change: fn(&mut Editor<'_>)| {
            let mut values = base(case.base);
            let mut memory = MEMORY;
            change(&mut Editor {
                values: &mut values,
                memory: &mut memory,
                capabilities: &capabilities,
            });
            broken(&values, &capabilities)
        };
        assert_eq!(after(case.breaks), [case.rule], "{}", case.what);
        assert_eq!(after(case.edge), [""; 0], "the edge of {} {}", case.rule, case.what);
    }
}

/// On the CPU of these tests every case is possible but for features that it has and
/// others lack.
#[test]
fn few_cases_are_left_to_other_models() {
    let capabilities = sapphire_rapids();
    let left = our_cases()
        .into_iter()
        .filter(|case| !(case.possible)(&capabilities))
        .map(|case| case.rule);
    let left: BTreeSet<_> = left.collect();
    let expected = [
        "eptp-accessed-and-dirty",
        "eptp-supervisor-shadow-stack",
        "injected-error-code-fits-vector",
        "injected-error-code-is-of-exception",
        "injected-instruction-length",
    ];
    assert_eq!(left, BTreeSet::from(expected));
}

#[test]
fn the_scratch_page_is_a_page() {
    assert_eq!(PhysicalAddress(SCRATCH).page_offset(), 0);
}
