//! The cases of the guest's VM-entry rules against the rules themselves.

use vmx_core::capability::FixedBits;
use vmx_core::capability::VmxMisc;
use vmx_core::control::{
    AllowedSettings, EntryControls, PinBasedControls, PrimaryControls, SecondaryControls,
};
use vmx_core::entry_check::{Circumstances, EntryState, Group, SECTIONS, check};
use vmx_core::msr_list::MsrEntry;
use vmx_core::vmcs::AccessRights;
use vmx_core::vmcs::FieldValues;
use vmx_core::vmcs::field::*;
use vmx_core::{Capabilities, MsrIndex, PhysicalAddress};
use vmx_tests::departures;
use vmx_tests::entry_case::{Base, Case, CaseMemory, Editor, NotShown};
use vmx_tests::entry_cases::{CASES, EXCEPTIONS};

fn is_ours(group: Group) -> bool {
    matches!(group, Group::GuestState | Group::MsrLoad)
}

/// The names of the rules of guest state and MSR loading.
fn rules() -> impl Iterator<Item = &'static str> {
    let sections = SECTIONS.iter().filter(|section| is_ours(section.group));
    sections.flat_map(|section| section.rules).map(|rule| rule.name)
}

fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().copied().flatten().filter(|case| rules().any(|rule| rule == case.rule))
}

#[test]
fn each_rule_has_cases_or_a_reason() {
    for rule in rules() {
        let has_case = cases().any(|case| case.rule == rule);
        let exceptions = EXCEPTIONS.iter().copied().flatten();
        let reasons = exceptions.filter(|exception| exception.rule == rule).count();
        assert_eq!(reasons, usize::from(!has_case), "{rule}");
    }
}

#[test]
fn cases_of_one_rule_are_told_apart() {
    for (index, case) in cases().enumerate() {
        let same = |other: &Case| (other.rule, other.what) == (case.rule, case.what);
        assert!(!cases().skip(index + 1).any(same), "{} {}", case.rule, case.what);
    }
}

#[test]
fn exceptions_name_departures_that_exist() {
    for exception in EXCEPTIONS.iter().copied().flatten() {
        if let NotShown::Departure(id) = exception.reason {
            assert!(departures::find(id).is_some(), "{id}");
        }
    }
}

#[test]
fn a_case_breaks_its_rule_alone_and_its_edge_none() {
    let cpu = capabilities();
    for case in cases() {
        assert!((case.possible)(&cpu), "{}", case.rule);
        assert_eq!(broken(case.base, &cpu, case.breaks), [case.rule], "{}", case.what);
        assert_eq!(broken(case.base, &cpu, case.edge), [""; 0], "{} {}", case.rule, case.what);
    }
}

