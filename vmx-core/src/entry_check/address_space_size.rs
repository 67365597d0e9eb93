//! The host's mode at VM entry, and the one that VM exit gives it.

use super::address::is_canonical;
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::entry::EntryControls;
use crate::control::exit::ExitControls;
use crate::cpu::register_bits::Cr4;
use crate::vmcs::field;

/// Host and guest in IA-32e mode or not.
pub(super) const ADDRESS_SPACE_SIZE: Section = Section {
    group: Group::HostState,
    title: "Checks Related to Address-Space Size",
    all_hold: |state| all_hold(ADDRESS_SPACE_SIZE.rules, state),
    rules: &[
        Rule::new(
            "host-address-space-size-is-hosts",
            "\"host address-space size\" is 1 if the host is in IA-32e mode (IA32_EFER.LMA), and 0 \
             if not",
            &[field::VM_EXIT_CONTROLS.encoding()],
            |state| is_64_bit(state) == state.circumstances().host_ia32e_mode,
        ),
        // Twice in the manual: without "host address-space size", and outside IA-32e mode.
        Rule::new(
            "ia32e-mode-guest-needs-ia32e-mode-host",
            "\"IA-32e mode guest\" is 1 only if the host is in IA-32e mode and stays so (\"host \
             address-space size\")",
            &[field::VM_ENTRY_CONTROLS.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| {
                !state.entry(EntryControls::IA32E_MODE_GUEST)
                    || is_64_bit(state) && state.circumstances().host_ia32e_mode
            },
        ),
        Rule::new(
            "host-cr4-pcide-needs-64-bit-host",
            "host CR4.PCIDE is 1 only with \"host address-space size\"",
            &[field::HOST_CR4.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| is_64_bit(state) || !state.get(field::HOST_CR4).contains(Cr4::PCIDE),
        ),
        Rule::new(
            "host-cr4-fred-needs-64-bit-host",
            "host CR4.FRED is 1 only with \"host address-space size\"",
            &[field::HOST_CR4.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| is_64_bit(state) || !state.get(field::HOST_CR4).contains(Cr4::FRED),
        ),
        Rule::new(
            "host-rip-high-half",
            "without \"host address-space size\", bits 63:32 of host RIP are 0",
            &[field::HOST_RIP.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| is_64_bit(state) || state.get(field::HOST_RIP) >> 32 == 0,
        ),
        Rule::new(
            "host-s-cet-high-half",
            "without \"host address-space size\" and with \"load CET state\", bits 63:32 of host \
             IA32_S_CET are 0",
            &[field::HOST_S_CET.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| {
                is_64_bit(state)
                    || !state.exit(ExitControls::LOAD_CET_STATE)
                    || state.get(field::HOST_S_CET).bits() >> 32 == 0
            },
        ),
        Rule::new(
            "host-ssp-high-half",
            "without \"host address-space size\" and with \"load CET state\", bits 63:32 of host \
             SSP are 0",
            &[field::HOST_SSP.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| {
                is_64_bit(state)
                    || !state.exit(ExitControls::LOAD_CET_STATE)
                    || state.get(field::HOST_SSP) >> 32 == 0
            },
        ),
        Rule::new(
            "host-cr4-pae",
            "with \"host address-space size\", host CR4.PAE is 1",
            &[field::HOST_CR4.encoding(), field::VM_EXIT_CONTROLS.encoding()],
            |state| !is_64_bit(state) || state.get(field::HOST_CR4).contains(Cr4::PAE),
        ),
        Rule::new(
            "host-rip-canonical",
            "with \"host address-space size\", host RIP is canonical",
            &[field::HOST_RIP.encoding()],
            |state| !is_64_bit(state) || is_canonical(state, state.get(field::HOST_RIP)),
        ),
        Rule::new(
            "host-s-cet-canonical",
            "with \"host address-space size\" and \"load CET state\", host IA32_S_CET is canonical",
            &[field::HOST_S_CET.encoding()],
            |state| {
                !state.exit(CET_IN_64_BIT_HOST)
                    || is_canonical(state, state.get(field::HOST_S_CET).bits())
            },
        ),
        Rule::new(
            "host-ssp-canonical",
            "with \"host address-space size\" and \"load CET state\", host SSP is canonical",
            &[field::HOST_SSP.encoding()],
            |state| {
                !state.exit(CET_IN_64_BIT_HOST) || is_canonical(state, state.get(field::HOST_SSP))
            },
        ),
    ],
};

const CET_IN_64_BIT_HOST: ExitControls =
    ExitControls::HOST_ADDRESS_SPACE_SIZE.union(ExitControls::LOAD_CET_STATE);

/// Whether the host is in 64-bit mode after VM exit.
const fn is_64_bit(state: &EntryState<'_>) -> bool {
    state.exit(ExitControls::HOST_ADDRESS_SPACE_SIZE)
}
