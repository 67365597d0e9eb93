//! Guest control registers.

use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor, Exception, NotShown};

const CR0_PE: u64 = 1;
const CR0_TS: u64 = 1 << 3;
const CR0_NE: u64 = 1 << 5;
const CR0_WP: u64 = 1 << 16;
const CR0_NW: u64 = 1 << 29;
const CR0_PG: u64 = 1 << 31;
const CR4_TSD: u64 = 1 << 2;
const CR4_PAE: u64 = 1 << 5;
const CR4_PGE: u64 = 1 << 7;
const CR4_VMXE: u64 = 1 << 13;
const CR4_PCIDE: u64 = 1 << 17;
const CR4_CET: u64 = 1 << 23;

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-cr0-fixed-to-1",
        Base::Guest64,
        |e| e.clear_bits(GUEST_CR0, CR0_NE),
        |e| e.set_bits(GUEST_CR0, CR0_NW),
    ),
    Case::new(
        "guest-cr0-fixed-to-0",
        Base::Guest64,
        |e| e.set_bits(GUEST_CR0, 1 << 32),
        |e| e.set_bits(GUEST_CR0, CR0_TS),
    ),
    Case::new(
        "guest-paging-needs-protection",
        Base::GuestReal,
        |e| e.set_bits(GUEST_CR0, CR0_PG),
        |e| e.set_bits(GUEST_CR0, CR0_PE),
    ),
    Case::new(
        "guest-cr4-fixed-to-1",
        Base::Guest64,
        |e| e.clear_bits(GUEST_CR4, CR4_VMXE),
        |e| e.set_bits(GUEST_CR4, CR4_PGE),
    ),
    Case::new(
        "guest-cr4-fixed-to-0",
        Base::Guest64,
        |e| e.set_bits(GUEST_CR4, 1 << 31),
        |e| e.set_bits(GUEST_CR4, CR4_TSD),
    ),
    Case::new(
        "guest-cet-needs-write-protection",
        Base::Guest64,
        |e| {
            e.set_bits(GUEST_CR4, CR4_CET);
            e.clear_bits(GUEST_CR0, CR0_WP);
        },
        |e| {
            e.set_bits(GUEST_CR4, CR4_CET);
            e.set_bits(GUEST_CR0, CR0_WP);
        },
    )
    .where_possible(|cpu| cpu.cr4_fixed.may_be_one & CR4_CET != 0),
    Case::new(
        "guest-ia32e-needs-pae",
        Base::Guest64,
        |e| e.clear_bits(GUEST_CR4, CR4_PAE),
        |e| e.set_bits(GUEST_CR4, CR4_PGE),
    ),
    Case::new(
        "guest-pcide-needs-ia32e",
        Base::Guest32,
        |e| e.set_bits(GUEST_CR4, CR4_PCIDE),
        |e| e.set_bits(GUEST_CR4, CR4_PGE),
    )
    .where_possible(|cpu| cpu.cr4_fixed.may_be_one & CR4_PCIDE != 0),
    Case::new(
        "guest-cr3-width",
        Base::Guest64,
        |e| e.set_bits(GUEST_CR3, beyond_physical(e)),
        |e| e.set_bits(GUEST_CR3, beyond_physical(e) >> 1),
    ),
];

/// What no case tries.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "guest-debugctl-reserved-bits",
        reason: NotShown::Departure("guest-debugctl-unchecked"),
    },
    Exception {
        rule: "guest-ia32e-needs-paging",
        reason: NotShown::Departure("guest-ia32e-without-paging"),
    },
    Exception { rule: "guest-fred-needs-ia32e", reason: NotShown::FeatureOnNoModel("FRED") },
];

/// The lowest bit that a physical address cannot have.
fn beyond_physical(e: &Editor<'_>) -> u64 {
    1u64.checked_shl(e.capabilities.physical_address_width).unwrap_or(0)
}
