//! Guest CR0, CR3, CR4, DR7 and the MSRs that have fields of their own.
//!
//! Which bits of an MSR are reserved depends on CPUID leaves that are no part of
//! [`Capabilities`](crate::Capabilities): the rules know the bits that every CPU
//! reserves, and a CPU may refuse more.

use super::msr_loading::{EFER_BITS, has_illegal_cet_bits, is_pat};
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::{EntryControls, SecondaryControls};
use crate::field::*;

pub(super) const PG: u64 = 1 << 31;
pub(super) const PE: u64 = 1;
const WP: u64 = 1 << 16;
/// CR0.NW and CD, which VM entry neither checks nor loads.
const NW_CD: u64 = 1 << 29 | 1 << 30;
pub(super) const PAE: u64 = 1 << 5;
const PCIDE: u64 = 1 << 17;
const CET: u64 = 1 << 23;
const LAM_SUP: u64 = 1 << 28;
pub(super) const FRED: u64 = 1 << 32;
/// IA32_EFER.LME and LMA.
const LME: u64 = 1 << 8;
const LMA: u64 = 1 << 10;

/// Bits of MSRs that every CPU reserves.
mod reserved {
    /// IA32_DEBUGCTL has LBR, BTF, BLD, TR, BTS, BTINT, BTS_OFF_OS, BTS_OFF_USR, the
    /// two FREEZE bits, ENABLE_UNCORE_PMI, FREEZE_WHILE_SMM and RTM_DEBUG.
    pub(super) const DEBUGCTL: u64 = !0xFFC7;
    /// IA32_PERF_GLOBAL_CTRL: general counters in bits 31:0, fixed ones in 47:32,
    /// performance metrics in bit 48.
    pub(super) const PERF_GLOBAL_CTRL: u64 = !0x0001_FFFF_FFFF_FFFF;
    /// IA32_BNDCFGS, between the enable bits and the base.
    pub(super) const BNDCFGS: u64 = 0xFFC;
    /// IA32_RTIT_CTL: 18, 23, 30:28, 54:48 and 63:57.
    pub(super) const RTIT_CTL: u64 = 0xFE7F_0000_7084_0000;
    /// IA32_LBR_CTL: 15:4 and 63:23.
    pub(super) const LBR_CTL: u64 = !0x7F_000F;
    /// IA32_SPEC_CTRL: 9 and 63:11.
    pub(super) const SPEC_CTRL: u64 = !0x5FF;
    /// IA32_FRED_CONFIG: 2, 5:4 and 11.
    pub(super) const FRED_CONFIG: u64 = 0x834;
}

fn is_canonical(state: &EntryState<'_>, address: u64) -> bool {
    state.capabilities().linear_address_width.is_canonical(address)
}

/// Whether the control is 0, or the field's value is as `legal` says.
#[inline(always)]
fn if_loaded(
    state: &EntryState<'_>,
    control: EntryControls,
    field: Field<u64>,
    legal: impl FnOnce(u64) -> bool,
) -> bool {
    !state.entry(control) || legal(state.get(field))
}

/// A FRED stack pointer: canonical, and a multiple of `alignment`.
#[inline(always)]
fn is_fred_pointer(state: &EntryState<'_>, field: Field<u64>, alignment: u64) -> bool {
    if_loaded(state, EntryControls::LOAD_FRED_STATE, field, |value| {
        value & (alignment - 1) == 0 && is_canonical(state, value)
    })
}

