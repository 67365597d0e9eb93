//! The cases of the guest's control registers, DR7 and MSRs.

use vmx_core::cet::CetControl;
use vmx_core::control::{EntryControls, SecondaryControls};
use vmx_core::entry_check::ExampleGuest::{Guest32, GuestReal};
use vmx_core::vmcs::field::*;

use super::case::NotShown::{Departure, FeatureOnNoModel};
use super::case::{Case, NOTHING, add, by, clear, edits, values};
use super::editing::*;
use super::editor::Editor;

const CR0_TS: u64 = 1 << 3;
const CR0_NE: u64 = 1 << 5;
const CR0_NW: u64 = 1 << 29;
const CR4_TSD: u64 = 1 << 2;
const CR4_PGE: u64 = 1 << 7;
const EFER_SCE: u64 = 1;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
const SUPPRESS: u64 = CetControl::SUPPRESS.bits();
const TRACKER: u64 = CetControl::TRACKER.bits();

/// The cases.
pub(super) const CASES: &[Case] = &[
    edits("guest-cr0-fixed-to-1", clear(GUEST_CR0, CR0_NE), add(GUEST_CR0, CR0_NW)),
    edits("guest-cr0-fixed-to-0", add(GUEST_CR0, 1 << 32), add(GUEST_CR0, CR0_TS)),
    edits("guest-paging-needs-protection", add(GUEST_CR0, CR0_PG), add(GUEST_CR0, CR0_PE))
        .on(GuestReal),
    edits("guest-cr4-fixed-to-1", clear(GUEST_CR4, CR4_VMXE), add(GUEST_CR4, CR4_PGE)),
    edits("guest-cr4-fixed-to-0", add(GUEST_CR4, 1 << 31), add(GUEST_CR4, CR4_TSD)),
    edits("guest-cet-needs-write-protection", clear(GUEST_CR0, CR0_WP), add(GUEST_CR0, CR0_WP))
        .with(add(GUEST_CR4, CR4_CET))
        .where_possible(|cpu| cpu.cr4_fixed.may_be_one & CR4_CET != 0),
    edits("guest-ia32e-needs-pae", clear(GUEST_CR4, CR4_PAE), add(GUEST_CR4, CR4_PGE)),
    edits("guest-pcide-needs-ia32e", add(GUEST_CR4, CR4_PCIDE), add(GUEST_CR4, CR4_PGE))
        .on(Guest32)
        .where_possible(|cpu| cpu.cr4_fixed.may_be_one & CR4_PCIDE != 0),
    edits("guest-fred-needs-ia32e", add(GUEST_CR4, CR4_FRED), NOTHING).on(Guest32).not_shown(FRED),
    edits(
        "guest-cr3-width",
        by(|e| e.set_bits(GUEST_CR3, e.just_beyond())),
        by(|e| e.set_bits(GUEST_CR3, e.just_beyond() >> 1)),
    ),
    loaded("guest-debugctl-reserved-bits", DEBUG, GUEST_IA32_DEBUGCTL, 1 << 16, 1)
        .not_shown(Departure("guest-debugctl-unchecked")),
    edits("guest-ia32e-needs-paging", clear(GUEST_CR0, CR0_PG), NOTHING)
        .after(unrestricted)
        .not_shown(Departure("guest-ia32e-without-paging")),
    loaded("guest-dr7-high-half", DEBUG, GUEST_DR7, 1 << 32 | 0x400, 0xFFFF_0400),
    values("guest-sysenter-esp-canonical", GUEST_IA32_SYSENTER_ESP, NOT_CANONICAL, HIGH_HALF),
    values("guest-sysenter-eip-canonical", GUEST_IA32_SYSENTER_EIP, NOT_CANONICAL, HIGH_HALF),
    with_cet(values("guest-s-cet-bits", GUEST_S_CET, 1 << 6, SUPPRESS)).of("reserved bit"),
    with_cet(values("guest-s-cet-bits", GUEST_S_CET, SUPPRESS | TRACKER, TRACKER))
        .of("SUPPRESS and TRACKER"),
    with_cet(values(
        "guest-interrupt-ssp-table-canonical",
        GUEST_INTERRUPT_SSP_TABLE_ADDR,
        NOT_CANONICAL,
        HIGH_HALF,
    )),
    loaded("guest-perf-global-ctrl-reserved-bits", PERF, GUEST_IA32_PERF_GLOBAL_CTRL, 1 << 63, 1)
        .not_shown(Departure("guest-perf-global-ctrl-unchecked")),
    loaded("guest-pat-types", PAT, GUEST_IA32_PAT, 0x0007_0406_0007_0402, 0x0706_0504_0100_0606)
        .of("type 2"),
    loaded("guest-pat-types", PAT, GUEST_IA32_PAT, 0x0807_0406_0007_0406, 0x0706_0504_0100_0606)
        .of("type 8"),
    efer("guest-efer-reserved-bits", EFER_LME | EFER_LMA | 1 << 1, EFER_LME | EFER_LMA | EFER_SCE),
    efer("guest-efer-lma-is-ia32e", 0, EFER_LME | EFER_LMA),
    edits("guest-efer-lma-is-lme", add(GUEST_CR0, CR0_PE | CR0_PG), NOTHING)
        .on(GuestReal)
        .entry(EFER)
        .after(|e| e.set(GUEST_IA32_EFER, EFER_LME)),
    loaded("guest-bndcfgs-reserved-bits", BNDCFGS, GUEST_IA32_BNDCFGS, 4, 3)
        .not_shown(FeatureOnNoModel("MPX")),
    loaded("guest-bndcfgs-canonical", BNDCFGS, GUEST_IA32_BNDCFGS, NOT_CANONICAL, HIGH_HALF)
        .not_shown(FeatureOnNoModel("MPX")),
    loaded("guest-rtit-ctl-reserved-bits", RTIT_CTL, GUEST_IA32_RTIT_CTL, 1 << 18, 1 << 13)
        .not_shown(INTEL_PT),
    loaded("guest-lbr-ctl-reserved-bits", LBR_CTL, GUEST_IA32_LBR_CTL, 1 << 4, 1)
        .not_shown(FeatureOnNoModel("architectural LBRs")),
    loaded("guest-pkrs-high-half", PKRS, GUEST_IA32_PKRS, 1 << 32, 0xFFFF_FFFF)
        .not_shown(Departure("pkrs-upper-half-lost")),
    loaded("guest-spec-ctrl-reserved-bits", SPEC_CTRL, GUEST_IA32_SPEC_CTRL, 1 << 9, 1)
        .not_shown(Departure("spec-ctrl-load-not-reported")),
    fred("guest-fred-config-reserved-bits", GUEST_IA32_FRED_CONFIG, 1 << 11, 1 << 12),
    fred("guest-fred-config-canonical", GUEST_IA32_FRED_CONFIG, NOT_CANONICAL, HIGH_HALF),
    fred("guest-fred-rsp1", GUEST_IA32_FRED_RSP1, 32, 64),
    fred("guest-fred-rsp2", GUEST_IA32_FRED_RSP2, 32, 64),
    fred("guest-fred-rsp3", GUEST_IA32_FRED_RSP3, 32, 64),
    fred("guest-fred-ssp1", GUEST_IA32_FRED_SSP1, 4, 8),
    fred("guest-fred-ssp2", GUEST_IA32_FRED_SSP2, 4, 8),
    fred("guest-fred-ssp3", GUEST_IA32_FRED_SSP3, 4, 8),
];

