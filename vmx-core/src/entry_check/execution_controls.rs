//! The VM-execution control words, and what is neither about the APIC nor about EPT.

use super::address::{is_page_aligned, is_physical};
use super::rule::{Group, Rule, Section, all_hold};
use crate::control::entry::EntryControls;
use crate::control::execution::{PinBasedControls, PrimaryControls, SecondaryControls};
use crate::control::exit::ExitControls;
use crate::vmcs::field;

/// The words, the bitmaps and the controls that depend on others.
pub(super) const EXECUTION_CONTROLS: Section = Section {
    group: Group::Controls,
    title: "Checks on VM-Execution Control Fields",
    all_hold: |state| all_hold(EXECUTION_CONTROLS.rules, state),
    rules: &[
        Rule::new(
            "pin-based-reserved-bits",
            "each pin-based control has a value that the CPU allows (IA32_VMX_PINBASED_CTLS)",
            &[field::PIN_BASED_CONTROLS.encoding()],
            |state| state.capabilities().pin_based.accepts(state.get(field::PIN_BASED_CONTROLS)),
        ),
        Rule::new(
            "primary-reserved-bits",
            "each primary processor-based control has a value that the CPU allows \
             (IA32_VMX_PROCBASED_CTLS)",
            &[field::PRIMARY_CONTROLS.encoding()],
            |state| state.capabilities().primary.accepts(state.get(field::PRIMARY_CONTROLS)),
        ),
        Rule::new(
            "secondary-reserved-bits",
            "each activated secondary processor-based control has a value that the CPU allows \
             (IA32_VMX_PROCBASED_CTLS2)",
            &[field::SECONDARY_CONTROLS.encoding()],
            |state| {
                !state.primary(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS)
                    || state.capabilities().secondary.accepts(state.get(field::SECONDARY_CONTROLS))
            },
        ),
        Rule::new(
            "tertiary-reserved-bits",
            "no activated tertiary processor-based control is 1 that the CPU lacks \
             (IA32_VMX_PROCBASED_CTLS3)",
            &[field::TERTIARY_CONTROLS.encoding()],
            |state| {
                !state.primary(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS)
                    || state.capabilities().tertiary.accepts(state.get(field::TERTIARY_CONTROLS))
            },
        ),
        Rule::new(
            "cr3-target-count",
            "the CR3-target count is not greater than the CPU's number of CR3-target values \
             (IA32_VMX_MISC[24:16])",
            &[field::CR3_TARGET_COUNT.encoding()],
            |state| {
                state.get(field::CR3_TARGET_COUNT) <= state.capabilities().misc.cr3_target_count()
            },
        ),
        Rule::new(
            "io-bitmaps-aligned",
            "with \"use I/O bitmaps\", bits 11:0 of both I/O-bitmap addresses are 0",
            &[field::IO_BITMAP_A.encoding(), field::IO_BITMAP_B.encoding()],
            |state| {
                !state.primary(PrimaryControls::USE_IO_BITMAPS)
                    || is_page_aligned(state.get(field::IO_BITMAP_A))
                        && is_page_aligned(state.get(field::IO_BITMAP_B))
            },
        ),
        Rule::new(
            "io-bitmaps-within-physical-width",
            "with \"use I/O bitmaps\", both I/O-bitmap addresses lie within the CPU's \
             physical-address width",
            &[field::IO_BITMAP_A.encoding(), field::IO_BITMAP_B.encoding()],
            |state| {
                !state.primary(PrimaryControls::USE_IO_BITMAPS)
                    || is_physical(state, state.get(field::IO_BITMAP_A))
                        && is_physical(state, state.get(field::IO_BITMAP_B))
            },
        ),
        Rule::new(
            "msr-bitmap-aligned",
            "with \"use MSR bitmaps\", bits 11:0 of the MSR-bitmap address are 0",
            &[field::MSR_BITMAP.encoding()],
            |state| {
                !state.primary(PrimaryControls::USE_MSR_BITMAPS)
                    || is_page_aligned(state.get(field::MSR_BITMAP))
            },
        ),
        Rule::new(
            "msr-bitmap-within-physical-width",
            "with \"use MSR bitmaps\", the MSR-bitmap address lies within the CPU's \
             physical-address width",
            &[field::MSR_BITMAP.encoding()],
            |state| {
                !state.primary(PrimaryControls::USE_MSR_BITMAPS)
                    || is_physical(state, state.get(field::MSR_BITMAP))
            },
        ),
        Rule::new(
            "virtual-nmis-need-nmi-exiting",
            "\"virtual NMIs\" is 1 only with \"NMI exiting\"",
            &[field::PIN_BASED_CONTROLS.encoding()],
            |state| {
                !state.pin_based(PinBasedControls::VIRTUAL_NMIS)
                    || state.pin_based(PinBasedControls::NMI_EXITING)
            },
        ),
        Rule::new(
            "nmi-window-exiting-needs-virtual-nmis",
            "\"NMI-window exiting\" is 1 only with \"virtual NMIs\"",
            &[field::PRIMARY_CONTROLS.encoding(), field::PIN_BASED_CONTROLS.encoding()],
            |state| {
                !state.primary(PrimaryControls::NMI_WINDOW_EXITING)
                    || state.pin_based(PinBasedControls::VIRTUAL_NMIS)
            },
        ),
        Rule::new(
            "vpid-not-zero",
            "with \"enable VPID\", the virtual-processor identifier is not 0",
            &[field::VPID.encoding()],
            |state| !state.secondary(SecondaryControls::ENABLE_VPID) || state.get(field::VPID) != 0,
        ),
        Rule::new(
            "vmcs-shadowing-bitmaps-aligned",
            "with \"VMCS shadowing\", bits 11:0 of the VMREAD- and VMWRITE-bitmap addresses are 0",
            &[field::VMREAD_BITMAP_ADDRESS.encoding(), field::VMWRITE_BITMAP_ADDRESS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::VMCS_SHADOWING)
                    || is_page_aligned(state.get(field::VMREAD_BITMAP_ADDRESS))
                        && is_page_aligned(state.get(field::VMWRITE_BITMAP_ADDRESS))
            },
        ),
        Rule::new(
            "vmcs-shadowing-bitmaps-within-physical-width",
            "with \"VMCS shadowing\", the VMREAD- and VMWRITE-bitmap addresses lie within the \
             CPU's physical-address width",
            &[field::VMREAD_BITMAP_ADDRESS.encoding(), field::VMWRITE_BITMAP_ADDRESS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::VMCS_SHADOWING)
                    || is_physical(state, state.get(field::VMREAD_BITMAP_ADDRESS))
                        && is_physical(state, state.get(field::VMWRITE_BITMAP_ADDRESS))
            },
        ),
        Rule::new(
            "pt-guest-physical-needs-load-rtit-ctl",
            "\"Intel PT uses guest physical addresses\" is 1 only with the VM-entry control \
             \"load IA32_RTIT_CTL\"",
            &[field::SECONDARY_CONTROLS.encoding(), field::VM_ENTRY_CONTROLS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::PT_USES_GUEST_PHYSICAL)
                    || state.entry(EntryControls::LOAD_IA32_RTIT_CTL)
            },
        ),
        Rule::new(
            "pt-guest-physical-needs-clear-rtit-ctl",
            "\"Intel PT uses guest physical addresses\" is 1 only with the VM-exit control \
             \"clear IA32_RTIT_CTL\"",
            &[field::SECONDARY_CONTROLS.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::PT_USES_GUEST_PHYSICAL)
                    || state.exit(ExitControls::CLEAR_IA32_RTIT_CTL)
            },
        ),
        Rule::new(
            "tsc-multiplier-not-zero",
            "with \"use TSC scaling\", the TSC multiplier is not 0",
            &[field::TSC_MULTIPLIER.encoding()],
            |state| {
                !state.secondary(SecondaryControls::USE_TSC_SCALING)
                    || state.get(field::TSC_MULTIPLIER) != 0
            },
        ),
        Rule::new(
            "pasid-directories-aligned",
            "with \"PASID translation\", bits 11:0 of both PASID-directory addresses are 0",
            &[
                field::LOW_PASID_DIRECTORY_ADDRESS.encoding(),
                field::HIGH_PASID_DIRECTORY_ADDRESS.encoding(),
            ],
            |state| {
                !state.secondary(SecondaryControls::PASID_TRANSLATION)
                    || is_page_aligned(state.get(field::LOW_PASID_DIRECTORY_ADDRESS))
                        && is_page_aligned(state.get(field::HIGH_PASID_DIRECTORY_ADDRESS))
            },
        ),
        Rule::new(
            "pasid-directories-within-physical-width",
            "with \"PASID translation\", both PASID-directory addresses lie within the CPU's \
             physical-address width",
            &[
                field::LOW_PASID_DIRECTORY_ADDRESS.encoding(),
                field::HIGH_PASID_DIRECTORY_ADDRESS.encoding(),
            ],
            |state| {
                !state.secondary(SecondaryControls::PASID_TRANSLATION)
                    || is_physical(state, state.get(field::LOW_PASID_DIRECTORY_ADDRESS))
                        && is_physical(state, state.get(field::HIGH_PASID_DIRECTORY_ADDRESS))
            },
        ),
    ],
};