/// The rules that the base breaks after this change.
fn broken(base: Base, cpu: &Capabilities, change: fn(&mut Editor<'_>)) -> Vec<&'static str> {
    let mut values = valid(base);
    let mut memory = CaseMemory {
        current_vmcs: PhysicalAddress(0x1000),
        linked_region: PhysicalAddress(0x3000),
        linked_region_start: 0,
        pdpt: PhysicalAddress(0x4000),
        pdptes: [0; 4],
        msr_load_area: [MsrEntry::new(MsrIndex(0), 0); 4],
    };
    change(&mut Editor { values: &mut values, memory: &mut memory, capabilities: cpu });
    let state = EntryState::new(&values, cpu, Circumstances::LAUNCH);
    let state = state.with_memory(memory.as_entry_memory());
    let ours = check(&state).filter(|violation| is_ours(violation.section.group));
    ours.map(|violation| violation.rule.name).collect()
}

/// The guest-state area of a valid state, and the controls that it depends on.
fn valid(base: Base) -> FieldValues {
    let mut values = FieldValues::new();
    for field in FIELDS.iter().filter(|field| !field.encoding.is_read_only()) {
        values.set_raw(field.encoding, 0);
    }
    values.set(PIN_BASED_CONTROLS, PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER);
    values.set(VMCS_LINK_POINTER, u64::MAX);
    values.set(GUEST_RIP, 0x1000);
    values.set(GUEST_RFLAGS, 2);
    values.set(GUEST_DR7, 0x400);
    values.set(GUEST_IA32_PAT, 0x0007_0406_0007_0406);
    values.set(GUEST_TR_LIMIT, 0x67);
    values.set(GUEST_TR_SELECTOR, 24);
    values.set(GUEST_TR_ACCESS_RIGHTS, AccessRights::BUSY_TSS);
    values.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights::UNUSABLE);
    let (cr0, cr4, limit, code, data) = match base {
        Base::Guest64 => {
            values.set(VM_ENTRY_CONTROLS, EntryControls::IA32E_MODE_GUEST);
            values.set(GUEST_IA32_EFER, 0x500);
            (0x8001_0021, 0x2020, u32::MAX, AccessRights::CODE_64, AccessRights::DATA)
        }
        Base::Guest32 => (0x8001_0021, 0x2000, u32::MAX, AccessRights::CODE_32, AccessRights::DATA),
        Base::GuestReal => {
            let secondary = SecondaryControls::ENABLE_EPT | SecondaryControls::UNRESTRICTED_GUEST;
            values.set(PRIMARY_CONTROLS, PrimaryControls::ACTIVATE_SECONDARY_CONTROLS);
            values.set(SECONDARY_CONTROLS, secondary);
            let (code, data) = (AccessRights::REAL_MODE_CODE, AccessRights::REAL_MODE_DATA);
            (0x20, 0x2000, 0xFFFF, code, data)
        }
    };
    values.set(GUEST_CR0, cr0);
    values.set(GUEST_CR4, cr4);
    values.set(GUEST_CS_SELECTOR, 8);
    values.set(GUEST_CS_LIMIT, limit);
    values.set(GUEST_CS_ACCESS_RIGHTS, code);
    for (selector, limit_field, rights) in [
        (GUEST_SS_SELECTOR, GUEST_SS_LIMIT, GUEST_SS_ACCESS_RIGHTS),
        (GUEST_DS_SELECTOR, GUEST_DS_LIMIT, GUEST_DS_ACCESS_RIGHTS),
        (GUEST_ES_SELECTOR, GUEST_ES_LIMIT, GUEST_ES_ACCESS_RIGHTS),
        (GUEST_FS_SELECTOR, GUEST_FS_LIMIT, GUEST_FS_ACCESS_RIGHTS),
        (GUEST_GS_SELECTOR, GUEST_GS_LIMIT, GUEST_GS_ACCESS_RIGHTS),
    ] {
        values.set(selector, 16);
        values.set(limit_field, limit);
        values.set(rights, data);
    }
    values
}

/// A CPU like Bochs' sapphire_rapids, in what the guest's rules look at.
fn capabilities() -> Capabilities {
    let allow = |may_be_one| AllowedSettings { must_be_one: 0, may_be_one };
    let entry = EntryControls::LOAD_DEBUG_CONTROLS
        | EntryControls::IA32E_MODE_GUEST
        | EntryControls::LOAD_IA32_PERF_GLOBAL_CTRL
        | EntryControls::LOAD_IA32_PAT
        | EntryControls::LOAD_IA32_EFER
        | EntryControls::LOAD_UINV
        | EntryControls::LOAD_CET_STATE
        | EntryControls::LOAD_PKRS;
    let secondary = !SecondaryControls::ENABLE_ENCLS_EXITING.bits();
    Capabilities {
        pin_based: allow(u32::MAX),
        primary: allow(u32::MAX),
        secondary: allow(secondary),
        exit: allow(u32::MAX),
        entry: allow(entry.bits()),
        misc: VmxMisc(0b111 << 6),
        cr0_fixed: FixedBits { must_be_one: 0x8000_0021, may_be_one: 0xFFFF_FFFF },
        cr4_fixed: FixedBits { must_be_one: 0x2000, may_be_one: 0x03F7_3FFF },
        linear_address_width: vmx_core::memory::LinearAddressWidth::Bits57,
        physical_address_width: 40,
        ..Capabilities::NOTHING
    }
}
