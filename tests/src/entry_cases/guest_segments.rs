//! The cases of the guest's segment registers.

use vmx_core::entry_check::ExampleGuest::{Guest32, GuestReal};
use vmx_core::vmcs::AccessRights;
use vmx_core::vmcs::field::*;

use super::case::{Case, Edit, NOTHING, add, by, edits, set, values};
use super::editing::*;
use super::editor::Editor;

/// The cases.
pub(super) const CASES: &[Case] = &[
    // Selectors and bases.
    edits("guest-tr-selector-ti", add(GUEST_TR_SELECTOR, 4), set(GUEST_TR_SELECTOR, 0xFFFB)),
    edits("guest-ldtr-selector-ti", by(ldt_in_ldt), LDTR_UNUSABLE)
        .with(set(GUEST_LDTR_SELECTOR, 0x24)),
    edits("guest-ss-rpl-is-cs-rpl", add(GUEST_CS_SELECTOR, 1), by(|e| to_ring(e, 3))),
    values("guest-tr-base-canonical", GUEST_TR_BASE, NOT_CANONICAL, HIGH_HALF),
    values("guest-fs-base-canonical", GUEST_FS_BASE, NOT_CANONICAL, HIGH_HALF),
    values("guest-gs-base-canonical", GUEST_GS_BASE, NOT_CANONICAL, HIGH_HALF),
    edits("guest-ldtr-base-canonical", by(ldt_nowhere), LDTR_UNUSABLE)
        .with(set(GUEST_LDTR_BASE, NOT_CANONICAL)),
    values("guest-cs-base-high-half", GUEST_CS_BASE, 1 << 32, 0xFFFF_F000),
    base_high_half("guest-ss-base-high-half", GUEST_SS_BASE, GUEST_SS_ACCESS_RIGHTS),
    base_high_half("guest-ds-base-high-half", GUEST_DS_BASE, GUEST_DS_ACCESS_RIGHTS),
    base_high_half("guest-es-base-high-half", GUEST_ES_BASE, GUEST_ES_ACCESS_RIGHTS),
    // Virtual-8086 mode.
    base_in_8086("guest-cs-base-in-virtual-8086", GUEST_CS_SELECTOR, GUEST_CS_BASE),
    base_in_8086("guest-ss-base-in-virtual-8086", GUEST_SS_SELECTOR, GUEST_SS_BASE),
    base_in_8086("guest-ds-base-in-virtual-8086", GUEST_DS_SELECTOR, GUEST_DS_BASE),
    base_in_8086("guest-es-base-in-virtual-8086", GUEST_ES_SELECTOR, GUEST_ES_BASE),
    base_in_8086("guest-fs-base-in-virtual-8086", GUEST_FS_SELECTOR, GUEST_FS_BASE),
    base_in_8086("guest-gs-base-in-virtual-8086", GUEST_GS_SELECTOR, GUEST_GS_BASE),
    in_8086("guest-cs-limit-in-virtual-8086", set(GUEST_CS_LIMIT, 0xF_FFFF)),
    in_8086("guest-ss-limit-in-virtual-8086", set(GUEST_SS_LIMIT, 0xF_FFFF)),
    in_8086("guest-ds-limit-in-virtual-8086", set(GUEST_DS_LIMIT, 0xF_FFFF)),
    in_8086("guest-es-limit-in-virtual-8086", set(GUEST_ES_LIMIT, 0xF_FFFF)),
    in_8086("guest-fs-limit-in-virtual-8086", set(GUEST_FS_LIMIT, 0xF_FFFF)),
    in_8086("guest-gs-limit-in-virtual-8086", set(GUEST_GS_LIMIT, 0xF_FFFF)),
    in_8086("guest-cs-access-rights-in-virtual-8086", set(GUEST_CS_ACCESS_RIGHTS, 0x93)),
    in_8086("guest-ss-access-rights-in-virtual-8086", set(GUEST_SS_ACCESS_RIGHTS, 0x93)),
    in_8086("guest-ds-access-rights-in-virtual-8086", set(GUEST_DS_ACCESS_RIGHTS, 0x93)),
    in_8086("guest-es-access-rights-in-virtual-8086", set(GUEST_ES_ACCESS_RIGHTS, 0x93)),
    in_8086("guest-fs-access-rights-in-virtual-8086", set(GUEST_FS_ACCESS_RIGHTS, 0x93)),
    in_8086("guest-gs-access-rights-in-virtual-8086", set(GUEST_GS_ACCESS_RIGHTS, 0x93)),
    // Access rights of CS, SS, DS, ES, FS and GS.
    values("guest-cs-type", GUEST_CS_ACCESS_RIGHTS, 0xA098, 0xA099).of("not accessed"),
    values("guest-cs-type", GUEST_CS_ACCESS_RIGHTS, 0xA093, 0xA09F).of("data"),
    values("guest-ss-type", GUEST_SS_ACCESS_RIGHTS, 0xC092, 0xC097),
    values("guest-ds-accessed", GUEST_DS_ACCESS_RIGHTS, 0xC092, 0xC091),
    values("guest-es-accessed", GUEST_ES_ACCESS_RIGHTS, 0xC092, 0xC091),
    values("guest-fs-accessed", GUEST_FS_ACCESS_RIGHTS, 0xC092, 0xC091),
    values("guest-gs-accessed", GUEST_GS_ACCESS_RIGHTS, 0xC092, 0xC091),
    values("guest-ds-readable", GUEST_DS_ACCESS_RIGHTS, 0xC099, 0xC09B),
    values("guest-es-readable", GUEST_ES_ACCESS_RIGHTS, 0xC099, 0xC09B),
    values("guest-fs-readable", GUEST_FS_ACCESS_RIGHTS, 0xC099, 0xC09B),
    values("guest-gs-readable", GUEST_GS_ACCESS_RIGHTS, 0xC099, 0xC09B),
    values("guest-cs-code-or-data", GUEST_CS_ACCESS_RIGHTS, 0xA08B, 0xB09B),
    values("guest-ss-code-or-data", GUEST_SS_ACCESS_RIGHTS, 0xC083, 0x1_C083),
    values("guest-ds-code-or-data", GUEST_DS_ACCESS_RIGHTS, 0xC083, 0x1_C083),
    values("guest-es-code-or-data", GUEST_ES_ACCESS_RIGHTS, 0xC083, 0x1_C083),
    values("guest-fs-code-or-data", GUEST_FS_ACCESS_RIGHTS, 0xC083, 0x1_C083),
    values("guest-gs-code-or-data", GUEST_GS_ACCESS_RIGHTS, 0xC083, 0x1_C083),
    values("guest-cs-dpl-of-data", GUEST_CS_ACCESS_RIGHTS, 0xB3, 0x93).on(GuestReal),
    values("guest-cs-dpl-of-nonconforming", GUEST_CS_ACCESS_RIGHTS, 0xA0BB, 0xA099),
    values("guest-cs-dpl-of-conforming", GUEST_CS_ACCESS_RIGHTS, 0xA0BF, 0xA09F),
    edits("guest-ss-dpl-is-rpl", by(selectors_of_ring_1), by(|e| to_ring(e, 3))),
    edits(
        "guest-ss-dpl-in-real-mode",
        by(|e| ss_and_cs(e, 0xB3, 0xBB)),
        by(|e| ss_and_cs(e, 0x97, 0x9F)),
    )
    .on(GuestReal),
    edits("guest-ds-dpl", NOTHING, set(GUEST_DS_ACCESS_RIGHTS, 0xC09F))
        .with(add(GUEST_DS_SELECTOR, 3)),
    edits("guest-es-dpl", NOTHING, set(GUEST_ES_ACCESS_RIGHTS, 0xC09F))
        .with(add(GUEST_ES_SELECTOR, 3)),
    edits("guest-fs-dpl", NOTHING, set(GUEST_FS_ACCESS_RIGHTS, 0xC09F))
        .with(add(GUEST_FS_SELECTOR, 3)),
    edits("guest-gs-dpl", NOTHING, set(GUEST_GS_ACCESS_RIGHTS, 0xC09F))
        .with(add(GUEST_GS_SELECTOR, 3)),
    values("guest-cs-present", GUEST_CS_ACCESS_RIGHTS, 0xA01B, 0xB09B),
    values("guest-ss-present", GUEST_SS_ACCESS_RIGHTS, 0xC013, 0x1_C013),
    values("guest-ds-present", GUEST_DS_ACCESS_RIGHTS, 0xC013, 0x1_C013),
    values("guest-es-present", GUEST_ES_ACCESS_RIGHTS, 0xC013, 0x1_C013),
    values("guest-fs-present", GUEST_FS_ACCESS_RIGHTS, 0xC013, 0x1_C013),
    values("guest-gs-present", GUEST_GS_ACCESS_RIGHTS, 0xC013, 0x1_C013),
    values("guest-cs-reserved-bits", GUEST_CS_ACCESS_RIGHTS, 0xA19B, 0xB09B),
    values("guest-ss-reserved-bits", GUEST_SS_ACCESS_RIGHTS, 0x2_C093, 0x3_C093),
    values("guest-ds-reserved-bits", GUEST_DS_ACCESS_RIGHTS, 0x2_C093, 0x3_C093),
    values("guest-es-reserved-bits", GUEST_ES_ACCESS_RIGHTS, 0x2_C093, 0x3_C093),
    values("guest-fs-reserved-bits", GUEST_FS_ACCESS_RIGHTS, 0x2_C093, 0x3_C093),
    values("guest-gs-reserved-bits", GUEST_GS_ACCESS_RIGHTS, 0x2_C093, 0x3_C093),
    values("guest-cs-default-size", GUEST_CS_ACCESS_RIGHTS, 0xE09B, 0xC09B),
    edits("guest-cs-granularity", set(GUEST_CS_LIMIT, 0xFFFF_FFFE), by(code_in_bytes)),
    granularity("guest-ss-granularity", GUEST_SS_LIMIT, GUEST_SS_ACCESS_RIGHTS),
    granularity("guest-ds-granularity", GUEST_DS_LIMIT, GUEST_DS_ACCESS_RIGHTS),
    granularity("guest-es-granularity", GUEST_ES_LIMIT, GUEST_ES_ACCESS_RIGHTS),
    granularity("guest-fs-granularity", GUEST_FS_LIMIT, GUEST_FS_ACCESS_RIGHTS),
    granularity("guest-gs-granularity", GUEST_GS_LIMIT, GUEST_GS_ACCESS_RIGHTS),
    // TR and LDTR.
    values("guest-tr-type", GUEST_TR_ACCESS_RIGHTS, 0x83, 0x108B).of("16-bit TSS in IA-32e mode"),
    values("guest-tr-type", GUEST_TR_ACCESS_RIGHTS, 0x89, 0x83).of("TSS not busy").on(Guest32),
    values("guest-tr-system", GUEST_TR_ACCESS_RIGHTS, 0x9B, 0x108B),
    values("guest-tr-present", GUEST_TR_ACCESS_RIGHTS, 0x0B, 0x108B),
    values("guest-tr-reserved-bits", GUEST_TR_ACCESS_RIGHTS, 0x18B, 0x108B),
    values("guest-tr-granularity", GUEST_TR_LIMIT, 0x67, 0xFFF)
        .with(set(GUEST_TR_ACCESS_RIGHTS, 0x808B)),
    values("guest-tr-usable", GUEST_TR_ACCESS_RIGHTS, 0x1_008B, 0x108B),
    ldt("guest-ldtr-type", 0x83, 0x1_0083),
    ldt("guest-ldtr-system", 0x92, 0x1_0092),
    ldt("guest-ldtr-present", 0x02, 0x1_0002),
    ldt("guest-ldtr-reserved-bits", 0x182, 0x1_0182),
    ldt("guest-ldtr-granularity", 0x8082, 0x1_8082),
];

