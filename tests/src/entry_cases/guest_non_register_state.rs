//! The cases of the guest's activity and interruptibility state, UINV, pending debug
//! exceptions, VMCS link pointer and PDPTEs.
//!
//! No edge is wait-for-SIPI without an event: Bochs then waits for an IPI that nobody
//! sends, and its VMX-preemption timer does not exit there.

use vmx_core::control::{EntryControls, PinBasedControls, SecondaryControls};
use vmx_core::entry_check::ExampleGuest::{Guest32, GuestReal};
use vmx_core::event::{
    ActivityState as Activity, InterruptibilityState as Blocking, PendingDebugExceptions as Pending,
};
use vmx_core::vmcs::field::*;

use super::case::NotShown::{self, Departure, FeatureOnNoModel, NeedsSmm};
use super::case::{Case, Edit, NOTHING, add, by, edits, set, values};
use super::editing::*;
use super::editor::Editor;

const STI: Edit = blocking(Blocking::BLOCKING_BY_STI);
const MOV_SS: Edit = blocking(Blocking::BLOCKING_BY_MOV_SS);
/// An NMI, and an external interrupt, as events.
const NMI: u32 = 2 << 8 | 2;
const INTERRUPT: u32 = 0x20;
const SGX: SecondaryControls = SecondaryControls::ENABLE_ENCLS_EXITING;
const NO_RTM: NotShown = FeatureOnNoModel("RTM");
const STEP: NotShown = Departure("guest-pending-debug-step-unchecked");

/// The cases.
pub(super) const CASES: &[Case] = &[
    // Activity state.
    edits("guest-activity-supported", activity(Activity(4)), activity(Activity::SHUTDOWN)),
    edits("guest-hlt-needs-ring-0", by(|e| to_ring(e, 3)), NOTHING).with(activity(Activity::HLT)),
    edits("guest-blocking-needs-active", activity(Activity::HLT), NOTHING)
        .after(interrupts_on)
        .with(STI),
    edits("guest-hlt-injection", by(|e| inject(e, 3 << 8 | 6)), by(|e| inject(e, NMI)))
        .with(activity(Activity::HLT))
        .not_shown(Departure("guest-hlt-injection-unchecked")),
    edits("guest-shutdown-injection", by(interrupt), by(|e| inject(e, NMI)))
        .with(activity(Activity::SHUTDOWN)),
    edits(
        "guest-wait-for-sipi-injection",
        activity(Activity::WAIT_FOR_SIPI),
        activity(Activity::HLT),
    )
    .after(|e| inject(e, NMI)),
    edits("guest-wait-for-sipi-outside-smm", activity(Activity::WAIT_FOR_SIPI), NOTHING)
        .after(enter_smm)
        .not_shown(NeedsSmm),
    // Interruptibility state.
    edits(
        "guest-interruptibility-reserved-bits",
        set(GUEST_INTERRUPTIBILITY_STATE, 1 << 5),
        blocking(Blocking::BLOCKING_BY_NMI),
    ),
    edits(
        "guest-blocking-by-sti-or-mov-ss",
        blocking(Blocking::BLOCKING_BY_STI.union(Blocking::BLOCKING_BY_MOV_SS)),
        MOV_SS,
    )
    .after(interrupts_on),
    edits("guest-blocking-by-sti-needs-if", NOTHING, by(interrupts_on)).with(STI),
    edits("guest-interrupt-injection-not-blocked", STI, NOTHING).of("STI").after(interrupt),
    edits("guest-interrupt-injection-not-blocked", MOV_SS, NOTHING).of("MOV SS").after(interrupt),
    edits("guest-nmi-injection-not-blocked-by-mov-ss", MOV_SS, NOTHING).after(|e| inject(e, NMI)),
    edits("guest-nmi-injection-not-blocked-by-sti", STI, NOTHING)
        .after(|e| {
            interrupts_on(e);
            inject(e, NMI);
        })
        .not_shown(Departure("guest-nmi-sti-qualification")),
    edits(
        "guest-blocking-by-smi-needs-smm",
        blocking(Blocking::BLOCKING_BY_SMI),
        blocking(Blocking::BLOCKING_BY_NMI),
    ),
    edits("guest-entry-to-smm-blocks-smi", blocking(Blocking::empty()), NOTHING)
        .after(enter_smm)
        .not_shown(NeedsSmm),
    edits("guest-nmi-injection-not-blocked-by-nmi", blocking(Blocking::BLOCKING_BY_NMI), NOTHING)
        .pin(PinBasedControls::NMI_EXITING.union(PinBasedControls::VIRTUAL_NMIS))
        .after(|e| inject(e, NMI))
        .not_shown(Departure("guest-nmi-injection-while-blocked")),
    edits(
        "guest-enclave-interruption-needs-sgx",
        blocking(Blocking::ENCLAVE_INTERRUPTION),
        blocking(Blocking::BLOCKING_BY_NMI),
    )
    .where_possible(|cpu| !cpu.secondary.allows(SGX)),
    edits(
        "guest-enclave-interruption-without-mov-ss",
        blocking(Blocking::ENCLAVE_INTERRUPTION.union(Blocking::BLOCKING_BY_MOV_SS)),
        blocking(Blocking::ENCLAVE_INTERRUPTION),
    )
    .where_possible(|cpu| cpu.secondary.allows(SGX))
    .not_shown(FeatureOnNoModel("SGX")),
    edits("guest-fred-ring-3-blocking-by-sti", STI, NOTHING)
        .after(|e| {
            to_ring(e, 3);
            interrupts_on(e);
        })
        .with(add(GUEST_CR4, CR4_FRED))
        .not_shown(FRED),
    values("guest-uinv-high-byte", GUEST_UINV, 0x100, 0xFF).entry(EntryControls::LOAD_UINV),
    // Pending debug exceptions.
    edits("guest-pending-debug-reserved-bits", set(PENDING, 1 << 4), BREAKPOINTS).of("bit 4"),
    edits("guest-pending-debug-reserved-bits", set(PENDING, 1 << 13), BREAKPOINTS).of("bit 13"),
    edits("guest-pending-debug-step", add(GUEST_RFLAGS, RFLAGS_TF), NOTHING)
        .after(interrupts_on)
        .with(STI)
        .not_shown(STEP),
    edits("guest-pending-debug-no-step", pending(Pending::BS), NOTHING)
        .after(interrupts_on)
        .with(STI)
        .not_shown(STEP),
    edits("guest-pending-debug-rtm-alone", pending(RTM.union(Pending::B0)), pending(RTM))
        .not_shown(NO_RTM),
    edits("guest-pending-debug-rtm-enabled", pending(Pending::RTM), pending(RTM)).not_shown(NO_RTM),
    edits("guest-pending-debug-rtm-without-mov-ss", MOV_SS, NOTHING)
        .with(pending(RTM))
        .not_shown(NO_RTM),
    // VMCS link pointer.
    edits("guest-link-pointer-aligned", add(VMCS_LINK_POINTER, 0x800), NOTHING).after(link),
    edits(
        "guest-link-pointer-width",
        by(|e| e.set_bits(VMCS_LINK_POINTER, e.just_beyond())),
        NOTHING,
    )
    .after(link),
    edits("guest-linked-revision", by(|e| e.memory.linked_region_start ^= 1), NOTHING).after(link),
    edits(
        "guest-linked-shadow-indicator",
        by(|e| e.memory.linked_region_start ^= 1 << 31),
        NOTHING,
    )
    .after(link),
    edits(
        "guest-link-pointer-not-current",
        by(|e| e.set(VMCS_LINK_POINTER, e.memory.current_vmcs.0)),
        NOTHING,
    )
    .after(link),
    edits(
        "guest-link-pointer-not-vmxon",
        by(|e| e.memory.vmxon_region = Some(e.memory.linked_region)),
        NOTHING,
    )
    .after(|e| {
        link(e);
        e.circumstances.in_smm = true;
    })
    .not_shown(NeedsSmm),
    // PDPTEs: bit 1 and bit 5 are reserved where an entry is present.
    pdpte("guest-pdpte0", GUEST_PDPTE_0),
    pdpte("guest-pdpte1", GUEST_PDPTE_1),
    pdpte("guest-pdpte2", GUEST_PDPTE_2),
    pdpte("guest-pdpte3", GUEST_PDPTE_3),
    edits(
        "guest-pdptes-in-memory",
        by(|e| e.memory.pdptes[3] = 1 | 1 << 5),
        by(|e| e.memory.pdptes[3] = 1 << 5),
    )
    .on(Guest32)
    .after(to_pae_without_ept),
];

