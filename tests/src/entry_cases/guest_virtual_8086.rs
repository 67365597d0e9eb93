//! Segment registers in virtual-8086 mode.

use vmx_core::vmcs::AccessRights;
use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor};

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-cs-base-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_CS_SELECTOR, 0x1234);
            e.set(GUEST_CS_BASE, 0x12350);
        },
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_CS_SELECTOR, 0x1234);
            e.set(GUEST_CS_BASE, 0x12340);
        },
    ),
    Case::new(
        "guest-ss-base-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_SS_SELECTOR, 0x1234);
            e.set(GUEST_SS_BASE, 0x12350);
        },
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_SS_SELECTOR, 0x1234);
            e.set(GUEST_SS_BASE, 0x12340);
        },
    ),
    Case::new(
        "guest-ds-base-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_DS_SELECTOR, 0x1234);
            e.set(GUEST_DS_BASE, 0x12350);
        },
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_DS_SELECTOR, 0x1234);
            e.set(GUEST_DS_BASE, 0x12340);
        },
    ),
    Case::new(
        "guest-es-base-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_ES_SELECTOR, 0x1234);
            e.set(GUEST_ES_BASE, 0x12350);
        },
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_ES_SELECTOR, 0x1234);
            e.set(GUEST_ES_BASE, 0x12340);
        },
    ),
    Case::new(
        "guest-fs-base-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_FS_SELECTOR, 0x1234);
            e.set(GUEST_FS_BASE, 0x12350);
        },
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_FS_SELECTOR, 0x1234);
            e.set(GUEST_FS_BASE, 0x12340);
        },
    ),
    Case::new(
        "guest-gs-base-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_GS_SELECTOR, 0x1234);
            e.set(GUEST_GS_BASE, 0x12350);
        },
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_GS_SELECTOR, 0x1234);
            e.set(GUEST_GS_BASE, 0x12340);
        },
    ),
    Case::new(
        "guest-cs-limit-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_CS_LIMIT, 0xF_FFFF);
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-ss-limit-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_SS_LIMIT, 0xF_FFFF);
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-ds-limit-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_DS_LIMIT, 0xF_FFFF);
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-es-limit-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_ES_LIMIT, 0xF_FFFF);
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-fs-limit-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_FS_LIMIT, 0xF_FFFF);
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-gs-limit-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_GS_LIMIT, 0xF_FFFF);
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-cs-access-rights-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0x93));
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-ss-access-rights-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x93));
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-ds-access-rights-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x93));
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-es-access-rights-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x93));
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-fs-access-rights-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x93));
        },
        to_virtual_8086,
    ),
    Case::new(
        "guest-gs-access-rights-in-virtual-8086",
        Base::Guest32,
        |e| {
            to_virtual_8086(e);
            e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x93));
        },
        to_virtual_8086,
    ),
];

/// Virtual-8086 mode, all segments from 0 to FFFFh.
fn to_virtual_8086(e: &mut Editor<'_>) {
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
