//! States that break one rule each.

use super::scene::Base::{Guest32, Guest64, GuestReal};
use super::scene::{Row, Scene};
use crate::cet::control::CetControl;
use crate::control::entry::EntryControls;
use crate::control::execution::{PrimaryControls, SecondaryControls};
use crate::event::interruption::InterruptionInformation;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::field::*;

const CR0_PE: u64 = 1;
const CR0_NE: u64 = 1 << 5;
const CR0_WP: u64 = 1 << 16;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const CR4_VMXE: u64 = 1 << 13;
const CR4_PCIDE: u64 = 1 << 17;
const CR4_CET: u64 = 1 << 23;
const CR4_FRED: u64 = 1 << 32;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// Canonical under no width.
const NOT_CANONICAL: u64 = 1 << 62;

/// A rule, the valid state to start from, and what breaks the rule.
pub(super) const ROWS: &[Row] = &[
    ("guest-cr0-fixed-to-1", Guest64, |e| e.clear_bits(GUEST_CR0, CR0_NE)),
    ("guest-cr0-fixed-to-0", Guest64, |e| e.set_bits(GUEST_CR0, 1 << 32)),
    ("guest-paging-needs-protection", GuestReal, |e| e.set_bits(GUEST_CR0, CR0_PG)),
    ("guest-cr4-fixed-to-1", Guest64, |e| e.clear_bits(GUEST_CR4, CR4_VMXE)),
    ("guest-cr4-fixed-to-0", Guest64, |e| e.set_bits(GUEST_CR4, 1 << 31)),
    ("guest-cet-needs-write-protection", Guest64, |e| {
        e.set_bits(GUEST_CR4, CR4_CET);
        e.clear_bits(GUEST_CR0, CR0_WP);
    }),
    ("guest-ia32e-needs-pae", Guest64, |e| e.clear_bits(GUEST_CR4, CR4_PAE)),
    ("guest-pcide-needs-ia32e", Guest32, |e| e.set_bits(GUEST_CR4, CR4_PCIDE)),
    ("guest-cr3-width", Guest64, |e| e.set_bits(GUEST_CR3, beyond_physical(e))),
    ("guest-dr7-high-half", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_DEBUG_CONTROLS);
        e.set(GUEST_DR7, 1 << 32 | 0x400);
    }),
    ("guest-sysenter-esp-canonical", Guest64, |e| e.set(GUEST_IA32_SYSENTER_ESP, NOT_CANONICAL)),
    ("guest-sysenter-eip-canonical", Guest64, |e| e.set(GUEST_IA32_SYSENTER_EIP, NOT_CANONICAL)),
    ("guest-s-cet-bits", Guest64, |e| {
        load_cet(e);
        e.set(GUEST_S_CET, CetControl::from_bits_retain(1 << 6));
    }),
    ("guest-s-cet-bits", Guest64, |e| {
        load_cet(e);
        e.set(GUEST_S_CET, CetControl::SUPPRESS | CetControl::TRACKER);
    }),
    ("guest-interrupt-ssp-table-canonical", Guest64, |e| {
        load_cet(e);
        e.set(GUEST_INTERRUPT_SSP_TABLE_ADDR, NOT_CANONICAL);
    }),
    ("guest-pat-types", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_PAT);
        e.set(GUEST_IA32_PAT, 0x0007_0406_0007_0402);
    }),
    ("guest-pat-types", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_PAT);
        e.set(GUEST_IA32_PAT, 0x0807_0406_0007_0406);
    }),
    ("guest-efer-reserved-bits", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_EFER);
        e.set(GUEST_IA32_EFER, EFER_LME | EFER_LMA | 1 << 1);
    }),
    ("guest-efer-lma-is-ia32e", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_EFER);
        e.set(GUEST_IA32_EFER, 0);
    }),
    ("guest-efer-lma-is-lme", GuestReal, |e| {
        e.turn_on(EntryControls::LOAD_IA32_EFER);
        e.set_bits(GUEST_CR0, CR0_PE | CR0_PG);
        e.set(GUEST_IA32_EFER, EFER_LME);
    }),
    ("guest-pkrs-high-half", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_PKRS);
        e.set(GUEST_IA32_PKRS, 1 << 32);
    }),
    ("guest-gdtr-base-canonical", Guest64, |e| e.set(GUEST_GDTR_BASE, NOT_CANONICAL)),
    ("guest-idtr-base-canonical", Guest64, |e| e.set(GUEST_IDTR_BASE, NOT_CANONICAL)),
    ("guest-gdtr-limit", Guest64, |e| e.set(GUEST_GDTR_LIMIT, 0x1_0000)),
    ("guest-idtr-limit", Guest64, |e| e.set(GUEST_IDTR_LIMIT, 0x1_0000)),
    ("guest-rip-high-half", Guest32, |e| e.set_bits(GUEST_RIP, 1 << 32)),
    ("guest-rflags-reserved-bits", Guest64, |e| e.set_bits(GUEST_RFLAGS, 1 << 3)),
    ("guest-rflags-bit-1", Guest64, |e| e.set(GUEST_RFLAGS, 0)),
    ("guest-virtual-8086-outside-ia32e", Guest64, to_virtual_8086),
    ("guest-injected-interrupt-needs-if", Guest64, |e| inject(e, 0x20)),
    ("guest-ssp-aligned", Guest64, |e| {
        load_cet(e);
        e.set(GUEST_SSP, 2);
    }),
    ("guest-ssp-width", Guest64, |e| {
        load_cet(e);
        e.set(GUEST_SSP, NOT_CANONICAL);
    }),
    ("guest-debugctl-reserved-bits", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_DEBUG_CONTROLS);
        e.set(GUEST_IA32_DEBUGCTL, 1 << 16);
    }),
    ("guest-ia32e-needs-paging", Guest64, |e| {
        unrestricted(e);
        e.clear_bits(GUEST_CR0, CR0_PG);
    }),
    ("guest-fred-needs-ia32e", Guest32, |e| e.set_bits(GUEST_CR4, CR4_FRED)),
    ("guest-perf-global-ctrl-reserved-bits", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_PERF_GLOBAL_CTRL);
        e.set(GUEST_IA32_PERF_GLOBAL_CTRL, 1 << 63);
    }),
    ("guest-bndcfgs-reserved-bits", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_BNDCFGS);
        e.set(GUEST_IA32_BNDCFGS, 4);
    }),
    ("guest-bndcfgs-canonical", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_BNDCFGS);
        e.set(GUEST_IA32_BNDCFGS, NOT_CANONICAL);
    }),
    ("guest-rtit-ctl-reserved-bits", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_RTIT_CTL);
        e.set(GUEST_IA32_RTIT_CTL, 1 << 18);
    }),
    ("guest-lbr-ctl-reserved-bits", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_LBR_CTL);
        e.set(GUEST_IA32_LBR_CTL, 1 << 4);
    }),
    ("guest-spec-ctrl-reserved-bits", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_IA32_SPEC_CTRL);
        e.set(GUEST_IA32_SPEC_CTRL, 1 << 9);
    }),
    ("guest-fred-config-reserved-bits", Guest64, |e| {
        load_fred(e);
        e.set(GUEST_IA32_FRED_CONFIG, 1 << 11);
    }),
    ("guest-fred-config-canonical", Guest64, |e| {
        load_fred(e);
        e.set(GUEST_IA32_FRED_CONFIG, NOT_CANONICAL);
    }),
    ("guest-fred-rsp1", Guest64, |e| {
        load_fred(e);
        e.set(GUEST_IA32_FRED_RSP1, 32);
    }),
    ("guest-fred-rsp2", Guest64, |e| {
        load_fred(e);
        e.set(GUEST_IA32_FRED_RSP2, 32);
    }),
    ("guest-fred-rsp3", Guest64, |e| {
        load_fred(e);
        e.set(GUEST_IA32_FRED_RSP3, 32);
    }),
    ("guest-fred-ssp1", Guest64, |e| {
        load_fred(e);
        e.set(GUEST_IA32_FRED_SSP1, 4);
    }),
    ("guest-fred-ssp2", Guest64, |e| {
        load_fred(e);
        e.set(GUEST_IA32_FRED_SSP2, 4);
    }),
    ("guest-fred-ssp3", Guest64, |e| {
        load_fred(e);
        e.set(GUEST_IA32_FRED_SSP3, 4);
    }),
    ("guest-rip-width", Guest64, |e| e.set(GUEST_RIP, NOT_CANONICAL)),
    ("guest-virtual-8086-needs-protection", GuestReal, to_virtual_8086),
    ("guest-fred-ring-0-is-64-bit", Guest64, |e| {
        e.set_bits(GUEST_CR4, CR4_FRED);
        e.set(GUEST_CS_ACCESS_RIGHTS, AccessRights(0xC09B));
    }),
    ("guest-fred-rings", Guest64, |e| {
        e.set_bits(GUEST_CR4, CR4_FRED);
        to_ring(e, 1);
    }),
    ("guest-fred-ring-3-iopl", Guest64, |e| {
        e.set_bits(GUEST_CR4, CR4_FRED);
        to_ring_3(e);
        e.set_bits(GUEST_RFLAGS, 3 << 12);
    }),
];

