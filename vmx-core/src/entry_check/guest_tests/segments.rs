//! States that break one rule each.

use super::scene::Base::{Guest32, Guest64, GuestReal};
use super::scene::{Row, Scene};
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::field::*;

/// Canonical under no width.
const NOT_CANONICAL: u64 = 1 << 62;

/// A rule, the valid state to start from, and what breaks the rule.
pub(super) const ROWS: &[Row] = &[
    ("guest-tr-selector-ti", Guest64, |e| e.set_bits(GUEST_TR_SELECTOR, 4)),
    ("guest-ldtr-selector-ti", Guest64, |e| {
        use_ldt(e);
        e.set(GUEST_LDTR_SELECTOR, 0x24);
    }),
    ("guest-ss-rpl-is-cs-rpl", Guest64, |e| e.set_bits(GUEST_CS_SELECTOR, 1)),
    ("guest-tr-base-canonical", Guest64, |e| e.set(GUEST_TR_BASE, NOT_CANONICAL)),
    ("guest-fs-base-canonical", Guest64, |e| e.set(GUEST_FS_BASE, NOT_CANONICAL)),
    ("guest-gs-base-canonical", Guest64, |e| e.set(GUEST_GS_BASE, NOT_CANONICAL)),
    ("guest-ldtr-base-canonical", Guest64, |e| {
        use_ldt(e);
        e.set(GUEST_LDTR_BASE, NOT_CANONICAL);
    }),
    ("guest-cs-base-high-half", Guest64, |e| e.set(GUEST_CS_BASE, 1 << 32)),
    ("guest-ss-base-high-half", Guest64, |e| e.set(GUEST_SS_BASE, 1 << 32)),
    ("guest-ds-base-high-half", Guest64, |e| e.set(GUEST_DS_BASE, 1 << 32)),
    ("guest-es-base-high-half", Guest64, |e| e.set(GUEST_ES_BASE, 1 << 32)),
    ("guest-cs-base-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_CS_SELECTOR, 0x1234);
        e.set(GUEST_CS_BASE, 0x12350);
    }),
    ("guest-ss-base-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_SS_SELECTOR, 0x1234);
        e.set(GUEST_SS_BASE, 0x12350);
    }),
    ("guest-ds-base-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_DS_SELECTOR, 0x1234);
        e.set(GUEST_DS_BASE, 0x12350);
    }),
    ("guest-es-base-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_ES_SELECTOR, 0x1234);
        e.set(GUEST_ES_BASE, 0x12350);
    }),
    ("guest-fs-base-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_FS_SELECTOR, 0x1234);
        e.set(GUEST_FS_BASE, 0x12350);
    }),
    ("guest-gs-base-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_GS_SELECTOR, 0x1234);
        e.set(GUEST_GS_BASE, 0x12350);
    }),
    ("guest-cs-limit-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_CS_LIMIT, 0xF_FFFF);
    }),
    ("guest-ss-limit-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_SS_LIMIT, 0xF_FFFF);
    }),
    ("guest-ds-limit-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_DS_LIMIT, 0xF_FFFF);
    }),
    ("guest-es-limit-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_ES_LIMIT, 0xF_FFFF);
    }),
    ("guest-fs-limit-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_FS_LIMIT, 0xF_FFFF);
    }),
    ("guest-gs-limit-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_GS_LIMIT, 0xF_FFFF);
    }),
    ("guest-cs-access-rights-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0x93));
    }),
    ("guest-ss-access-rights-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x93));
    }),
    ("guest-ds-access-rights-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x93));
    }),
    ("guest-es-access-rights-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x93));
    }),
    ("guest-fs-access-rights-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x93));
    }),
    ("guest-gs-access-rights-in-virtual-8086", Guest32, |e| {
        to_virtual_8086(e);
        e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x93));
    }),
    ("guest-cs-type", Guest64, |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA098))),
    ("guest-cs-type", Guest64, |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA093))),
    ("guest-ss-type", Guest64, |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0xC092))),
    ("guest-ds-accessed", Guest64, |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC092))),
    ("guest-es-accessed", Guest64, |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC092))),
    ("guest-fs-accessed", Guest64, |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC092))),
    ("guest-gs-accessed", Guest64, |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC092))),
    ("guest-ds-readable", Guest64, |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC099))),
    ("guest-es-readable", Guest64, |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC099))),
    ("guest-fs-readable", Guest64, |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC099))),
    ("guest-gs-readable", Guest64, |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC099))),
    ("guest-cs-code-or-data", Guest64, |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA08B))),
    ("guest-ss-code-or-data", Guest64, |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0xC083))),
    ("guest-ds-code-or-data", Guest64, |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC083))),
    ("guest-es-code-or-data", Guest64, |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC083))),
    ("guest-fs-code-or-data", Guest64, |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC083))),
    ("guest-gs-code-or-data", Guest64, |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC083))),
    ("guest-cs-dpl-of-data", GuestReal, |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xB3))),
    ("guest-cs-dpl-of-nonconforming", Guest64, |e| {
        e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA0BB))
    }),
    ("guest-cs-dpl-of-conforming", Guest64, |e| {
        e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA0BF))
    }),
    ("guest-ss-dpl-is-rpl", Guest64, |e| {
        e.set_bits(GUEST_CS_SELECTOR, 1);
        e.set_bits(GUEST_SS_SELECTOR, 1);
    }),
    ("guest-ss-dpl-in-real-mode", GuestReal, |e| {
        e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0xB3));
        e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xBB));
    }),
    ("guest-ds-dpl", Guest64, |e| e.set_bits(GUEST_DS_SELECTOR, 3)),
    ("guest-es-dpl", Guest64, |e| e.set_bits(GUEST_ES_SELECTOR, 3)),
    ("guest-fs-dpl", Guest64, |e| e.set_bits(GUEST_FS_SELECTOR, 3)),
    ("guest-gs-dpl", Guest64, |e| e.set_bits(GUEST_GS_SELECTOR, 3)),
    ("guest-cs-present", Guest64, |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA01B))),
    ("guest-ss-present", Guest64, |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0xC013))),
    ("guest-ds-present", Guest64, |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC013))),
    ("guest-es-present", Guest64, |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC013))),
    ("guest-fs-present", Guest64, |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC013))),
    ("guest-gs-present", Guest64, |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC013))),
    ("guest-cs-reserved-bits", Guest64, |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA19B))),
    ("guest-ss-reserved-bits", Guest64, |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x2_C093))),
    ("guest-ds-reserved-bits", Guest64, |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x2_C093))),
    ("guest-es-reserved-bits", Guest64, |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x2_C093))),
    ("guest-fs-reserved-bits", Guest64, |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x2_C093))),
    ("guest-gs-reserved-bits", Guest64, |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x2_C093))),
    ("guest-cs-default-size", Guest64, |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xE09B))),
    ("guest-cs-granularity", Guest64, |e| e.set(GUEST_CS_LIMIT, 0xFFFF_FFFE)),
    ("guest-ss-granularity", Guest64, |e| {
        e.set(GUEST_SS_LIMIT, 0x10_0000);
        e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x4093));
    }),
    ("guest-ds-granularity", Guest64, |e| {
        e.set(GUEST_DS_LIMIT, 0x10_0000);
        e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x4093));
    }),
    ("guest-es-granularity", Guest64, |e| {
        e.set(GUEST_ES_LIMIT, 0x10_0000);
        e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x4093));
    }),
    ("guest-fs-granularity", Guest64, |e| {
        e.set(GUEST_FS_LIMIT, 0x10_0000);
        e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x4093));
    }),
    ("guest-gs-granularity", Guest64, |e| {
        e.set(GUEST_GS_LIMIT, 0x10_0000);
        e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x4093));
    }),
    ("guest-tr-type", Guest64, |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x83))),
    ("guest-tr-type", Guest32, |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x89))),
    ("guest-tr-system", Guest64, |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x9B))),
    ("guest-tr-present", Guest64, |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x0B))),
    ("guest-tr-reserved-bits", Guest64, |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x18B))),
    ("guest-tr-granularity", Guest64, |e| {
        e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x808B));
        e.set(GUEST_TR_LIMIT, 0x67);
    }),
    ("guest-tr-usable", Guest64, |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x1_008B))),
    ("guest-ldtr-type", Guest64, |e| {
        use_ldt(e);
        e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x83));
    }),
    ("guest-ldtr-system", Guest64, |e| {
        use_ldt(e);
        e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x92));
    }),
    ("guest-ldtr-present", Guest64, |e| {
        use_ldt(e);
        e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x02));
    }),
    ("guest-ldtr-reserved-bits", Guest64, |e| {
        use_ldt(e);
        e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x182));
    }),
    ("guest-ldtr-granularity", Guest64, |e| {
        use_ldt(e);
        e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x8082));
    }),
];

