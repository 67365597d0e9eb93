//! States that break one rule each.

use super::scene::Base::{Guest32, Guest64, GuestReal};
use super::scene::{Row, Scene};
use crate::control::entry::EntryControls;
use crate::control::execution::{PinBasedControls, SecondaryControls};
use crate::event::interruption::InterruptionInformation;
use crate::event::non_register_state::{
    ActivityState as Activity, InterruptibilityState as Blocking, PendingDebugExceptions as Pending,
};
use crate::msr::index::MsrIndex;
use crate::msr_list::MsrEntry;
use crate::vmcs::field::*;

const CR4_FRED: u64 = 1 << 32;
const RFLAGS_TF: u64 = 1 << 8;
const RFLAGS_IF: u64 = 1 << 9;
/// IA32_SYSENTER_CS, which every VM exit loads again.
const SYSENTER_CS: u32 = 0x174;
const IA32_PAT: u32 = 0x277;

/// A rule, the valid state to start from, and what breaks the rule.
pub(super) const ROWS: &[Row] = &[
    ("guest-activity-supported", Guest64, |e| e.set(GUEST_ACTIVITY_STATE, Activity(4))),
    ("guest-hlt-needs-ring-0", Guest64, |e| {
        to_ring_3(e);
        e.set(GUEST_ACTIVITY_STATE, Activity::HLT);
    }),
    ("guest-blocking-needs-active", Guest64, |e| {
        e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
        e.set(GUEST_ACTIVITY_STATE, Activity::HLT);
    }),
    ("guest-shutdown-injection", Guest64, |e| {
        e.set(GUEST_ACTIVITY_STATE, Activity::SHUTDOWN);
        e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        inject(e, 0x20);
    }),
    ("guest-wait-for-sipi-injection", Guest64, |e| {
        e.set(GUEST_ACTIVITY_STATE, Activity::WAIT_FOR_SIPI);
        inject(e, 2 << 8 | 2);
    }),
    ("guest-interruptibility-reserved-bits", Guest64, |e| {
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::from_bits_retain(1 << 5))
    }),
    ("guest-blocking-by-sti-or-mov-ss", Guest64, |e| {
        e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        e.set(
            GUEST_INTERRUPTIBILITY_STATE,
            Blocking::BLOCKING_BY_STI | Blocking::BLOCKING_BY_MOV_SS,
        );
    }),
    ("guest-blocking-by-sti-needs-if", Guest64, |e| {
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI)
    }),
    ("guest-interrupt-injection-not-blocked", Guest64, |e| {
        e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        inject(e, 0x20);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
    }),
    ("guest-interrupt-injection-not-blocked", Guest64, |e| {
        e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        inject(e, 0x20);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_MOV_SS);
    }),
    ("guest-nmi-injection-not-blocked-by-mov-ss", Guest64, |e| {
        inject(e, 2 << 8 | 2);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_MOV_SS);
    }),
    ("guest-blocking-by-smi-needs-smm", Guest64, |e| {
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_SMI)
    }),
    ("guest-enclave-interruption-needs-sgx", Guest64, |e| {
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::ENCLAVE_INTERRUPTION)
    }),
    ("guest-uinv-high-byte", Guest64, |e| {
        e.turn_on(EntryControls::LOAD_UINV);
        e.set(GUEST_UINV, 0x100);
    }),
    ("guest-pending-debug-reserved-bits", Guest64, |e| {
        e.set(GUEST_PENDING_DEBUG_EXCEPTIONS, Pending::from_bits_retain(1 << 4))
    }),
    ("guest-pending-debug-reserved-bits", Guest64, |e| {
        e.set(GUEST_PENDING_DEBUG_EXCEPTIONS, Pending::from_bits_retain(1 << 13))
    }),
    ("guest-link-pointer-aligned", Guest64, |e| {
        let linked = link(e);
        e.set(VMCS_LINK_POINTER, linked | 0x800);
    }),
    ("guest-link-pointer-width", Guest64, |e| {
        let linked = link(e);
        e.set(VMCS_LINK_POINTER, linked | beyond_physical(e));
    }),
    ("guest-linked-revision", Guest64, |e| {
        link(e);
        e.memory.linked_region_start ^= 1;
    }),
    ("guest-linked-shadow-indicator", Guest64, |e| {
        link(e);
        e.memory.linked_region_start ^= 1 << 31;
    }),
    ("guest-link-pointer-not-current", Guest64, |e| {
        link(e);
        e.set(VMCS_LINK_POINTER, e.memory.current_vmcs.0);
    }),
    ("guest-pdpte0", GuestReal, |e| {
        to_pae(e);
        e.set(GUEST_PDPTE_0, 1 | 1 << 1);
    }),
    ("guest-pdpte1", GuestReal, |e| {
        to_pae(e);
        e.set(GUEST_PDPTE_1, 1 | 1 << 1);
    }),
    ("guest-pdpte2", GuestReal, |e| {
        to_pae(e);
        e.set(GUEST_PDPTE_2, 1 | 1 << 1);
    }),
    ("guest-pdpte3", GuestReal, |e| {
        to_pae(e);
        e.set(GUEST_PDPTE_3, 1 | 1 << 1);
    }),
    ("guest-pdptes-in-memory", Guest32, |e| {
        to_pae_without_ept(e);
        e.memory.pdptes[3] = 1 | 1 << 5;
    }),
    ("msr-load-not-fs-or-gs-base", Guest64, |e| load_msrs(e, &[entry(0xC000_0100, 0)])),
    ("msr-load-not-fs-or-gs-base", Guest64, |e| {
        load_msrs(e, &[entry(SYSENTER_CS, 0), entry(0xC000_0101, 0)])
    }),
    ("msr-load-not-x2apic", Guest64, |e| load_msrs(e, &[entry(0x808, 0)])),
    ("msr-load-not-of-smm", Guest64, |e| load_msrs(e, &[entry(0x9B, 0)])),
    ("msr-load-reserved-bits", Guest64, |e| {
        load_msrs(e, &[MsrEntry { reserved: 1, ..entry(SYSENTER_CS, 0) }])
    }),
    ("msr-load-value-legal", Guest64, |e| load_msrs(e, &[entry(IA32_PAT, 2)])),
    ("guest-hlt-injection", Guest64, |e| {
        e.set(GUEST_ACTIVITY_STATE, Activity::HLT);
        inject(e, 3 << 8 | 6);
    }),
    ("guest-wait-for-sipi-outside-smm", Guest64, |e| {
        enter_smm(e);
        e.set(GUEST_ACTIVITY_STATE, Activity::WAIT_FOR_SIPI);
    }),
    ("guest-entry-to-smm-blocks-smi", Guest64, |e| {
        enter_smm(e);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::empty());
    }),
    ("guest-nmi-injection-not-blocked-by-sti", Guest64, |e| {
        e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        inject(e, 2 << 8 | 2);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
    }),
    ("guest-nmi-injection-not-blocked-by-nmi", Guest64, |e| {
        e.set_bits(
            PIN_BASED_CONTROLS,
            (PinBasedControls::NMI_EXITING | PinBasedControls::VIRTUAL_NMIS).bits().into(),
        );
        inject(e, 2 << 8 | 2);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_NMI);
    }),
    ("guest-enclave-interruption-without-mov-ss", Guest64, |e| {
        add_sgx(e);
        e.set(
            GUEST_INTERRUPTIBILITY_STATE,
            Blocking::ENCLAVE_INTERRUPTION | Blocking::BLOCKING_BY_MOV_SS,
        );
    }),
    ("guest-fred-ring-3-blocking-by-sti", Guest64, |e| {
        e.set_bits(GUEST_CR4, CR4_FRED);
        to_ring_3(e);
        e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
    }),
    ("guest-pending-debug-step", Guest64, |e| {
        e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        e.set_bits(GUEST_RFLAGS, RFLAGS_TF);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
    }),
    ("guest-pending-debug-no-step", Guest64, |e| {
        e.set_bits(GUEST_RFLAGS, RFLAGS_IF);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_STI);
        e.set(GUEST_PENDING_DEBUG_EXCEPTIONS, Pending::BS);
    }),
    ("guest-pending-debug-rtm-alone", Guest64, |e| {
        e.set(
            GUEST_PENDING_DEBUG_EXCEPTIONS,
            Pending::RTM | Pending::ENABLED_BREAKPOINT | Pending::B0,
        )
    }),
    ("guest-pending-debug-rtm-enabled", Guest64, |e| {
        e.set(GUEST_PENDING_DEBUG_EXCEPTIONS, Pending::RTM)
    }),
    ("guest-pending-debug-rtm-without-mov-ss", Guest64, |e| {
        e.set(GUEST_PENDING_DEBUG_EXCEPTIONS, Pending::RTM | Pending::ENABLED_BREAKPOINT);
        e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_MOV_SS);
    }),
    ("guest-link-pointer-not-vmxon", Guest64, |e| {
        link(e);
        e.memory.in_smm = true;
        e.set(VMCS_LINK_POINTER, e.memory.vmxon_region.0);
    }),
    ("msr-load-not-microcode", Guest64, |e| load_msrs(e, &[entry(0x79, 0)])),
];

