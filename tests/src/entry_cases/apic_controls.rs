//! The cases of the controls of APIC virtualisation and posted interrupts.

use vmx_core::apic::GuestInterruptStatus;
use vmx_core::control::{
    ExitControls, PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls,
};
use vmx_core::vmcs::field::*;
use vmx_core::{Capabilities, PhysicalAddress};

use super::case::NotShown::{self, FeatureOnNoModel};
use super::case::{Case, NOTHING, by, edits, set, values};
use super::editing::*;
use super::editor::Editor;

const TPR_SHADOW: PrimaryControls = PrimaryControls::USE_TPR_SHADOW;
const APIC_ACCESSES: SecondaryControls = SecondaryControls::VIRTUALIZE_APIC_ACCESSES;
const X2APIC_MODE: SecondaryControls = SecondaryControls::VIRTUALIZE_X2APIC_MODE;
const REGISTERS: SecondaryControls = SecondaryControls::APIC_REGISTER_VIRTUALIZATION;
const DELIVERY: SecondaryControls = SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY;
const EXTERNAL_INTERRUPTS: PinBasedControls = PinBasedControls::EXTERNAL_INTERRUPT_EXITING;
const ACKNOWLEDGE: ExitControls = ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT;
const IPI: TertiaryControls = TertiaryControls::IPI_VIRTUALIZATION;
const TIMER: TertiaryControls = TertiaryControls::APIC_TIMER_VIRTUALIZATION;
const NO_IPI: NotShown = FeatureOnNoModel("IPI virtualization");
const NO_TIMER: NotShown = FeatureOnNoModel("APIC-timer virtualization");

/// The cases.
pub(super) const CASES: &[Case] = &[
    aligned("virtual-apic-page-aligned", VIRTUAL_APIC_ADDRESS)
        .primary(TPR_SHADOW)
        .with(set(TPR_THRESHOLD, 0)),
    within_width("virtual-apic-page-within-physical-width", VIRTUAL_APIC_ADDRESS)
        .primary(TPR_SHADOW)
        .with(set(TPR_THRESHOLD, 0)),
    values("tpr-threshold-reserved-bits", TPR_THRESHOLD, 1 << 4, 0)
        .primary(TPR_SHADOW)
        .with(set(VIRTUAL_APIC_ADDRESS, PAGE)),
    values("tpr-threshold-not-above-vtpr", TPR_THRESHOLD, 1, 0)
        .primary(TPR_SHADOW)
        .with(set(VIRTUAL_APIC_ADDRESS, PAGE)),
    aligned("apic-access-page-aligned", APIC_ACCESS_ADDRESS).secondary(APIC_ACCESSES),
    within_width("apic-access-page-within-physical-width", APIC_ACCESS_ADDRESS)
        .secondary(APIC_ACCESSES),
    edits("x2apic-mode-needs-tpr-shadow", no_primary(TPR_SHADOW), by(tpr_shadow))
        .secondary(X2APIC_MODE)
        .where_possible(has_x2apic),
    edits("apic-register-virtualization-needs-tpr-shadow", no_primary(TPR_SHADOW), by(tpr_shadow))
        .secondary(REGISTERS)
        .where_possible(has_delivery),
    edits("virtual-interrupt-delivery-needs-tpr-shadow", no_primary(TPR_SHADOW), NOTHING)
        .after(deliver)
        .where_possible(has_delivery),
    edits("ipi-virtualization-needs-tpr-shadow", NOTHING, by(tpr_shadow))
        .tertiary(IPI)
        .not_shown(NO_IPI),
    edits("x2apic-mode-excludes-apic-accesses", by(|e| e.turn_on(X2APIC_MODE)), NOTHING)
        .after(|e| {
            tpr_shadow(e);
            e.turn_on(APIC_ACCESSES);
            e.set(APIC_ACCESS_ADDRESS, PhysicalAddress(PAGE));
        })
        .where_possible(has_x2apic),
    edits(
        "virtual-interrupt-delivery-needs-external-interrupt-exiting",
        no_pin(EXTERNAL_INTERRUPTS),
        NOTHING,
    )
    .after(deliver)
    .where_possible(has_delivery),
    edits("posted-interrupts-need-virtual-interrupt-delivery", no_secondary(DELIVERY), NOTHING)
        .after(post)
        .where_possible(has_posting),
    edits("posted-interrupts-need-acknowledge-on-exit", no_exit(ACKNOWLEDGE), NOTHING)
        .after(post)
        .where_possible(has_posting),
    values("posted-interrupt-notification-vector", NOTIFICATION_VECTOR, 0x100, 0xFF)
        .after(post)
        .where_possible(has_posting),
    // The edge of the manual, a multiple of 64, is none on the second processor:
    // departure posted-interrupt-descriptor-page.
    values("posted-interrupt-descriptor-aligned", DESCRIPTOR, SCRATCH + 0x20, PAGE)
        .after(post)
        .where_possible(has_posting),
    within_width("posted-interrupt-descriptor-within-physical-width", DESCRIPTOR)
        .after(post)
        .where_possible(has_posting),
    aligned("pid-pointer-table-aligned", PID_POINTER_TABLE_ADDRESS)
        .tertiary(IPI)
        .after(tpr_shadow)
        .not_shown(NO_IPI),
    within_width("pid-pointer-table-within-physical-width", PID_POINTER_TABLE_ADDRESS)
        .of("first entry")
        .tertiary(IPI)
        .after(tpr_shadow)
        .not_shown(NO_IPI),
    values("pid-pointer-table-within-physical-width", LAST_PID_POINTER_INDEX, 1, 0)
        .of("last entry")
        .tertiary(IPI)
        .after(|e| {
            tpr_shadow(e);
            e.set(PID_POINTER_TABLE_ADDRESS, PhysicalAddress(e.just_beyond() - 8));
        })
        .not_shown(NO_IPI),
    edits("apic-timer-needs-virtual-interrupt-delivery", NOTHING, by(deliver))
        .tertiary(TIMER)
        .not_shown(NO_TIMER),
    edits("apic-timer-excludes-rdtsc-exiting", primary(PrimaryControls::RDTSC_EXITING), NOTHING)
        .tertiary(TIMER)
        .after(deliver)
        .not_shown(NO_TIMER),
    values("virtual-timer-vector", VIRTUAL_TIMER_VECTOR, 0x100, 0xFF)
        .tertiary(TIMER)
        .after(deliver)
        .not_shown(NO_TIMER),
];

