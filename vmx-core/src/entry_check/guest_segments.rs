//! Selectors and bases of the guest's segment registers, and what the other rules of
//! segments share.

use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::execution::SecondaryControls;
use crate::cpu::register_bits::Rflags;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::field::*;

pub(super) const TITLE: &str = "Checks on Guest Segment Registers";

/// The registers, in the order of their fields.
pub(super) const ES: usize = 0;
pub(super) const CS: usize = 1;
pub(super) const SS: usize = 2;
pub(super) const DS: usize = 3;
pub(super) const FS: usize = 4;
pub(super) const GS: usize = 5;
pub(super) const LDTR: usize = 6;
pub(super) const TR: usize = 7;

const SELECTORS: [Field<u16>; 8] = [
    GUEST_ES_SELECTOR,
    GUEST_CS_SELECTOR,
    GUEST_SS_SELECTOR,
    GUEST_DS_SELECTOR,
    GUEST_FS_SELECTOR,
    GUEST_GS_SELECTOR,
    GUEST_LDTR_SELECTOR,
    GUEST_TR_SELECTOR,
];
const BASES: [Field<u64>; 8] = [
    GUEST_ES_BASE,
    GUEST_CS_BASE,
    GUEST_SS_BASE,
    GUEST_DS_BASE,
    GUEST_FS_BASE,
    GUEST_GS_BASE,
    GUEST_LDTR_BASE,
    GUEST_TR_BASE,
];
const LIMITS: [Field<u32>; 8] = [
    GUEST_ES_LIMIT,
    GUEST_CS_LIMIT,
    GUEST_SS_LIMIT,
    GUEST_DS_LIMIT,
    GUEST_FS_LIMIT,
    GUEST_GS_LIMIT,
    GUEST_LDTR_LIMIT,
    GUEST_TR_LIMIT,
];
const RIGHTS: [Field<AccessRights>; 8] = [
    GUEST_ES_ACCESS_RIGHTS,
    GUEST_CS_ACCESS_RIGHTS,
    GUEST_SS_ACCESS_RIGHTS,
    GUEST_DS_ACCESS_RIGHTS,
    GUEST_FS_ACCESS_RIGHTS,
    GUEST_GS_ACCESS_RIGHTS,
    GUEST_LDTR_ACCESS_RIGHTS,
    GUEST_TR_ACCESS_RIGHTS,
];

/// Bit 2 of a selector: the table indicator.
const TI: u16 = 1 << 2;

#[inline]
pub(super) fn selector<const R: usize>(state: &EntryState<'_>) -> u16 {
    state.get(const { SELECTORS[R] })
}

#[inline]
pub(super) fn base<const R: usize>(state: &EntryState<'_>) -> u64 {
    state.get(const { BASES[R] })
}

#[inline]
pub(super) fn limit<const R: usize>(state: &EntryState<'_>) -> u32 {
    state.get(const { LIMITS[R] })
}

#[inline]
pub(super) fn rights<const R: usize>(state: &EntryState<'_>) -> AccessRights {
    state.get(const { RIGHTS[R] })
}

/// Bits 1:0 of a selector: the requestor privilege level.
#[inline]
pub(super) fn rpl<const R: usize>(state: &EntryState<'_>) -> u8 {
    selector::<R>(state) as u8 & 0b11
}

#[inline]
pub(super) fn is_usable<const R: usize>(state: &EntryState<'_>) -> bool {
    !rights::<R>(state).is_unusable()
}

/// Whether the guest will be in virtual-8086 mode: RFLAGS.VM is 1.
#[inline]
pub(super) fn is_virtual_8086(state: &EntryState<'_>) -> bool {
    state.get(GUEST_RFLAGS).contains(Rflags::VM)
}

#[inline]
pub(super) fn is_unrestricted(state: &EntryState<'_>) -> bool {
    state.secondary(SecondaryControls::UNRESTRICTED_GUEST)
}

fn base_is_canonical<const R: usize>(state: &EntryState<'_>) -> bool {
    state.capabilities().linear_address_width.is_canonical(base::<R>(state))
}

/// Selectors and bases.
pub(super) const SELECTORS_AND_BASES: Section = Section {
    group: Group::GuestState,
    title: TITLE,
    all_hold: |state| all_hold(SELECTORS_AND_BASES.rules, state),
    rules: &[
        Rule::new(
            "guest-tr-selector-ti",
            "the TI flag (bit 2) of the TR selector is 0",
            &[GUEST_TR_SELECTOR.encoding()],
            |state| selector::<TR>(state) & TI == 0,
        ),
        Rule::new(
            "guest-ldtr-selector-ti",
            "the TI flag (bit 2) of the LDTR selector is 0, if LDTR is usable",
            &[GUEST_LDTR_SELECTOR.encoding(), GUEST_LDTR_ACCESS_RIGHTS.encoding()],
            |state| !is_usable::<LDTR>(state) || selector::<LDTR>(state) & TI == 0,
        ),
        Rule::new(
            "guest-ss-rpl-is-cs-rpl",
            "the RPL of SS is that of CS, but in virtual-8086 mode and in an unrestricted guest",
            &[GUEST_SS_SELECTOR.encoding(), GUEST_CS_SELECTOR.encoding()],
            |state| {
                is_virtual_8086(state)
                    || is_unrestricted(state)
                    || rpl::<SS>(state) == rpl::<CS>(state)
            },
        ),
        Rule::new(
            "guest-tr-base-canonical",
            "the base of TR is canonical",
            &[GUEST_TR_BASE.encoding()],
            base_is_canonical::<TR>,
        ),
        Rule::new(
            "guest-fs-base-canonical",
            "the base of FS is canonical",
            &[GUEST_FS_BASE.encoding()],
            base_is_canonical::<FS>,
        ),
        Rule::new(
            "guest-gs-base-canonical",
            "the base of GS is canonical",
            &[GUEST_GS_BASE.encoding()],
            base_is_canonical::<GS>,
        ),
        Rule::new(
            "guest-ldtr-base-canonical",
            "the base of LDTR is canonical, if LDTR is usable",
            &[GUEST_LDTR_BASE.encoding(), GUEST_LDTR_ACCESS_RIGHTS.encoding()],
            |state| !is_usable::<LDTR>(state) || base_is_canonical::<LDTR>(state),
        ),
        Rule::new(
            "guest-cs-base-high-half",
            "bits 63:32 of the base of CS are 0",
            &[GUEST_CS_BASE.encoding()],
            |state| base::<CS>(state) >> 32 == 0,
        ),
        Rule::new(
            "guest-ss-base-high-half",
            "bits 63:32 of the base of SS are 0, if it is usable",
            &[GUEST_SS_BASE.encoding(), GUEST_SS_ACCESS_RIGHTS.encoding()],
            |state| !is_usable::<SS>(state) || base::<SS>(state) >> 32 == 0,
        ),
        Rule::new(
            "guest-ds-base-high-half",
            "bits 63:32 of the base of DS are 0, if it is usable",
            &[GUEST_DS_BASE.encoding(), GUEST_DS_ACCESS_RIGHTS.encoding()],
            |state| !is_usable::<DS>(state) || base::<DS>(state) >> 32 == 0,
        ),
        Rule::new(
            "guest-es-base-high-half",
            "bits 63:32 of the base of ES are 0, if it is usable",
            &[GUEST_ES_BASE.encoding(), GUEST_ES_ACCESS_RIGHTS.encoding()],
            |state| !is_usable::<ES>(state) || base::<ES>(state) >> 32 == 0,
        ),
    ],
};