/// The lowest bit that a physical address cannot have.
fn beyond_physical(e: &Scene) -> u64 {
    1u64.checked_shl(e.capabilities.physical_address_width).unwrap_or(0)
}

/// Ring 3 instead of 0.
fn to_ring_3(e: &mut Scene) {
    e.set_bits(GUEST_CS_SELECTOR, 3);
    e.set_bits(GUEST_SS_SELECTOR, 3);
    let (cs, ss) = (e.get(GUEST_CS_ACCESS_RIGHTS), e.get(GUEST_SS_ACCESS_RIGHTS));
    e.set(GUEST_CS_ACCESS_RIGHTS, cs.with_dpl(3));
    e.set(GUEST_SS_ACCESS_RIGHTS, ss.with_dpl(3));
}

/// Injects the event of this type and vector.
fn inject(e: &mut Scene, event: u32) {
    e.set(VM_ENTRY_INTERRUPTION_INFORMATION, InterruptionInformation(1 << 31 | event));
}

/// An entry to SMM, from SMM, with SMIs blocked.
fn enter_smm(e: &mut Scene) {
    e.memory.in_smm = true;
    e.turn_on(EntryControls::ENTRY_TO_SMM);
    e.set(GUEST_INTERRUPTIBILITY_STATE, Blocking::BLOCKING_BY_SMI);
}

