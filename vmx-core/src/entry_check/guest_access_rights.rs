//! Access rights of CS, SS, DS, ES, FS and GS, outside virtual-8086 mode.

use super::guest_segments::{
    self, CS, DS, ES, FS, GS, SS, is_unrestricted, is_virtual_8086, limit, rights, rpl,
};
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::entry::EntryControls;
use crate::cpu::register_bits::Cr0;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::field::*;

/// Whether `holds` is true of the register's access rights, or they do not matter: the
/// register is unusable (CS never counts as such), or the guest is in virtual-8086 mode.
#[inline(always)]
fn of_usable<const R: usize>(
    state: &EntryState<'_>,
    holds: impl FnOnce(AccessRights) -> bool,
) -> bool {
    let rights = rights::<R>(state);
    holds(rights) || is_virtual_8086(state) || R != CS && rights.is_unusable()
}

fn is_accessed<const R: usize>(state: &EntryState<'_>) -> bool {
    of_usable::<R>(state, |rights| rights.segment_type() & 1 != 0)
}

fn is_readable<const R: usize>(state: &EntryState<'_>) -> bool {
    of_usable::<R>(state, |rights| rights.segment_type() & 0b1010 != 0b1000)
}

fn is_code_or_data<const R: usize>(state: &EntryState<'_>) -> bool {
    of_usable::<R>(state, AccessRights::is_code_or_data)
}

fn is_present<const R: usize>(state: &EntryState<'_>) -> bool {
    of_usable::<R>(state, AccessRights::is_present)
}

fn has_no_reserved_bits<const R: usize>(state: &EntryState<'_>) -> bool {
    of_usable::<R>(state, |rights| rights.reserved() == 0)
}

fn granularity_fits<const R: usize>(state: &EntryState<'_>) -> bool {
    of_usable::<R>(state, |rights| rights.fits_limit(limit::<R>(state)))
}

fn dpl_is_at_least_rpl<const R: usize>(state: &EntryState<'_>) -> bool {
    of_usable::<R>(state, |rights| {
        rights.dpl() >= rpl::<R>(state) || rights.segment_type() > 11 || is_unrestricted(state)
    })
}

/// The privilege level that the guest will have.
fn ss_dpl(state: &EntryState<'_>) -> u8 {
    rights::<SS>(state).dpl()
}

