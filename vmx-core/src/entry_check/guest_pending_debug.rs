//! Pending debug exceptions and the VMCS link pointer.

use super::guest_non_register_state::{TITLE, blocks, is_in};
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::entry::EntryControls;
use crate::control::execution::SecondaryControls;
use crate::cpu::register_bits::Rflags;
use crate::event::non_register_state::{
    ActivityState, InterruptibilityState as Blocking, PendingDebugExceptions as Pending,
};
use crate::memory::address::PhysicalAddress;
use crate::vmcs::field::*;

const PENDING: Encoding = GUEST_PENDING_DEBUG_EXCEPTIONS.encoding();

/// The bits without a meaning: 10:4, 13, 15 and 63:17.
const RESERVED: Pending = Pending::from_bits_retain(!0x1_580F);
/// What cannot be pending together with RTM: all but bit 12.
const NOT_WITH_RTM: Pending = Pending::B0
    .union(Pending::B1)
    .union(Pending::B2)
    .union(Pending::B3)
    .union(Pending::BLD)
    .union(Pending::BS);

/// Whether one of these bits of the pending debug exceptions is 1.
#[inline]
fn is_pending(state: &EntryState<'_>, bits: Pending) -> bool {
    state.get(GUEST_PENDING_DEBUG_EXCEPTIONS).intersects(bits)
}

/// Whether a single step that is pending must be in the field, or must not: events are
/// blocked by STI or MOV SS, or the guest is in HLT.
fn step_is_told(state: &EntryState<'_>) -> bool {
    blocks(state, Blocking::BLOCKING_BY_STI | Blocking::BLOCKING_BY_MOV_SS)
        || is_in(state, ActivityState::HLT)
}

/// Whether the guest single-steps: RFLAGS.TF is 1 and IA32_DEBUGCTL.BTF is 0.
fn steps(state: &EntryState<'_>) -> bool {
    state.get(GUEST_RFLAGS).contains(Rflags::TF) && state.get(GUEST_IA32_DEBUGCTL) & (1 << 1) == 0
}

/// What the pending-debug-exceptions field may hold.
///
/// Whether the CPU has RTM and bus-lock detection stands in CPUID leaves that are no
/// part of [`Capabilities`](crate::Capabilities); a CPU without them refuses bits 16 and
/// 11.
pub(super) const PENDING_DEBUG_EXCEPTIONS: Section = Section {
    group: Group::GuestState,
    title: TITLE,
    all_hold: |state| all_hold(PENDING_DEBUG_EXCEPTIONS.rules, state),
    rules: &[
        Rule::new(
            "guest-pending-debug-reserved-bits",
            "bits 10:4, 13, 15 and 63:17 of the pending debug exceptions are 0",
            &[PENDING],
            |state| !is_pending(state, RESERVED),
        ),
        Rule::new(
            "guest-pending-debug-step",
            "BS is 1 if the guest single-steps (RFLAGS.TF 1, IA32_DEBUGCTL.BTF 0) and is blocked \
             by STI or MOV SS, or in HLT",
            STEP_READS,
            |state| is_pending(state, Pending::BS) || !step_is_told(state) || !steps(state),
        ),
        Rule::new(
            "guest-pending-debug-no-step",
            "BS is 0 if the guest does not single-step (RFLAGS.TF 0 or IA32_DEBUGCTL.BTF 1) and \
             is blocked by STI or MOV SS, or in HLT",
            STEP_READS,
            |state| !is_pending(state, Pending::BS) || !step_is_told(state) || steps(state),
        ),
        Rule::new(
            "guest-pending-debug-rtm-alone",
            "with RTM no other bit than 12 is 1",
            &[PENDING],
            |state| !is_pending(state, Pending::RTM) || !is_pending(state, NOT_WITH_RTM),
        ),
        Rule::new("guest-pending-debug-rtm-enabled", "with RTM bit 12 is 1", &[PENDING], |state| {
            !is_pending(state, Pending::RTM) || is_pending(state, Pending::ENABLED_BREAKPOINT)
        }),
        Rule::new(
            "guest-pending-debug-rtm-without-mov-ss",
            "with RTM events are not blocked by MOV SS",
            &[PENDING, GUEST_INTERRUPTIBILITY_STATE.encoding()],
            |state| {
                !is_pending(state, Pending::RTM) || !blocks(state, Blocking::BLOCKING_BY_MOV_SS)
            },
        ),
    ],
};

