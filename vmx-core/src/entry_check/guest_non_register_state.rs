//! Activity state, interruptibility state and user-interrupt vector.

use super::guest_rip::{has_fred, injected};
use super::guest_segments::{SS, rights};
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::entry::EntryControls;
use crate::control::execution::{PinBasedControls, SecondaryControls};
use crate::cpu::register_bits::Rflags;
use crate::event::interruption::EventType;
use crate::event::non_register_state::{
    ActivityState as Activity, InterruptibilityState as Blocking,
};
use crate::vmcs::field::*;

pub(super) const TITLE: &str = "Checks on Guest Non-Register State";

/// The exit qualification of an NMI injected into a guest that blocks events by STI.
const NMI_INJECTED_WITH_BLOCKING_BY_STI: u64 = 3;

const ACTIVITY: Encoding = GUEST_ACTIVITY_STATE.encoding();
const INTERRUPTIBILITY: Encoding = GUEST_INTERRUPTIBILITY_STATE.encoding();
const INJECTION: Encoding = VM_ENTRY_INTERRUPTION_INFORMATION.encoding();

/// Whether one of these bits of the interruptibility state is 1.
#[inline]
pub(super) fn blocks(state: &EntryState<'_>, bits: Blocking) -> bool {
    state.get(GUEST_INTERRUPTIBILITY_STATE).intersects(bits)
}

#[inline]
pub(super) fn is_in(state: &EntryState<'_>, activity: Activity) -> bool {
    state.get(GUEST_ACTIVITY_STATE) == activity
}

/// Activity state.
pub(super) const ACTIVITY_STATE: Section = Section {
    group: Group::GuestState,
    title: TITLE,
    all_hold: |state| all_hold(ACTIVITY_STATE.rules, state),
    rules: &[
        Rule::new(
            "guest-activity-supported",
            "the CPU has the activity state: active, or one that IA32_VMX_MISC[8:6] reports",
            &[ACTIVITY],
            |state| state.capabilities().misc.has_activity_state(state.get(GUEST_ACTIVITY_STATE)),
        ),
        Rule::new(
            "guest-hlt-needs-ring-0",
            "the activity state is not HLT if the DPL of SS is not 0",
            &[ACTIVITY, GUEST_SS_ACCESS_RIGHTS.encoding()],
            |state| !is_in(state, Activity::HLT) || rights::<SS>(state).dpl() == 0,
        ),
        Rule::new(
            "guest-blocking-needs-active",
            "the activity state is active if events are blocked by STI or MOV SS",
            &[ACTIVITY, INTERRUPTIBILITY],
            |state| {
                is_in(state, Activity::ACTIVE)
                    || !blocks(state, Blocking::BLOCKING_BY_STI | Blocking::BLOCKING_BY_MOV_SS)
            },
        ),
        Rule::new(
            "guest-hlt-injection",
            "in HLT only an external interrupt, an NMI, #DB, #MC or a pending MTF VM exit is \
             injected",
            &[ACTIVITY, INJECTION],
            |state| {
                !is_in(state, Activity::HLT)
                    || match injected(state) {
                        None | Some(EventType::ExternalInterrupt | EventType::Nmi) => true,
                        Some(EventType::HardwareException) => matches!(vector(state), 1 | 18),
                        Some(EventType::Other) => vector(state) == 0,
                        Some(_) => false,
                    }
            },
        ),
        Rule::new(
            "guest-shutdown-injection",
            "in shutdown only an NMI or #MC is injected",
            &[ACTIVITY, INJECTION],
            |state| {
                !is_in(state, Activity::SHUTDOWN)
                    || match injected(state) {
                        None | Some(EventType::Nmi) => true,
                        Some(EventType::HardwareException) => vector(state) == 18,
                        Some(_) => false,
                    }
            },
        ),
        Rule::new(
            "guest-wait-for-sipi-injection",
            "in wait-for-SIPI nothing is injected",
            &[ACTIVITY, INJECTION],
            |state| !is_in(state, Activity::WAIT_FOR_SIPI) || injected(state).is_none(),
        ),
        Rule::new(
            "guest-wait-for-sipi-outside-smm",
            "the activity state is not wait-for-SIPI at an entry to SMM",
            &[ACTIVITY, VM_ENTRY_CONTROLS.encoding()],
            |state| {
                !is_in(state, Activity::WAIT_FOR_SIPI) || !state.entry(EntryControls::ENTRY_TO_SMM)
            },
        ),
    ],
};

/// The vector of the injected event.
fn vector(state: &EntryState<'_>) -> u8 {
    state.get(VM_ENTRY_INTERRUPTION_INFORMATION).vector()
}

