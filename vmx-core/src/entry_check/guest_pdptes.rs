//! Page-directory-pointer-table entries of a guest with PAE paging.

use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::entry::EntryControls;
use crate::control::execution::SecondaryControls;
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::vmcs::field::*;

/// The exit qualification of a failure to load the entries.
const QUALIFICATION: u64 = 2;

const READS: &[Encoding] = &[
    GUEST_CR3.encoding(),
    GUEST_CR0.encoding(),
    GUEST_CR4.encoding(),
    VM_ENTRY_CONTROLS.encoding(),
    SECONDARY_CONTROLS.encoding(),
];

/// Reserved bits are 0 in the entries that are present: from the fields with EPT, else
/// from the table that CR3 names.
pub(super) const PDPTES: Section = Section {
    group: Group::GuestState,
    title: "Checks on Guest Page-Directory-Pointer-Table Entries",
    all_hold: |state| all_hold(PDPTES.rules, state),
    rules: &[
        Rule::new(
            "guest-pdpte0",
            "reserved bits of PDPTE0 are 0 if it is present, with PAE paging and EPT",
            &[
                GUEST_PDPTE_0.encoding(),
                GUEST_CR0.encoding(),
                GUEST_CR4.encoding(),
                VM_ENTRY_CONTROLS.encoding(),
            ],
            |state| field_is_legal(state, GUEST_PDPTE_0),
        )
        .with_qualification(QUALIFICATION),
        Rule::new(
            "guest-pdpte1",
            "reserved bits of PDPTE1 are 0 if it is present, with PAE paging and EPT",
            &[
                GUEST_PDPTE_1.encoding(),
                GUEST_CR0.encoding(),
                GUEST_CR4.encoding(),
                VM_ENTRY_CONTROLS.encoding(),
            ],
            |state| field_is_legal(state, GUEST_PDPTE_1),
        )
        .with_qualification(QUALIFICATION),
        Rule::new(
            "guest-pdpte2",
            "reserved bits of PDPTE2 are 0 if it is present, with PAE paging and EPT",
            &[
                GUEST_PDPTE_2.encoding(),
                GUEST_CR0.encoding(),
                GUEST_CR4.encoding(),
                VM_ENTRY_CONTROLS.encoding(),
            ],
            |state| field_is_legal(state, GUEST_PDPTE_2),
        )
        .with_qualification(QUALIFICATION),
        Rule::new(
            "guest-pdpte3",
            "reserved bits of PDPTE3 are 0 if it is present, with PAE paging and EPT",
            &[
                GUEST_PDPTE_3.encoding(),
                GUEST_CR0.encoding(),
                GUEST_CR4.encoding(),
                VM_ENTRY_CONTROLS.encoding(),
            ],
            |state| field_is_legal(state, GUEST_PDPTE_3),
        )
        .with_qualification(QUALIFICATION),
        Rule::new(
            "guest-pdptes-in-memory",
            "reserved bits of the entries that CR3 names are 0 in those that are present, with \
             PAE paging and without EPT",
            READS,
            |state| match state.memory().pdptes {
                Some(entries) if uses_pae(state) && !has_ept(state) => {
                    entries.iter().all(|entry| is_legal(state, *entry))
                }
                _ => true,
            },
        )
        .with_qualification(QUALIFICATION),
    ],
};

fn uses_pae(state: &EntryState<'_>) -> bool {
    state.get(GUEST_CR4).contains(Cr4::PAE)
        && state.get(GUEST_CR0).contains(Cr0::PG)
        && !state.entry(EntryControls::IA32E_MODE_GUEST)
}

fn has_ept(state: &EntryState<'_>) -> bool {
    state.secondary(SecondaryControls::ENABLE_EPT)
}

fn field_is_legal(state: &EntryState<'_>, field: Field<u64>) -> bool {
    !has_ept(state) || !uses_pae(state) || is_legal(state, state.get(field))
}

/// Not present, or no reserved bit: 2:1, 8:5 and those from the physical-address width.
fn is_legal(state: &EntryState<'_>, entry: u64) -> bool {
    const LOW: u64 = 0x1E6;
    let beyond = u64::MAX.checked_shl(state.capabilities().physical_address_width).unwrap_or(0);
    entry & 1 == 0 || entry & (LOW | beyond) == 0
}
