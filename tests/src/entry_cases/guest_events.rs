//! Guest activity and interruptibility state, and UINV.
//!
//! No edge is wait-for-SIPI without an event: Bochs then waits for an IPI that nobody
//! sends, and its VMX-preemption timer does not exit there.

use vmx_core::Capabilities;
use vmx_core::control::{EntryControls, SecondaryControls};
use vmx_core::event::InterruptionInformation;
use vmx_core::event::{ActivityState as Activity, InterruptibilityState as Blocking};
use vmx_core::vmcs::field::*;

use crate::entry_case::{Base, Case, Editor, Exception, NotShown};

const RFLAGS_IF: u64 = 1 << 9;

/// The cases.
pub const CASES: &[Case] = &[
    Case::new(
        "guest-activity-supported",
        Base::Guest64,
        |e| e.set(GUEST_ACTIVITY_STATE, Activity(4)),
        |e| e.set(GUEST_ACTIVITY_STATE, Activity::SHUTDOWN),
    ),
    Case::new(
        "guest-hlt-needs-ring-0",
        Base::Guest64,
        |e| {
            to_ring_3(e);
            e.set(GUEST_ACTIVITY_STATE, Activity::HLT);
        },
        |e| e.set(GUEST_ACTIVITY_STATE, Activity::HLT),
    ),
    Case::new(
        "guest-blocking-needs-active",
        Base::Guest64,
        |e| {
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
            e.set(GUEST_ACTIVITY_STATE, Activity::HLT);
        },
        |e| {
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
        },
    ),
    Case::new(
        "guest-shutdown-injection",
        Base::Guest64,
        |e| {
            e.set(GUEST_ACTIVITY_STATE, Activity::SHUTDOWN);
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            inject(e, 0x20);
        },
        |e| {
            e.set(GUEST_ACTIVITY_STATE, Activity::SHUTDOWN);
            inject(e, 2 << 8 | 2);
        },
    ),
    Case::new(
        "guest-wait-for-sipi-injection",
        Base::Guest64,
        |e| {
            e.set(GUEST_ACTIVITY_STATE, Activity::WAIT_FOR_SIPI);
            inject(e, 2 << 8 | 2);
        },
        |e| {
            e.set(GUEST_ACTIVITY_STATE, Activity::HLT);
            inject(e, 2 << 8 | 2);
        },
    ),
    Case::new(
        "guest-interruptibility-reserved-bits",
        Base::Guest64,
        |e| e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::from_bits_retain(1 << 5)),
        |e| e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_NMI),
    ),
    Case::new(
        "guest-blocking-by-sti-or-mov-ss",
        Base::Guest64,
        |e| {
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            e.set(
                GUEST_INTERRUPTIBILITY_STATE,
                Blocking::BLOCKING_BY_STI | Blocking::BLOCKING_BY_MOV_SS,
            );
        },
        |e| {
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_MOV_SS);
        },
    ),
    Case::new(
        "guest-blocking-by-sti-needs-if",
        Base::Guest64,
        |e| e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI),
        |e| {
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
        },
    ),
    Case::new(
        "guest-interrupt-injection-not-blocked",
        Base::Guest64,
        |e| {
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            inject(e, 0x20);
            e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
        },
        |e| {
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            inject(e, 0x20);
        },
    )
    .of("STI"),
    Case::new(
        "guest-interrupt-injection-not-blocked",
        Base::Guest64,
        |e| {
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            inject(e, 0x20);
            e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_MOV_SS);
        },
        |e| {
            e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
            inject(e, 0x20);
        },
    )
    .of("MOV SS"),
    Case::new(
        "guest-nmi-injection-not-blocked-by-mov-ss",
        Base::Guest64,
        |e| {
            inject(e, 2 << 8 | 2);
            e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_MOV_SS);
        },
        |e| inject(e, 2 << 8 | 2),
    ),
    Case::new(
        "guest-blocking-by-smi-needs-smm",
        Base::Guest64,
        |e| e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_SMI),
        |e| e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_NMI),
    ),
    Case::new(
        "guest-enclave-interruption-needs-sgx",
        Base::Guest64,
        |e| e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::ENCLAVE_INTERRUPTION),
        |e| e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_NMI),
    )
    .where_possible(has_no_sgx),
    Case::new(
        "guest-uinv-high-byte",
        Base::Guest64,
        |e| {
            e.turn_on(EntryControls::LOAD_UINV);
            e.set(GUEST_UINV, 0x100);
        },
        |e| {
            e.turn_on(EntryControls::LOAD_UINV);
            e.set(GUEST_UINV, 0xFF);
        },
    )
    .where_possible(|cpu| cpu.entry.allows(EntryControls::LOAD_UINV)),
];

/// What no case tries.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "guest-hlt-injection",
        reason: NotShown::Departure("guest-hlt-injection-unchecked"),
    },
    Exception { rule: "guest-wait-for-sipi-outside-smm", reason: NotShown::NeedsSmm },
    Exception { rule: "guest-entry-to-smm-blocks-smi", reason: NotShown::NeedsSmm },
    Exception {
        rule: "guest-nmi-injection-not-blocked-by-sti",
        reason: NotShown::Departure("guest-nmi-sti-qualification"),
    },
    Exception {
        rule: "guest-nmi-injection-not-blocked-by-nmi",
        reason: NotShown::Departure("guest-nmi-injection-while-blocked"),
    },
    Exception {
        rule: "guest-enclave-interruption-without-mov-ss",
        reason: NotShown::FeatureOnNoModel("SGX"),
    },
    Exception {
        rule: "guest-fred-ring-3-blocking-by-sti",
        reason: NotShown::FeatureOnNoModel("FRED"),
    },
];

/// Ring 3 instead of 0.
fn to_ring_3(e: &mut Editor<'_>) {
    e.set_bits(GUEST_CS_SELECTOR, 3);
    e.set_bits(GUEST_SS_SELECTOR, 3);
    let (cs, ss) = (e.get(GUEST_CS_ACCESS_RIGHTS), e.get(GUEST_SS_ACCESS_RIGHTS));
    e.set(GUEST_CS_ACCESS_RIGHTS, cs.with_dpl(3));
    e.set(GUEST_SS_ACCESS_RIGHTS, ss.with_dpl(3));
}

/// Injects the event of this type and vector.
fn inject(e: &mut Editor<'_>, event: u32) {
    e.set(VM_ENTRY_INTERRUPTION_INFORMATION, InterruptionInformation(1 << 31 | event));
}

fn has_no_sgx(cpu: &Capabilities) -> bool {
    !cpu.secondary.allows(SecondaryControls::ENABLE_ENCLS_EXITING)
}