/// Interruptibility state, and UINV.
pub(super) const INTERRUPTIBILITY_STATE: Section = Section {
    group: Group::GuestState,
    title: TITLE,
    all_hold: |state| all_hold(INTERRUPTIBILITY_STATE.rules, state),
    rules: &[
        Rule::new(
            "guest-interruptibility-reserved-bits",
            "bits 31:5 of the interruptibility state are 0",
            &[INTERRUPTIBILITY],
            |state| !blocks(state, Blocking::from_bits_retain(!0x1F)),
        ),
        Rule::new(
            "guest-blocking-by-sti-or-mov-ss",
            "events are not blocked by STI and MOV SS at once",
            &[INTERRUPTIBILITY],
            |state| {
                !blocks(state, Blocking::BLOCKING_BY_STI)
                    || !blocks(state, Blocking::BLOCKING_BY_MOV_SS)
            },
        ),
        Rule::new(
            "guest-blocking-by-sti-needs-if",
            "events are not blocked by STI if RFLAGS.IF is 0",
            &[INTERRUPTIBILITY, GUEST_RFLAGS.encoding()],
            |state| {
                !blocks(state, Blocking::BLOCKING_BY_STI)
                    || state.get(GUEST_RFLAGS).contains(Rflags::IF)
            },
        ),
        Rule::new(
            "guest-interrupt-injection-not-blocked",
            "events are blocked neither by STI nor by MOV SS if an external interrupt is injected",
            &[INTERRUPTIBILITY, INJECTION],
            |state| {
                !blocks(state, Blocking::BLOCKING_BY_STI | Blocking::BLOCKING_BY_MOV_SS)
                    || injected(state) != Some(EventType::ExternalInterrupt)
            },
        ),
        Rule::new(
            "guest-nmi-injection-not-blocked-by-mov-ss",
            "events are not blocked by MOV SS if an NMI is injected",
            &[INTERRUPTIBILITY, INJECTION],
            |state| {
                !blocks(state, Blocking::BLOCKING_BY_MOV_SS)
                    || injected(state) != Some(EventType::Nmi)
            },
        ),
        Rule::new(
            "guest-blocking-by-smi-needs-smm",
            "SMIs are not blocked outside system-management mode",
            &[INTERRUPTIBILITY],
            |state| !blocks(state, Blocking::BLOCKING_BY_SMI) || state.circumstances().in_smm,
        ),
        Rule::new(
            "guest-entry-to-smm-blocks-smi",
            "SMIs are blocked at an entry to SMM",
            &[INTERRUPTIBILITY, VM_ENTRY_CONTROLS.encoding()],
            |state| {
                !state.entry(EntryControls::ENTRY_TO_SMM)
                    || blocks(state, Blocking::BLOCKING_BY_SMI)
            },
        ),
        Rule::new(
            "guest-nmi-injection-not-blocked-by-sti",
            "events are not blocked by STI if an NMI is injected; a CPU may pass over this",
            &[INTERRUPTIBILITY, INJECTION],
            |state| {
                !blocks(state, Blocking::BLOCKING_BY_STI) || injected(state) != Some(EventType::Nmi)
            },
        )
        .with_qualification(NMI_INJECTED_WITH_BLOCKING_BY_STI)
        .optional(),
        Rule::new(
            "guest-nmi-injection-not-blocked-by-nmi",
            "NMIs are not blocked if an NMI is injected and \"virtual NMIs\" is 1",
            &[INTERRUPTIBILITY, INJECTION, PIN_BASED_CONTROLS.encoding()],
            |state| {
                !blocks(state, Blocking::BLOCKING_BY_NMI)
                    || injected(state) != Some(EventType::Nmi)
                    || !state.pin_based(PinBasedControls::VIRTUAL_NMIS)
            },
        ),
        Rule::new(
            "guest-enclave-interruption-without-mov-ss",
            "events are not blocked by MOV SS if an enclave was interrupted",
            &[INTERRUPTIBILITY],
            |state| {
                !blocks(state, Blocking::ENCLAVE_INTERRUPTION)
                    || !blocks(state, Blocking::BLOCKING_BY_MOV_SS)
            },
        ),
        Rule::new(
            "guest-enclave-interruption-needs-sgx",
            "no enclave was interrupted on a CPU without SGX, which is one whose \"enable ENCLS \
             exiting\" must be 0",
            &[INTERRUPTIBILITY],
            |state| {
                !blocks(state, Blocking::ENCLAVE_INTERRUPTION)
                    || state
                        .capabilities()
                        .secondary
                        .allows(SecondaryControls::ENABLE_ENCLS_EXITING)
            },
        ),
        Rule::new(
            "guest-fred-ring-3-blocking-by-sti",
            "with CR4.FRED, events are not blocked by STI in ring 3",
            &[INTERRUPTIBILITY, GUEST_SS_ACCESS_RIGHTS.encoding(), GUEST_CR4.encoding()],
            |state| {
                !blocks(state, Blocking::BLOCKING_BY_STI)
                    || rights::<SS>(state).dpl() != 3
                    || !has_fred(state)
            },
        ),
        Rule::new(
            "guest-uinv-high-byte",
            "bits 15:8 of UINV are 0, if it is loaded",
            &[GUEST_UINV.encoding(), VM_ENTRY_CONTROLS.encoding()],
            |state| !state.entry(EntryControls::LOAD_UINV) || state.get(GUEST_UINV) >> 8 == 0,
        ),
    ],
};
