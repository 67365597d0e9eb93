//! What breaks each rule of the host state, and only it.

use super::valid_entry::{BEYOND_WIDTH, Break, Entry, NOT_CANONICAL, assert_each_breaks_one_rule};
use crate::cet::control::CetControl;
use crate::control::entry::EntryControls;
use crate::control::exit::ExitControls;
use crate::entry_check::Group;
use crate::vmcs::field;

const BREAKS: &[Break] = &[
    ("host-cr0-fixed-bits", |e| e.set(field::HOST_CR0, 0x8001_0013)),
    ("host-cr0-fixed-bits", |e| e.set(field::HOST_CR0, 0x1_8001_0033)),
    ("host-cr4-fixed-bits", |e| e.set(field::HOST_CR4, 0x0080_0020)),
    ("host-cr4-fixed-bits", |e| e.set(field::HOST_CR4, 0x8080_2020)),
    ("host-cr4-cet-needs-cr0-wp", |e| e.set(field::HOST_CR0, 0x8000_0033)),
    ("host-cr3-within-physical-width", |e| e.set(field::HOST_CR3, BEYOND_WIDTH)),
    ("host-cr3-within-physical-width", |e| e.set(field::HOST_CR3, 1 << 61)),
    ("host-sysenter-esp-canonical", |e| e.set(field::HOST_IA32_SYSENTER_ESP, NOT_CANONICAL)),
    ("host-sysenter-eip-canonical", |e| e.set(field::HOST_IA32_SYSENTER_EIP, NOT_CANONICAL)),
    ("host-perf-global-ctrl-reserved-bits", |e| {
        e.set(field::HOST_IA32_PERF_GLOBAL_CTRL, 1 << 63);
    }),
    ("host-pat-memory-types", |e| e.set(field::HOST_IA32_PAT, 0x0200)),
    ("host-pat-memory-types", |e| e.set(field::HOST_IA32_PAT, 0x08 << 56)),
    ("host-efer-reserved-bits", |e| e.set(field::HOST_IA32_EFER, 0xD03)),
    ("host-efer-lma", |e| e.set(field::HOST_IA32_EFER, 0x901)),
    ("host-efer-lme", |e| e.set(field::HOST_IA32_EFER, 0xC01)),
    ("host-s-cet-reserved-bits", |e| e.set(field::HOST_S_CET, CetControl::from_bits_retain(0x40))),
    ("host-s-cet-reserved-bits", |e| {
        e.capabilities.has_indirect_branch_tracking = false;
        e.set(field::HOST_S_CET, CetControl::ENDBR_EN);
    }),
    ("host-s-cet-reserved-bits", |e| e.capabilities.has_shadow_stacks = false),
    ("host-s-cet-suppress-and-tracker", |e| {
        e.set(field::HOST_S_CET, CetControl::SUPPRESS | CetControl::TRACKER);
    }),
    ("host-ssp-aligned", |e| e.set(field::HOST_SSP, 2)),
    ("host-interrupt-ssp-table-canonical", |e| {
        e.set(field::HOST_INTERRUPT_SSP_TABLE_ADDR, NOT_CANONICAL);
    }),
    ("host-pkrs-high-half", |e| e.set(field::HOST_IA32_PKRS, 1 << 32)),
    ("host-fred-config-reserved-bits", |e| e.set(field::HOST_IA32_FRED_CONFIG, 1 << 11)),
    ("host-fred-config-canonical", |e| e.set(field::HOST_IA32_FRED_CONFIG, NOT_CANONICAL)),
    ("host-fred-stack-pointers-aligned", |e| e.set(field::HOST_IA32_FRED_RSP3, 0x20)),
    ("host-fred-stack-pointers-canonical", |e| e.set(field::HOST_IA32_FRED_RSP1, NOT_CANONICAL)),
    ("host-fred-shadow-stack-pointers-aligned", |e| e.set(field::HOST_IA32_FRED_SSP2, 4)),
    ("host-fred-shadow-stack-pointers-canonical", |e| {
        e.set(field::HOST_IA32_FRED_SSP3, NOT_CANONICAL);
    }),
    ("host-spec-ctrl-reserved-bits", |e| e.set(field::HOST_IA32_SPEC_CTRL, 1 << 9)),
    // Segments.
    ("host-selectors-rpl-and-ti", |e| e.set(field::HOST_CS_SELECTOR, 0x09)),
    ("host-selectors-rpl-and-ti", |e| e.set(field::HOST_SS_SELECTOR, 0x12)),
    ("host-selectors-rpl-and-ti", |e| e.set(field::HOST_DS_SELECTOR, 0x14)),
    ("host-selectors-rpl-and-ti", |e| e.set(field::HOST_ES_SELECTOR, 1)),
    ("host-selectors-rpl-and-ti", |e| e.set(field::HOST_FS_SELECTOR, 2)),
    ("host-selectors-rpl-and-ti", |e| e.set(field::HOST_GS_SELECTOR, 4)),
    ("host-selectors-rpl-and-ti", |e| e.set(field::HOST_TR_SELECTOR, 0x1B)),
    ("host-cs-selector-not-null", |e| e.set(field::HOST_CS_SELECTOR, 0)),
    ("host-tr-selector-not-null", |e| e.set(field::HOST_TR_SELECTOR, 0)),
    ("host-ss-selector-not-null", |e| {
        e.make_32_bit();
        e.set(field::HOST_SS_SELECTOR, 0);
    }),
    ("host-fs-base-canonical", |e| e.set(field::HOST_FS_BASE, NOT_CANONICAL)),
    ("host-gs-base-canonical", |e| e.set(field::HOST_GS_BASE, NOT_CANONICAL)),
    ("host-gdtr-base-canonical", |e| e.set(field::HOST_GDTR_BASE, NOT_CANONICAL)),
    ("host-idtr-base-canonical", |e| e.set(field::HOST_IDTR_BASE, NOT_CANONICAL)),
    ("host-tr-base-canonical", |e| e.set(field::HOST_TR_BASE, NOT_CANONICAL)),
    // Address-space size.
    ("host-address-space-size-is-hosts", |e| {
        e.make_32_bit();
        e.circumstances.host_ia32e_mode = true;
    }),
    ("host-address-space-size-is-hosts", |e| {
        e.circumstances.host_ia32e_mode = false;
        e.remove(EntryControls::IA32E_MODE_GUEST);
    }),
    ("ia32e-mode-guest-needs-ia32e-mode-host", |e| {
        e.make_32_bit();
        e.add(EntryControls::IA32E_MODE_GUEST);
    }),
    ("host-cr4-pcide-needs-64-bit-host", |e| {
        e.make_32_bit();
        e.set(field::HOST_CR4, 1 << 17 | 0x2020);
    }),
    ("host-cr4-fred-needs-64-bit-host", |e| {
        e.make_32_bit();
        e.set(field::HOST_CR4, 1 << 32 | 0x2020);
    }),
    ("host-rip-high-half", |e| {
        e.make_32_bit();
        e.set(field::HOST_RIP, 1 << 32);
    }),
    ("host-s-cet-high-half", |e| {
        e.make_32_bit();
        e.set(field::HOST_S_CET, CetControl::from_bits_retain(1 << 32));
    }),
    ("host-ssp-high-half", |e| {
        e.make_32_bit();
        e.set(field::HOST_SSP, 1 << 32);
    }),
    ("host-cr4-pae", |e| e.set(field::HOST_CR4, 0x0080_2000)),
    ("host-rip-canonical", |e| e.set(field::HOST_RIP, NOT_CANONICAL)),
    ("host-s-cet-canonical", |e| {
        e.set(field::HOST_S_CET, CetControl::from_bits_retain(NOT_CANONICAL));
    }),
    ("host-ssp-canonical", |e| e.set(field::HOST_SSP, NOT_CANONICAL)),
];

