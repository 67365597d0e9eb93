//! The VM-execution controls of APIC virtualisation and posted interrupts.

use super::address::{is_page_aligned, is_physical, is_physical_array};
use super::rule::{Group, Rule, Section, all_hold};
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls,
};
use crate::control::exit::ExitControls;
use crate::vmcs::field;

const TPR_SHADOW: PrimaryControls = PrimaryControls::USE_TPR_SHADOW;
const DELIVERY: SecondaryControls = SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY;
const POSTED: PinBasedControls = PinBasedControls::PROCESS_POSTED_INTERRUPTS;
const IPIS: TertiaryControls = TertiaryControls::IPI_VIRTUALIZATION;
const TIMER: TertiaryControls = TertiaryControls::APIC_TIMER_VIRTUALIZATION;

/// TPR shadow, APIC-access page, virtual and posted interrupts, IPIs, APIC timer.
pub(super) const APIC_CONTROLS: Section = Section {
    group: Group::Controls,
    title: "Checks on VM-Execution Control Fields",
    all_hold: |state| all_hold(APIC_CONTROLS.rules, state),
    rules: &[
        Rule::new(
            "virtual-apic-page-aligned",
            "with \"use TPR shadow\", bits 11:0 of the virtual-APIC address are 0",
            &[field::VIRTUAL_APIC_ADDRESS.encoding()],
            |state| {
                !state.primary(TPR_SHADOW)
                    || is_page_aligned(state.get(field::VIRTUAL_APIC_ADDRESS))
            },
        ),
        Rule::new(
            "virtual-apic-page-within-physical-width",
            "with \"use TPR shadow\", the virtual-APIC address lies within the CPU's \
             physical-address width",
            &[field::VIRTUAL_APIC_ADDRESS.encoding()],
            |state| {
                !state.primary(TPR_SHADOW)
                    || is_physical(state, state.get(field::VIRTUAL_APIC_ADDRESS))
            },
        ),
        Rule::new(
            "tpr-threshold-reserved-bits",
            "with \"use TPR shadow\" and without \"virtual-interrupt delivery\", bits 31:4 of the \
             TPR threshold are 0",
            &[field::TPR_THRESHOLD.encoding()],
            |state| {
                !state.primary(TPR_SHADOW)
                    || state.secondary(DELIVERY)
                    || state.get(field::TPR_THRESHOLD) <= 0xF
            },
        ),
        Rule::new(
            "tpr-threshold-not-above-vtpr",
            "with \"use TPR shadow\", and without \"virtualize APIC accesses\" and \
             \"virtual-interrupt delivery\", bits 3:0 of the TPR threshold are not greater than \
             bits 7:4 of VTPR (offset 80h of the virtual-APIC page)",
            &[field::TPR_THRESHOLD.encoding(), field::VIRTUAL_APIC_ADDRESS.encoding()],
            |state| {
                !state.primary(TPR_SHADOW)
                    || state.secondary(DELIVERY)
                    || state.secondary(SecondaryControls::VIRTUALIZE_APIC_ACCESSES)
                    || state.memory().virtual_tpr.is_none_or(|vtpr| {
                        state.get(field::TPR_THRESHOLD) & 0xF <= (vtpr >> 4).into()
                    })
            },
        ),
        Rule::new(
            "apic-access-page-aligned",
            "with \"virtualize APIC accesses\", bits 11:0 of the APIC-access address are 0",
            &[field::APIC_ACCESS_ADDRESS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::VIRTUALIZE_APIC_ACCESSES)
                    || is_page_aligned(state.get(field::APIC_ACCESS_ADDRESS))
            },
        ),
        Rule::new(
            "apic-access-page-within-physical-width",
            "with \"virtualize APIC accesses\", the APIC-access address lies within the CPU's \
             physical-address width",
            &[field::APIC_ACCESS_ADDRESS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::VIRTUALIZE_APIC_ACCESSES)
                    || is_physical(state, state.get(field::APIC_ACCESS_ADDRESS))
            },
        ),
        Rule::new(
            "x2apic-mode-needs-tpr-shadow",
            "\"virtualize x2APIC mode\" is 1 only with \"use TPR shadow\"",
            &[field::SECONDARY_CONTROLS.encoding(), field::PRIMARY_CONTROLS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::VIRTUALIZE_X2APIC_MODE)
                    || state.primary(TPR_SHADOW)
            },
        ),
        Rule::new(
            "apic-register-virtualization-needs-tpr-shadow",
            "\"APIC-register virtualization\" is 1 only with \"use TPR shadow\"",
            &[field::SECONDARY_CONTROLS.encoding(), field::PRIMARY_CONTROLS.encoding()],
            |state| {
                !state.secondary(SecondaryControls::APIC_REGISTER_VIRTUALIZATION)
                    || state.primary(TPR_SHADOW)
            },
        ),
        Rule::new(
            "virtual-interrupt-delivery-needs-tpr-shadow",
            "\"virtual-interrupt delivery\" is 1 only with \"use TPR shadow\"",
            &[field::SECONDARY_CONTROLS.encoding(), field::PRIMARY_CONTROLS.encoding()],
            |state| !state.secondary(DELIVERY) || state.primary(TPR_SHADOW),
        ),
        Rule::new(
            "ipi-virtualization-needs-tpr-shadow",
            "\"IPI virtualization\" is 1 only with \"use TPR shadow\"",
            &[field::TERTIARY_CONTROLS.encoding(), field::PRIMARY_CONTROLS.encoding()],
            |state| !state.tertiary(IPIS) || state.primary(TPR_SHADOW),
        ),
        Rule::new(
            "x2apic-mode-excludes-apic-accesses",
            "\"virtualize x2APIC mode\" and \"virtualize APIC accesses\" are not both 1",
            &[field::SECONDARY_CONTROLS.encoding()],
            |state| {
                !state.secondary(
                    SecondaryControls::VIRTUALIZE_X2APIC_MODE
                        .union(SecondaryControls::VIRTUALIZE_APIC_ACCESSES),
                )
            },
        ),
        Rule::new(
            "virtual-interrupt-delivery-needs-external-interrupt-exiting",
            "\"virtual-interrupt delivery\" is 1 only with \"external-interrupt exiting\"",
            &[field::SECONDARY_CONTROLS.encoding(), field::PIN_BASED_CONTROLS.encoding()],
            |state| {
                !state.secondary(DELIVERY)
                    || state.pin_based(PinBasedControls::EXTERNAL_INTERRUPT_EXITING)
            },
        ),
        Rule::new(
            "posted-interrupts-need-virtual-interrupt-delivery",
            "\"process posted interrupts\" is 1 only with \"virtual-interrupt delivery\"",
            &[field::PIN_BASED_CONTROLS.encoding(), field::SECONDARY_CONTROLS.encoding()],
            |state| !state.pin_based(POSTED) || state.secondary(DELIVERY),
        ),
        Rule::new(
            "posted-interrupts-need-acknowledge-on-exit",
            "\"process posted interrupts\" is 1 only with the VM-exit control \"acknowledge \
             interrupt on exit\"",
            &[field::PIN_BASED_CONTROLS.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| {
                !state.pin_based(POSTED) || state.exit(ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT)
            },
        ),
        Rule::new(
            "posted-interrupt-notification-vector",
            "with \"process posted interrupts\", the notification vector is at most 255",
            &[field::POSTED_INTERRUPT_NOTIFICATION_VECTOR.encoding()],
            |state| {
                !state.pin_based(POSTED)
                    || state.get(field::POSTED_INTERRUPT_NOTIFICATION_VECTOR) <= 0xFF
            },
        ),
        Rule::new(
            "posted-interrupt-descriptor-aligned",
            "with \"process posted interrupts\", bits 5:0 of the posted-interrupt descriptor \
             address are 0",
            &[field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS.encoding()],
            |state| {
                !state.pin_based(POSTED)
                    || state.get(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS).0 & 0x3F == 0
            },
        ),
        Rule::new(
            "posted-interrupt-descriptor-within-physical-width",
            "with \"process posted interrupts\", the posted-interrupt descriptor address lies \
             within the CPU's physical-address width",
            &[field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS.encoding()],
            |state| {
                !state.pin_based(POSTED)
                    || is_physical(state, state.get(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS))
            },
        ),
        Rule::new(
            "pid-pointer-table-aligned",
            "with \"IPI virtualization\", bits 2:0 of the PID-pointer table address are 0",
            &[field::PID_POINTER_TABLE_ADDRESS.encoding()],
            |state| {
                !state.tertiary(IPIS) || state.get(field::PID_POINTER_TABLE_ADDRESS).0 & 0b111 == 0
            },
        ),
        Rule::new(
            "pid-pointer-table-within-physical-width",
            "with \"IPI virtualization\", the PID-pointer table lies within the CPU's \
             physical-address width, up to the entry of the last PID-pointer index",
            &[
                field::PID_POINTER_TABLE_ADDRESS.encoding(),
                field::LAST_PID_POINTER_INDEX.encoding(),
            ],
            |state| {
                let entries = |index: u16| u32::from(index) + 1;
                !state.tertiary(IPIS)
                    || is_physical_array(
                        state,
                        state.get(field::PID_POINTER_TABLE_ADDRESS),
                        entries(state.get(field::LAST_PID_POINTER_INDEX)),
                        8,
                    )
            },
        ),
        Rule::new(
            "apic-timer-needs-virtual-interrupt-delivery",
            "\"APIC-timer virtualization\" is 1 only with \"virtual-interrupt delivery\"",
            &[field::TERTIARY_CONTROLS.encoding(), field::SECONDARY_CONTROLS.encoding()],
            |state| !state.tertiary(TIMER) || state.secondary(DELIVERY),
        ),
        Rule::new(
            "apic-timer-excludes-rdtsc-exiting",
            "\"APIC-timer virtualization\" is 1 only without \"RDTSC exiting\"",
            &[field::TERTIARY_CONTROLS.encoding(), field::PRIMARY_CONTROLS.encoding()],
            |state| !state.tertiary(TIMER) || !state.primary(PrimaryControls::RDTSC_EXITING),
        ),
        Rule::new(
            "virtual-timer-vector",
            "with \"APIC-timer virtualization\", the virtual timer vector is at most 255",
            &[field::VIRTUAL_TIMER_VECTOR.encoding()],
            |state| !state.tertiary(TIMER) || state.get(field::VIRTUAL_TIMER_VECTOR) <= 0xFF,
        ),
    ],
};