/// A usable LDTR.
fn use_ldt(e: &mut Scene) {
    e.set(GUEST_LDTR_SELECTOR, 0x20);
    e.set(GUEST_LDTR_BASE, 0);
    e.set(GUEST_LDTR_LIMIT, 0x67);
    e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights::LDT);
}

/// Virtual-8086 mode, all segments from 0 to FFFFh.
pub(super) fn to_virtual_8086(e: &mut Scene) {
    e.set_bits(GUEST_RFLAGS, 1 << 17);
    for (selector, base, limit, rights) in [
        (GUEST_CS_SELECTOR, GUEST_CS_BASE, GUEST_CS_LIMIT, GUEST_CS_ACCESS_RIGHTS),
        (GUEST_SS_SELECTOR, GUEST_SS_BASE, GUEST_SS_LIMIT, GUEST_SS_ACCESS_RIGHTS),
        (GUEST_DS_SELECTOR, GUEST_DS_BASE, GUEST_DS_LIMIT, GUEST_DS_ACCESS_RIGHTS),
        (GUEST_ES_SELECTOR, GUEST_ES_BASE, GUEST_ES_LIMIT, GUEST_ES_ACCESS_RIGHTS),
        (GUEST_FS_SELECTOR, GUEST_FS_BASE, GUEST_FS_LIMIT, GUEST_FS_ACCESS_RIGHTS),
        (GUEST_GS_SELECTOR, GUEST_GS_BASE, GUEST_GS_LIMIT, GUEST_GS_ACCESS_RIGHTS),
    ] {
        e.set(selector, 0);
        e.set(base, 0);
        e.set(limit, 0xFFFF);
        e.set(rights, AccessRights::VIRTUAL_8086);
    }
}
