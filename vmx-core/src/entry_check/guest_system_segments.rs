//! Access rights of TR and LDTR.

use super::guest_segments::{self, LDTR, TR, is_usable, limit, rights};
use super::rule::{Group, Rule, Section, all_hold};
use crate::control::entry::EntryControls;
use crate::vmcs::field::*;

/// What the access rights must be.
pub(super) const SYSTEM_SEGMENTS: Section = Section {
    group: Group::GuestState,
    title: guest_segments::TITLE,
    all_hold: |state| all_hold(SYSTEM_SEGMENTS.rules, state),
    rules: &[
        Rule::new(
            "guest-tr-type",
            "the type of TR is 11 (busy TSS), or 3 (busy 16-bit TSS) outside IA-32e mode",
            &[GUEST_TR_ACCESS_RIGHTS.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| match rights::<TR>(state).segment_type() {
                11 => true,
                3 => !state.entry(EntryControls::IA32E_MODE_GUEST),
                _ => false,
            },
        ),
        Rule::new(
            "guest-tr-system",
            "S (bit 4) of TR is 0",
            &[GUEST_TR_ACCESS_RIGHTS.encoding()],
            |state| !rights::<TR>(state).is_code_or_data(),
        ),
        Rule::new(
            "guest-tr-present",
            "P (bit 7) of TR is 1",
            &[GUEST_TR_ACCESS_RIGHTS.encoding()],
            |state| rights::<TR>(state).is_present(),
        ),
        Rule::new(
            "guest-tr-reserved-bits",
            "bits 11:8 and 31:17 of the access rights of TR are 0",
            &[GUEST_TR_ACCESS_RIGHTS.encoding()],
            |state| rights::<TR>(state).reserved() == 0,
        ),
        Rule::new(
            "guest-tr-granularity",
            "G (bit 15) of TR is 0 if limit bits 11:0 are not all 1, and 1 if one of bits 31:20 is",
            &[GUEST_TR_ACCESS_RIGHTS.encoding(), GUEST_TR_LIMIT.encoding()],
            |state| rights::<TR>(state).fits_limit(limit::<TR>(state)),
        ),
        Rule::new(
            "guest-tr-usable",
            "TR is usable: bit 16 of its access rights is 0",
            &[GUEST_TR_ACCESS_RIGHTS.encoding()],
            is_usable::<TR>,
        ),
        Rule::new(
            "guest-ldtr-type",
            "the type of LDTR is 2 (LDT), if it is usable",
            &[GUEST_LDTR_ACCESS_RIGHTS.encoding()],
            |state| !is_usable::<LDTR>(state) || rights::<LDTR>(state).segment_type() == 2,
        ),
        Rule::new(
            "guest-ldtr-system",
            "S (bit 4) of LDTR is 0, if it is usable",
            &[GUEST_LDTR_ACCESS_RIGHTS.encoding()],
            |state| !is_usable::<LDTR>(state) || !rights::<LDTR>(state).is_code_or_data(),
        ),
        Rule::new(
            "guest-ldtr-present",
            "P (bit 7) of LDTR is 1, if it is usable",
            &[GUEST_LDTR_ACCESS_RIGHTS.encoding()],
            |state| !is_usable::<LDTR>(state) || rights::<LDTR>(state).is_present(),
        ),
        Rule::new(
            "guest-ldtr-reserved-bits",
            "bits 11:8 and 31:17 of the access rights of LDTR are 0, if it is usable",
            &[GUEST_LDTR_ACCESS_RIGHTS.encoding()],
            |state| !is_usable::<LDTR>(state) || rights::<LDTR>(state).reserved() == 0,
        ),
        Rule::new(
            "guest-ldtr-granularity",
            "G (bit 15) of LDTR is 0 if limit bits 11:0 are not all 1, and 1 if one of bits 31:20 is, if it is usable",
            &[GUEST_LDTR_ACCESS_RIGHTS.encoding(), GUEST_LDTR_LIMIT.encoding()],
            |state| {
                !is_usable::<LDTR>(state) || rights::<LDTR>(state).fits_limit(limit::<LDTR>(state))
            },
        ),
    ],
};
