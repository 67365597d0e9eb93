//! The cases of the EPT pointer and of the controls that rest on EPT.

use vmx_core::capability::EptVpidCapabilities;
use vmx_core::control::{
    EntryControls, ExitControls, SecondaryControls, TertiaryControls, VmFunctions,
};
use vmx_core::entry_check::ExampleGuest::GuestReal;
use vmx_core::vmcs::field::*;
use vmx_core::{Capabilities, PhysicalAddress};

use super::case::NotShown::{self, FeatureOnNoModel};
use super::case::{Case, Edit, NOTHING, add, by, edits, set, values};
use super::editing::*;
use super::editor::Editor;

const UNRESTRICTED: SecondaryControls = SecondaryControls::UNRESTRICTED_GUEST;
const PML: SecondaryControls = SecondaryControls::ENABLE_PML;
const MBEC: SecondaryControls = SecondaryControls::MODE_BASED_EXECUTE_CONTROL;
const SPP: SecondaryControls = SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS;
const FUNCTIONS: SecondaryControls = SecondaryControls::ENABLE_VM_FUNCTIONS;
const VE: SecondaryControls = SecondaryControls::EPT_VIOLATION_VE;
const HLAT: TertiaryControls = TertiaryControls::ENABLE_HLAT;
const NO_HLAT: NotShown = FeatureOnNoModel("HLAT");

/// The cases.
pub(super) const CASES: &[Case] = &[
    behind(edits("eptp-memory-type", by(|e| eptp(e, 0b111, 4)), by(uncacheable)))
        .of("write-through"),
    behind(edits("eptp-page-walk-length", by(|e| eptp(e, 0x38, 2 << 3)), NOTHING)).of("3"),
    behind(edits("eptp-page-walk-length", by(|e| eptp(e, 0x38, 4 << 3)), NOTHING))
        .of("5")
        .where_possible(|cpu| has_ept_without(cpu, EptVpidCapabilities::PAGE_WALK_5)),
    behind(edits("eptp-accessed-and-dirty", add(EPT_POINTER, 1 << 6), NOTHING))
        .where_possible(|cpu| has_ept_without(cpu, EptVpidCapabilities::ACCESSED_AND_DIRTY)),
    behind(edits("eptp-supervisor-shadow-stack", add(EPT_POINTER, 1 << 7), NOTHING))
        .where_possible(|cpu| has_ept_without(cpu, EptVpidCapabilities::SUPERVISOR_SHADOW_STACK)),
    behind(edits("eptp-reserved-bits", add(EPT_POINTER, 1 << 8), NOTHING)).of("bit 8"),
    behind(edits("eptp-reserved-bits", add(EPT_POINTER, 1 << 11), NOTHING)).of("bit 11"),
    behind(edits("eptp-within-physical-width", by(eptp_beyond), NOTHING)),
    edits("unrestricted-guest-needs-ept", by(|e| without_ept(e, UNRESTRICTED)), NOTHING)
        .where_possible(has_ept),
    edits("pml-needs-ept", by(|e| with_page_only(e, PML, PML_ADDRESS)), NOTHING)
        .where_possible(|cpu| has_ept(cpu) && cpu.secondary.allows(PML)),
    behind(aligned("pml-address-aligned", PML_ADDRESS)).secondary(PML).with(set(PML_INDEX, 511)),
    behind(within_width("pml-address-within-physical-width", PML_ADDRESS))
        .secondary(PML)
        .with(set(PML_INDEX, 511)),
    edits("mode-based-execute-control-needs-ept", by(|e| without_ept(e, MBEC)), NOTHING)
        .where_possible(|cpu| cpu.secondary.allows(MBEC)),
    edits("sub-page-write-permissions-need-ept", by(|e| with_page_only(e, SPP, SPPTP)), NOTHING)
        .where_possible(|cpu| has_ept(cpu) && cpu.secondary.allows(SPP)),
    behind(aligned("sub-page-permission-table-aligned", SPPTP)).secondary(SPP),
    behind(within_width("sub-page-permission-table-within-physical-width", SPPTP)).secondary(SPP),
    edits("pt-guest-physical-needs-ept", NOTHING, by(use_ept))
        .secondary(SecondaryControls::PT_USES_GUEST_PHYSICAL)
        .exit(ExitControls::CLEAR_IA32_RTIT_CTL)
        .entry(EntryControls::LOAD_IA32_RTIT_CTL)
        .not_shown(INTEL_PT),
    values("vm-function-reserved-bits", VM_FUNCTION_CONTROLS, 1 << 63, 0)
        .of("bit 63")
        .secondary(FUNCTIONS)
        .where_possible(has_eptp_switching),
    edits("eptp-switching-needs-ept", by(switch_without_ept), NOTHING)
        .where_possible(|cpu| has_eptp_switching(cpu) && cpu.secondary.allows(FUNCTIONS)),
    behind(aligned("eptp-list-aligned", EPTP_LIST_ADDRESS))
        .secondary(FUNCTIONS)
        .with(SWITCH_EPTP)
        .where_possible(has_eptp_switching),
    behind(within_width("eptp-list-within-physical-width", EPTP_LIST_ADDRESS))
        .secondary(FUNCTIONS)
        .with(SWITCH_EPTP)
        .where_possible(has_eptp_switching),
    aligned("ve-information-aligned", VE_INFORMATION_ADDRESS).secondary(VE),
    within_width("ve-information-within-physical-width", VE_INFORMATION_ADDRESS).secondary(VE),
    edits("hlat-needs-ept", NOTHING, by(use_ept)).tertiary(HLAT).not_shown(NO_HLAT),
    behind(values("hlat-pointer-reserved-bits", HLAT_POINTER, 1 << 5, PAGE))
        .tertiary(HLAT)
        .not_shown(NO_HLAT),
    behind(within_width("hlat-pointer-within-physical-width", HLAT_POINTER))
        .tertiary(HLAT)
        .not_shown(NO_HLAT),
    behind(edits("hlat-prefix-size", by(|e| hlat_prefix(e, 1)), by(|e| hlat_prefix(e, 0))))
        .tertiary(HLAT)
        .not_shown(NO_HLAT),
    edits("ept-paging-write-needs-ept", NOTHING, by(use_ept))
        .tertiary(TertiaryControls::EPT_PAGING_WRITE_CONTROL)
        .not_shown(FeatureOnNoModel("EPT paging-write control")),
    edits("guest-paging-verification-needs-ept", NOTHING, by(use_ept))
        .tertiary(TertiaryControls::GUEST_PAGING_VERIFICATION)
        .not_shown(FeatureOnNoModel("guest-paging verification")),
];

