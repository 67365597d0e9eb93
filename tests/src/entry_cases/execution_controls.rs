//! The cases of the VM-execution control words and of what is neither APIC nor EPT.

use vmx_core::control::{
    EntryControls, ExitControls, PinBasedControls, PrimaryControls, SecondaryControls,
};
use vmx_core::entry_check::ExampleGuest::GuestReal;
use vmx_core::vmcs::field::*;
use vmx_core::{Capabilities, PhysicalAddress};

use super::case::NotShown::{self, FeatureOnNoModel};
use super::case::{Case, Edit, NOTHING, beyond, by, edits, set, values};
use super::editing::*;
use super::editor::Editor;

const PASID: NotShown = FeatureOnNoModel("PASID translation");
const ACTIVATE_TERTIARY: PrimaryControls = PrimaryControls::ACTIVATE_TERTIARY_CONTROLS;
const MSR_BITMAPS: PrimaryControls = PrimaryControls::USE_MSR_BITMAPS;
const NMI_EXITING: PinBasedControls = PinBasedControls::NMI_EXITING;
const VIRTUAL_NMIS: PinBasedControls = PinBasedControls::VIRTUAL_NMIS;

/// The cases.
pub(super) const CASES: &[Case] = &[
    must_be_1("pin-based-reserved-bits", |e| {
        e.clear_bits(PIN_BASED_CONTROLS, lowest(e.capabilities.pin_based.must_be_one));
    }),
    must_be_0("pin-based-reserved-bits", |e| {
        e.set_bits(PIN_BASED_CONTROLS, highest_clear(e.capabilities.pin_based.may_be_one));
    }),
    must_be_1("primary-reserved-bits", |e| {
        e.clear_bits(PRIMARY_CONTROLS, lowest(e.capabilities.primary.must_be_one));
    }),
    must_be_0("primary-reserved-bits", |e| {
        e.set_bits(PRIMARY_CONTROLS, highest_clear(e.capabilities.primary.may_be_one));
    }),
    must_be_0("secondary-reserved-bits", |e| {
        e.set_bits(SECONDARY_CONTROLS, highest_clear(e.capabilities.secondary.may_be_one));
    })
    .after(|e| e.turn_on(SecondaryControls::empty()))
    .where_possible(has_reserved_secondary),
    edits("tertiary-reserved-bits", primary(ACTIVATE_TERTIARY), NOTHING)
        .of("a bit that must be 0")
        .with(set(TERTIARY_CONTROLS, 1 << 63))
        .where_possible(|cpu| cpu.primary.allows(ACTIVATE_TERTIARY)),
    edits("cr3-target-count", by(|e| cr3_targets(e, 1)), by(|e| cr3_targets(e, 0)))
        .of("one too many"),
    aligned("io-bitmaps-aligned", IO_BITMAP_A).of("bitmap A").after(io_bitmaps),
    aligned("io-bitmaps-aligned", IO_BITMAP_B).of("bitmap B").after(io_bitmaps),
    values("io-bitmaps-within-physical-width", IO_BITMAP_A, BEYOND, PAGE)
        .of("bitmap A")
        .after(io_bitmaps),
    within_width("io-bitmaps-within-physical-width", IO_BITMAP_B).of("bitmap B").after(io_bitmaps),
    edits("msr-bitmap-aligned", set(MSR_BITMAP, CROOKED), NO_MSR_BITMAP)
        .of("bit 2")
        .primary(MSR_BITMAPS),
    edits("msr-bitmap-within-physical-width", set(MSR_BITMAP, BEYOND), NO_MSR_BITMAP)
        .of("bit 52")
        .primary(MSR_BITMAPS),
    edits("msr-bitmap-within-physical-width", beyond(MSR_BITMAP), NO_MSR_BITMAP)
        .of("first bit beyond")
        .primary(MSR_BITMAPS),
    edits("virtual-nmis-need-nmi-exiting", no_pin(NMI_EXITING), pin(NMI_EXITING)).pin(VIRTUAL_NMIS),
    edits(
        "nmi-window-exiting-needs-virtual-nmis",
        by(|e| {
            e.turn_off(VIRTUAL_NMIS);
            e.turn_on(PrimaryControls::NMI_WINDOW_EXITING);
        }),
        pin(VIRTUAL_NMIS.union(NMI_EXITING)),
    )
    .where_possible(|cpu| cpu.pin_based.allows(VIRTUAL_NMIS)),
    values("vpid-not-zero", VPID, 0, 1).secondary(SecondaryControls::ENABLE_VPID),
    shadowing(aligned("vmcs-shadowing-bitmaps-aligned", VMREAD_BITMAP_ADDRESS)).of("VMREAD bitmap"),
    shadowing(aligned("vmcs-shadowing-bitmaps-aligned", VMWRITE_BITMAP_ADDRESS))
        .of("VMWRITE bitmap"),
    shadowing(within_width("vmcs-shadowing-bitmaps-within-physical-width", VMREAD_BITMAP_ADDRESS))
        .of("VMREAD bitmap"),
    shadowing(values(
        "vmcs-shadowing-bitmaps-within-physical-width",
        VMWRITE_BITMAP_ADDRESS,
        BEYOND,
        PAGE,
    ))
    .of("VMWRITE bitmap"),
    edits("pt-guest-physical-needs-load-rtit-ctl", NOTHING, entry(LOAD_RTIT_CTL))
        .on(GuestReal)
        .secondary(SecondaryControls::PT_USES_GUEST_PHYSICAL)
        .exit(CLEAR_RTIT_CTL)
        .not_shown(INTEL_PT),
    edits("pt-guest-physical-needs-clear-rtit-ctl", NOTHING, exit(CLEAR_RTIT_CTL))
        .on(GuestReal)
        .secondary(SecondaryControls::PT_USES_GUEST_PHYSICAL)
        .entry(LOAD_RTIT_CTL)
        .not_shown(INTEL_PT),
    values("tsc-multiplier-not-zero", TSC_MULTIPLIER, 0, 1 << 48)
        .secondary(SecondaryControls::USE_TSC_SCALING),
    aligned("pasid-directories-aligned", HIGH_PASID_DIRECTORY_ADDRESS)
        .secondary(SecondaryControls::PASID_TRANSLATION)
        .not_shown(PASID),
    within_width("pasid-directories-within-physical-width", LOW_PASID_DIRECTORY_ADDRESS)
        .secondary(SecondaryControls::PASID_TRANSLATION)
        .not_shown(PASID),
];

