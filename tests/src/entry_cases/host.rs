//! The cases of the host-state area.
//!
//! VM exit loads what an edge writes here, so an edge changes only what the host does
//! not use, or can live with.

use vmx_core::cet::CetControl;
use vmx_core::control::{EntryControls, ExitControls, SecondaryExitControls};
use vmx_core::entry_check::ExampleGuest::Guest32;
use vmx_core::vmcs::field::*;

use super::case::NotShown::{Departure, Needs32BitHost};
use super::case::{Case, NOTHING, add, by, clear, edits, set, values};
use super::editing::*;
use super::editor::Editor;

const LOAD_CET: ExitControls = ExitControls::LOAD_CET_STATE;
/// The data segment of the host's GDT.
const DATA: u64 = 0x10;

/// The cases.
pub(super) const CASES: &[Case] = &[
    edits("host-cr0-fixed-bits", clear(HOST_CR0, 1 << 5), add(HOST_CR0, 1 << 18)).of("NE = 0"),
    edits("host-cr0-fixed-bits", add(HOST_CR0, 1 << 32), NOTHING).of("bit 32"),
    edits("host-cr4-fixed-bits", clear(HOST_CR4, CR4_VMXE), add(HOST_CR4, 1 << 2)).of("VMXE = 0"),
    edits("host-cr4-fixed-bits", add(HOST_CR4, 1 << 63), NOTHING).of("bit 63"),
    // Without "load CET state", the second processor does not look: departure
    // host-cr4-cet-without-wp.
    edits("host-cr4-cet-needs-cr0-wp", by(cet_without_wp), NOTHING).exit(LOAD_CET),
    edits("host-cr3-within-physical-width", add(HOST_CR3, 1 << 52), add(HOST_CR3, 1 << 3))
        .of("bit 52"),
    edits("host-cr3-within-physical-width", by(|e| e.set_bits(HOST_CR3, e.just_beyond())), NOTHING)
        .of("first bit beyond"),
    values("host-sysenter-esp-canonical", HOST_IA32_SYSENTER_ESP, NOT_CANONICAL, HIGH_HALF),
    values("host-sysenter-eip-canonical", HOST_IA32_SYSENTER_EIP, NOT_CANONICAL, HIGH_HALF),
    values("host-perf-global-ctrl-reserved-bits", HOST_IA32_PERF_GLOBAL_CTRL, 1 << 63, 1)
        .exit(ExitControls::LOAD_IA32_PERF_GLOBAL_CTRL)
        .not_shown(Departure("host-perf-global-ctrl-unchecked")),
    pat("entry 7 is 2", 2, 1),
    pat("entry 7 is 3", 3, 4),
    pat("entry 7 is 8", 8, 7),
    efer(edits("host-efer-reserved-bits", add(HOST_IA32_EFER, 1 << 1), NOTHING)).of("bit 1"),
    efer(edits("host-efer-reserved-bits", add(HOST_IA32_EFER, 1 << 32), NOTHING)).of("bit 32"),
    efer(edits("host-efer-lma", clear(HOST_IA32_EFER, 1 << 10), NOTHING)),
    efer(edits("host-efer-lme", clear(HOST_IA32_EFER, 1 << 8), NOTHING)),
    s_cet("host-s-cet-reserved-bits", 1 << 6).of("bit 6"),
    s_cet("host-s-cet-reserved-bits", 1 << 9).of("bit 9"),
    edits("host-s-cet-suppress-and-tracker", add(HOST_S_CET, 3 << 10), add(HOST_S_CET, SUPPRESS))
        .exit(LOAD_CET),
    ssp("host-ssp-aligned", 0x1001).of("bit 0"),
    ssp("host-ssp-aligned", 0x1002).of("bit 1"),
    edits(
        "host-interrupt-ssp-table-canonical",
        set(HOST_INTERRUPT_SSP_TABLE_ADDR, NOT_CANONICAL),
        NOTHING,
    )
    .exit(LOAD_CET),
    values("host-pkrs-high-half", HOST_IA32_PKRS, 1 << 32, 0xFFFF_FFFF)
        .exit(ExitControls::LOAD_PKRS)
        .not_shown(Departure("pkrs-upper-half-lost")),
    fred("host-fred-config-reserved-bits", HOST_IA32_FRED_CONFIG, 1 << 11, 1 << 12),
    fred("host-fred-config-canonical", HOST_IA32_FRED_CONFIG, NOT_CANONICAL, HIGH_HALF),
    fred("host-fred-stack-pointers-aligned", HOST_IA32_FRED_RSP3, 0x20, 0x40),
    fred("host-fred-stack-pointers-canonical", HOST_IA32_FRED_RSP1, NOT_CANONICAL, HIGH_HALF),
    fred("host-fred-shadow-stack-pointers-aligned", HOST_IA32_FRED_SSP2, 4, 8),
    fred(
        "host-fred-shadow-stack-pointers-canonical",
        HOST_IA32_FRED_SSP3,
        NOT_CANONICAL,
        HIGH_HALF,
    ),
    values("host-spec-ctrl-reserved-bits", HOST_IA32_SPEC_CTRL, 1 << 9, 0)
        .of("bit 9")
        .secondary_exit(SecondaryExitControls::LOAD_IA32_SPEC_CTRL),
    values("host-spec-ctrl-reserved-bits", HOST_IA32_SPEC_CTRL, 1 << 11, 0)
        .of("bit 11")
        .secondary_exit(SecondaryExitControls::LOAD_IA32_SPEC_CTRL),
    // Segments.
    edits("host-selectors-rpl-and-ti", add(HOST_CS_SELECTOR, 1), NOTHING).of("CS"),
    selector("SS", HOST_SS_SELECTOR, 2),
    selector("DS", HOST_DS_SELECTOR, 4),
    selector("ES", HOST_ES_SELECTOR, 1),
    selector("FS", HOST_FS_SELECTOR, 2),
    selector("GS", HOST_GS_SELECTOR, 4),
    edits("host-selectors-rpl-and-ti", add(HOST_TR_SELECTOR, 4), NOTHING).of("TR"),
    edits("host-cs-selector-not-null", set(HOST_CS_SELECTOR, 0), NOTHING),
    edits("host-tr-selector-not-null", set(HOST_TR_SELECTOR, 0), NOTHING),
    of_32_bit_host(values("host-ss-selector-not-null", HOST_SS_SELECTOR, 0, DATA)),
    edits("host-fs-base-canonical", set(HOST_FS_BASE, NOT_CANONICAL), NOTHING),
    edits("host-gs-base-canonical", set(HOST_GS_BASE, NOT_CANONICAL), NOTHING),
    edits("host-gdtr-base-canonical", set(HOST_GDTR_BASE, NOT_CANONICAL), NOTHING),
    edits("host-idtr-base-canonical", set(HOST_IDTR_BASE, NOT_CANONICAL), NOTHING),
    edits("host-tr-base-canonical", set(HOST_TR_BASE, NOT_CANONICAL), NOTHING),
    // Address-space size. The guest is a 32-bit one, so that nothing else breaks.
    edits("host-address-space-size-is-hosts", by(in_64_bits), NOTHING)
        .of("0 in a 64-bit host")
        .on(Guest32),
    of_32_bit_host(edits(
        "ia32e-mode-guest-needs-ia32e-mode-host",
        entry(EntryControls::IA32E_MODE_GUEST),
        NOTHING,
    )),
    of_32_bit_host(edits("host-cr4-pcide-needs-64-bit-host", add(HOST_CR4, CR4_PCIDE), NOTHING)),
    of_32_bit_host(edits("host-cr4-fred-needs-64-bit-host", add(HOST_CR4, CR4_FRED), NOTHING))
        .not_shown(FRED),
    of_32_bit_host(values("host-rip-high-half", HOST_RIP, 1 << 32, 0xFFFF_F000)),
    of_32_bit_host(edits("host-s-cet-high-half", add(HOST_S_CET, 1 << 32), NOTHING)).exit(LOAD_CET),
    of_32_bit_host(values("host-ssp-high-half", HOST_SSP, 1 << 32, 0xFFFF_F000)).exit(LOAD_CET),
    edits("host-cr4-pae", clear(HOST_CR4, CR4_PAE), NOTHING),
    edits("host-rip-canonical", set(HOST_RIP, NOT_CANONICAL), NOTHING),
    s_cet("host-s-cet-canonical", NOT_CANONICAL),
    ssp("host-ssp-canonical", NOT_CANONICAL),
];

