//! The cases of the host-state area.
//!
//! VM exit loads what an edge writes here, so an edge changes only what the host does
//! not use, or can live with.

use vmx_core::Capabilities;
use vmx_core::cet::CetControl;
use vmx_core::control::{ExitControls, SecondaryExitControls};
use vmx_core::vmcs::field;
use vmx_core::vmcs::field::Field;

use crate::entry_case::{Base, Case, Editor, Exception, NotShown};

/// Canonical for no width of linear addresses.
const NOT_CANONICAL: u64 = 0x4000_0000_0000_0000;
/// The lowest canonical address of the upper half.
const HIGH: u64 = 0xFFFF_8000_0000_0000;
const CR4_CET: u64 = 1 << 23;
/// The data segment of the host's GDT.
const DATA: u16 = 0x10;

/// The cases.
pub(super) const CASES: &[Case] = &[
    case(
        "host-cr0-fixed-bits",
        "NE = 0",
        always,
        |e| e.clear_bits(field::HOST_CR0, 1 << 5),
        |e| e.set_bits(field::HOST_CR0, 1 << 18),
    ),
    case(
        "host-cr0-fixed-bits",
        "bit 32",
        always,
        |e| e.set_bits(field::HOST_CR0, 1 << 32),
        nothing,
    ),
    case(
        "host-cr4-fixed-bits",
        "VMXE = 0",
        always,
        |e| e.clear_bits(field::HOST_CR4, 1 << 13),
        |e| e.set_bits(field::HOST_CR4, 1 << 2),
    ),
    case(
        "host-cr4-fixed-bits",
        "bit 63",
        always,
        |e| e.set_bits(field::HOST_CR4, 1 << 63),
        nothing,
    ),
    // Without "load CET state", the second processor does not look: departure
    // host-cr4-cet-without-wp.
    case(
        "host-cr4-cet-needs-cr0-wp",
        "",
        has_cet,
        |e| {
            load_cet(e);
            e.set_bits(field::HOST_CR4, CR4_CET);
            e.clear_bits(field::HOST_CR0, 1 << 16);
        },
        load_cet,
    ),
    case(
        "host-cr3-within-physical-width",
        "bit 52",
        always,
        |e| e.set_bits(field::HOST_CR3, 1 << 52),
        |e| e.set_bits(field::HOST_CR3, 1 << 3),
    ),
    case(
        "host-cr3-within-physical-width",
        "first bit beyond",
        always,
        |e| {
            e.set_bits(field::HOST_CR3, 1 << (e.capabilities.physical_address_width % 64));
        },
        nothing,
    ),
    case(
        "host-sysenter-esp-canonical",
        "",
        always,
        |e| e.set(field::HOST_IA32_SYSENTER_ESP, NOT_CANONICAL),
        |e| e.set(field::HOST_IA32_SYSENTER_ESP, HIGH),
    ),
    case(
        "host-sysenter-eip-canonical",
        "",
        always,
        |e| e.set(field::HOST_IA32_SYSENTER_EIP, NOT_CANONICAL),
        |e| e.set(field::HOST_IA32_SYSENTER_EIP, HIGH),
    ),
    case("host-pat-memory-types", "entry 7 is 2", has_pat, |e| pat(e, 2), |e| pat(e, 1)),
    case("host-pat-memory-types", "entry 7 is 3", has_pat, |e| pat(e, 3), |e| pat(e, 4)),
    case("host-pat-memory-types", "entry 7 is 8", has_pat, |e| pat(e, 8), |e| pat(e, 7)),
    case("host-efer-reserved-bits", "bit 1", has_efer, |e| efer(e, 1 << 1, 0), |e| efer(e, 0, 0)),
    case("host-efer-reserved-bits", "bit 32", has_efer, |e| efer(e, 1 << 32, 0), |e| efer(e, 0, 0)),
    case("host-efer-lma", "", has_efer, |e| efer(e, 0, 1 << 10), |e| efer(e, 0, 0)),
    case("host-efer-lme", "", has_efer, |e| efer(e, 0, 1 << 8), |e| efer(e, 0, 0)),
    case("host-s-cet-reserved-bits", "bit 6", has_cet, |e| s_cet(e, 1 << 6), load_cet),
    case("host-s-cet-reserved-bits", "bit 9", has_cet, |e| s_cet(e, 1 << 9), load_cet),
    case(
        "host-s-cet-suppress-and-tracker",
        "",
        has_cet,
        |e| s_cet(e, 3 << 10),
        |e| s_cet(e, CetControl::SUPPRESS.bits()),
    ),
    case("host-ssp-aligned", "bit 0", has_cet, |e| ssp(e, 0x1001), load_cet),
    case("host-ssp-aligned", "bit 1", has_cet, |e| ssp(e, 0x1002), load_cet),
    case(
        "host-interrupt-ssp-table-canonical",
        "",
        has_cet,
        |e| {
            load_cet(e);
            e.set(field::HOST_INTERRUPT_SSP_TABLE_ADDR, NOT_CANONICAL);
        },
        load_cet,
    ),
    case(
        "host-spec-ctrl-reserved-bits",
        "bit 9",
        has_spec_ctrl,
        |e| spec_ctrl(e, 1 << 9),
        |e| spec_ctrl(e, 0),
    ),
    case(
        "host-spec-ctrl-reserved-bits",
        "bit 11",
        has_spec_ctrl,
        |e| spec_ctrl(e, 1 << 11),
        |e| spec_ctrl(e, 0),
    ),
    // Segments.
    case(
        "host-selectors-rpl-and-ti",
        "CS",
        always,
        |e| e.set_bits(field::HOST_CS_SELECTOR, 1),
        nothing,
    ),
    case(
        "host-selectors-rpl-and-ti",
        "SS",
        always,
        |e| e.set_bits(field::HOST_SS_SELECTOR, 2),
        |e| e.set(field::HOST_SS_SELECTOR, DATA),
    ),
    case(
        "host-selectors-rpl-and-ti",
        "DS",
        always,
        |e| e.set_bits(field::HOST_DS_SELECTOR, 4),
        |e| e.set(field::HOST_DS_SELECTOR, DATA),
    ),
    case(
        "host-selectors-rpl-and-ti",
        "ES",
        always,
        |e| e.set_bits(field::HOST_ES_SELECTOR, 1),
        |e| e.set(field::HOST_ES_SELECTOR, DATA),
    ),
    case(
        "host-selectors-rpl-and-ti",
        "FS",
        always,
        |e| e.set_bits(field::HOST_FS_SELECTOR, 2),
        |e| e.set(field::HOST_FS_SELECTOR, DATA),
    ),
    case(
        "host-selectors-rpl-and-ti",
        "GS",
        always,
        |e| e.set_bits(field::HOST_GS_SELECTOR, 4),
        |e| e.set(field::HOST_GS_SELECTOR, DATA),
    ),
    case(
        "host-selectors-rpl-and-ti",
        "TR",
        always,
        |e| e.set_bits(field::HOST_TR_SELECTOR, 4),
        nothing,
    ),
    case("host-cs-selector-not-null", "", always, |e| e.set(field::HOST_CS_SELECTOR, 0), nothing),
    case("host-tr-selector-not-null", "", always, |e| e.set(field::HOST_TR_SELECTOR, 0), nothing),
    case(
        "host-fs-base-canonical",
        "",
        always,
        |e| e.set(field::HOST_FS_BASE, NOT_CANONICAL),
        nothing,
    ),
    case(
        "host-gs-base-canonical",
        "",
        always,
        |e| e.set(field::HOST_GS_BASE, NOT_CANONICAL),
        nothing,
    ),
    case(
        "host-gdtr-base-canonical",
        "",
        always,
        |e| e.set(field::HOST_GDTR_BASE, NOT_CANONICAL),
        nothing,
    ),
    case(
        "host-idtr-base-canonical",
        "",
        always,
        |e| e.set(field::HOST_IDTR_BASE, NOT_CANONICAL),
        nothing,
    ),
    case(
        "host-tr-base-canonical",
        "",
        always,
        |e| e.set(field::HOST_TR_BASE, NOT_CANONICAL),
        nothing,
    ),
    // Address-space size. The guest is a 32-bit one, so that nothing else breaks.
    Case {
        rule: "host-address-space-size-is-hosts",
        what: "0 in a 64-bit host",
        base: Base::Guest32,
        possible: always,
        breaks: |e| {
            no_exit(e, ExitControls::HOST_ADDRESS_SPACE_SIZE | ExitControls::LOAD_IA32_EFER);
            no_exit(e, ExitControls::LOAD_CET_STATE);
            e.clear_bits(field::HOST_CR4, 1 << 17);
        },
        edge: nothing,
    },
    case("host-cr4-pae", "", always, |e| e.clear_bits(field::HOST_CR4, 1 << 5), nothing),
    case("host-rip-canonical", "", always, |e| e.set(field::HOST_RIP, NOT_CANONICAL), nothing),
    case("host-s-cet-canonical", "", has_cet, |e| s_cet(e, NOT_CANONICAL), load_cet),
    case("host-ssp-canonical", "", has_cet, |e| ssp(e, NOT_CANONICAL), load_cet),
];