const SPPTP: Field<PhysicalAddress> = SUB_PAGE_PERMISSION_TABLE_POINTER;
const SWITCH_EPTP: Edit = by(|e| e.set(VM_FUNCTION_CONTROLS, VmFunctions::EPTP_SWITCHING));

/// From the guest in real mode, because that is behind EPT.
const fn behind(case: Case) -> Case {
    case.on(GuestReal).where_possible(has_ept)
}

/// EPT, and the unrestricted guest that the base behind it is.
fn has_ept(cpu: &Capabilities) -> bool {
    cpu.secondary.allows(SecondaryControls::ENABLE_EPT | UNRESTRICTED)
}

fn has_ept_without(cpu: &Capabilities, feature: EptVpidCapabilities) -> bool {
    has_ept(cpu) && !cpu.ept_vpid.contains(feature)
}

fn has_eptp_switching(cpu: &Capabilities) -> bool {
    has_ept(cpu) && cpu.vm_functions.contains(VmFunctions::EPTP_SWITCHING)
}

/// Replaces the bits of `mask` in the EPT pointer.
fn eptp(e: &mut Editor<'_>, mask: u64, bits: u64) {
    e.clear_bits(EPT_POINTER, mask);
    e.set_bits(EPT_POINTER, bits);
}

fn uncacheable(e: &mut Editor<'_>) {
    if e.capabilities.ept_vpid.contains(EptVpidCapabilities::UNCACHEABLE_STRUCTURES) {
        eptp(e, 0b111, 0);
    }
}

fn eptp_beyond(e: &mut Editor<'_>) {
    e.set_bits(EPT_POINTER, e.just_beyond());
}

fn without_ept(e: &mut Editor<'_>, controls: SecondaryControls) {
    e.turn_on(controls);
    e.turn_off(SecondaryControls::ENABLE_EPT);
}

/// A control that rests on EPT, with the page that it wants, without EPT.
fn with_page_only(e: &mut Editor<'_>, control: SecondaryControls, address: Field<PhysicalAddress>) {
    without_ept(e, control);
    e.set(address, PhysicalAddress(PAGE));
}

fn switch_without_ept(e: &mut Editor<'_>) {
    with_page_only(e, FUNCTIONS, EPTP_LIST_ADDRESS);
    e.set(VM_FUNCTION_CONTROLS, VmFunctions::EPTP_SWITCHING);
}

/// The largest prefix of the CPU, and some more.
fn hlat_prefix(e: &mut Editor<'_>, too_much: u16) {
    let largest = e.capabilities.ept_vpid.largest_hlat_prefix();
    e.set(HLAT_PREFIX_SIZE, largest as u16 + too_much);
}
