//! Guest DR7 and the MSRs that have fields of their own.
//!
//! Of an MSR the rules know the bits that every CPU reserves; a CPU may refuse more.

use super::address::is_canonical;
use super::guest_control_registers::TITLE;
use super::rule::{Group, Rule, Section, all_hold};
use super::state::{EntryState, if_loaded};
use crate::control::entry::EntryControls;
use crate::cpu::register_bits::Cr0;
use crate::msr::value::{EFER_LMA, EFER_LME, SUPPRESS_AND_TRACKER, is_pat, reserved};
use crate::vmcs::field::*;

/// DR7 and MSRs.
pub(super) const DEBUG_REGISTERS_AND_MSRS: Section = Section {
    group: Group::GuestState,
    title: TITLE,
    all_hold: |state| all_hold(DEBUG_REGISTERS_AND_MSRS.rules, state),
    rules: &[
        Rule::new(
            "guest-dr7-high-half",
            "bits 63:32 of DR7 are 0, if debug controls are loaded",
            &[GUEST_DR7.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_DEBUG_CONTROLS, GUEST_DR7, |value| {
                    value >> 32 == 0
                })
            },
        ),
        Rule::new(
            "guest-sysenter-esp-canonical",
            "IA32_SYSENTER_ESP is canonical",
            &[GUEST_IA32_SYSENTER_ESP.encoding()],
            |state| is_canonical(state, state.get(GUEST_IA32_SYSENTER_ESP)),
        ),
        Rule::new(
            "guest-sysenter-eip-canonical",
            "IA32_SYSENTER_EIP is canonical",
            &[GUEST_IA32_SYSENTER_EIP.encoding()],
            |state| is_canonical(state, state.get(GUEST_IA32_SYSENTER_EIP)),
        ),
        Rule::new(
            "guest-s-cet-bits",
            "IA32_S_CET has no reserved bit, nor SUPPRESS and TRACKER both, if CET state is loaded",
            &[GUEST_S_CET.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                !state.entry(EntryControls::LOAD_CET_STATE) || {
                    let s_cet = state.get(GUEST_S_CET);
                    s_cet.bits() & reserved::CET == 0 && !s_cet.contains(SUPPRESS_AND_TRACKER)
                }
            },
        ),
        Rule::new(
            "guest-interrupt-ssp-table-canonical",
            "IA32_INTERRUPT_SSP_TABLE_ADDR is canonical, if CET state is loaded",
            &[GUEST_INTERRUPT_SSP_TABLE_ADDR.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                let field = GUEST_INTERRUPT_SSP_TABLE_ADDR;
                if_loaded(state, EntryControls::LOAD_CET_STATE, field, |value| {
                    is_canonical(state, value)
                })
            },
        ),
        Rule::new(
            "guest-perf-global-ctrl-reserved-bits",
            "reserved bits of IA32_PERF_GLOBAL_CTRL are 0, if it is loaded",
            &[GUEST_IA32_PERF_GLOBAL_CTRL.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                let control = EntryControls::LOAD_IA32_PERF_GLOBAL_CTRL;
                if_loaded(state, control, GUEST_IA32_PERF_GLOBAL_CTRL, |value| {
                    value & reserved::PERF_GLOBAL_CTRL == 0
                })
            },
        ),
        Rule::new(
            "guest-pat-types",
            "every byte of IA32_PAT is a memory type: 0, 1, 4, 5, 6 or 7, if it is loaded",
            &[GUEST_IA32_PAT.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| if_loaded(state, EntryControls::LOAD_IA32_PAT, GUEST_IA32_PAT, is_pat),
        ),
        Rule::new(
            "guest-efer-reserved-bits",
            "reserved bits of IA32_EFER are 0, if it is loaded",
            &[GUEST_IA32_EFER.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_IA32_EFER, GUEST_IA32_EFER, |value| {
                    value & reserved::EFER == 0
                })
            },
        ),
        Rule::new(
            "guest-efer-lma-is-ia32e",
            "IA32_EFER.LMA says whether the guest is in IA-32e mode, if it is loaded",
            &[GUEST_IA32_EFER.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_IA32_EFER, GUEST_IA32_EFER, |value| {
                    (value & EFER_LMA != 0) == state.entry(EntryControls::IA32E_MODE_GUEST)
                })
            },
        ),
        Rule::new(
            "guest-efer-lma-is-lme",
            "IA32_EFER.LMA and LME are equal if CR0.PG is 1 and IA32_EFER is loaded",
            &[GUEST_IA32_EFER.encoding(), GUEST_CR0.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_IA32_EFER, GUEST_IA32_EFER, |value| {
                    (value & EFER_LMA != 0) == (value & EFER_LME != 0)
                        || !state.get(GUEST_CR0).contains(Cr0::PG)
                })
            },
        ),
        Rule::new(
            "guest-bndcfgs-reserved-bits",
            "bits 11:2 of IA32_BNDCFGS are 0, if it is loaded",
            &[GUEST_IA32_BNDCFGS.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_IA32_BNDCFGS, GUEST_IA32_BNDCFGS, |value| {
                    value & reserved::BNDCFGS == 0
                })
            },
        ),
        Rule::new(
            "guest-bndcfgs-canonical",
            "the address in bits 63:12 of IA32_BNDCFGS is canonical, if it is loaded",
            &[GUEST_IA32_BNDCFGS.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_IA32_BNDCFGS, GUEST_IA32_BNDCFGS, |value| {
                    is_canonical(state, value)
                })
            },
        ),
        Rule::new(
            "guest-rtit-ctl-reserved-bits",
            "reserved bits of IA32_RTIT_CTL are 0, if it is loaded",
            &[GUEST_IA32_RTIT_CTL.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_IA32_RTIT_CTL, GUEST_IA32_RTIT_CTL, |value| {
                    value & reserved::RTIT_CTL == 0
                })
            },
        ),
        Rule::new(
            "guest-lbr-ctl-reserved-bits",
            "reserved bits of IA32_LBR_CTL are 0, if it is loaded",
            &[GUEST_IA32_LBR_CTL.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_IA32_LBR_CTL, GUEST_IA32_LBR_CTL, |value| {
                    value & reserved::LBR_CTL == 0
                })
            },
        ),
        Rule::new(
            "guest-pkrs-high-half",
            "bits 63:32 of IA32_PKRS are 0, if it is loaded",
            &[GUEST_IA32_PKRS.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_PKRS, GUEST_IA32_PKRS, |value| {
                    value >> 32 == 0
                })
            },
        ),
        Rule::new(
            "guest-spec-ctrl-reserved-bits",
            "reserved bits of IA32_SPEC_CTRL are 0, if it is loaded",
            &[GUEST_IA32_SPEC_CTRL.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                let control = EntryControls::LOAD_IA32_SPEC_CTRL;
                if_loaded(state, control, GUEST_IA32_SPEC_CTRL, |value| {
                    value & reserved::SPEC_CTRL == 0
                })
            },
        ),
    ],
};