/// The rules without a case.
pub(super) const EXCEPTIONS: &[Exception] = &[
    Exception { rule: "host-pkrs-high-half", reason: NotShown::Departure("pkrs-upper-half-lost") },
    Exception {
        rule: "host-perf-global-ctrl-reserved-bits",
        reason: NotShown::Departure("host-perf-global-ctrl-unchecked"),
    },
    no_fred("host-fred-config-reserved-bits"),
    no_fred("host-fred-config-canonical"),
    no_fred("host-fred-stack-pointers-aligned"),
    no_fred("host-fred-stack-pointers-canonical"),
    no_fred("host-fred-shadow-stack-pointers-aligned"),
    no_fred("host-fred-shadow-stack-pointers-canonical"),
    no_fred("host-cr4-fred-needs-64-bit-host"),
    of_32_bit_host("host-ss-selector-not-null"),
    of_32_bit_host("ia32e-mode-guest-needs-ia32e-mode-host"),
    of_32_bit_host("host-cr4-pcide-needs-64-bit-host"),
    of_32_bit_host("host-rip-high-half"),
    of_32_bit_host("host-s-cet-high-half"),
    of_32_bit_host("host-ssp-high-half"),
];

const fn no_fred(rule: &'static str) -> Exception {
    Exception { rule, reason: NotShown::FeatureOnNoModel("FRED") }
}