const LOAD_RTIT_CTL: EntryControls = EntryControls::LOAD_IA32_RTIT_CTL;
const CLEAR_RTIT_CTL: ExitControls = ExitControls::CLEAR_IA32_RTIT_CTL;

/// The address is as it may be where nobody looks.
const NO_MSR_BITMAP: Edit = by(|e| {
    e.set(MSR_BITMAP, PhysicalAddress(CROOKED));
    e.turn_off(MSR_BITMAPS);
});

/// Both bitmaps of VMCS shadowing.
const fn shadowing(case: Case) -> Case {
    case.secondary(SecondaryControls::VMCS_SHADOWING).after(|e| {
        e.set(VMREAD_BITMAP_ADDRESS, PhysicalAddress(PAGE));
        e.set(VMWRITE_BITMAP_ADDRESS, PhysicalAddress(PAGE));
    })
}

fn has_reserved_secondary(cpu: &Capabilities) -> bool {
    cpu.primary.allows(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS)
        && cpu.secondary.may_be_one != u32::MAX
}

fn cr3_targets(e: &mut Editor<'_>, too_many: u32) {
    e.set(CR3_TARGET_COUNT, e.capabilities.misc.cr3_target_count() + too_many);
}

fn io_bitmaps(e: &mut Editor<'_>) {
    e.turn_on(PrimaryControls::USE_IO_BITMAPS);
    e.set(IO_BITMAP_A, PhysicalAddress(PAGE));
    e.set(IO_BITMAP_B, PhysicalAddress(PAGE));
}
