//! Guest pending debug exceptions and the VMCS link pointer.

use vmx_core::event::PendingDebugExceptions as Pending;
use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor, Exception, NotShown};

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-pending-debug-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_PENDING_DEBUG_EXCEPTIONS, Pending::from_bits_retain(1 << 4)),
        |e| {
            e.set(
                GUEST_PENDING_DEBUG_EXCEPTIONS,
                Pending::B0 | Pending::B1 | Pending::B2 | Pending::B3,
            );
        },
    )
    .of("bit 4"),
    Case::new(
        "guest-pending-debug-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_PENDING_DEBUG_EXCEPTIONS, Pending::from_bits_retain(1 << 13)),
        |e| {
            e.set(
                GUEST_PENDING_DEBUG_EXCEPTIONS,
                Pending::B0 | Pending::B1 | Pending::B2 | Pending::B3,
            );
        },
    )
    .of("bit 13"),
    Case::new(
        "guest-link-pointer-aligned",
        Base::Guest64,
        |e| {
            let linked = link(e);
            e.set(VMCS_LINK_POINTER, linked | 0x800);
        },
        |e| {
            link(e);
        },
    ),
    Case::new(
        "guest-link-pointer-width",
        Base::Guest64,
        |e| {
            let linked = link(e);
            e.set(VMCS_LINK_POINTER, linked | beyond_physical(e));
        },
        |e| {
            link(e);
        },
    ),
    Case::new(
        "guest-linked-revision",
        Base::Guest64,
        |e| {
            link(e);
            e.memory.linked_region_start ^= 1;
        },
        |e| {
            link(e);
        },
    ),
    Case::new(
        "guest-linked-shadow-indicator",
        Base::Guest64,
        |e| {
            link(e);
            e.memory.linked_region_start ^= 1 << 31;
        },
        |e| {
            link(e);
        },
    ),
    Case::new(
        "guest-link-pointer-not-current",
        Base::Guest64,
        |e| {
            link(e);
            e.set(VMCS_LINK_POINTER, e.memory.current_vmcs.0);
        },
        |e| {
            link(e);
        },
    ),
];

/// What no case tries.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "guest-pending-debug-step",
        reason: NotShown::Departure("guest-pending-debug-step-unchecked"),
    },
    Exception {
        rule: "guest-pending-debug-no-step",
        reason: NotShown::Departure("guest-pending-debug-step-unchecked"),
    },
    Exception { rule: "guest-pending-debug-rtm-alone", reason: NotShown::FeatureOnNoModel("RTM") },
    Exception {
        rule: "guest-pending-debug-rtm-enabled",
        reason: NotShown::FeatureOnNoModel("RTM"),
    },
    Exception {
        rule: "guest-pending-debug-rtm-without-mov-ss",
        reason: NotShown::FeatureOnNoModel("RTM"),
    },
    Exception { rule: "guest-link-pointer-not-vmxon", reason: NotShown::NeedsSmm },
];

/// The lowest bit that a physical address cannot have.
fn beyond_physical(e: &Editor<'_>) -> u64 {
    1u64.checked_shl(e.capabilities.physical_address_width).unwrap_or(0)
}

/// Links the region that is there for it, and tells its address.
fn link(e: &mut Editor<'_>) -> u64 {
    let linked = e.memory.linked_region.0;
    e.memory.linked_region_start = e.capabilities.basic.revision();
    e.set(VMCS_LINK_POINTER, linked);
    linked
}
