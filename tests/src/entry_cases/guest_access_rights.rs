//! Access rights of guest CS, SS, DS, ES, FS and GS.

use vmx_core::vmcs::AccessRights;
use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor};

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-cs-type",
        Base::Guest64,
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA098)),
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA099)),
    )
    .of("not accessed"),
    Case::new(
        "guest-cs-type",
        Base::Guest64,
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA093)),
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA09F)),
    )
    .of("data"),
    Case::new(
        "guest-ss-type",
        Base::Guest64,
        |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0xC092)),
        |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0xC097)),
    ),
    Case::new(
        "guest-ds-accessed",
        Base::Guest64,
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC092)),
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC091)),
    ),
    Case::new(
        "guest-es-accessed",
        Base::Guest64,
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC092)),
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC091)),
    ),
    Case::new(
        "guest-fs-accessed",
        Base::Guest64,
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC092)),
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC091)),
    ),
    Case::new(
        "guest-gs-accessed",
        Base::Guest64,
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC092)),
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC091)),
    ),
    Case::new(
        "guest-ds-readable",
        Base::Guest64,
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC099)),
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC09B)),
    ),
    Case::new(
        "guest-es-readable",
        Base::Guest64,
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC099)),
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC09B)),
    ),
    Case::new(
        "guest-fs-readable",
        Base::Guest64,
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC099)),
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC09B)),
    ),
    Case::new(
        "guest-gs-readable",
        Base::Guest64,
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC099)),
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC09B)),
    ),
    Case::new(
        "guest-cs-code-or-data",
        Base::Guest64,
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA08B)),
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xB09B)),
    ),
    Case::new(
        "guest-ss-code-or-data",
        Base::Guest64,
        |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0xC083)),
        |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x1_C083)),
    ),
    Case::new(
        "guest-ds-code-or-data",
        Base::Guest64,
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC083)),
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x1_C083)),
    ),
    Case::new(
        "guest-es-code-or-data",
        Base::Guest64,
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC083)),
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x1_C083)),
    ),
    Case::new(
        "guest-fs-code-or-data",
        Base::Guest64,
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC083)),
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x1_C083)),
    ),
    Case::new(
        "guest-gs-code-or-data",
        Base::Guest64,
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC083)),
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x1_C083)),
    ),
    Case::new(
        "guest-cs-dpl-of-data",
        Base::GuestReal,
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xB3)),
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0x93)),
    ),
    Case::new(
        "guest-cs-dpl-of-nonconforming",
        Base::Guest64,
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA0BB)),
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA099)),
    ),
    Case::new(
        "guest-cs-dpl-of-conforming",
        Base::Guest64,
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA0BF)),
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA09F)),
    ),
    Case::new(
        "guest-ss-dpl-is-rpl",
        Base::Guest64,
        |e| {
            e.set_bits(GUEST_CS_SELECTOR, 1);
            e.set_bits(GUEST_SS_SELECTOR, 1);
        },
        to_ring_3,
    ),
    Case::new(
        "guest-ss-dpl-in-real-mode",
        Base::GuestReal,
        |e| {
            e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0xB3));
            e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xBB));
        },
        |e| {
            e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x97));
            e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0x9F));
        },
    ),
    Case::new(
        "guest-ds-dpl",
        Base::Guest64,
        |e| e.set_bits(GUEST_DS_SELECTOR, 3),
        |e| {
            e.set_bits(GUEST_DS_SELECTOR, 3);
            e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC09F));
        },
    ),
    Case::new(
        "guest-es-dpl",
        Base::Guest64,
        |e| e.set_bits(GUEST_ES_SELECTOR, 3),
        |e| {
            e.set_bits(GUEST_ES_SELECTOR, 3);
            e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC09F));
        },
    ),
    Case::new(
        "guest-fs-dpl",
        Base::Guest64,
        |e| e.set_bits(GUEST_FS_SELECTOR, 3),
        |e| {
            e.set_bits(GUEST_FS_SELECTOR, 3);
            e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC09F));
        },
    ),
    Case::new(
        "guest-gs-dpl",
        Base::Guest64,
        |e| e.set_bits(GUEST_GS_SELECTOR, 3),
        |e| {
            e.set_bits(GUEST_GS_SELECTOR, 3);
            e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC09F));
        },
    ),
    Case::new(
        "guest-cs-present",
        Base::Guest64,
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA01B)),
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xB09B)),
    ),
    Case::new(
        "guest-ss-present",
        Base::Guest64,
        |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0xC013)),
        |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x1_C013)),
    ),
    Case::new(
        "guest-ds-present",
        Base::Guest64,
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0xC013)),
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x1_C013)),
    ),
    Case::new(
        "guest-es-present",
        Base::Guest64,
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0xC013)),
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x1_C013)),
    ),
    Case::new(
        "guest-fs-present",
        Base::Guest64,
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0xC013)),
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x1_C013)),
    ),
    Case::new(
        "guest-gs-present",
        Base::Guest64,
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0xC013)),
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x1_C013)),
    ),
    Case::new(
        "guest-cs-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xA19B)),
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xB09B)),
    ),
    Case::new(
        "guest-ss-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x2_C093)),
        |e| e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x3_C093)),
    ),
    Case::new(
        "guest-ds-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x2_C093)),
        |e| e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x3_C093)),
    ),
    Case::new(
        "guest-es-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x2_C093)),
        |e| e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x3_C093)),
    ),
    Case::new(
        "guest-fs-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x2_C093)),
        |e| e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x3_C093)),
    ),
    Case::new(
        "guest-gs-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x2_C093)),
        |e| e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x3_C093)),
    ),
    Case::new(
        "guest-cs-default-size",
        Base::Guest64,
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xE09B)),
        |e| e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xC09B)),
    ),
    Case::new(
        "guest-cs-granularity",
        Base::Guest64,
        |e| e.set(GUEST_CS_LIMIT, 0xFFFF_FFFE),
        |e| {
            e.set(GUEST_CS_LIMIT, 0xF_FFFF);
            e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0x209B));
        },
    ),
    Case::new(
        "guest-ss-granularity",
        Base::Guest64,
        |e| {
            e.set(GUEST_SS_LIMIT, 0x10_0000);
            e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x4093));
        },
        |e| {
            e.set(GUEST_SS_LIMIT, 0xF_FFFF);
            e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(0x4093));
        },
    ),
    Case::new(
        "guest-ds-granularity",
        Base::Guest64,
        |e| {
            e.set(GUEST_DS_LIMIT, 0x10_0000);
            e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x4093));
        },
        |e| {
            e.set(GUEST_DS_LIMIT, 0xF_FFFF);
            e.set(GUEST_DS_ACCESS_RIGHTS, AccessRights(0x4093));
        },
    ),
    Case::new(
        "guest-es-granularity",
        Base::Guest64,
        |e| {
            e.set(GUEST_ES_LIMIT, 0x10_0000);
            e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x4093));
        },
        |e| {
            e.set(GUEST_ES_LIMIT, 0xF_FFFF);
            e.set(GUEST_ES_ACCESS_RIGHTS, AccessRights(0x4093));
        },
    ),
    Case::new(
        "guest-fs-granularity",
        Base::Guest64,
        |e| {
            e.set(GUEST_FS_LIMIT, 0x10_0000);
            e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x4093));
        },
        |e| {
            e.set(GUEST_FS_LIMIT, 0xF_FFFF);
            e.set(GUEST_FS_ACCESS_RIGHTS, AccessRights(0x4093));
        },
    ),
    Case::new(
        "guest-gs-granularity",
        Base::Guest64,
        |e| {
            e.set(GUEST_GS_LIMIT, 0x10_0000);
            e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x4093));
        },
        |e| {
            e.set(GUEST_GS_LIMIT, 0xF_FFFF);
            e.set(GUEST_GS_ACCESS_RIGHTS, AccessRights(0x4093));
        },
    ),
];

/// Ring 3 instead of 0.
fn to_ring_3(e: &mut Editor<'_>) {
    e.set_bits(GUEST_CS_SELECTOR, 3);
    e.set_bits(GUEST_SS_SELECTOR, 3);
    let (cs, ss) = (e.get(GUEST_CS_ACCESS_RIGHTS), e.get(GUEST_SS_ACCESS_RIGHTS));
    e.set(GUEST_CS_ACCESS_RIGHTS, cs.with_dpl(3));
    e.set(GUEST_SS_ACCESS_RIGHTS, ss.with_dpl(3));
}