const NOTIFICATION_VECTOR: Field<u16> = POSTED_INTERRUPT_NOTIFICATION_VECTOR;
const DESCRIPTOR: Field<PhysicalAddress> = POSTED_INTERRUPT_DESCRIPTOR_ADDRESS;

fn has_x2apic(cpu: &Capabilities) -> bool {
    cpu.primary.allows(TPR_SHADOW) && cpu.secondary.allows(APIC_ACCESSES | X2APIC_MODE)
}

fn has_delivery(cpu: &Capabilities) -> bool {
    cpu.primary.allows(TPR_SHADOW) && cpu.secondary.allows(DELIVERY | REGISTERS)
}

fn has_posting(cpu: &Capabilities) -> bool {
    has_delivery(cpu) && cpu.pin_based.allows(PinBasedControls::PROCESS_POSTED_INTERRUPTS)
}

/// A virtual-APIC page whose TPR is 0.
fn tpr_shadow(e: &mut Editor<'_>) {
    e.turn_on(TPR_SHADOW);
    e.set(VIRTUAL_APIC_ADDRESS, PhysicalAddress(PAGE));
    e.set(TPR_THRESHOLD, 0);
}

fn deliver(e: &mut Editor<'_>) {
    tpr_shadow(e);
    e.turn_on(DELIVERY);
    e.turn_on(EXTERNAL_INTERRUPTS);
    e.set(GUEST_INTERRUPT_STATUS, GuestInterruptStatus(0));
}

fn post(e: &mut Editor<'_>) {
    deliver(e);
    e.turn_on(PinBasedControls::PROCESS_POSTED_INTERRUPTS);
    e.turn_on(ACKNOWLEDGE);
    e.set(NOTIFICATION_VECTOR, 0xFF);
    e.set(DESCRIPTOR, PhysicalAddress(PAGE));
}