/// What is not looked at where the segment is unusable.
const fn base_high_half(rule: &'static str, base: Field<u64>, rights: Field<AccessRights>) -> Case {
    edits(rule, NOTHING, set(rights, 0x1_0000)).with(set(base, 1 << 32))
}

const fn in_8086(rule: &'static str, breaks: Edit) -> Case {
    edits(rule, breaks, NOTHING).on(Guest32).after(to_virtual_8086)
}

/// A base that is not 16 times the selector, and one that is.
const fn base_in_8086(rule: &'static str, selector: Field<u16>, base: Field<u64>) -> Case {
    values(rule, base, 0x12350, 0x12340)
        .on(Guest32)
        .after(to_virtual_8086)
        .with(set(selector, 0x1234))
}

/// A limit in bytes that takes more than 20 bits, and one that does not.
const fn granularity(rule: &'static str, limit: Field<u32>, rights: Field<AccessRights>) -> Case {
    values(rule, limit, 0x10_0000, 0xF_FFFF).with(set(rights, 0x4093))
}

/// Access rights of an LDTR in use; the edge is not.
const fn ldt(rule: &'static str, breaks: u64, edge: u64) -> Case {
    values(rule, GUEST_LDTR_ACCESS_RIGHTS, breaks, edge).after(use_ldt)
}