/// Gives the CPU SGX.
fn add_sgx(e: &mut Scene) {
    e.capabilities.secondary.may_be_one |= SecondaryControls::ENABLE_ENCLS_EXITING.bits();
}

/// Links the region that is there for it, and tells its address.
fn link(e: &mut Scene) -> u64 {
    let linked = e.memory.linked_region.0;
    e.memory.linked_region_start = e.capabilities.basic.revision();
    e.set(VMCS_LINK_POINTER, linked);
    linked
}

/// Protected mode with PAE paging; no entry of its top-level table is present.
fn to_pae(e: &mut Scene) {
    e.set_bits(GUEST_CR0, 1 << 31 | 1);
    e.set_bits(GUEST_CR4, 1 << 5);
    for entry in [GUEST_PDPTE_0, GUEST_PDPTE_1, GUEST_PDPTE_2, GUEST_PDPTE_3] {
        e.set(entry, 0);
    }
}

/// PAE paging with a top-level table in memory.
fn to_pae_without_ept(e: &mut Scene) {
    e.set_bits(GUEST_CR4, 1 << 5);
    e.set(GUEST_CR3, e.memory.pdpt.0);
    e.memory.pdptes = [0; 4];
}

fn entry(msr: u32, value: u64) -> MsrEntry {
    MsrEntry::new(MsrIndex(msr), value)
}

/// Loads these MSRs.
fn load_msrs(e: &mut Scene, entries: &[MsrEntry]) {
    for (place, entry) in e.memory.msr_load_area.iter_mut().zip(entries) {
        *place = *entry;
    }
    e.set(VM_ENTRY_MSR_LOAD_COUNT, entries.len() as u32);
}
