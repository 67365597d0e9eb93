//! The cases of the VM-execution control words and of what is neither APIC nor EPT.

use vmx_core::Capabilities;
use vmx_core::PhysicalAddress;
use vmx_core::control::{PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls};
use vmx_core::vmcs::field;

use super::control_editing::{
    BEYOND, CROOKED, PAGE, absent, always, case, highest_clear, just_beyond, lowest, no_pin,
    no_primary, nothing, pin, primary, secondary, shadow,
};
use crate::entry_case::{Case, Editor, Exception};

/// The cases.
pub const CASES: &[Case] = &[
    case(
        "pin-based-reserved-bits",
        "a bit that must be 1",
        always,
        |e| {
            e.clear_bits(field::PIN_BASED_CONTROLS, lowest(e.capabilities.pin_based.must_be_one));
        },
        nothing,
    ),
    case(
        "pin-based-reserved-bits",
        "a bit that must be 0",
        always,
        |e| {
            e.set_bits(
                field::PIN_BASED_CONTROLS,
                highest_clear(e.capabilities.pin_based.may_be_one),
            );
        },
        nothing,
    ),
    case(
        "primary-reserved-bits",
        "a bit that must be 1",
        always,
        |e| {
            e.clear_bits(field::PRIMARY_CONTROLS, lowest(e.capabilities.primary.must_be_one));
        },
        nothing,
    ),
    case(
        "primary-reserved-bits",
        "a bit that must be 0",
        always,
        |e| {
            e.set_bits(field::PRIMARY_CONTROLS, highest_clear(e.capabilities.primary.may_be_one));
        },
        nothing,
    ),
    case(
        "secondary-reserved-bits",
        "a bit that must be 0",
        has_secondary,
        |e| {
            secondary(e, SecondaryControls::empty());
            e.set_bits(
                field::SECONDARY_CONTROLS,
                highest_clear(e.capabilities.secondary.may_be_one),
            );
        },
        |e| secondary(e, SecondaryControls::empty()),
    ),
    case(
        "tertiary-reserved-bits",
        "a bit that must be 0",
        has_tertiary,
        |e| {
            primary(e, PrimaryControls::ACTIVATE_TERTIARY_CONTROLS);
            e.set(field::TERTIARY_CONTROLS, TertiaryControls::from_bits_retain(1 << 63));
        },
        |e| e.set(field::TERTIARY_CONTROLS, TertiaryControls::from_bits_retain(1 << 63)),
    ),
    case(
        "cr3-target-count",
        "one too many",
        always,
        |e| {
            e.set(field::CR3_TARGET_COUNT, e.capabilities.misc.cr3_target_count() + 1);
        },
        |e| e.set(field::CR3_TARGET_COUNT, e.capabilities.misc.cr3_target_count()),
    ),
    case(
        "io-bitmaps-aligned",
        "bitmap A",
        always,
        |e| io_bitmaps(e, CROOKED, PAGE),
        |e| io_bitmaps(e, PAGE, PAGE),
    ),
    case(
        "io-bitmaps-aligned",
        "bitmap B",
        always,
        |e| io_bitmaps(e, PAGE, CROOKED),
        |e| io_bitmaps(e, PAGE, PAGE),
    ),
    case(
        "io-bitmaps-within-physical-width",
        "bitmap A",
        always,
        |e| io_bitmaps(e, BEYOND, PAGE),
        |e| io_bitmaps(e, PAGE, PAGE),
    ),
    case(
        "io-bitmaps-within-physical-width",
        "bitmap B",
        always,
        |e| io_bitmaps(e, PAGE, just_beyond(e)),
        |e| io_bitmaps(e, PAGE, PAGE),
    ),
    case("msr-bitmap-aligned", "bit 2", always, |e| msr_bitmap(e, CROOKED), no_msr_bitmap),
    case(
        "msr-bitmap-within-physical-width",
        "bit 52",
        always,
        |e| msr_bitmap(e, BEYOND),
        no_msr_bitmap,
    ),
    case(
        "msr-bitmap-within-physical-width",
        "first bit beyond",
        always,
        |e| msr_bitmap(e, just_beyond(e)),
        no_msr_bitmap,
    ),
    case(
        "virtual-nmis-need-nmi-exiting",
        "",
        has_virtual_nmis,
        |e| {
            pin(e, PinBasedControls::VIRTUAL_NMIS);
            no_pin(e, PinBasedControls::NMI_EXITING);
        },
        |e| pin(e, PinBasedControls::VIRTUAL_NMIS | PinBasedControls::NMI_EXITING),
    ),
    case(
        "nmi-window-exiting-needs-virtual-nmis",
        "",
        has_virtual_nmis,
        |e| {
            no_pin(e, PinBasedControls::VIRTUAL_NMIS);
            primary(e, PrimaryControls::NMI_WINDOW_EXITING);
        },
        |e| pin(e, PinBasedControls::VIRTUAL_NMIS | PinBasedControls::NMI_EXITING),
    ),
    case(
        "vpid-not-zero",
        "",
        |c| c.secondary.allows(SecondaryControls::ENABLE_VPID),
        |e| {
            secondary(e, SecondaryControls::ENABLE_VPID);
            e.set(field::VPID, 0);
        },
        |e| {
            secondary(e, SecondaryControls::ENABLE_VPID);
            e.set(field::VPID, 1);
        },
    ),
    case(
        "vmcs-shadowing-bitmaps-aligned",
        "VMREAD bitmap",
        has_shadowing,
        |e| shadow(e, CROOKED, PAGE),
        |e| shadow(e, PAGE, PAGE),
    ),
    case(
        "vmcs-shadowing-bitmaps-aligned",
        "VMWRITE bitmap",
        has_shadowing,
        |e| shadow(e, PAGE, CROOKED),
        |e| shadow(e, PAGE, PAGE),
    ),
    case(
        "vmcs-shadowing-bitmaps-within-physical-width",
        "VMREAD bitmap",
        has_shadowing,
        |e| shadow(e, just_beyond(e), PAGE),
        |e| shadow(e, PAGE, PAGE),
    ),
    case(
        "vmcs-shadowing-bitmaps-within-physical-width",
        "VMWRITE bitmap",
        has_shadowing,
        |e| shadow(e, PAGE, BEYOND),
        |e| shadow(e, PAGE, PAGE),
    ),
    case(
        "tsc-multiplier-not-zero",
        "",
        |c| c.secondary.allows(SecondaryControls::USE_TSC_SCALING),
        |e| {
            secondary(e, SecondaryControls::USE_TSC_SCALING);
            e.set(field::TSC_MULTIPLIER, 0);
        },
        |e| {
            secondary(e, SecondaryControls::USE_TSC_SCALING);
            e.set(field::TSC_MULTIPLIER, 1 << 48);
        },
    ),
];