/// What the access rights must be.
pub(super) const ACCESS_RIGHTS: Section = Section {
    group: Group::GuestState,
    title: guest_segments::TITLE,
    all_hold: |state| all_hold(ACCESS_RIGHTS.rules, state),
    rules: &[
        Rule::new(
            "guest-cs-type",
            "the type of CS is 9, 11, 13 or 15 (accessed code), or 3 in an unrestricted guest",
            &[GUEST_CS_ACCESS_RIGHTS.encoding(), SECONDARY_CONTROLS.encoding()],
            |state| {
                let segment_type = rights::<CS>(state).segment_type();
                is_virtual_8086(state)
                    || segment_type & 0b1001 == 0b1001
                    || segment_type == 3 && is_unrestricted(state)
            },
        ),
        Rule::new(
            "guest-ss-type",
            "the type of SS is 3 or 7 (accessed writable data), if it is usable",
            &[GUEST_SS_ACCESS_RIGHTS.encoding()],
            |state| {
                let rights = rights::<SS>(state);
                is_virtual_8086(state)
                    || rights.is_unusable()
                    || matches!(rights.segment_type(), 3 | 7)
            },
        ),
        Rule::new(
            "guest-ds-accessed",
            "the type of DS is an accessed one (bit 0), if it is usable",
            &[GUEST_DS_ACCESS_RIGHTS.encoding()],
            is_accessed::<DS>,
        ),
        Rule::new(
            "guest-es-accessed",
            "the type of ES is an accessed one (bit 0), if it is usable",
            &[GUEST_ES_ACCESS_RIGHTS.encoding()],
            is_accessed::<ES>,
        ),
        Rule::new(
            "guest-fs-accessed",
            "the type of FS is an accessed one (bit 0), if it is usable",
            &[GUEST_FS_ACCESS_RIGHTS.encoding()],
            is_accessed::<FS>,
        ),
        Rule::new(
            "guest-gs-accessed",
            "the type of GS is an accessed one (bit 0), if it is usable",
            &[GUEST_GS_ACCESS_RIGHTS.encoding()],
            is_accessed::<GS>,
        ),
        Rule::new(
            "guest-ds-readable",
            "the type of DS is readable (bit 1) if it is code (bit 3), if it is usable",
            &[GUEST_DS_ACCESS_RIGHTS.encoding()],
            is_readable::<DS>,
        ),
        Rule::new(
            "guest-es-readable",
            "the type of ES is readable (bit 1) if it is code (bit 3), if it is usable",
            &[GUEST_ES_ACCESS_RIGHTS.encoding()],
            is_readable::<ES>,
        ),
        Rule::new(
            "guest-fs-readable",
            "the type of FS is readable (bit 1) if it is code (bit 3), if it is usable",
            &[GUEST_FS_ACCESS_RIGHTS.encoding()],
            is_readable::<FS>,
        ),
        Rule::new(
            "guest-gs-readable",
            "the type of GS is readable (bit 1) if it is code (bit 3), if it is usable",
            &[GUEST_GS_ACCESS_RIGHTS.encoding()],
            is_readable::<GS>,
        ),
        Rule::new(
            "guest-cs-code-or-data",
            "S (bit 4) of CS is 1",
            &[GUEST_CS_ACCESS_RIGHTS.encoding()],
            is_code_or_data::<CS>,
        ),
        Rule::new(
            "guest-ss-code-or-data",
            "S (bit 4) of SS is 1, if it is usable",
            &[GUEST_SS_ACCESS_RIGHTS.encoding()],
            is_code_or_data::<SS>,
        ),
        Rule::new(
            "guest-ds-code-or-data",
            "S (bit 4) of DS is 1, if it is usable",
            &[GUEST_DS_ACCESS_RIGHTS.encoding()],
            is_code_or_data::<DS>,
        ),
        Rule::new(
            "guest-es-code-or-data",
            "S (bit 4) of ES is 1, if it is usable",
            &[GUEST_ES_ACCESS_RIGHTS.encoding()],
            is_code_or_data::<ES>,
        ),
        Rule::new(
            "guest-fs-code-or-data",
            "S (bit 4) of FS is 1, if it is usable",
            &[GUEST_FS_ACCESS_RIGHTS.encoding()],
            is_code_or_data::<FS>,
        ),
        Rule::new(
            "guest-gs-code-or-data",
            "S (bit 4) of GS is 1, if it is usable",
            &[GUEST_GS_ACCESS_RIGHTS.encoding()],
            is_code_or_data::<GS>,
        ),
        Rule::new(
            "guest-cs-dpl-of-data",
            "the DPL of CS is 0 if its type is 3",
            &[GUEST_CS_ACCESS_RIGHTS.encoding()],
            |state| {
                is_virtual_8086(state)
                    || rights::<CS>(state).segment_type() != 3
                    || rights::<CS>(state).dpl() == 0
            },
        ),
        Rule::new(
            "guest-cs-dpl-of-nonconforming",
            "the DPL of CS is that of SS if its type is 9 or 11 (non-conforming)",
            &[GUEST_CS_ACCESS_RIGHTS.encoding(), GUEST_SS_ACCESS_RIGHTS.encoding()],
            |state| {
                let rights = rights::<CS>(state);
                is_virtual_8086(state)
                    || !matches!(rights.segment_type(), 9 | 11)
                    || rights.dpl() == ss_dpl(state)
            },
        ),
        Rule::new(
            "guest-cs-dpl-of-conforming",
            "the DPL of CS is at most that of SS if its type is 13 or 15 (conforming)",
            &[GUEST_CS_ACCESS_RIGHTS.encoding(), GUEST_SS_ACCESS_RIGHTS.encoding()],
            |state| {
                let rights = rights::<CS>(state);
                is_virtual_8086(state)
                    || !matches!(rights.segment_type(), 13 | 15)
                    || rights.dpl() <= ss_dpl(state)
            },
        ),
        Rule::new(
            "guest-ss-dpl-is-rpl",
            "the DPL of SS is its RPL, but in an unrestricted guest",
            &[
                GUEST_SS_ACCESS_RIGHTS.encoding(),
                GUEST_SS_SELECTOR.encoding(),
                SECONDARY_CONTROLS.encoding(),
            ],
            |state| {
                is_virtual_8086(state)
                    || is_unrestricted(state)
                    || ss_dpl(state) == rpl::<SS>(state)
            },
        ),
        Rule::new(
            "guest-ss-dpl-in-real-mode",
            "the DPL of SS is 0 if the type of CS is 3 or CR0.PE is 0",
            &[
                GUEST_SS_ACCESS_RIGHTS.encoding(),
                GUEST_CS_ACCESS_RIGHTS.encoding(),
                GUEST_CR0.encoding(),
            ],
            |state| {
                is_virtual_8086(state)
                    || ss_dpl(state) == 0
                    || rights::<CS>(state).segment_type() != 3
                        && state.get(GUEST_CR0).contains(Cr0::PE)
            },
        ),
        Rule::new(
            "guest-ds-dpl",
            "the DPL of DS is at least its RPL, if it is usable, data or non-conforming code, and the guest is not unrestricted",
            &[
                GUEST_DS_ACCESS_RIGHTS.encoding(),
                GUEST_DS_SELECTOR.encoding(),
                SECONDARY_CONTROLS.encoding(),
            ],
            dpl_is_at_least_rpl::<DS>,
        ),
        Rule::new(
            "guest-es-dpl",
            "the DPL of ES is at least its RPL, if it is usable, data or non-conforming code, and the guest is not unrestricted",
            &[
                GUEST_ES_ACCESS_RIGHTS.encoding(),
                GUEST_ES_SELECTOR.encoding(),
                SECONDARY_CONTROLS.encoding(),
            ],
            dpl_is_at_least_rpl::<ES>,
        ),
        Rule::new(
            "guest-fs-dpl",
            "the DPL of FS is at least its RPL, if it is usable, data or non-conforming code, and the guest is not unrestricted",
            &[
                GUEST_FS_ACCESS_RIGHTS.encoding(),
                GUEST_FS_SELECTOR.encoding(),
                SECONDARY_CONTROLS.encoding(),
            ],
            dpl_is_at_least_rpl::<FS>,
        ),
        Rule::new(
            "guest-gs-dpl",
            "the DPL of GS is at least its RPL, if it is usable, data or non-conforming code, and the guest is not unrestricted",
            &[
                GUEST_GS_ACCESS_RIGHTS.encoding(),
                GUEST_GS_SELECTOR.encoding(),
                SECONDARY_CONTROLS.encoding(),
            ],
            dpl_is_at_least_rpl::<GS>,
        ),
        Rule::new(
            "guest-cs-present",
            "P (bit 7) of CS is 1",
            &[GUEST_CS_ACCESS_RIGHTS.encoding()],
            is_present::<CS>,
        ),
        Rule::new(
            "guest-ss-present",
            "P (bit 7) of SS is 1, if it is usable",
            &[GUEST_SS_ACCESS_RIGHTS.encoding()],
            is_present::<SS>,
        ),
        Rule::new(
            "guest-ds-present",
            "P (bit 7) of DS is 1, if it is usable",
            &[GUEST_DS_ACCESS_RIGHTS.encoding()],
            is_present::<DS>,
        ),
        Rule::new(
            "guest-es-present",
            "P (bit 7) of ES is 1, if it is usable",
            &[GUEST_ES_ACCESS_RIGHTS.encoding()],
            is_present::<ES>,
        ),
        Rule::new(
            "guest-fs-present",
            "P (bit 7) of FS is 1, if it is usable",
            &[GUEST_FS_ACCESS_RIGHTS.encoding()],
            is_present::<FS>,
        ),
        Rule::new(
            "guest-gs-present",
            "P (bit 7) of GS is 1, if it is usable",
            &[GUEST_GS_ACCESS_RIGHTS.encoding()],
            is_present::<GS>,
        ),
        Rule::new(
            "guest-cs-reserved-bits",
            "bits 11:8 and 31:17 of the access rights of CS are 0",
            &[GUEST_CS_ACCESS_RIGHTS.encoding()],
            has_no_reserved_bits::<CS>,
        ),
        Rule::new(
            "guest-ss-reserved-bits",
            "bits 11:8 and 31:17 of the access rights of SS are 0, if it is usable",
            &[GUEST_SS_ACCESS_RIGHTS.encoding()],
            has_no_reserved_bits::<SS>,
        ),
        Rule::new(
            "guest-ds-reserved-bits",
            "bits 11:8 and 31:17 of the access rights of DS are 0, if it is usable",
            &[GUEST_DS_ACCESS_RIGHTS.encoding()],
            has_no_reserved_bits::<DS>,
        ),
        Rule::new(
            "guest-es-reserved-bits",
            "bits 11:8 and 31:17 of the access rights of ES are 0, if it is usable",
            &[GUEST_ES_ACCESS_RIGHTS.encoding()],
            has_no_reserved_bits::<ES>,
        ),
        Rule::new(
            "guest-fs-reserved-bits",
            "bits 11:8 and 31:17 of the access rights of FS are 0, if it is usable",
            &[GUEST_FS_ACCESS_RIGHTS.encoding()],
            has_no_reserved_bits::<FS>,
        ),
        Rule::new(
            "guest-gs-reserved-bits",
            "bits 11:8 and 31:17 of the access rights of GS are 0, if it is usable",
            &[GUEST_GS_ACCESS_RIGHTS.encoding()],
            has_no_reserved_bits::<GS>,
        ),
        Rule::new(
            "guest-cs-default-size",
            "D/B (bit 14) of CS is 0 in 64-bit code: L (bit 13) is 1 and the guest is in IA-32e mode",
            &[GUEST_CS_ACCESS_RIGHTS.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                let rights = rights::<CS>(state);
                is_virtual_8086(state)
                    || !(rights.is_default_big() && rights.is_long())
                    || !state.entry(EntryControls::IA32E_MODE_GUEST)
            },
        ),
        Rule::new(
            "guest-cs-granularity",
            "G (bit 15) of CS is 0 if limit bits 11:0 are not all 1, and 1 if one of bits 31:20 is",
            &[GUEST_CS_ACCESS_RIGHTS.encoding(), GUEST_CS_LIMIT.encoding()],
            granularity_fits::<CS>,
        ),
        Rule::new(
            "guest-ss-granularity",
            "G (bit 15) of SS is 0 if limit bits 11:0 are not all 1, and 1 if one of bits 31:20 is, if it is usable",
            &[GUEST_SS_ACCESS_RIGHTS.encoding(), GUEST_SS_LIMIT.encoding()],
            granularity_fits::<SS>,
        ),
        Rule::new(
            "guest-ds-granularity",
            "G (bit 15) of DS is 0 if limit bits 11:0 are not all 1, and 1 if one of bits 31:20 is, if it is usable",
            &[GUEST_DS_ACCESS_RIGHTS.encoding(), GUEST_DS_LIMIT.encoding()],
            granularity_fits::<DS>,
        ),
        Rule::new(
            "guest-es-granularity",
            "G (bit 15) of ES is 0 if limit bits 11:0 are not all 1, and 1 if one of bits 31:20 is, if it is usable",
            &[GUEST_ES_ACCESS_RIGHTS.encoding(), GUEST_ES_LIMIT.encoding()],
            granularity_fits::<ES>,
        ),
        Rule::new(
            "guest-fs-granularity",
            "G (bit 15) of FS is 0 if limit bits 11:0 are not all 1, and 1 if one of bits 31:20 is, if it is usable",
            &[GUEST_FS_ACCESS_RIGHTS.encoding(), GUEST_FS_LIMIT.encoding()],
            granularity_fits::<FS>,
        ),
        Rule::new(
            "guest-gs-granularity",
            "G (bit 15) of GS is 0 if limit bits 11:0 are not all 1, and 1 if one of bits 31:20 is, if it is usable",
            &[GUEST_GS_ACCESS_RIGHTS.encoding(), GUEST_GS_LIMIT.encoding()],
            granularity_fits::<GS>,
        ),
    ],
};