/// CR0, CR3 and CR4.
pub(super) const CONTROL_REGISTERS: Section = Section {
    group: Group::GuestState,
    title: "Checks on Guest Control Registers, Debug Registers, and MSRs",
    all_hold: |state| all_hold(CONTROL_REGISTERS.rules, state),
    rules: &[
        Rule::new(
            "guest-cr0-fixed-to-1",
            "CR0 has the bits that VMX operation fixes to 1; PE and PG only for a guest that is \
             not unrestricted",
            &[GUEST_CR0.encoding(), SECONDARY_CONTROLS.encoding()],
            |state| {
                let missing = state.capabilities().cr0_fixed.missing(state.get(GUEST_CR0));
                let free = if state.secondary(SecondaryControls::UNRESTRICTED_GUEST) {
                    NW_CD | PE | PG
                } else {
                    NW_CD
                };
                missing & !free == 0
            },
        ),
        Rule::new(
            "guest-cr0-fixed-to-0",
            "CR0 has no bit that VMX operation fixes to 0",
            &[GUEST_CR0.encoding()],
            |state| state.capabilities().cr0_fixed.excess(state.get(GUEST_CR0)) & !NW_CD == 0,
        ),
        Rule::new(
            "guest-paging-needs-protection",
            "CR0.PG is 1 only if CR0.PE is 1",
            &[GUEST_CR0.encoding()],
            |state| state.get(GUEST_CR0) & (PG | PE) != PG,
        ),
        Rule::new(
            "guest-cr4-fixed-to-1",
            "CR4 has the bits that VMX operation fixes to 1",
            &[GUEST_CR4.encoding()],
            |state| state.capabilities().cr4_fixed.missing(state.get(GUEST_CR4)) == 0,
        ),
        Rule::new(
            "guest-cr4-fixed-to-0",
            "CR4 has no bit that VMX operation fixes to 0",
            &[GUEST_CR4.encoding()],
            |state| state.capabilities().cr4_fixed.excess(state.get(GUEST_CR4)) == 0,
        ),
        Rule::new(
            "guest-cet-needs-write-protection",
            "CR4.CET is 1 only if CR0.WP is 1",
            &[GUEST_CR4.encoding(), GUEST_CR0.encoding()],
            |state| state.get(GUEST_CR4) & CET == 0 || state.get(GUEST_CR0) & WP != 0,
        ),
        Rule::new(
            "guest-debugctl-reserved-bits",
            "reserved bits of IA32_DEBUGCTL are 0, if debug controls are loaded",
            &[GUEST_IA32_DEBUGCTL.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_DEBUG_CONTROLS, GUEST_IA32_DEBUGCTL, |value| {
                    value & reserved::DEBUGCTL == 0
                })
            },
        ),
        Rule::new(
            "guest-ia32e-needs-paging",
            "CR0.PG is 1 in an IA-32e mode guest",
            &[GUEST_CR0.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| !state.entry(EntryControls::IA32E_MODE_GUEST) || state.get(GUEST_CR0) & PG != 0,
        ),
        Rule::new(
            "guest-ia32e-needs-pae",
            "CR4.PAE is 1 in an IA-32e mode guest",
            &[GUEST_CR4.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                !state.entry(EntryControls::IA32E_MODE_GUEST) || state.get(GUEST_CR4) & PAE != 0
            },
        ),
        Rule::new(
            "guest-pcide-needs-ia32e",
            "CR4.PCIDE is 1 only in an IA-32e mode guest",
            &[GUEST_CR4.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                state.entry(EntryControls::IA32E_MODE_GUEST) || state.get(GUEST_CR4) & PCIDE == 0
            },
        ),
        Rule::new(
            "guest-fred-needs-ia32e",
            "CR4.FRED is 1 only in an IA-32e mode guest",
            &[GUEST_CR4.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                state.entry(EntryControls::IA32E_MODE_GUEST) || state.get(GUEST_CR4) & FRED == 0
            },
        ),
        Rule::new(
            "guest-cr3-width",
            "CR3 has no bit beyond the physical-address width; with linear-address masking, bits \
             62 and 61 may be set",
            &[GUEST_CR3.encoding()],
            |state| {
                let capabilities = state.capabilities();
                let has_masking = capabilities.cr4_fixed.may_be_one & LAM_SUP != 0;
                let masking = if has_masking { 0b11 << 61 } else { 0 };
                let beyond = u64::MAX.checked_shl(capabilities.physical_address_width);
                state.get(GUEST_CR3) & beyond.unwrap_or(0) & !masking == 0
            },
        ),
    ],
};

/// DR7 and MSRs.
pub(super) const DEBUG_REGISTERS_AND_MSRS: Section = Section {
    group: Group::GuestState,
    title: CONTROL_REGISTERS.title,
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
                !state.entry(EntryControls::LOAD_CET_STATE)
                    || !has_illegal_cet_bits(state.get(GUEST_S_CET))
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
                    value & !EFER_BITS == 0
                })
            },
        ),
        Rule::new(
            "guest-efer-lma-is-ia32e",
            "IA32_EFER.LMA says whether the guest is in IA-32e mode, if it is loaded",
            &[GUEST_IA32_EFER.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_IA32_EFER, GUEST_IA32_EFER, |value| {
                    (value & LMA != 0) == state.entry(EntryControls::IA32E_MODE_GUEST)
                })
            },
        ),
        Rule::new(
            "guest-efer-lma-is-lme",
            "IA32_EFER.LMA and LME are equal if CR0.PG is 1 and IA32_EFER is loaded",
            &[GUEST_IA32_EFER.encoding(), GUEST_CR0.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                if_loaded(state, EntryControls::LOAD_IA32_EFER, GUEST_IA32_EFER, |value| {
                    (value & LMA != 0) == (value & LME != 0) || state.get(GUEST_CR0) & PG == 0
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

/// The FRED MSRs.
pub(super) const FRED_MSRS: Section = Section {
    group: Group::GuestState,
    title: CONTROL_REGISTERS.title,
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
