//! The cases of the EPT pointer and of the controls that rest on EPT.

use vmx_core::Capabilities;
use vmx_core::PhysicalAddress;
use vmx_core::capability::EptVpidCapabilities;
use vmx_core::control::{SecondaryControls, VmFunctions};
use vmx_core::vmcs::field;
use vmx_core::vmcs::field::Field;

use super::control_editing::{
    CROOKED, PAGE, absent, case, just_beyond, no_secondary, nothing, secondary,
};
use crate::entry_case::{Base, Case, Editor, Exception};

/// The cases.
pub const CASES: &[Case] = &[
    behind_ept(
        "eptp-memory-type",
        "write-through",
        has_ept,
        |e| eptp(e, 0b111, 4),
        |e| {
            let has_uncacheable = EptVpidCapabilities::UNCACHEABLE_STRUCTURES;
            if e.capabilities.ept_vpid.contains(has_uncacheable) {
                eptp(e, 0b111, 0);
            }
        },
    ),
    behind_ept("eptp-page-walk-length", "3", has_ept, |e| eptp(e, 0x38, 2 << 3), nothing),
    behind_ept(
        "eptp-page-walk-length",
        "5",
        |c| has_ept(c) && !c.ept_vpid.contains(EptVpidCapabilities::PAGE_WALK_5),
        |e| eptp(e, 0x38, 4 << 3),
        nothing,
    ),
    behind_ept(
        "eptp-accessed-and-dirty",
        "",
        |c| has_ept(c) && !c.ept_vpid.contains(EptVpidCapabilities::ACCESSED_AND_DIRTY),
        |e| eptp(e, 1 << 6, 1 << 6),
        nothing,
    ),
    behind_ept(
        "eptp-supervisor-shadow-stack",
        "",
        |c| has_ept(c) && !c.ept_vpid.contains(EptVpidCapabilities::SUPERVISOR_SHADOW_STACK),
        |e| eptp(e, 1 << 7, 1 << 7),
        nothing,
    ),
    behind_ept("eptp-reserved-bits", "bit 8", has_ept, |e| eptp(e, 1 << 8, 1 << 8), nothing),
    behind_ept("eptp-reserved-bits", "bit 11", has_ept, |e| eptp(e, 1 << 11, 1 << 11), nothing),
    behind_ept(
        "eptp-within-physical-width",
        "",
        has_ept,
        |e| {
            let beyond = just_beyond(e).0;
            eptp(e, beyond, beyond);
        },
        nothing,
    ),
    case(
        "unrestricted-guest-needs-ept",
        "",
        has_ept,
        |e| without_ept(e, SecondaryControls::UNRESTRICTED_GUEST),
        nothing,
    ),
    case(
        "pml-needs-ept",
        "",
        has_pml,
        |e| {
            without_ept(e, SecondaryControls::ENABLE_PML);
            e.set(field::PML_ADDRESS, PAGE);
        },
        nothing,
    ),
    behind_ept("pml-address-aligned", "", has_pml, |e| pml(e, CROOKED), |e| pml(e, PAGE)),
    behind_ept(
        "pml-address-within-physical-width",
        "",
        has_pml,
        |e| pml(e, just_beyond(e)),
        |e| pml(e, PAGE),
    ),
    case(
        "mode-based-execute-control-needs-ept",
        "",
        |c| c.secondary.allows(SecondaryControls::MODE_BASED_EXECUTE_CONTROL),
        |e| without_ept(e, SecondaryControls::MODE_BASED_EXECUTE_CONTROL),
        nothing,
    ),
    case(
        "sub-page-write-permissions-need-ept",
        "",
        has_spp,
        |e| {
            without_ept(e, SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS);
            e.set(field::SUB_PAGE_PERMISSION_TABLE_POINTER, PAGE);
        },
        nothing,
    ),
    behind_ept(
        "sub-page-permission-table-aligned",
        "",
        has_spp,
        |e| spp(e, CROOKED),
        |e| spp(e, PAGE),
    ),
    behind_ept(
        "sub-page-permission-table-within-physical-width",
        "",
        has_spp,
        |e| spp(e, just_beyond(e)),
        |e| spp(e, PAGE),
    ),
    case(
        "vm-function-reserved-bits",
        "bit 63",
        has_functions,
        |e| {
            secondary(e, SecondaryControls::ENABLE_VM_FUNCTIONS);
            e.set(field::VM_FUNCTION_CONTROLS, VmFunctions::from_bits_retain(1 << 63));
        },
        |e| {
            secondary(e, SecondaryControls::ENABLE_VM_FUNCTIONS);
            e.set(field::VM_FUNCTION_CONTROLS, VmFunctions::empty());
        },
    ),
    case(
        "eptp-switching-needs-ept",
        "",
        has_functions,
        |e| {
            eptp_list(e, PAGE);
            without_ept(e, SecondaryControls::empty());
        },
        nothing,
    ),
    behind_ept(
        "eptp-list-aligned",
        "",
        has_functions,
        |e| eptp_list(e, CROOKED),
        |e| eptp_list(e, PAGE),
    ),
    behind_ept(
        "eptp-list-within-physical-width",
        "",
        has_functions,
        |e| eptp_list(e, just_beyond(e)),
        |e| eptp_list(e, PAGE),
    ),
    case(
        "ve-information-aligned",
        "",
        has_ve,
        |e| ve_information(e, CROOKED),
        |e| ve_information(e, PAGE),
    ),
    case(
        "ve-information-within-physical-width",
        "",
        has_ve,
        |e| ve_information(e, just_beyond(e)),
        |e| ve_information(e, PAGE),
    ),
];

