//! Guest PDPTEs.

use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor};

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-pdpte0",
        Base::GuestReal,
        |e| {
            to_pae(e);
            e.set(GUEST_PDPTE_0, 1 | 1 << 1);
        },
        |e| {
            to_pae(e);
            e.set(GUEST_PDPTE_0, 1 << 1);
        },
    ),
    Case::new(
        "guest-pdpte1",
        Base::GuestReal,
        |e| {
            to_pae(e);
            e.set(GUEST_PDPTE_1, 1 | 1 << 1);
        },
        |e| {
            to_pae(e);
            e.set(GUEST_PDPTE_1, 1 << 1);
        },
    ),
    Case::new(
        "guest-pdpte2",
        Base::GuestReal,
        |e| {
            to_pae(e);
            e.set(GUEST_PDPTE_2, 1 | 1 << 1);
        },
        |e| {
            to_pae(e);
            e.set(GUEST_PDPTE_2, 1 << 1);
        },
    ),
    Case::new(
        "guest-pdpte3",
        Base::GuestReal,
        |e| {
            to_pae(e);
            e.set(GUEST_PDPTE_3, 1 | 1 << 1);
        },
        |e| {
            to_pae(e);
            e.set(GUEST_PDPTE_3, 1 << 1);
        },
    ),
    Case::new(
        "guest-pdptes-in-memory",
        Base::Guest32,
        |e| {
            to_pae_without_ept(e);
            e.memory.pdptes[3] = 1 | 1 << 5;
        },
        |e| {
            to_pae_without_ept(e);
            e.memory.pdptes[3] = 1 << 5;
        },
    ),
];

/// Protected mode with PAE paging; no entry of its top-level table is present.
fn to_pae(e: &mut Editor<'_>) {
    e.set_bits(GUEST_CR0, 1 << 31 | 1);
    e.set_bits(GUEST_CR4, 1 << 5);
    for entry in [GUEST_PDPTE_0, GUEST_PDPTE_1, GUEST_PDPTE_2, GUEST_PDPTE_3] {
        e.set(entry, 0);
    }
}

/// PAE paging with a top-level table in memory.
fn to_pae_without_ept(e: &mut Editor<'_>) {
    e.set_bits(GUEST_CR4, 1 << 5);
    e.set(GUEST_CR3, e.memory.pdpt.0);
    e.memory.pdptes = [0; 4];
}
