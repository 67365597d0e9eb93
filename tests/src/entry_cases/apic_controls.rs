//! The cases of the controls of APIC virtualisation and posted interrupts.

use vmx_core::Capabilities;
use vmx_core::PhysicalAddress;
use vmx_core::apic::GuestInterruptStatus;
use vmx_core::control::{ExitControls, PinBasedControls, PrimaryControls, SecondaryControls};
use vmx_core::vmcs::field;

use super::SCRATCH;
use super::control_editing::{
    CROOKED, PAGE, absent, case, exit, just_beyond, no_pin, no_primary, no_secondary, pin, primary,
    secondary,
};
use crate::entry_case::{Case, Editor, Exception};

/// The cases.
pub const CASES: &[Case] = &[
    case(
        "virtual-apic-page-aligned",
        "",
        has_tpr_shadow,
        |e| tpr_shadow(e, CROOKED, 0),
        |e| tpr_shadow(e, PAGE, 0),
    ),
    case(
        "virtual-apic-page-within-physical-width",
        "",
        has_tpr_shadow,
        |e| tpr_shadow(e, just_beyond(e), 0),
        |e| tpr_shadow(e, PAGE, 0),
    ),
    case(
        "tpr-threshold-reserved-bits",
        "",
        has_tpr_shadow,
        |e| tpr_shadow(e, PAGE, 1 << 4),
        |e| tpr_shadow(e, PAGE, 0),
    ),
    case(
        "tpr-threshold-not-above-vtpr",
        "",
        has_tpr_shadow,
        |e| tpr_shadow(e, PAGE, 1),
        |e| tpr_shadow(e, PAGE, 0),
    ),
    case(
        "apic-access-page-aligned",
        "",
        has_apic_accesses,
        |e| apic_accesses(e, CROOKED),
        |e| apic_accesses(e, PAGE),
    ),
    case(
        "apic-access-page-within-physical-width",
        "",
        has_apic_accesses,
        |e| apic_accesses(e, just_beyond(e)),
        |e| apic_accesses(e, PAGE),
    ),
    case(
        "x2apic-mode-needs-tpr-shadow",
        "",
        has_x2apic,
        |e| {
            no_primary(e, PrimaryControls::USE_TPR_SHADOW);
            secondary(e, SecondaryControls::VIRTUALIZE_X2APIC_MODE);
        },
        |e| {
            tpr_shadow(e, PAGE, 0);
            secondary(e, SecondaryControls::VIRTUALIZE_X2APIC_MODE);
        },
    ),
    case(
        "apic-register-virtualization-needs-tpr-shadow",
        "",
        has_delivery,
        |e| {
            no_primary(e, PrimaryControls::USE_TPR_SHADOW);
            secondary(e, SecondaryControls::APIC_REGISTER_VIRTUALIZATION);
        },
        |e| {
            tpr_shadow(e, PAGE, 0);
            secondary(e, SecondaryControls::APIC_REGISTER_VIRTUALIZATION);
        },
    ),
    case(
        "virtual-interrupt-delivery-needs-tpr-shadow",
        "",
        has_delivery,
        |e| {
            deliver(e);
            no_primary(e, PrimaryControls::USE_TPR_SHADOW);
        },
        deliver,
    ),
    case(
        "x2apic-mode-excludes-apic-accesses",
        "",
        has_x2apic,
        |e| {
            tpr_shadow(e, PAGE, 0);
            apic_accesses(e, PAGE);
            secondary(e, SecondaryControls::VIRTUALIZE_X2APIC_MODE);
        },
        |e| {
            tpr_shadow(e, PAGE, 0);
            apic_accesses(e, PAGE);
        },
    ),
    case(
        "virtual-interrupt-delivery-needs-external-interrupt-exiting",
        "",
        has_delivery,
        |e| {
            deliver(e);
            no_pin(e, PinBasedControls::EXTERNAL_INTERRUPT_EXITING);
        },
        deliver,
    ),
    case(
        "posted-interrupts-need-virtual-interrupt-delivery",
        "",
        has_posting,
        |e| {
            post(e);
            no_secondary(e, SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
        },
        post,
    ),
    case(
        "posted-interrupts-need-acknowledge-on-exit",
        "",
        has_posting,
        |e| {
            post(e);
            no_exit(e, ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT);
        },
        post,
    ),
    case(
        "posted-interrupt-notification-vector",
        "",
        has_posting,
        |e| {
            post(e);
            e.set(field::POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0x100);
        },
        post,
    ),
    // The edge of the manual, a multiple of 64, is none on the second processor:
    // departure posted-interrupt-descriptor-page.
    case(
        "posted-interrupt-descriptor-aligned",
        "",
        has_posting,
        |e| {
            post(e);
            e.set(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, PhysicalAddress(SCRATCH + 0x20));
        },
        post,
    ),
    case(
        "posted-interrupt-descriptor-within-physical-width",
        "",
        has_posting,
        |e| {
            post(e);
            e.set(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, just_beyond(e));
        },
        post,
    ),
];

/// The rules without a case.
pub const EXCEPTIONS: &[Exception] = &[
    absent("ipi-virtualization-needs-tpr-shadow", "IPI virtualization"),
    absent("pid-pointer-table-aligned", "IPI virtualization"),
    absent("pid-pointer-table-within-physical-width", "IPI virtualization"),
    absent("apic-timer-needs-virtual-interrupt-delivery", "APIC-timer virtualization"),
    absent("apic-timer-excludes-rdtsc-exiting", "APIC-timer virtualization"),
    absent("virtual-timer-vector", "APIC-timer virtualization"),
];

fn has_tpr_shadow(c: &Capabilities) -> bool {
    c.primary.allows(PrimaryControls::USE_TPR_SHADOW)
}

fn has_apic_accesses(c: &Capabilities) -> bool {
    c.secondary.allows(SecondaryControls::VIRTUALIZE_APIC_ACCESSES)
}

fn has_x2apic(c: &Capabilities) -> bool {
    let controls = SecondaryControls::VIRTUALIZE_X2APIC_MODE;
    has_tpr_shadow(c) && has_apic_accesses(c) && c.secondary.allows(controls)
}

fn has_delivery(c: &Capabilities) -> bool {
    let controls = SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY
        | SecondaryControls::APIC_REGISTER_VIRTUALIZATION;
    has_tpr_shadow(c) && c.secondary.allows(controls)
}

fn has_posting(c: &Capabilities) -> bool {
    has_delivery(c) && c.pin_based.allows(PinBasedControls::PROCESS_POSTED_INTERRUPTS)
}

fn no_exit(e: &mut Editor<'_>, controls: ExitControls) {
    e.clear_bits(field::VM_EXIT_CONTROLS, controls.bits().into());
}

/// A virtual-APIC page whose TPR is 0 if it is [`PAGE`].
fn tpr_shadow(e: &mut Editor<'_>, page: PhysicalAddress, threshold: u32) {
    primary(e, PrimaryControls::USE_TPR_SHADOW);
    e.set(field::VIRTUAL_APIC_ADDRESS, page);
    e.set(field::TPR_THRESHOLD, threshold);
}

fn apic_accesses(e: &mut Editor<'_>, page: PhysicalAddress) {
    secondary(e, SecondaryControls::VIRTUALIZE_APIC_ACCESSES);
    e.set(field::APIC_ACCESS_ADDRESS, page);
}

fn deliver(e: &mut Editor<'_>) {
    tpr_shadow(e, PAGE, 0);
    secondary(e, SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    pin(e, PinBasedControls::EXTERNAL_INTERRUPT_EXITING);
    e.set(field::GUEST_INTERRUPT_STATUS, GuestInterruptStatus(0));
}

fn post(e: &mut Editor<'_>) {
    deliver(e);
    pin(e, PinBasedControls::PROCESS_POSTED_INTERRUPTS);
    exit(e, ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT);
    e.set(field::POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0xFF);
    e.set(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, PAGE);
}
