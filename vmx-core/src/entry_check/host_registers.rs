//! Host control registers, MSRs and shadow-stack pointer.
//!
//! Of an MSR the rules know the bits that every CPU reserves; a CPU may refuse more.

use super::address::{is_canonical, is_physical};
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::exit::{ExitControls, SecondaryExitControls};
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::memory::address::PhysicalAddress;
use crate::msr::value::{
    EFER_LMA, EFER_LME, SUPPRESS_AND_TRACKER, cet_reserved_bits, is_pat, reserved,
};
use crate::vmcs::field;

const CET: ExitControls = ExitControls::LOAD_CET_STATE;
const FRED: SecondaryExitControls = SecondaryExitControls::LOAD_FRED_STATE;

/// CR0.NW and CD: VM exit does not change them, and nobody checks them.
const CR0_CACHE_BITS: u64 = Cr0::NW.union(Cr0::CD).bits();
/// CR3.LAM_U57 and LAM_U48.
const CR3_LAM: u64 = 1 << 61 | 1 << 62;

/// CR0, CR3, CR4, MSRs, SSP.
pub(super) const HOST_REGISTERS: Section = Section {
    group: Group::HostState,
    title: "Checks on Host Control Registers, MSRs, and SSP",
    all_hold: |state| all_hold(HOST_REGISTERS.rules, state),
    rules: &[
        Rule::new(
            "host-cr0-fixed-bits",
            "host CR0 has every bit that VMX operation fixes, NW and CD apart \
             (IA32_VMX_CR0_FIXED0 and FIXED1)",
            &[field::HOST_CR0.encoding()],
            |state| {
                let fixed = state.capabilities().cr0_fixed;
                let cr0 = state.get(field::HOST_CR0).bits();
                (fixed.missing(cr0) | fixed.excess(cr0)) & !CR0_CACHE_BITS == 0
            },
        ),
        Rule::new(
            "host-cr4-fixed-bits",
            "host CR4 has every bit that VMX operation fixes (IA32_VMX_CR4_FIXED0 and FIXED1)",
            &[field::HOST_CR4.encoding()],
            |state| {
                let fixed = state.capabilities().cr4_fixed;
                let cr4 = state.get(field::HOST_CR4).bits();
                fixed.missing(cr4) | fixed.excess(cr4) == 0
            },
        ),
        Rule::new(
            "host-cr4-cet-needs-cr0-wp",
            "host CR4.CET is 1 only with host CR0.WP",
            &[field::HOST_CR4.encoding(), field::HOST_CR0.encoding()],
            |state| {
                !state.get(field::HOST_CR4).contains(Cr4::CET)
                    || state.get(field::HOST_CR0).contains(Cr0::WP)
            },
        ),
        Rule::new(
            "host-cr3-within-physical-width",
            "host CR3 has no bit beyond the CPU's physical-address width, except 62:61 on a CPU \
             with linear-address masking",
            &[field::HOST_CR3.encoding()],
            |state| {
                let has_lam = state.capabilities().cr4_fixed.may_be_one & Cr4::LAM_SUP.bits() != 0;
                let ignored = if has_lam { CR3_LAM } else { 0 };
                is_physical(state, PhysicalAddress(state.get(field::HOST_CR3) & !ignored))
            },
        ),
        Rule::new(
            "host-sysenter-esp-canonical",
            "host IA32_SYSENTER_ESP is canonical",
            &[field::HOST_IA32_SYSENTER_ESP.encoding()],
            |state| is_canonical(state, state.get(field::HOST_IA32_SYSENTER_ESP)),
        ),
        Rule::new(
            "host-sysenter-eip-canonical",
            "host IA32_SYSENTER_EIP is canonical",
            &[field::HOST_IA32_SYSENTER_EIP.encoding()],
            |state| is_canonical(state, state.get(field::HOST_IA32_SYSENTER_EIP)),
        ),
        Rule::new(
            "host-perf-global-ctrl-reserved-bits",
            "with the VM-exit control \"load IA32_PERF_GLOBAL_CTRL\", bits 63:49 of the \
             host's value are 0",
            &[field::HOST_IA32_PERF_GLOBAL_CTRL.encoding()],
            |state| {
                !state.exit(ExitControls::LOAD_IA32_PERF_GLOBAL_CTRL)
                    || state.get(field::HOST_IA32_PERF_GLOBAL_CTRL) & reserved::PERF_GLOBAL_CTRL
                        == 0
            },
        ),
        Rule::new(
            "host-pat-memory-types",
            "with the VM-exit control \"load IA32_PAT\", each byte of the host's value is 0, 1, 4, \
             5, 6 or 7",
            &[field::HOST_IA32_PAT.encoding()],
            |state| {
                !state.exit(ExitControls::LOAD_IA32_PAT) || is_pat(state.get(field::HOST_IA32_PAT))
            },
        ),
        Rule::new(
            "host-efer-reserved-bits",
            "with the VM-exit control \"load IA32_EFER\", the host's value has no bit besides SCE, \
             LME, LMA and NXE",
            &[field::HOST_IA32_EFER.encoding()],
            |state| {
                !state.exit(ExitControls::LOAD_IA32_EFER)
                    || state.get(field::HOST_IA32_EFER) & reserved::EFER == 0
            },
        ),
        Rule::new(
            "host-efer-lma",
            "with the VM-exit control \"load IA32_EFER\", LMA of the host's value equals \"host \
             address-space size\"",
            &[field::HOST_IA32_EFER.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| efer_bit_fits(state, EFER_LMA),
        ),
        Rule::new(
            "host-efer-lme",
            "with the VM-exit control \"load IA32_EFER\", LME of the host's value equals \"host \
             address-space size\"",
            &[field::HOST_IA32_EFER.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| efer_bit_fits(state, EFER_LME),
        ),
        Rule::new(
            "host-s-cet-reserved-bits",
            "with the VM-exit control \"load CET state\", host IA32_S_CET has no reserved bit: \
             9:6, and those of a CET feature that the CPU lacks",
            &[field::HOST_S_CET.encoding()],
            |state| {
                let capabilities = state.capabilities();
                let reserved = cet_reserved_bits(
                    capabilities.has_shadow_stacks,
                    capabilities.has_indirect_branch_tracking,
                );
                !state.exit(CET) || state.get(field::HOST_S_CET).bits() & reserved == 0
            },
        ),
        Rule::new(
            "host-s-cet-suppress-and-tracker",
            "with the VM-exit control \"load CET state\", SUPPRESS and TRACKER of host IA32_S_CET \
             are not both 1",
            &[field::HOST_S_CET.encoding()],
            |state| {
                !state.exit(CET) || !state.get(field::HOST_S_CET).contains(SUPPRESS_AND_TRACKER)
            },
        ),
        Rule::new(
            "host-ssp-aligned",
            "with the VM-exit control \"load CET state\", bits 1:0 of host SSP are 0",
            &[field::HOST_SSP.encoding()],
            |state| !state.exit(CET) || state.get(field::HOST_SSP) & 0b11 == 0,
        ),
        Rule::new(
            "host-interrupt-ssp-table-canonical",
            "with the VM-exit control \"load CET state\", host IA32_INTERRUPT_SSP_TABLE_ADDR is \
             canonical",
            &[field::HOST_INTERRUPT_SSP_TABLE_ADDR.encoding()],
            |state| {
                !state.exit(CET)
                    || is_canonical(state, state.get(field::HOST_INTERRUPT_SSP_TABLE_ADDR))
            },
        ),
        Rule::new(
            "host-pkrs-high-half",
            "with the VM-exit control \"load PKRS\", bits 63:32 of host IA32_PKRS are 0",
            &[field::HOST_IA32_PKRS.encoding()],
            |state| {
                !state.exit(ExitControls::LOAD_PKRS) || state.get(field::HOST_IA32_PKRS) >> 32 == 0
            },
        ),
        Rule::new(
            "host-fred-config-reserved-bits",
            "with the secondary VM-exit control \"load FRED state\", bits 2, 5:4 and 11 of host \
             IA32_FRED_CONFIG are 0",
            &[field::HOST_IA32_FRED_CONFIG.encoding()],
            |state| {
                !state.secondary_exit(FRED)
                    || state.get(field::HOST_IA32_FRED_CONFIG) & reserved::FRED_CONFIG == 0
            },
        ),
        Rule::new(
            "host-fred-config-canonical",
            "with the secondary VM-exit control \"load FRED state\", host IA32_FRED_CONFIG holds a \
             canonical address",
            &[field::HOST_IA32_FRED_CONFIG.encoding()],
            |state| {
                !state.secondary_exit(FRED)
                    || is_canonical(state, state.get(field::HOST_IA32_FRED_CONFIG) & !0xFFF)
            },
        ),
        Rule::new(
            "host-fred-stack-pointers-aligned",
            "with the secondary VM-exit control \"load FRED state\", bits 5:0 of host \
             IA32_FRED_RSP1 to RSP3 are 0",
            &[
                field::HOST_IA32_FRED_RSP1.encoding(),
                field::HOST_IA32_FRED_RSP2.encoding(),
                field::HOST_IA32_FRED_RSP3.encoding(),
            ],
            |state| {
                !state.secondary_exit(FRED) || {
                    let [first, second, third] = fred_stack_pointers(state);
                    (first | second | third) & 0x3F == 0
                }
            },
        ),
        Rule::new(
            "host-fred-stack-pointers-canonical",
            "with the secondary VM-exit control \"load FRED state\", host IA32_FRED_RSP1 to RSP3 \
             are canonical",
            &[
                field::HOST_IA32_FRED_RSP1.encoding(),
                field::HOST_IA32_FRED_RSP2.encoding(),
                field::HOST_IA32_FRED_RSP3.encoding(),
            ],
            |state| {
                !state.secondary_exit(FRED)
                    || fred_stack_pointers(state).iter().all(|rsp| is_canonical(state, *rsp))
            },
        ),
        Rule::new(
            "host-fred-shadow-stack-pointers-aligned",
            "with the secondary VM-exit control \"load FRED state\", bits 2:0 of host \
             IA32_FRED_SSP1 to SSP3 are 0",
            &[
                field::HOST_IA32_FRED_SSP1.encoding(),
                field::HOST_IA32_FRED_SSP2.encoding(),
                field::HOST_IA32_FRED_SSP3.encoding(),
            ],
            |state| {
                !state.secondary_exit(FRED) || {
                    let [first, second, third] = fred_shadow_stack_pointers(state);
                    (first | second | third) & 0b111 == 0
                }
            },
        ),
        Rule::new(
            "host-fred-shadow-stack-pointers-canonical",
            "with the secondary VM-exit control \"load FRED state\", host IA32_FRED_SSP1 to SSP3 \
             are canonical",
            &[
                field::HOST_IA32_FRED_SSP1.encoding(),
                field::HOST_IA32_FRED_SSP2.encoding(),
                field::HOST_IA32_FRED_SSP3.encoding(),
            ],
            |state| {
                !state.secondary_exit(FRED)
                    || fred_shadow_stack_pointers(state).iter().all(|ssp| is_canonical(state, *ssp))
            },
        ),
        Rule::new(
            "host-spec-ctrl-reserved-bits",
            "with the secondary VM-exit control \"load IA32_SPEC_CTRL\", bits 9 and 63:11 of the \
             host's value are 0",
            &[field::HOST_IA32_SPEC_CTRL.encoding()],
            |state| {
                !state.secondary_exit(SecondaryExitControls::LOAD_IA32_SPEC_CTRL)
                    || state.get(field::HOST_IA32_SPEC_CTRL) & reserved::SPEC_CTRL == 0
            },
        ),
    ],
};

/// Whether a bit of host IA32_EFER, if it is loaded, tells the host's mode after exit.
fn efer_bit_fits(state: &EntryState<'_>, bit: u64) -> bool {
    let is_64_bit = state.exit(ExitControls::HOST_ADDRESS_SPACE_SIZE);
    !state.exit(ExitControls::LOAD_IA32_EFER)
        || (state.get(field::HOST_IA32_EFER) & bit != 0) == is_64_bit
}

fn fred_stack_pointers(state: &EntryState<'_>) -> [u64; 3] {
    [
        state.get(field::HOST_IA32_FRED_RSP1),
        state.get(field::HOST_IA32_FRED_RSP2),
        state.get(field::HOST_IA32_FRED_RSP3),
    ]
}

fn fred_shadow_stack_pointers(state: &EntryState<'_>) -> [u64; 3] {
    [
        state.get(field::HOST_IA32_FRED_SSP1),
        state.get(field::HOST_IA32_FRED_SSP2),
        state.get(field::HOST_IA32_FRED_SSP3),
    ]
}