const SUPPRESS: u64 = CetControl::SUPPRESS.bits();

/// A bit of IA32_S_CET.
const fn s_cet(rule: &'static str, bits: u64) -> Case {
    edits(rule, add(HOST_S_CET, bits), NOTHING).exit(LOAD_CET)
}

const fn ssp(rule: &'static str, value: u64) -> Case {
    edits(rule, set(HOST_SSP, value), NOTHING).exit(LOAD_CET)
}

/// PAT as after reset, but for its last entry, which no page of the host uses.
const fn pat(what: &'static str, breaks: u64, edge: u64) -> Case {
    const AFTER_RESET: u64 = 0x0007_0406_0007_0406;
    let (breaks, edge) = (AFTER_RESET | breaks << 56, AFTER_RESET | edge << 56);
    values("host-pat-memory-types", HOST_IA32_PAT, breaks, edge)
        .of(what)
        .exit(ExitControls::LOAD_IA32_PAT)
}

/// EFER of a 64-bit host.
const fn efer(case: Case) -> Case {
    case.exit(ExitControls::LOAD_IA32_EFER).after(|e| e.set_bits(HOST_IA32_EFER, 1 << 10 | 1 << 8))
}

const fn fred(rule: &'static str, field: Field<u64>, breaks: u64, edge: u64) -> Case {
    values(rule, field, breaks, edge)
        .secondary_exit(SecondaryExitControls::LOAD_FRED_STATE)
        .not_shown(FRED)
}

/// A bit of RPL or TI; the edge is a segment that the host has.
const fn selector(what: &'static str, field: Field<u16>, bit: u64) -> Case {
    edits("host-selectors-rpl-and-ti", add(field, bit), set(field, DATA)).of(what)
}

const fn of_32_bit_host(case: Case) -> Case {
    case.on(Guest32).not_shown(Needs32BitHost).after(|e| {
        e.circumstances.host_ia32e_mode = false;
        e.turn_off(ExitControls::HOST_ADDRESS_SPACE_SIZE | ExitControls::LOAD_IA32_EFER);
    })
}

fn cet_without_wp(e: &mut Editor<'_>) {
    e.set_bits(HOST_CR4, CR4_CET);
    e.clear_bits(HOST_CR0, CR0_WP);
}

fn in_64_bits(e: &mut Editor<'_>) {
    e.turn_off(ExitControls::HOST_ADDRESS_SPACE_SIZE | ExitControls::LOAD_IA32_EFER);
    e.turn_off(LOAD_CET);
    e.clear_bits(HOST_CR4, CR4_PCIDE);
}