/// The rules without a case.
pub const EXCEPTIONS: &[Exception] = &[
    absent("pt-guest-physical-needs-ept", "Intel PT"),
    absent("hlat-needs-ept", "HLAT"),
    absent("hlat-pointer-reserved-bits", "HLAT"),
    absent("hlat-pointer-within-physical-width", "HLAT"),
    absent("hlat-prefix-size", "HLAT"),
    absent("ept-paging-write-needs-ept", "EPT paging-write control"),
    absent("guest-paging-verification-needs-ept", "guest-paging verification"),
];

/// A case that starts from the guest in real mode, because that is behind EPT.
const fn behind_ept(
    rule: &'static str,
    what: &'static str,
    possible: fn(&Capabilities) -> bool,
    breaks: fn(&mut Editor<'_>),
    edge: fn(&mut Editor<'_>),
) -> Case {
    Case { rule, what, base: Base::GuestReal, possible, breaks, edge }
}

/// EPT, and the unrestricted guest that the base behind it is.
fn has_ept(c: &Capabilities) -> bool {
    c.secondary.allows(SecondaryControls::ENABLE_EPT | SecondaryControls::UNRESTRICTED_GUEST)
}

fn has_pml(c: &Capabilities) -> bool {
    has_ept(c) && c.secondary.allows(SecondaryControls::ENABLE_PML)
}

fn has_spp(c: &Capabilities) -> bool {
    has_ept(c) && c.secondary.allows(SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS)
}

fn has_functions(c: &Capabilities) -> bool {
    has_ept(c)
        && c.secondary.allows(SecondaryControls::ENABLE_VM_FUNCTIONS)
        && c.vm_functions.contains(VmFunctions::EPTP_SWITCHING)
}

fn has_ve(c: &Capabilities) -> bool {
    c.secondary.allows(SecondaryControls::EPT_VIOLATION_VE)
}

/// Replaces the bits of `mask` in the EPT pointer.
fn eptp(e: &mut Editor<'_>, mask: u64, bits: u64) {
    e.clear_bits(field::EPT_POINTER, mask);
    e.set_bits(field::EPT_POINTER, bits);
}

fn without_ept(e: &mut Editor<'_>, controls: SecondaryControls) {
    secondary(e, controls);
    no_secondary(e, SecondaryControls::ENABLE_EPT);
}

fn with_page(
    e: &mut Editor<'_>,
    control: SecondaryControls,
    address: Field<PhysicalAddress>,
    page: PhysicalAddress,
) {
    secondary(e, control);
    e.set(address, page);
}

fn pml(e: &mut Editor<'_>, page: PhysicalAddress) {
    with_page(e, SecondaryControls::ENABLE_PML, field::PML_ADDRESS, page);
    e.set(field::PML_INDEX, 511);
}

fn spp(e: &mut Editor<'_>, page: PhysicalAddress) {
    let control = SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS;
    with_page(e, control, field::SUB_PAGE_PERMISSION_TABLE_POINTER, page);
}

fn eptp_list(e: &mut Editor<'_>, page: PhysicalAddress) {
    with_page(e, SecondaryControls::ENABLE_VM_FUNCTIONS, field::EPTP_LIST_ADDRESS, page);
    e.set(field::VM_FUNCTION_CONTROLS, VmFunctions::EPTP_SWITCHING);
}

fn ve_information(e: &mut Editor<'_>, page: PhysicalAddress) {
    with_page(e, SecondaryControls::EPT_VIOLATION_VE, field::VE_INFORMATION_ADDRESS, page);
}