/// The lowest bit that a physical address cannot have.
fn beyond_physical(e: &Scene) -> u64 {
    1u64.checked_shl(e.capabilities.physical_address_width).unwrap_or(0)
}

fn unrestricted(e: &mut Scene) {
    let secondary = SecondaryControls::ENABLE_EPT | SecondaryControls::UNRESTRICTED_GUEST;
    e.set_bits(PRIMARY_CONTROLS, PrimaryControls::ACTIVATE_SECONDARY_CONTROLS.bits().into());
    e.set_bits(SECONDARY_CONTROLS, secondary.bits().into());
}

/// Loads CET state, all of it off.
fn load_cet(e: &mut Scene) {
    e.turn_on(EntryControls::LOAD_CET_STATE);
    e.set(GUEST_S_CET, CetControl::empty());
    e.set(GUEST_SSP, 0);
    e.set(GUEST_INTERRUPT_SSP_TABLE_ADDR, 0);
}

fn load_fred(e: &mut Scene) {
    e.turn_on(EntryControls::LOAD_FRED_STATE);
}

/// Ring `ring` instead of 0.
fn to_ring(e: &mut Scene, ring: u8) {
    e.set_bits(GUEST_CS_SELECTOR, ring.into());
    e.set_bits(GUEST_SS_SELECTOR, ring.into());
    let (cs, ss) = (e.get(GUEST_CS_ACCESS_RIGHTS), e.get(GUEST_SS_ACCESS_RIGHTS));
    e.set(GUEST_CS_ACCESS_RIGHTS, cs.with_dpl(ring));
    e.set(GUEST_SS_ACCESS_RIGHTS, ss.with_dpl(ring));
}

/// Ring 3 instead of 0.
fn to_ring_3(e: &mut Scene) {
    e.set_bits(GUEST_CS_SELECTOR, 3);
    e.set_bits(GUEST_SS_SELECTOR, 3);
    let (cs, ss) = (e.get(GUEST_CS_ACCESS_RIGHTS), e.get(GUEST_SS_ACCESS_RIGHTS));
    e.set(GUEST_CS_ACCESS_RIGHTS, cs.with_dpl(3));
    e.set(GUEST_SS_ACCESS_RIGHTS, ss.with_dpl(3));
}

/// Virtual-8086 mode, all segments from 0 to FFFFh.
fn to_virtual_8086(e: &mut Scene) {
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

/// Injects the event of this type and vector.
fn inject(e: &mut Scene, event: u32) {
    e.set(VM_ENTRY_INTERRUPTION_INFORMATION, InterruptionInformation(1 << 31 | event));
}