/// The rules without a case.
pub const EXCEPTIONS: &[Exception] = &[
    absent("pt-guest-physical-needs-load-rtit-ctl", "Intel PT"),
    absent("pt-guest-physical-needs-clear-rtit-ctl", "Intel PT"),
    absent("pasid-directories-aligned", "PASID translation"),
    absent("pasid-directories-within-physical-width", "PASID translation"),
];

fn has_secondary(c: &Capabilities) -> bool {
    c.primary.allows(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS)
        && c.secondary.may_be_one != u32::MAX
}

fn has_tertiary(c: &Capabilities) -> bool {
    c.primary.allows(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS)
}

fn has_virtual_nmis(c: &Capabilities) -> bool {
    c.pin_based.allows(PinBasedControls::VIRTUAL_NMIS)
}

fn has_shadowing(c: &Capabilities) -> bool {
    c.secondary.allows(SecondaryControls::VMCS_SHADOWING)
}

fn io_bitmaps(e: &mut Editor<'_>, a: PhysicalAddress, b: PhysicalAddress) {
    primary(e, PrimaryControls::USE_IO_BITMAPS);
    e.set(field::IO_BITMAP_A, a);
    e.set(field::IO_BITMAP_B, b);
}

fn msr_bitmap(e: &mut Editor<'_>, address: PhysicalAddress) {
    primary(e, PrimaryControls::USE_MSR_BITMAPS);
    e.set(field::MSR_BITMAP, address);
}

/// The address is as it may be where nobody looks.
fn no_msr_bitmap(e: &mut Editor<'_>) {
    msr_bitmap(e, CROOKED);
    no_primary(e, PrimaryControls::USE_MSR_BITMAPS);
}
