//! Guest DR7 and MSRs.

use vmx_core::cet::CetControl;
use vmx_core::control::EntryControls;
use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor, Exception, NotShown};

const CR0_PE: u64 = 1;
const CR0_PG: u64 = 1 << 31;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// Canonical under no width.
const NOT_CANONICAL: u64 = 1 << 62;
/// Canonical, whatever the width.
const HIGH_HALF: u64 = 0xFFFF_8000_0000_0000;

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-dr7-high-half",
        Base::Guest64,
        |e| {
            e.turn_on(EntryControls::LOAD_DEBUG_CONTROLS);
            e.set(GUEST_DR7, 1 << 32 | 0x400);
        },
        |e| {
            e.turn_on(EntryControls::LOAD_DEBUG_CONTROLS);
            e.set(GUEST_DR7, 0xFFFF_0400);
        },
    ),
    Case::new(
        "guest-sysenter-esp-canonical",
        Base::Guest64,
        |e| e.set(GUEST_IA32_SYSENTER_ESP, NOT_CANONICAL),
        |e| e.set(GUEST_IA32_SYSENTER_ESP, HIGH_HALF),
    ),
    Case::new(
        "guest-sysenter-eip-canonical",
        Base::Guest64,
        |e| e.set(GUEST_IA32_SYSENTER_EIP, NOT_CANONICAL),
        |e| e.set(GUEST_IA32_SYSENTER_EIP, HIGH_HALF),
    ),
    Case::new(
        "guest-s-cet-bits",
        Base::Guest64,
        |e| {
            load_cet(e);
            e.set(GUEST_S_CET, CetControl::from_bits_retain(1 << 6));
        },
        |e| {
            load_cet(e);
            e.set(GUEST_S_CET, CetControl::SUPPRESS);
        },
    )
    .of("reserved bit")
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_CET_STATE)),
    Case::new(
        "guest-s-cet-bits",
        Base::Guest64,
        |e| {
            load_cet(e);
            e.set(GUEST_S_CET, CetControl::SUPPRESS | CetControl::TRACKER);
        },
        |e| {
            load_cet(e);
            e.set(GUEST_S_CET, CetControl::TRACKER);
        },
    )
    .of("SUPPRESS and TRACKER")
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_CET_STATE)),
    Case::new(
        "guest-interrupt-ssp-table-canonical",
        Base::Guest64,
        |e| {
            load_cet(e);
            e.set(GUEST_INTERRUPT_SSP_TABLE_ADDR, NOT_CANONICAL);
        },
        |e| {
            load_cet(e);
            e.set(GUEST_INTERRUPT_SSP_TABLE_ADDR, HIGH_HALF);
        },
    )
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_CET_STATE)),
    Case::new(
        "guest-pat-types",
        Base::Guest64,
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_PAT);
            e.set(GUEST_IA32_PAT, 0x0007_0406_0007_0402);
        },
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_PAT);
            e.set(GUEST_IA32_PAT, 0x0706_0504_0100_0606);
        },
    )
    .of("type 2")
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_IA32_PAT)),
    Case::new(
        "guest-pat-types",
        Base::Guest64,
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_PAT);
            e.set(GUEST_IA32_PAT, 0x0807_0406_0007_0406);
        },
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_PAT);
            e.set(GUEST_IA32_PAT, 0x0706_0504_0100_0606);
        },
    )
    .of("type 8")
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_IA32_PAT)),
    Case::new(
        "guest-efer-reserved-bits",
        Base::Guest64,
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_EFER);
            e.set(GUEST_IA32_EFER, EFER_LME | EFER_LMA | 1 << 1);
        },
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_EFER);
            e.set(GUEST_IA32_EFER, EFER_LME | EFER_LMA | 1);
        },
    )
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_IA32_EFER)),
    Case::new(
        "guest-efer-lma-is-ia32e",
        Base::Guest64,
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_EFER);
            e.set(GUEST_IA32_EFER, 0);
        },
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_EFER);
            e.set(GUEST_IA32_EFER, EFER_LME | EFER_LMA);
        },
    )
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_IA32_EFER)),
    Case::new(
        "guest-efer-lma-is-lme",
        Base::GuestReal,
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_EFER);
            e.set_bits(GUEST_CR0, CR0_PE | CR0_PG);
            e.set(GUEST_IA32_EFER, EFER_LME);
        },
        |e| {
            e.turn_on(EntryControls::LOAD_IA32_EFER);
            e.set(GUEST_IA32_EFER, EFER_LME);
        },
    )
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_IA32_EFER)),
];

/// What no case tries.
pub const EXCEPTIONS: &[Exception] = &[
    Exception { rule: "guest-pkrs-high-half", reason: NotShown::Departure("pkrs-upper-half-lost") },
    Exception {
        rule: "guest-perf-global-ctrl-reserved-bits",
        reason: NotShown::Departure("guest-perf-global-ctrl-unchecked"),
    },
    Exception { rule: "guest-bndcfgs-reserved-bits", reason: NotShown::FeatureOnNoModel("MPX") },
    Exception { rule: "guest-bndcfgs-canonical", reason: NotShown::FeatureOnNoModel("MPX") },
    Exception {
        rule: "guest-rtit-ctl-reserved-bits",
        reason: NotShown::FeatureOnNoModel("Intel PT"),
    },
    Exception {
        rule: "guest-lbr-ctl-reserved-bits",
        reason: NotShown::FeatureOnNoModel("architectural LBRs"),
    },
    Exception {
        rule: "guest-spec-ctrl-reserved-bits",
        reason: NotShown::Departure("spec-ctrl-load-not-reported"),
    },
    Exception {
        rule: "guest-fred-config-reserved-bits",
        reason: NotShown::FeatureOnNoModel("FRED"),
    },
    Exception { rule: "guest-fred-config-canonical", reason: NotShown::FeatureOnNoModel("FRED") },
    Exception { rule: "guest-fred-rsp1", reason: NotShown::FeatureOnNoModel("FRED") },
    Exception { rule: "guest-fred-rsp2", reason: NotShown::FeatureOnNoModel("FRED") },
    Exception { rule: "guest-fred-rsp3", reason: NotShown::FeatureOnNoModel("FRED") },
    Exception { rule: "guest-fred-ssp1", reason: NotShown::FeatureOnNoModel("FRED") },
    Exception { rule: "guest-fred-ssp2", reason: NotShown::FeatureOnNoModel("FRED") },
    Exception { rule: "guest-fred-ssp3", reason: NotShown::FeatureOnNoModel("FRED") },
];

/// Loads CET state, all of it off.
fn load_cet(e: &mut Editor<'_>) {
    e.turn_on(EntryControls::LOAD_CET_STATE);
    e.set(GUEST_S_CET, CetControl::empty());
    e.set(GUEST_SSP, 0);
    e.set(GUEST_INTERRUPT_SSP_TABLE_ADDR, 0);
}
