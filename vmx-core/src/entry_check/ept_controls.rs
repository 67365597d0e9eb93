//! The EPT pointer, and the VM-execution controls that rest on EPT.

use super::address::{is_page_aligned, is_physical};
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::capability::ept_vpid::EptVpidCapabilities;
use crate::control::execution::{SecondaryControls, TertiaryControls, VmFunctions};
use crate::ept::{EptPointerFlags, MemoryType};
use crate::memory::address::PhysicalAddress;
use crate::vmcs::field;

const EPT: SecondaryControls = SecondaryControls::ENABLE_EPT;

/// The EPT pointer and what needs EPT.
pub(super) const EPT_CONTROLS: Section = Section {
    group: Group::Controls,
    title: "Checks on VM-Execution Control Fields",
    all_hold: |state| all_hold(EPT_CONTROLS.rules, state),
    rules: &[
        Rule::new(
            "eptp-memory-type",
            "with \"enable EPT\", bits 2:0 of the EPT pointer are a memory type that the CPU has \
             for EPT structures: 0, uncacheable, or 6, write-back (IA32_VMX_EPT_VPID_CAP[8], [14])",
            &[field::EPT_POINTER.encoding()],
            |state| {
                let needed = match state.get(field::EPT_POINTER).memory_type() {
                    Some(MemoryType::Uncacheable) => EptVpidCapabilities::UNCACHEABLE_STRUCTURES,
                    Some(MemoryType::WriteBack) => EptVpidCapabilities::WRITE_BACK_STRUCTURES,
                    _ => return !state.secondary(EPT),
                };
                !state.secondary(EPT) || state.capabilities().ept_vpid.contains(needed)
            },
        ),
        Rule::new(
            "eptp-page-walk-length",
            "with \"enable EPT\", bits 5:3 of the EPT pointer are one less than a page-walk length \
             that the CPU has: 4 or 5 (IA32_VMX_EPT_VPID_CAP[6], [7])",
            &[field::EPT_POINTER.encoding()],
            |state| {
                let needed = match state.get(field::EPT_POINTER).page_walk_length() {
                    4 => EptVpidCapabilities::PAGE_WALK_4,
                    5 => EptVpidCapabilities::PAGE_WALK_5,
                    _ => return !state.secondary(EPT),
                };
                !state.secondary(EPT) || state.capabilities().ept_vpid.contains(needed)
            },
        ),
        Rule::new(
            "eptp-accessed-and-dirty",
            "with \"enable EPT\", bit 6 of the EPT pointer is 1 only if the CPU has accessed and \
             dirty flags for EPT (IA32_VMX_EPT_VPID_CAP[21])",
            &[field::EPT_POINTER.encoding()],
            |state| {
                !state.secondary(EPT)
                    || !has_flags(state, EptPointerFlags::ACCESSED_DIRTY)
                    || state
                        .capabilities()
                        .ept_vpid
                        .contains(EptVpidCapabilities::ACCESSED_AND_DIRTY)
            },
        ),
        Rule::new(
            "eptp-supervisor-shadow-stack",
            "with \"enable EPT\", bit 7 of the EPT pointer is 1 only if the CPU has \
             supervisor-shadow-stack control (IA32_VMX_EPT_VPID_CAP[23])",
            &[field::EPT_POINTER.encoding()],
            |state| {
                !state.secondary(EPT)
                    || !has_flags(state, EptPointerFlags::SUPERVISOR_SHADOW_STACK_CONTROL)
                    || state
                        .capabilities()
                        .ept_vpid
                        .contains(EptVpidCapabilities::SUPERVISOR_SHADOW_STACK)
            },
        ),
        Rule::new(
            "eptp-reserved-bits",
            "with \"enable EPT\", bits 11:8 of the EPT pointer are 0",
            &[field::EPT_POINTER.encoding()],
            |state| !state.secondary(EPT) || state.get(field::EPT_POINTER).bits() & 0xF00 == 0,
        ),
        Rule::new(
            "eptp-within-physical-width",
            "with \"enable EPT\", the EPT pointer has no bit beyond the CPU's physical-address \
             width",
            &[field::EPT_POINTER.encoding()],
            |state| {
                !state.secondary(EPT)
                    || is_physical(state, PhysicalAddress(state.get(field::EPT_POINTER).bits()))
            },
        ),
        Rule::new(
            "unrestricted-guest-needs-ept",
            "\"unrestricted guest\" is 1 only with \"enable EPT\"",
            &[field::SECONDARY_CONTROLS.encoding()],
            |state| !state.secondary(SecondaryControls::UNRESTRICTED_GUEST) || state.secondary(EPT),
        ),
        Rule::new(
            "pml-needs-ept",
            "\"enable PML\" is 1 only with \"enable EPT\"",
            &[field::SECONDARY_CONTROLS.encoding()],
            |state| !state.secondary(SecondaryControls::ENABLE_PML) || state.secondary(EPT),
        ),
        Rule::new(
            "pml-address-aligned",
            "with \"enable PML\", bits 11:0 of the PML address are 0",
            &[field::PML_ADDRESS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::ENABLE_PML)
                    || is_page_aligned(state.get(field::PML_ADDRESS))
            },
        ),
        Rule::new(
            "pml-address-within-physical-width",
            "with \"enable PML\", the PML address lies within the CPU's physical-address width",
            &[field::PML_ADDRESS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::ENABLE_PML)
                    || is_physical(state, state.get(field::PML_ADDRESS))
            },
        ),
        Rule::new(
            "mode-based-execute-control-needs-ept",
            "\"mode-based execute control for EPT\" is 1 only with \"enable EPT\"",
            &[field::SECONDARY_CONTROLS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::MODE_BASED_EXECUTE_CONTROL)
                    || state.secondary(EPT)
            },
        ),
        Rule::new(
            "sub-page-write-permissions-need-ept",
            "\"sub-page write permissions for EPT\" is 1 only with \"enable EPT\"",
            &[field::SECONDARY_CONTROLS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS)
                    || state.secondary(EPT)
            },
        ),
        Rule::new(
            "sub-page-permission-table-aligned",
            "with \"sub-page write permissions for EPT\", bits 11:0 of the \
             sub-page-permission-table pointer are 0",
            &[field::SUB_PAGE_PERMISSION_TABLE_POINTER.encoding()],
            |state| {
                !state.secondary(SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS)
                    || is_page_aligned(state.get(field::SUB_PAGE_PERMISSION_TABLE_POINTER))
            },
        ),
        Rule::new(
            "sub-page-permission-table-within-physical-width",
            "with \"sub-page write permissions for EPT\", the sub-page-permission-table pointer \
             lies within the CPU's physical-address width",
            &[field::SUB_PAGE_PERMISSION_TABLE_POINTER.encoding()],
            |state| {
                !state.secondary(SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS)
                    || is_physical(state, state.get(field::SUB_PAGE_PERMISSION_TABLE_POINTER))
            },
        ),
        Rule::new(
            "pt-guest-physical-needs-ept",
            "\"Intel PT uses guest physical addresses\" is 1 only with \"enable EPT\"",
            &[field::SECONDARY_CONTROLS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::PT_USES_GUEST_PHYSICAL) || state.secondary(EPT)
            },
        ),
        Rule::new(
            "vm-function-reserved-bits",
            "with \"enable VM functions\", no VM-function control is 1 that the CPU lacks \
             (IA32_VMX_VMFUNC)",
            &[field::VM_FUNCTION_CONTROLS.encoding()],
            |state| state.capabilities().vm_functions.contains(vm_functions(state)),
        ),
        Rule::new(
            "eptp-switching-needs-ept",
            "the VM function \"EPTP switching\" is enabled only with \"enable EPT\"",
            &[field::VM_FUNCTION_CONTROLS.encoding(), field::SECONDARY_CONTROLS.encoding()],
            |state| !is_switching_eptp(state) || state.secondary(EPT),
        ),
        Rule::new(
            "eptp-list-aligned",
            "with \"EPTP switching\", bits 11:0 of the EPTP-list address are 0",
            &[field::EPTP_LIST_ADDRESS.encoding()],
            |state| {
                !is_switching_eptp(state) || is_page_aligned(state.get(field::EPTP_LIST_ADDRESS))
            },
        ),
        Rule::new(
            "eptp-list-within-physical-width",
            "with \"EPTP switching\", the EPTP-list address lies within the CPU's \
             physical-address width",
            &[field::EPTP_LIST_ADDRESS.encoding()],
            |state| {
                !is_switching_eptp(state) || is_physical(state, state.get(field::EPTP_LIST_ADDRESS))
            },
        ),
        Rule::new(
            "ve-information-aligned",
            "with \"EPT-violation #VE\", bits 11:0 of the virtualization-exception information \
             address are 0",
            &[field::VE_INFORMATION_ADDRESS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::EPT_VIOLATION_VE)
                    || is_page_aligned(state.get(field::VE_INFORMATION_ADDRESS))
            },
        ),
        Rule::new(
            "ve-information-within-physical-width",
            "with \"EPT-violation #VE\", the virtualization-exception information address lies \
             within the CPU's physical-address width",
            &[field::VE_INFORMATION_ADDRESS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::EPT_VIOLATION_VE)
                    || is_physical(state, state.get(field::VE_INFORMATION_ADDRESS))
            },
        ),
        Rule::new(
            "hlat-needs-ept",
            "\"enable HLAT\" is 1 only with \"enable EPT\"",
            &[field::TERTIARY_CONTROLS.encoding(), field::SECONDARY_CONTROLS.encoding()],
            |state| !state.tertiary(TertiaryControls::ENABLE_HLAT) || state.secondary(EPT),
        ),
        Rule::new(
            "hlat-pointer-reserved-bits",
            "with \"enable HLAT\", bits 2:0 and 11:5 of the HLAT pointer are 0",
            &[field::HLAT_POINTER.encoding()],
            |state| {
                !state.tertiary(TertiaryControls::ENABLE_HLAT)
                    || state.get(field::HLAT_POINTER) & 0xFE7 == 0
            },
        ),
        Rule::new(
            "hlat-pointer-within-physical-width",
            "with \"enable HLAT\", the HLAT pointer has no bit beyond the CPU's physical-address \
             width",
            &[field::HLAT_POINTER.encoding()],
            |state| {
                !state.tertiary(TertiaryControls::ENABLE_HLAT)
                    || is_physical(state, PhysicalAddress(state.get(field::HLAT_POINTER)))
            },
        ),
        Rule::new(
            "hlat-prefix-size",
            "with \"enable HLAT\", the HLAT prefix size is not greater than the CPU's largest \
             (IA32_VMX_EPT_VPID_CAP[53:48])",
            &[field::HLAT_PREFIX_SIZE.encoding()],
            |state| {
                !state.tertiary(TertiaryControls::ENABLE_HLAT)
                    || u32::from(state.get(field::HLAT_PREFIX_SIZE))
                        <= state.capabilities().ept_vpid.largest_hlat_prefix()
            },
        ),
        Rule::new(
            "ept-paging-write-needs-ept",
            "\"EPT paging-write control\" is 1 only with \"enable EPT\"",
            &[field::TERTIARY_CONTROLS.encoding(), field::SECONDARY_CONTROLS.encoding()],
            |state| {
                !state.tertiary(TertiaryControls::EPT_PAGING_WRITE_CONTROL) || state.secondary(EPT)
            },
        ),
        Rule::new(
            "guest-paging-verification-needs-ept",
            "\"guest-paging verification\" is 1 only with \"enable EPT\"",
            &[field::TERTIARY_CONTROLS.encoding(), field::SECONDARY_CONTROLS.encoding()],
            |state| {
                !state.tertiary(TertiaryControls::GUEST_PAGING_VERIFICATION) || state.secondary(EPT)
            },
        ),
    ],
};

/// Whether the EPT pointer has these flags.
fn has_flags(state: &EntryState<'_>, flags: EptPointerFlags) -> bool {
    state.get(field::EPT_POINTER).flags().contains(flags)
}

/// The VM functions that are enabled; none where the control is 0.
fn vm_functions(state: &EntryState<'_>) -> VmFunctions {
    if state.secondary(SecondaryControls::ENABLE_VM_FUNCTIONS) {
        state.get(field::VM_FUNCTION_CONTROLS)
    } else {
        VmFunctions::empty()
    }
}

fn is_switching_eptp(state: &EntryState<'_>) -> bool {
    vm_functions(state).contains(VmFunctions::EPTP_SWITCHING)
}
