//! GDTR and IDTR.

use super::rule::{Group, Rule, Section, all_hold};
use crate::vmcs::field::*;

/// Bases and limits.
pub(super) const DESCRIPTOR_TABLES: Section = Section {
    group: Group::GuestState,
    title: "Checks on Guest Descriptor-Table Registers",
    all_hold: |state| all_hold(DESCRIPTOR_TABLES.rules, state),
    rules: &[
        Rule::new(
            "guest-gdtr-base-canonical",
            "the base of GDTR is canonical",
            &[GUEST_GDTR_BASE.encoding()],
            |state| {
                state.capabilities().linear_address_width.is_canonical(state.get(GUEST_GDTR_BASE))
            },
        ),
        Rule::new(
            "guest-idtr-base-canonical",
            "the base of IDTR is canonical",
            &[GUEST_IDTR_BASE.encoding()],
            |state| {
                state.capabilities().linear_address_width.is_canonical(state.get(GUEST_IDTR_BASE))
            },
        ),
        Rule::new(
            "guest-gdtr-limit",
            "bits 31:16 of the limit of GDTR are 0",
            &[GUEST_GDTR_LIMIT.encoding()],
            |state| state.get(GUEST_GDTR_LIMIT) >> 16 == 0,
        ),
        Rule::new(
            "guest-idtr-limit",
            "bits 31:16 of the limit of IDTR are 0",
            &[GUEST_IDTR_LIMIT.encoding()],
            |state| state.get(GUEST_IDTR_LIMIT) >> 16 == 0,
        ),
    ],
};