/// A FRED stack pointer: canonical, and a multiple of `alignment`.
#[inline(always)]
fn is_fred_pointer(state: &EntryState<'_>, field: Field<u64>, alignment: u64) -> bool {
    if_loaded(state, EntryControls::LOAD_FRED_STATE, field, |value| {
        value & (alignment - 1) == 0 && is_canonical(state, value)
    })
}

/// The FRED MSRs.
pub(super) const FRED_MSRS: Section = Section {
    group: Group::GuestState,
    title: TITLE,
    all_hold: |state| all_hold(FRED_MSRS.rules, state),
    rules: &[
        Rule::new(
            "guest-fred-config-reserved-bits",
            "bits 2, 5:4 and 11 of IA32_FRED_CONFIG are 0, if FRED state is loaded",
            &[GUEST_IA32_FRED_CONFIG.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                let control = EntryControls::LOAD_FRED_STATE;
                if_loaded(state, control, GUEST_IA32_FRED_CONFIG, |value| {
                    value & reserved::FRED_CONFIG == 0
                })
            },
        ),
        Rule::new(
            "guest-fred-config-canonical",
            "the address in bits 63:12 of IA32_FRED_CONFIG is canonical, if FRED state is loaded",
            &[GUEST_IA32_FRED_CONFIG.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                let control = EntryControls::LOAD_FRED_STATE;
                if_loaded(state, control, GUEST_IA32_FRED_CONFIG, |value| {
                    is_canonical(state, value)
                })
            },
        ),
        Rule::new(
            "guest-fred-rsp1",
            "IA32_FRED_RSP1 is canonical and its bits 5:0 are 0, if FRED state is loaded",
            &[GUEST_IA32_FRED_RSP1.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| is_fred_pointer(state, GUEST_IA32_FRED_RSP1, 64),
        ),
        Rule::new(
            "guest-fred-rsp2",
            "IA32_FRED_RSP2 is canonical and its bits 5:0 are 0, if FRED state is loaded",
            &[GUEST_IA32_FRED_RSP2.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| is_fred_pointer(state, GUEST_IA32_FRED_RSP2, 64),
        ),
        Rule::new(
            "guest-fred-rsp3",
            "IA32_FRED_RSP3 is canonical and its bits 5:0 are 0, if FRED state is loaded",
            &[GUEST_IA32_FRED_RSP3.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| is_fred_pointer(state, GUEST_IA32_FRED_RSP3, 64),
        ),
        Rule::new(
            "guest-fred-ssp1",
            "IA32_FRED_SSP1 is canonical and its bits 2:0 are 0, if FRED state is loaded",
            &[GUEST_IA32_FRED_SSP1.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| is_fred_pointer(state, GUEST_IA32_FRED_SSP1, 8),
        ),
        Rule::new(
            "guest-fred-ssp2",
            "IA32_FRED_SSP2 is canonical and its bits 2:0 are 0, if FRED state is loaded",
            &[GUEST_IA32_FRED_SSP2.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| is_fred_pointer(state, GUEST_IA32_FRED_SSP2, 8),
        ),
        Rule::new(
            "guest-fred-ssp3",
            "IA32_FRED_SSP3 is canonical and its bits 2:0 are 0, if FRED state is loaded",
            &[GUEST_IA32_FRED_SSP3.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| is_fred_pointer(state, GUEST_IA32_FRED_SSP3, 8),
        ),
    ],
};
