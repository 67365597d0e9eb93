//! Guest CR0, CR3 and CR4, and IA32_DEBUGCTL, which the manual has among them.

use super::rule::{Group, Rule, Section, all_hold};
use super::state::if_loaded;
use crate::control::entry::EntryControls;
use crate::control::execution::SecondaryControls;
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::msr::value::reserved;
use crate::vmcs::field::*;

/// What VM entry neither checks nor loads.
const UNCHECKED: Cr0 = Cr0::NW.union(Cr0::CD);
/// What an unrestricted guest may have 0 although VMX operation fixes it.
const UNRESTRICTED: Cr0 = Cr0::PE.union(Cr0::PG);

pub(super) const TITLE: &str = "Checks on Guest Control Registers, Debug Registers, and MSRs";

/// CR0, CR3 and CR4.
pub(super) const CONTROL_REGISTERS: Section = Section {
    group: Group::GuestState,
    title: TITLE,
    all_hold: |state| all_hold(CONTROL_REGISTERS.rules, state),
    rules: &[
        Rule::new(
            "guest-cr0-fixed-to-1",
            "CR0 has the bits that VMX operation fixes to 1; PE and PG only for a guest that is \
             not unrestricted",
            &[GUEST_CR0.encoding(), SECONDARY_CONTROLS.encoding()],
            |state| {
                let missing = state.capabilities().cr0_fixed.missing(state.get(GUEST_CR0).bits());
                let free = if state.secondary(SecondaryControls::UNRESTRICTED_GUEST) {
                    UNCHECKED | UNRESTRICTED
                } else {
                    UNCHECKED
                };
                missing & !free.bits() == 0
            },
        ),
        Rule::new(
            "guest-cr0-fixed-to-0",
            "CR0 has no bit that VMX operation fixes to 0",
            &[GUEST_CR0.encoding()],
            |state| {
                let excess = state.capabilities().cr0_fixed.excess(state.get(GUEST_CR0).bits());
                excess & !UNCHECKED.bits() == 0
            },
        ),
        Rule::new(
            "guest-paging-needs-protection",
            "CR0.PG is 1 only if CR0.PE is 1",
            &[GUEST_CR0.encoding()],
            |state| state.get(GUEST_CR0) & (Cr0::PG | Cr0::PE) != Cr0::PG,
        ),
        Rule::new(
            "guest-cr4-fixed-to-1",
            "CR4 has the bits that VMX operation fixes to 1",
            &[GUEST_CR4.encoding()],
            |state| state.capabilities().cr4_fixed.missing(state.get(GUEST_CR4).bits()) == 0,
        ),
        Rule::new(
            "guest-cr4-fixed-to-0",
            "CR4 has no bit that VMX operation fixes to 0",
            &[GUEST_CR4.encoding()],
            |state| state.capabilities().cr4_fixed.excess(state.get(GUEST_CR4).bits()) == 0,
        ),
        Rule::new(
            "guest-cet-needs-write-protection",
            "CR4.CET is 1 only if CR0.WP is 1",
            &[GUEST_CR4.encoding(), GUEST_CR0.encoding()],
            |state| {
                !state.get(GUEST_CR4).contains(Cr4::CET) || state.get(GUEST_CR0).contains(Cr0::WP)
            },
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
            |state| {
                !state.entry(EntryControls::IA32E_MODE_GUEST)
                    || state.get(GUEST_CR0).contains(Cr0::PG)
            },
        ),
        Rule::new(
            "guest-ia32e-needs-pae",
            "CR4.PAE is 1 in an IA-32e mode guest",
            &[GUEST_CR4.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                !state.entry(EntryControls::IA32E_MODE_GUEST)
                    || state.get(GUEST_CR4).contains(Cr4::PAE)
            },
        ),
        Rule::new(
            "guest-pcide-needs-ia32e",
            "CR4.PCIDE is 1 only in an IA-32e mode guest",
            &[GUEST_CR4.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                state.entry(EntryControls::IA32E_MODE_GUEST)
                    || !state.get(GUEST_CR4).contains(Cr4::PCIDE)
            },
        ),
        Rule::new(
            "guest-fred-needs-ia32e",
            "CR4.FRED is 1 only in an IA-32e mode guest",
            &[GUEST_CR4.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| {
                state.entry(EntryControls::IA32E_MODE_GUEST)
                    || !state.get(GUEST_CR4).contains(Cr4::FRED)
            },
        ),
        Rule::new(
            "guest-cr3-width",
            "CR3 has no bit beyond the physical-address width; with linear-address masking, bits \
             62 and 61 may be set",
            &[GUEST_CR3.encoding()],
            |state| {
                let capabilities = state.capabilities();
                let has_masking = capabilities.cr4_fixed.may_be_one & Cr4::LAM_SUP.bits() != 0;
                let masking = if has_masking { 0b11 << 61 } else { 0 };
                let beyond = u64::MAX.checked_shl(capabilities.physical_address_width);
                state.get(GUEST_CR3) & beyond.unwrap_or(0) & !masking == 0
            },
        ),
    ],
};
