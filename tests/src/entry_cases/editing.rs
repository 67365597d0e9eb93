//! What rows of several tables share.
//!
//! An edge that is entered must not do more than its base: pages that it names are
//! [`SCRATCH`].

use vmx_core::PhysicalAddress;
use vmx_core::cet::CetControl;
use vmx_core::control::{
    EntryControls, ExitControls, PinBasedControls, PrimaryControls, SecondaryControls,
};
use vmx_core::event::InterruptionInformation;
use vmx_core::vmcs::AccessRights;
use vmx_core::vmcs::field::*;

use super::case::NotShown::{self, FeatureOnNoModel};
use super::case::{Case, Edit, NOTHING, add, beyond, by, clear, edits, set, values};
use super::editor::Editor;

/// Physical address of a page that nobody uses and the cases may: the last one of the
/// 64 MiB that the second processor is given. It holds zeroes.
pub const SCRATCH: u64 = 0x03FF_F000;

/// A page that may be written.
pub(super) const PAGE: u64 = SCRATCH;
/// On that page, but not at its start.
pub(super) const CROOKED: u64 = SCRATCH + 4;
/// Beyond any CPU's physical addresses.
pub(super) const BEYOND: u64 = 1 << 52;
/// Canonical for no width of linear addresses.
pub(super) const NOT_CANONICAL: u64 = 1 << 62;
/// The lowest address of the upper half that is canonical for each width.
pub(super) const HIGH_HALF: u64 = 0xFFFF_8000_0000_0000;

pub(super) const CR0_PE: u64 = 1;
pub(super) const CR0_WP: u64 = 1 << 16;
pub(super) const CR0_PG: u64 = 1 << 31;
pub(super) const CR4_PAE: u64 = 1 << 5;
pub(super) const CR4_VMXE: u64 = 1 << 13;
pub(super) const CR4_PCIDE: u64 = 1 << 17;
pub(super) const CR4_CET: u64 = 1 << 23;
pub(super) const CR4_FRED: u64 = 1 << 32;
pub(super) const RFLAGS_TF: u64 = 1 << 8;
pub(super) const RFLAGS_IF: u64 = 1 << 9;
pub(super) const RFLAGS_IOPL_3: u64 = 3 << 12;

pub(super) const FRED: NotShown = FeatureOnNoModel("FRED");
pub(super) const INTEL_PT: NotShown = FeatureOnNoModel("Intel PT");

/// The address of a page must be aligned.
pub(super) const fn aligned<V>(rule: &'static str, field: Field<V>) -> Case {
    values(rule, field, CROOKED, PAGE)
}

/// The address of a page must be one that the CPU can have.
pub(super) const fn within_width<V>(rule: &'static str, field: Field<V>) -> Case {
    edits(rule, beyond(field), set(field, PAGE))
}

/// A control that the CPU fixes to 1 is 0.
pub(super) const fn must_be_1(rule: &'static str, breaks: fn(&mut Editor<'_>)) -> Case {
    edits(rule, by(breaks), NOTHING).of("a bit that must be 1")
}

/// A control that the CPU fixes to 0 is 1.
pub(super) const fn must_be_0(rule: &'static str, breaks: fn(&mut Editor<'_>)) -> Case {
    edits(rule, by(breaks), NOTHING).of("a bit that must be 0")
}

/// An MSR area whose entries are not aligned, where it has one and where it has none.
pub(super) const fn msr_area_aligned(
    rule: &'static str,
    address: Field<PhysicalAddress>,
    count: Field<u32>,
) -> Case {
    values(rule, count, 1, 0).with(set(address, SCRATCH + 8))
}

/// An MSR area beyond all physical memory, where it has an entry and where it has none.
pub(super) const fn msr_area_within_width(
    rule: &'static str,
    address: Field<PhysicalAddress>,
    count: Field<u32>,
) -> Case {
    values(rule, count, 1, 0).of("first byte").with(beyond(address))
}

