//! CS, SS, DS, ES, FS and GS of a guest in virtual-8086 mode.

use super::guest_segments::{self, CS, DS, ES, FS, GS, SS};
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::field::*;

fn base_is_selector_times_16<const R: usize>(state: &EntryState<'_>) -> bool {
    !guest_segments::is_virtual_8086(state)
        || guest_segments::base::<R>(state) == u64::from(guest_segments::selector::<R>(state)) << 4
}

fn limit_is_ffff<const R: usize>(state: &EntryState<'_>) -> bool {
    !guest_segments::is_virtual_8086(state) || guest_segments::limit::<R>(state) == 0xFFFF
}

fn rights_are_f3<const R: usize>(state: &EntryState<'_>) -> bool {
    !guest_segments::is_virtual_8086(state)
        || guest_segments::rights::<R>(state) == AccessRights::VIRTUAL_8086
}

/// What virtual-8086 mode fixes.
pub(super) const VIRTUAL_8086: Section = Section {
    group: Group::GuestState,
    title: guest_segments::TITLE,
    all_hold: |state| all_hold(VIRTUAL_8086.rules, state),
    rules: &[
        Rule::new(
            "guest-cs-base-in-virtual-8086",
            "the base of CS is its selector times 16 in virtual-8086 mode",
            &[GUEST_CS_BASE.encoding(), GUEST_CS_SELECTOR.encoding(), GUEST_RFLAGS.encoding()],
            base_is_selector_times_16::<CS>,
        ),
        Rule::new(
            "guest-ss-base-in-virtual-8086",
            "the base of SS is its selector times 16 in virtual-8086 mode",
            &[GUEST_SS_BASE.encoding(), GUEST_SS_SELECTOR.encoding(), GUEST_RFLAGS.encoding()],
            base_is_selector_times_16::<SS>,
        ),
        Rule::new(
            "guest-ds-base-in-virtual-8086",
            "the base of DS is its selector times 16 in virtual-8086 mode",
            &[GUEST_DS_BASE.encoding(), GUEST_DS_SELECTOR.encoding(), GUEST_RFLAGS.encoding()],
            base_is_selector_times_16::<DS>,
        ),
        Rule::new(
            "guest-es-base-in-virtual-8086",
            "the base of ES is its selector times 16 in virtual-8086 mode",
            &[GUEST_ES_BASE.encoding(), GUEST_ES_SELECTOR.encoding(), GUEST_RFLAGS.encoding()],
            base_is_selector_times_16::<ES>,
        ),
        Rule::new(
            "guest-fs-base-in-virtual-8086",
            "the base of FS is its selector times 16 in virtual-8086 mode",
            &[GUEST_FS_BASE.encoding(), GUEST_FS_SELECTOR.encoding(), GUEST_RFLAGS.encoding()],
            base_is_selector_times_16::<FS>,
        ),
        Rule::new(
            "guest-gs-base-in-virtual-8086",
            "the base of GS is its selector times 16 in virtual-8086 mode",
            &[GUEST_GS_BASE.encoding(), GUEST_GS_SELECTOR.encoding(), GUEST_RFLAGS.encoding()],
            base_is_selector_times_16::<GS>,
        ),
        Rule::new(
            "guest-cs-limit-in-virtual-8086",
            "the limit of CS is FFFFh in virtual-8086 mode",
            &[GUEST_CS_LIMIT.encoding(), GUEST_RFLAGS.encoding()],
            limit_is_ffff::<CS>,
        ),
        Rule::new(
            "guest-ss-limit-in-virtual-8086",
            "the limit of SS is FFFFh in virtual-8086 mode",
            &[GUEST_SS_LIMIT.encoding(), GUEST_RFLAGS.encoding()],
            limit_is_ffff::<SS>,
        ),
        Rule::new(
            "guest-ds-limit-in-virtual-8086",
            "the limit of DS is FFFFh in virtual-8086 mode",
            &[GUEST_DS_LIMIT.encoding(), GUEST_RFLAGS.encoding()],
            limit_is_ffff::<DS>,
        ),
        Rule::new(
            "guest-es-limit-in-virtual-8086",
            "the limit of ES is FFFFh in virtual-8086 mode",
            &[GUEST_ES_LIMIT.encoding(), GUEST_RFLAGS.encoding()],
            limit_is_ffff::<ES>,
        ),
        Rule::new(
            "guest-fs-limit-in-virtual-8086",
            "the limit of FS is FFFFh in virtual-8086 mode",
            &[GUEST_FS_LIMIT.encoding(), GUEST_RFLAGS.encoding()],
            limit_is_ffff::<FS>,
        ),
        Rule::new(
            "guest-gs-limit-in-virtual-8086",
            "the limit of GS is FFFFh in virtual-8086 mode",
            &[GUEST_GS_LIMIT.encoding(), GUEST_RFLAGS.encoding()],
            limit_is_ffff::<GS>,
        ),
        Rule::new(
            "guest-cs-access-rights-in-virtual-8086",
            "the access rights of CS are F3h in virtual-8086 mode",
            &[GUEST_CS_ACCESS_RIGHTS.encoding(), GUEST_RFLAGS.encoding()],
            rights_are_f3::<CS>,
        ),
        Rule::new(
            "guest-ss-access-rights-in-virtual-8086",
            "the access rights of SS are F3h in virtual-8086 mode",
            &[GUEST_SS_ACCESS_RIGHTS.encoding(), GUEST_RFLAGS.encoding()],
            rights_are_f3::<SS>,
        ),
        Rule::new(
            "guest-ds-access-rights-in-virtual-8086",
            "the access rights of DS are F3h in virtual-8086 mode",
            &[GUEST_DS_ACCESS_RIGHTS.encoding(), GUEST_RFLAGS.encoding()],
            rights_are_f3::<DS>,
        ),
        Rule::new(
            "guest-es-access-rights-in-virtual-8086",
            "the access rights of ES are F3h in virtual-8086 mode",
            &[GUEST_ES_ACCESS_RIGHTS.encoding(), GUEST_RFLAGS.encoding()],
            rights_are_f3::<ES>,
        ),
        Rule::new(
            "guest-fs-access-rights-in-virtual-8086",
            "the access rights of FS are F3h in virtual-8086 mode",
            &[GUEST_FS_ACCESS_RIGHTS.encoding(), GUEST_RFLAGS.encoding()],
            rights_are_f3::<FS>,
        ),
        Rule::new(
            "guest-gs-access-rights-in-virtual-8086",
            "the access rights of GS are F3h in virtual-8086 mode",
            &[GUEST_GS_ACCESS_RIGHTS.encoding(), GUEST_RFLAGS.encoding()],
            rights_are_f3::<GS>,
        ),
    ],
};
