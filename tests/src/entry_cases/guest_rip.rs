//! The cases of guest GDTR, IDTR, RIP, RFLAGS and SSP.

use vmx_core::entry_check::ExampleGuest::{Guest32, GuestReal};
use vmx_core::vmcs::field::*;

use super::case::NotShown::Departure;
use super::case::{Case, NOTHING, add, by, edits, set, values};
use super::editing::*;

/// The cases.
pub(super) const CASES: &[Case] = &[
    values("guest-gdtr-base-canonical", GUEST_GDTR_BASE, NOT_CANONICAL, HIGH_HALF),
    values("guest-idtr-base-canonical", GUEST_IDTR_BASE, NOT_CANONICAL, HIGH_HALF),
    values("guest-gdtr-limit", GUEST_GDTR_LIMIT, 0x1_0000, 0xFFFF),
    values("guest-idtr-limit", GUEST_IDTR_LIMIT, 0x1_0000, 0xFFFF),
    edits("guest-rip-high-half", add(GUEST_RIP, 1 << 32), set(GUEST_RIP, 0xFFFF_F000)).on(Guest32),
    values("guest-rip-width", GUEST_RIP, NOT_CANONICAL, HIGH_HALF)
        .not_shown(Departure("guest-rip-non-canonical")),
    edits(
        "guest-rflags-reserved-bits",
        add(GUEST_RFLAGS, 1 << 3),
        add(GUEST_RFLAGS, 1 << 21 | 1 << 18 | 1),
    ),
    values("guest-rflags-bit-1", GUEST_RFLAGS, 0, 2),
    edits(
        "guest-virtual-8086-outside-ia32e",
        by(to_virtual_8086),
        add(GUEST_RFLAGS, RFLAGS_IOPL_3),
    ),
    edits("guest-virtual-8086-needs-protection", by(to_virtual_8086), NOTHING)
        .on(GuestReal)
        .not_shown(Departure("guest-virtual-8086-in-real-mode")),
    edits("guest-injected-interrupt-needs-if", NOTHING, add(GUEST_RFLAGS, RFLAGS_IF))
        .after(|e| inject(e, 0x20)),
    with_cet(values("guest-ssp-aligned", GUEST_SSP, 2, 4)),
    with_cet(values("guest-ssp-width", GUEST_SSP, NOT_CANONICAL, HIGH_HALF)),
    edits("guest-fred-ring-0-is-64-bit", set(GUEST_CS_ACCESS_RIGHTS, 0xC09B), NOTHING)
        .with(add(GUEST_CR4, CR4_FRED))
        .not_shown(FRED),
    edits("guest-fred-rings", by(|e| to_ring(e, 1)), by(|e| to_ring(e, 3)))
        .with(add(GUEST_CR4, CR4_FRED))
        .not_shown(FRED),
    edits("guest-fred-ring-3-iopl", add(GUEST_RFLAGS, RFLAGS_IOPL_3), NOTHING)
        .with(add(GUEST_CR4, CR4_FRED))
        .after(|e| to_ring(e, 3))
        .not_shown(FRED),
];
