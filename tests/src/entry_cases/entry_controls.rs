//! The cases of the VM-entry control fields. An edge injects no event: bit 31 is 0.

use vmx_core::PhysicalAddress;
use vmx_core::control::{EntryControls, PrimaryControls};
use vmx_core::vmcs::field::*;

use super::case::NotShown::{Departure, NeedsSmm};
use super::case::{Case, NOTHING, add, beyond, by, edits, set, values};
use super::editing::*;

const DEACTIVATE: EntryControls = EntryControls::DEACTIVATE_DUAL_MONITOR_TREATMENT;

/// The cases.
pub(super) const CASES: &[Case] = &[
    must_be_1("entry-reserved-bits", |e| {
        e.clear_bits(VM_ENTRY_CONTROLS, lowest(e.capabilities.entry.must_be_one));
    }),
    must_be_0("entry-reserved-bits", |e| {
        e.set_bits(VM_ENTRY_CONTROLS, highest_clear(e.capabilities.entry.may_be_one));
    }),
    edits("load-rtit-ctl-excludes-tracing", by(|e| e.circumstances.tracing = true), NOTHING)
        .entry(EntryControls::LOAD_IA32_RTIT_CTL)
        .not_shown(INTEL_PT),
    event("injected-event-type", 1 << 8).of("1"),
    event("injected-event-vector", 2 << 8 | 3).of("an NMI"),
    event("injected-event-vector", 3 << 8 | 32).of("a hardware exception"),
    event("injected-event-vector", 7 << 8 | 3)
        .of("another event")
        .where_possible(|cpu| cpu.primary.allows(PrimaryControls::MONITOR_TRAP_FLAG)),
    event("injected-event-vector", 7 << 8 | 3)
        .of("an event of FRED")
        .with(add(GUEST_CR4, CR4_FRED))
        .not_shown(FRED),
    // With CET, the second processor does not look: departure
    // injected-error-code-unchecked.
    event("injected-error-code-is-of-exception", 1 << 11 | 4 << 8 | 0x80)
        .of("INT n")
        .where_possible(|cpu| !cpu.has_cet()),
    event("injected-error-code-fits-vector", 3 << 8 | 13)
        .of("#GP without")
        .where_possible(|cpu| !cpu.basic.any_error_code()),
    event("injected-error-code-fits-vector", 1 << 11 | 3 << 8 | 21)
        .of("#CP with")
        .where_possible(|cpu| !cpu.basic.any_error_code()),
    event("injected-event-reserved-bits", 1 << 12 | 3 << 8 | 6).of("bit 12"),
    event("injected-event-reserved-bits", 1 << 30 | 3 << 8 | 6).of("bit 30"),
    event("injected-error-code-high-bits", 1 << 11 | 3 << 8 | 13)
        .of("bit 16")
        .with(set(VM_ENTRY_EXCEPTION_ERROR_CODE, 1 << 16)),
    event("injected-instruction-length", 4 << 8 | 0x80)
        .of("16")
        .with(set(VM_ENTRY_INSTRUCTION_LENGTH, 16)),
    event("injected-instruction-length", 4 << 8 | 0x80)
        .of("0")
        .with(set(VM_ENTRY_INSTRUCTION_LENGTH, 0))
        .where_possible(|cpu| !cpu.misc.injects_with_zero_length()),
    msr_area_aligned("entry-msr-load-area-aligned", LOAD, LOAD_COUNT),
    msr_area_within_width("entry-msr-load-area-within-physical-width", LOAD, LOAD_COUNT),
    edits(
        "entry-msr-load-area-within-physical-width",
        by(|e| two_msrs_beyond(e, LOAD, LOAD_COUNT)),
        set(LOAD_COUNT, 0),
    )
    .of("last byte")
    .with(beyond(LOAD)),
    edits("entry-to-smm-needs-smm", entry(EntryControls::ENTRY_TO_SMM), NOTHING)
        .not_shown(Departure("smm-entry-stops")),
    edits("deactivate-dual-monitor-needs-smm", entry(DEACTIVATE), NOTHING)
        .where_possible(|cpu| cpu.entry.allows(DEACTIVATE)),
    edits("entry-to-smm-excludes-deactivate-dual-monitor", entry(DEACTIVATE), NOTHING)
        .after(enter_smm)
        .not_shown(NeedsSmm),
];

const LOAD: Field<PhysicalAddress> = VM_ENTRY_MSR_LOAD_ADDRESS;
const LOAD_COUNT: Field<u32> = VM_ENTRY_MSR_LOAD_COUNT;

/// An event that is injected, and one that would be if bit 31 were 1.
const fn event(rule: &'static str, information: u64) -> Case {
    let field = VM_ENTRY_INTERRUPTION_INFORMATION;
    values(rule, field, 1 << 31 | information, information).after(|e| {
        e.set(VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
        e.set(VM_ENTRY_INSTRUCTION_LENGTH, 2);
    })
}
