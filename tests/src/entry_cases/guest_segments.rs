//! Selectors and bases of guest segment registers.

use vmx_core::vmcs::AccessRights;
use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor};

/// Canonical under no width.
const NOT_CANONICAL: u64 = 1 << 62;
/// Canonical, whatever the width.
const HIGH_HALF: u64 = 0xFFFF_8000_0000_0000;

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-tr-selector-ti",
        Base::Guest64,
        |e| e.set_bits(GUEST_TR_SELECTOR, 4),
        |e| e.set(GUEST_TR_SELECTOR, 0xFFFB),
    ),
    Case::new(
        "guest-ldtr-selector-ti",
        Base::Guest64,
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_SELECTOR, 0x24);
        },
        |e| {
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x1_0082));
            e.set(GUEST_LDTR_SELECTOR, 0x24);
        },
    ),
    Case::new(
        "guest-ss-rpl-is-cs-rpl",
        Base::Guest64,
        |e| e.set_bits(GUEST_CS_SELECTOR, 1),
        to_ring_3,
    ),
    Case::new(
        "guest-tr-base-canonical",
        Base::Guest64,
        |e| e.set(GUEST_TR_BASE, NOT_CANONICAL),
        |e| e.set(GUEST_TR_BASE, HIGH_HALF),
    ),
    Case::new(
        "guest-fs-base-canonical",
        Base::Guest64,
        |e| e.set(GUEST_FS_BASE, NOT_CANONICAL),
        |e| e.set(GUEST_FS_BASE, HIGH_HALF),
    ),
    Case::new(
        "guest-gs-base-canonical",
        Base::Guest64,
        |e| e.set(GUEST_GS_BASE, NOT_CANONICAL),
        |e| e.set(GUEST_GS_BASE, HIGH_HALF),
    ),
    Case::new(
        "guest-ldtr-base-canonical",
        Base::Guest64,
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_BASE, NOT_CANONICAL);
        },
        |e| {
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x1_0082));
            e.set(GUEST_LDTR_BASE, NOT_CANONICAL);
        },
    ),
    Case::new(
        "guest-cs-base-high-half",
        Base::Guest64,
        |e| e.set(GUEST_CS_BASE, 1 << 32),
        |e| e.set(GUEST_CS_BASE, 0xFFFF_F000),
    ),
    Case::new(
        "guest-ss-base-high-half",
        Base::Guest64,
        |e| e.set(GUEST_SS_BASE, 1 << 32),
        |e| {
            e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x1_0000));
            e.set(GUEST_SS_BASE, 1 << 32);
        },
    ),
    Case::new(
        "guest-ds-base-high-half",
        Base::Guest64,
        |e| e.set(GUEST_DS_BASE, 1 << 32),
        |e| {
            e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x1_0000));
            e.set(GUEST_DS_BASE, 1 << 32);
        },
    ),
    Case::new(
        "guest-es-base-high-half",
        Base::Guest64,
        |e| e.set(GUEST_ES_BASE, 1 << 32),
        |e| {
            e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x1_0000));
            e.set(GUEST_ES_BASE, 1 << 32);
        },
    ),
];

/// A usable LDTR.
fn use_ldt(e: &mut Editor<'_>) {
    e.set(GUEST_LDTR_SELECTOR, 0x20);
    e.set(GUEST_LDTR_BASE, 0);
    e.set(GUEST_LDTR_LIMIT, 0x67);
    e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights::LDT);
}

/// Ring 3 instead of 0.
fn to_ring_3(e: &mut Editor<'_>) {
    e.set_bits(GUEST_CS_SELECTOR, 3);
    e.set_bits(GUEST_SS_SELECTOR, 3);
    let (cs, ss) = (e.get(GUEST_CS_ACCESS_RIGHTS), e.get(GUEST_SS_ACCESS_RIGHTS));
    e.set(GUEST_CS_ACCESS_RIGHTS, cs.with_dpl(3));
    e.set(GUEST_SS_ACCESS_RIGHTS, ss.with_dpl(3));
}