const DEBUG: EntryControls = EntryControls::LOAD_DEBUG_CONTROLS;
const PERF: EntryControls = EntryControls::LOAD_IA32_PERF_GLOBAL_CTRL;
const PAT: EntryControls = EntryControls::LOAD_IA32_PAT;
const EFER: EntryControls = EntryControls::LOAD_IA32_EFER;
const BNDCFGS: EntryControls = EntryControls::LOAD_IA32_BNDCFGS;
const RTIT_CTL: EntryControls = EntryControls::LOAD_IA32_RTIT_CTL;
const LBR_CTL: EntryControls = EntryControls::LOAD_IA32_LBR_CTL;
const PKRS: EntryControls = EntryControls::LOAD_PKRS;
const SPEC_CTRL: EntryControls = EntryControls::LOAD_IA32_SPEC_CTRL;

/// A field that is looked at where VM entry loads it.
const fn loaded(
    rule: &'static str,
    control: EntryControls,
    field: Field<u64>,
    breaks: u64,
    edge: u64,
) -> Case {
    values(rule, field, breaks, edge).entry(control)
}

const fn efer(rule: &'static str, breaks: u64, edge: u64) -> Case {
    loaded(rule, EFER, GUEST_IA32_EFER, breaks, edge)
}

const fn fred(rule: &'static str, field: Field<u64>, breaks: u64, edge: u64) -> Case {
    loaded(rule, EntryControls::LOAD_FRED_STATE, field, breaks, edge).not_shown(FRED)
}

fn unrestricted(e: &mut Editor<'_>) {
    use_ept(e);
    e.turn_on(SecondaryControls::UNRESTRICTED_GUEST);
}