const fn of_32_bit_host(rule: &'static str) -> Exception {
    Exception { rule, reason: NotShown::Needs32BitHost }
}

const fn case(
    rule: &'static str,
    what: &'static str,
    possible: fn(&Capabilities) -> bool,
    breaks: fn(&mut Editor<'_>),
    edge: fn(&mut Editor<'_>),
) -> Case {
    Case { rule, what, base: Base::Guest64, possible, breaks, edge }
}

fn always(_: &Capabilities) -> bool {
    true
}

fn has_cet(c: &Capabilities) -> bool {
    c.exit.allows(ExitControls::LOAD_CET_STATE)
}

fn has_pat(c: &Capabilities) -> bool {
    c.exit.allows(ExitControls::LOAD_IA32_PAT)
}

fn has_efer(c: &Capabilities) -> bool {
    c.exit.allows(ExitControls::LOAD_IA32_EFER)
}

fn has_spec_ctrl(c: &Capabilities) -> bool {
    c.secondary_exit.allows(SecondaryExitControls::LOAD_IA32_SPEC_CTRL)
}

fn nothing(_: &mut Editor<'_>) {}

fn exit(e: &mut Editor<'_>, controls: ExitControls) {
    e.set_bits(field::VM_EXIT_CONTROLS, controls.bits().into());
}

fn no_exit(e: &mut Editor<'_>, controls: ExitControls) {
    e.clear_bits(field::VM_EXIT_CONTROLS, controls.bits().into());
}

fn load_cet(e: &mut Editor<'_>) {
    exit(e, ExitControls::LOAD_CET_STATE);
}

/// The host's CET state with bits of IA32_S_CET added.
fn s_cet(e: &mut Editor<'_>, bits: u64) {
    load_cet(e);
    e.set_bits(field::HOST_S_CET, bits);
}

fn ssp(e: &mut Editor<'_>, value: u64) {
    load_cet(e);
    e.set(field::HOST_SSP, value);
}

/// PAT as after reset, but for its last entry, which no page of the host uses.
fn pat(e: &mut Editor<'_>, last: u64) {
    exit(e, ExitControls::LOAD_IA32_PAT);
    e.set(field::HOST_IA32_PAT, 0x0007_0406_0007_0406 | last << 56);
}

/// The host's EFER of a 64-bit host, with bits added and taken away.
fn efer(e: &mut Editor<'_>, added: u64, removed: u64) {
    exit(e, ExitControls::LOAD_IA32_EFER);
    let host: Field<u64> = field::HOST_IA32_EFER;
    e.set_bits(host, 1 << 10 | 1 << 8 | added);
    e.clear_bits(host, removed);
}

fn spec_ctrl(e: &mut Editor<'_>, value: u64) {
    exit(e, ExitControls::ACTIVATE_SECONDARY_CONTROLS);
    e.set_bits(
        field::SECONDARY_VM_EXIT_CONTROLS,
        SecondaryExitControls::LOAD_IA32_SPEC_CTRL.bits(),
    );
    e.set(field::HOST_IA32_SPEC_CTRL, value);
}