const PENDING: Field<Pending> = GUEST_PENDING_DEBUG_EXCEPTIONS;
const RTM: Pending = Pending::RTM.union(Pending::ENABLED_BREAKPOINT);
const BREAKPOINTS: Edit =
    pending(Pending::B0.union(Pending::B1).union(Pending::B2).union(Pending::B3));

const fn activity(state: Activity) -> Edit {
    set(GUEST_ACTIVITY_STATE, state.0 as u64)
}

const fn blocking(by: Blocking) -> Edit {
    set(GUEST_INTERRUPTIBILITY_STATE, by.bits() as u64)
}

const fn pending(exceptions: Pending) -> Edit {
    set(PENDING, exceptions.bits())
}

/// An entry of the top-level table of PAE paging, behind EPT.
const fn pdpte(rule: &'static str, entry: Field<u64>) -> Case {
    values(rule, entry, 1 | 1 << 1, 1 << 1).on(GuestReal).after(to_pae)
}

fn interrupts_on(e: &mut Editor<'_>) {
    e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
}

/// An external interrupt, for which the guest is ready.
fn interrupt(e: &mut Editor<'_>) {
    interrupts_on(e);
    inject(e, INTERRUPT);
}

/// Links the region that is there for it.
fn link(e: &mut Editor<'_>) {
    e.memory.linked_region_start = e.capabilities.basic.revision();
    e.set(VMCS_LINK_POINTER, e.memory.linked_region.0);
}

/// Protected mode with PAE paging; no entry of its top-level table is present.
fn to_pae(e: &mut Editor<'_>) {
    e.set_bits(GUEST_CR0, CR0_PG | CR0_PE);
    e.set_bits(GUEST_CR4, CR4_PAE);
    for entry in [GUEST_PDPTE_0, GUEST_PDPTE_1, GUEST_PDPTE_2, GUEST_PDPTE_3] {
        e.set(entry, 0);
    }
}

/// PAE paging with a top-level table in memory.
fn to_pae_without_ept(e: &mut Editor<'_>) {
    e.set_bits(GUEST_CR4, CR4_PAE);
    e.set(GUEST_CR3, e.memory.pdpt.0);
    e.memory.pdptes = [0; 4];
}