const LDTR_UNUSABLE: Edit = set(GUEST_LDTR_ACCESS_RIGHTS, 0x1_0082);

/// A usable LDTR.
fn use_ldt(e: &mut Editor<'_>) {
    e.set(GUEST_LDTR_SELECTOR, 0x20);
    e.set(GUEST_LDTR_BASE, 0);
    e.set(GUEST_LDTR_LIMIT, 0x67);
    e.set(GUEST_LDTR_ACCESS_RIGHTS, AccessRights::LDT);
}

fn ldt_in_ldt(e: &mut Editor<'_>) {
    use_ldt(e);
    e.set(GUEST_LDTR_SELECTOR, 0x24);
}

fn ldt_nowhere(e: &mut Editor<'_>) {
    use_ldt(e);
    e.set(GUEST_LDTR_BASE, NOT_CANONICAL);
}

fn selectors_of_ring_1(e: &mut Editor<'_>) {
    e.set_bits(GUEST_CS_SELECTOR, 1);
    e.set_bits(GUEST_SS_SELECTOR, 1);
}

fn ss_and_cs(e: &mut Editor<'_>, ss: u32, cs: u32) {
    e.set(GUEST_SS_ACCESS_RIGHTS, AccessRights(ss));
    e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(cs));
}

fn code_in_bytes(e: &mut Editor<'_>) {
    e.set(GUEST_CS_LIMIT, 0xF_FFFF);
    e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0x209B));
}
