//! Access rights of guest TR and LDTR.

use vmx_core::vmcs::AccessRights;
use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor};

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-tr-type",
        Base::Guest64,
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x83)),
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x108B)),
    )
    .of("16-bit TSS in IA-32e mode"),
    Case::new(
        "guest-tr-type",
        Base::Guest32,
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x89)),
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x83)),
    )
    .of("TSS not busy"),
    Case::new(
        "guest-tr-system",
        Base::Guest64,
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x9B)),
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x108B)),
    ),
    Case::new(
        "guest-tr-present",
        Base::Guest64,
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x0B)),
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x108B)),
    ),
    Case::new(
        "guest-tr-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x18B)),
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x108B)),
    ),
    Case::new(
        "guest-tr-granularity",
        Base::Guest64,
        |e| {
            e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x808B));
            e.set(GUEST_TR_LIMIT, 0x67);
        },
        |e| {
            e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x808B));
            e.set(GUEST_TR_LIMIT, 0xFFF);
        },
    ),
    Case::new(
        "guest-tr-usable",
        Base::Guest64,
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x1_008B)),
        |e| e.set(GUEST_TR_ACCESS_RIGHTS, AccessRights(0x108B)),
    ),
    Case::new(
        "guest-ldtr-type",
        Base::Guest64,
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x83));
        },
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x1_0083));
        },
    ),
    Case::new(
        "guest-ldtr-system",
        Base::Guest64,
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x92));
        },
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x1_0092));
        },
    ),
    Case::new(
        "guest-ldtr-present",
        Base::Guest64,
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x02));
        },
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x1_0002));
        },
    ),
    Case::new(
        "guest-ldtr-reserved-bits",
        Base::Guest64,
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x182));
        },
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x1_0182));
        },
    ),
    Case::new(
        "guest-ldtr-granularity",
        Base::Guest64,
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x8082));
        },
        |e| {
            use_ldt(e);
            e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights(0x1_8082));
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