#[test]
fn each_rule_of_the_host_state_is_broken_alone() {
    assert_each_breaks_one_rule(Group::HostState, &[BREAKS]);
}

/// Every value of one PAT entry, in every place.
#[test]
fn pat_has_six_memory_types() {
    for place in 0..8 {
        for memory_type in 0..=0xFF_u64 {
            let mut entry = Entry::valid();
            entry.set(field::HOST_IA32_PAT, memory_type << (8 * place));
            let is_legal = matches!(memory_type, 0 | 1 | 4..=7);
            assert_eq!(entry.broken_rules().is_empty(), is_legal, "{memory_type} at {place}");
        }
    }
}

/// NW and CD are free in CR0, bits 62:61 of CR3 with linear-address masking.
#[test]
fn what_is_not_checked() {
    let mut entry = Entry::valid();
    entry.set(field::HOST_CR0, 0xE001_0033);
    entry.capabilities.cr4_fixed.may_be_one |= 1 << 28;
    entry.set(field::HOST_CR3, 3 << 61 | 0x1000);
    assert_eq!(entry.broken_rules(), [""; 0]);
}

/// CET fields are not looked at where they are not loaded, CR4.CET always.
#[test]
fn cet_state_is_checked_if_loaded() {
    let mut entry = Entry::valid();
    entry.remove(ExitControls::LOAD_CET_STATE);
    entry.set(field::HOST_S_CET, CetControl::from_bits_retain(u64::MAX));
    entry.set(field::HOST_SSP, 3);
    assert_eq!(entry.broken_rules(), [""; 0]);
    entry.set(field::HOST_CR0, 0x8000_0033);
    assert_eq!(entry.broken_rules(), ["host-cr4-cet-needs-cr0-wp"]);
}