const STEP_READS: &[Encoding] = &[
    PENDING,
    GUEST_RFLAGS.encoding(),
    GUEST_IA32_DEBUGCTL.encoding(),
    GUEST_INTERRUPTIBILITY_STATE.encoding(),
    GUEST_ACTIVITY_STATE.encoding(),
];

/// The exit qualification of an invalid VMCS link pointer.
const QUALIFICATION: u64 = 4;

const LINK: Encoding = VMCS_LINK_POINTER.encoding();

/// Whether there is no linked VMCS, or `holds` is true of its address.
fn if_linked(state: &EntryState<'_>, holds: impl FnOnce(u64) -> bool) -> bool {
    let pointer = state.get(VMCS_LINK_POINTER);
    pointer == u64::MAX || holds(pointer)
}

/// Whether there is no linked VMCS, or `holds` is true of the first bytes of its region,
/// as far as they are known.
fn if_region_known(state: &EntryState<'_>, holds: impl FnOnce(u32) -> bool) -> bool {
    if_linked(state, |_| state.memory().linked_region_start.is_none_or(holds))
}

/// What the VMCS link pointer may name.
pub(super) const LINK_POINTER: Section = Section {
    group: Group::GuestState,
    title: TITLE,
    all_hold: |state| all_hold(LINK_POINTER.rules, state),
    rules: &[
        Rule::new(
            "guest-link-pointer-aligned",
            "bits 11:0 of the VMCS link pointer are 0, unless it is all ones",
            &[LINK],
            |state| if_linked(state, |pointer| pointer & 0xFFF == 0),
        )
        .with_qualification(QUALIFICATION),
        Rule::new(
            "guest-link-pointer-width",
            "the VMCS link pointer has no bit beyond the physical-address width, unless it is all \
             ones",
            &[LINK],
            |state| {
                if_linked(state, |pointer| {
                    state.capabilities().is_physical_address(PhysicalAddress(pointer))
                })
            },
        )
        .with_qualification(QUALIFICATION),
        Rule::new(
            "guest-linked-revision",
            "the linked region starts with the CPU's VMCS revision identifier",
            &[LINK],
            |state| {
                let revision = state.capabilities().basic.revision();
                if_region_known(state, |start| start & 0x7FFF_FFFF == revision)
            },
        )
        .with_qualification(QUALIFICATION),
        Rule::new(
            "guest-linked-shadow-indicator",
            "the linked region is a shadow VMCS if, and only if, \"VMCS shadowing\" is 1",
            &[LINK, SECONDARY_CONTROLS.encoding()],
            |state| {
                let shadowing = state.secondary(SecondaryControls::VMCS_SHADOWING);
                if_region_known(state, |start| (start >> 31 != 0) == shadowing)
            },
        )
        .with_qualification(QUALIFICATION),
        Rule::new(
            "guest-link-pointer-not-current",
            "the VMCS link pointer does not name the current VMCS, outside SMM and at an entry to \
             it",
            &[LINK, VM_ENTRY_CONTROLS.encoding()],
            |state| {
                let leaves_smm =
                    state.circumstances().in_smm && !state.entry(EntryControls::ENTRY_TO_SMM);
                let current = state.memory().current_vmcs;
                leaves_smm || if_linked(state, |link| Some(PhysicalAddress(link)) != current)
            },
        )
        .with_qualification(QUALIFICATION),
        Rule::new(
            "guest-link-pointer-not-vmxon",
            "the VMCS link pointer does not name the VMXON region at an entry from SMM",
            &[LINK, VM_ENTRY_CONTROLS.encoding()],
            |state| {
                let leaves_smm =
                    state.circumstances().in_smm && !state.entry(EntryControls::ENTRY_TO_SMM);
                let vmxon = state.memory().vmxon_region;
                !leaves_smm || if_linked(state, |link| Some(PhysicalAddress(link)) != vmxon)
            },
        )
        .with_qualification(QUALIFICATION),
    ],
};