/// An MSR area of two entries, the second of which is beyond all physical memory.
pub(super) fn two_msrs_beyond(
    e: &mut Editor<'_>,
    address: Field<PhysicalAddress>,
    count: Field<u32>,
) {
    e.set(address, PhysicalAddress(e.just_beyond() - 16));
    e.set(count, 2);
}

pub(super) const fn pin(controls: PinBasedControls) -> Edit {
    add(PIN_BASED_CONTROLS, controls.bits() as u64)
}

pub(super) const fn no_pin(controls: PinBasedControls) -> Edit {
    clear(PIN_BASED_CONTROLS, controls.bits() as u64)
}

pub(super) const fn primary(controls: PrimaryControls) -> Edit {
    add(PRIMARY_CONTROLS, controls.bits() as u64)
}

pub(super) const fn no_primary(controls: PrimaryControls) -> Edit {
    clear(PRIMARY_CONTROLS, controls.bits() as u64)
}

pub(super) const fn no_secondary(controls: SecondaryControls) -> Edit {
    clear(SECONDARY_CONTROLS, controls.bits() as u64)
}

pub(super) const fn exit(controls: ExitControls) -> Edit {
    add(VM_EXIT_CONTROLS, controls.bits() as u64)
}

pub(super) const fn no_exit(controls: ExitControls) -> Edit {
    clear(VM_EXIT_CONTROLS, controls.bits() as u64)
}

pub(super) const fn entry(controls: EntryControls) -> Edit {
    add(VM_ENTRY_CONTROLS, controls.bits() as u64)
}

/// The lowest bit that is 1.
pub(super) fn lowest(word: u32) -> u64 {
    (word & word.wrapping_neg()).into()
}

/// The highest bit that is 0: one without a meaning, or that other rules do not read.
pub(super) fn highest_clear(word: u32) -> u64 {
    1_u64.checked_shl(31_u32.wrapping_sub(word.leading_ones())).unwrap_or(0)
}

/// EPT of four levels, cached, for a guest that has none.
pub(super) fn use_ept(e: &mut Editor<'_>) {
    e.turn_on(SecondaryControls::ENABLE_EPT);
    e.values.set_raw(EPT_POINTER.encoding(), PAGE | 3 << 3 | 6);
}

/// Injects the event of this type and vector.
pub(super) fn inject(e: &mut Editor<'_>, event: u32) {
    e.set(VM_ENTRY_INTERRUPTION_INFORMATION, InterruptionInformation(1 << 31 | event));
}

/// An entry to SMM, from SMM, with SMIs blocked.
pub(super) fn enter_smm(e: &mut Editor<'_>) {
    e.circumstances.in_smm = true;
    e.turn_on(EntryControls::ENTRY_TO_SMM);
    e.set_bits(GUEST_INTERRUPTIBILITY_STATE, 1 << 2);
}

/// Another ring than 0.
pub(super) fn to_ring(e: &mut Editor<'_>, ring: u8) {
    e.set_bits(GUEST_CS_SELECTOR, ring.into());
    e.set_bits(GUEST_SS_SELECTOR, ring.into());
    let (cs, ss) = (e.get(GUEST_CS_ACCESS_RIGHTS), e.get(GUEST_SS_ACCESS_RIGHTS));
    e.set(GUEST_CS_ACCESS_RIGHTS, cs.with_dpl(ring));
    e.set(GUEST_SS_ACCESS_RIGHTS, ss.with_dpl(ring));
}

/// Virtual-8086 mode, all segments from 0 to FFFFh.
pub(super) fn to_virtual_8086(e: &mut Editor<'_>) {
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

/// A case in which VM entry loads CET state, all of it off but for what the case says.
pub(super) const fn with_cet(case: Case) -> Case {
    case.entry(EntryControls::LOAD_CET_STATE).after(|e| {
        e.set(GUEST_S_CET, CetControl::empty());
        e.set(GUEST_SSP, 0);
        e.set(GUEST_INTERRUPT_SSP_TABLE_ADDR, 0);
    })
}
