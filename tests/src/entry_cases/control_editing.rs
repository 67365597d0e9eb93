//! What the cases of the control fields share: building a case, and changing controls.
//!
//! An edge that is entered must not do more than its base: pages that it names are
//! [`SCRATCH`].

use vmx_core::Capabilities;
use vmx_core::PhysicalAddress;
use vmx_core::control::{ExitControls, PinBasedControls, PrimaryControls, SecondaryControls};
use vmx_core::vmcs::field;

use super::SCRATCH;
use crate::entry_case::{Base, Case, Editor, Exception, NotShown};

/// On a page, but not at its start.
pub(super) const CROOKED: PhysicalAddress = PhysicalAddress(SCRATCH + 4);
/// Beyond any CPU's physical addresses.
pub(super) const BEYOND: PhysicalAddress = PhysicalAddress(1 << 52);
/// A page that may be written.
pub(super) const PAGE: PhysicalAddress = PhysicalAddress(SCRATCH);

pub(super) const fn absent(rule: &'static str, feature: &'static str) -> Exception {
    Exception { rule, reason: NotShown::FeatureOnNoModel(feature) }
}

/// A case that starts from the 64-bit guest.
pub(super) const fn case(
    rule: &'static str,
    what: &'static str,
    possible: fn(&Capabilities) -> bool,
    breaks: fn(&mut Editor<'_>),
    edge: fn(&mut Editor<'_>),
) -> Case {
    Case { rule, what, base: Base::Guest64, possible, breaks, edge }
}

pub(super) fn always(_: &Capabilities) -> bool {
    true
}

pub(super) fn nothing(_: &mut Editor<'_>) {}

/// The lowest bit that is 1.
pub(super) fn lowest(word: u32) -> u64 {
    (word & word.wrapping_neg()).into()
}

/// The highest bit that is 0: one without a meaning, or that other rules do not read.
pub(super) fn highest_clear(word: u32) -> u64 {
    1_u64.checked_shl(31_u32.wrapping_sub(word.leading_ones())).unwrap_or(0)
}

/// The first address beyond the CPU's physical-address width.
pub(super) fn just_beyond(e: &Editor<'_>) -> PhysicalAddress {
    PhysicalAddress(1 << (e.capabilities.physical_address_width % 64))
}

pub(super) fn pin(e: &mut Editor<'_>, controls: PinBasedControls) {
    e.set_bits(field::PIN_BASED_CONTROLS, controls.bits().into());
}

pub(super) fn no_pin(e: &mut Editor<'_>, controls: PinBasedControls) {
    e.clear_bits(field::PIN_BASED_CONTROLS, controls.bits().into());
}

pub(super) fn primary(e: &mut Editor<'_>, controls: PrimaryControls) {
    e.set_bits(field::PRIMARY_CONTROLS, controls.bits().into());
}

pub(super) fn no_primary(e: &mut Editor<'_>, controls: PrimaryControls) {
    e.clear_bits(field::PRIMARY_CONTROLS, controls.bits().into());
}

/// Sets secondary controls. If they were not activated, they were all 0.
pub(super) fn secondary(e: &mut Editor<'_>, controls: SecondaryControls) {
    if !e.get(field::PRIMARY_CONTROLS).contains(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS) {
        primary(e, PrimaryControls::ACTIVATE_SECONDARY_CONTROLS);
        e.set(field::SECONDARY_CONTROLS, SecondaryControls::empty());
    }
    e.set_bits(field::SECONDARY_CONTROLS, controls.bits().into());
}

pub(super) fn no_secondary(e: &mut Editor<'_>, controls: SecondaryControls) {
    e.clear_bits(field::SECONDARY_CONTROLS, controls.bits().into());
}

pub(super) fn exit(e: &mut Editor<'_>, controls: ExitControls) {
    e.set_bits(field::VM_EXIT_CONTROLS, controls.bits().into());
}

pub(super) fn shadow(e: &mut Editor<'_>, vmread: PhysicalAddress, vmwrite: PhysicalAddress) {
    secondary(e, SecondaryControls::VMCS_SHADOWING);
    e.set(field::VMREAD_BITMAP_ADDRESS, vmread);
    e.set(field::VMWRITE_BITMAP_ADDRESS, vmwrite);
}
