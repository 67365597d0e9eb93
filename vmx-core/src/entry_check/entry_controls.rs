//! The VM-entry control fields, event injection included.

use super::address::is_physical_array;
use super::exit_controls::MSR_ENTRY_SIZE;
use super::rule::{Group, Rule, Section, all_hold};
use super::state::EntryState;
use crate::control::entry::EntryControls;
use crate::control::execution::{PrimaryControls, SecondaryControls};
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::event::interruption::{EventType, InterruptionInformation};
use crate::vmcs::field;

const EVENT: field::Encoding = field::VM_ENTRY_INTERRUPTION_INFORMATION.encoding();
const SMM: EntryControls = EntryControls::ENTRY_TO_SMM;
const END_DUAL_MONITOR: EntryControls = EntryControls::DEACTIVATE_DUAL_MONITOR_TREATMENT;

/// The word, the injected event, the MSR-load area and SMM.
pub(super) const ENTRY_CONTROLS: Section = Section {
    group: Group::Controls,
    title: "Checks on VM-Entry Control Fields",
    all_hold: |state| all_hold(ENTRY_CONTROLS.rules, state),
    rules: &[
        Rule::new(
            "entry-reserved-bits",
            "each VM-entry control has a value that the CPU allows (IA32_VMX_ENTRY_CTLS)",
            &[field::VM_ENTRY_CONTROLS.encoding()],
            |state| state.capabilities().entry.accepts(state.get(field::VM_ENTRY_CONTROLS)),
        ),
        Rule::new(
            "load-rtit-ctl-excludes-tracing",
            "\"load IA32_RTIT_CTL\" is 0 while Intel PT is tracing",
            &[field::VM_ENTRY_CONTROLS.encoding()],
            |state| {
                !state.circumstances().tracing || !state.entry(EntryControls::LOAD_IA32_RTIT_CTL)
            },
        ),
        Rule::new(
            "injected-event-type",
            "an injected event's type is not 1, which is reserved, and is 7 only if the CPU has \
             the monitor trap flag",
            &[EVENT],
            |state| match injected(state).map(InterruptionInformation::event_type) {
                Some(EventType::Reserved) => false,
                Some(EventType::Other) => {
                    state.capabilities().primary.allows(PrimaryControls::MONITOR_TRAP_FLAG)
                }
                _ => true,
            },
        ),
        Rule::new(
            "injected-event-vector",
            "an injected event's vector fits its type: 2 for an NMI, at most 31 for a hardware \
             exception, 0 for another event (at most 2 in a guest with FRED)",
            &[EVENT, field::GUEST_CR4.encoding()],
            |state| {
                let Some(event) = injected(state) else { return true };
                match event.event_type() {
                    EventType::Nmi => event.vector() == 2,
                    EventType::HardwareException => event.vector() <= 31,
                    EventType::Other if guest_has_fred(state) => event.vector() <= 2,
                    EventType::Other => event.vector() == 0,
                    _ => true,
                }
            },
        ),
        Rule::new(
            "injected-error-code-is-of-exception",
            "an event is injected with an error code only if it is a hardware exception, and only \
             into protected mode (CR0.PE = 1, or no \"unrestricted guest\")",
            &[EVENT, field::GUEST_CR0.encoding()],
            |state| {
                injected(state).is_none_or(|event| {
                    !event.has_error_code()
                        || event.event_type() == EventType::HardwareException
                            && is_protected_mode(state)
                })
            },
        ),
        Rule::new(
            "injected-error-code-fits-vector",
            "a hardware exception is injected into protected mode with an error code if its \
             vector is 8, 10 to 14 or 17, and without for others, unless IA32_VMX_BASIC[56] is 1",
            &[EVENT],
            |state| {
                let Some(event) = injected(state) else { return true };
                state.capabilities().basic.any_error_code()
                    || event.event_type() != EventType::HardwareException
                    || !is_protected_mode(state)
                    || event.has_error_code() == matches!(event.vector(), 8 | 10..=14 | 17)
            },
        ),
        Rule::new(
            "injected-event-reserved-bits",
            "bits 30:12 of an injected event's information are 0, except 13 on a CPU that tells \
             nested exceptions (IA32_VMX_BASIC[58])",
            &[EVENT],
            |state| {
                let Some(event) = injected(state) else { return true };
                let nested = state.capabilities().basic.has_nested_exceptions();
                let reserved = if nested { 0x7FFF_D000 } else { 0x7FFF_F000 };
                event.0 & reserved == 0
            },
        ),
        Rule::new(
            "injected-error-code-high-bits",
            "bits 31:16 of an injected error code are 0",
            &[field::VM_ENTRY_EXCEPTION_ERROR_CODE.encoding(), EVENT],
            |state| {
                injected(state).is_none_or(|event| {
                    !event.has_error_code()
                        || state.get(field::VM_ENTRY_EXCEPTION_ERROR_CODE) >> 16 == 0
                })
            },
        ),
        Rule::new(
            "injected-instruction-length",
            "an injected software event has an instruction length of 1 to 15 bytes, or 0 if the \
             CPU allows it (IA32_VMX_MISC[30])",
            &[field::VM_ENTRY_INSTRUCTION_LENGTH.encoding(), EVENT],
            |state| {
                let Some(event) = injected(state) else { return true };
                let has_length = match event.event_type() {
                    EventType::SoftwareInterrupt
                    | EventType::PrivilegedSoftwareException
                    | EventType::SoftwareException => true,
                    // SYSCALL and SYSENTER under FRED.
                    EventType::Other => event.vector() != 0,
                    _ => false,
                };
                !has_length
                    || match state.get(field::VM_ENTRY_INSTRUCTION_LENGTH) {
                        0 => state.capabilities().misc.injects_with_zero_length(),
                        length => length <= 15,
                    }
            },
        ),
        Rule::new(
            "entry-msr-load-area-aligned",
            "where the VM-entry MSR-load count is not 0, bits 3:0 of its address are 0",
            &[
                field::VM_ENTRY_MSR_LOAD_ADDRESS.encoding(),
                field::VM_ENTRY_MSR_LOAD_COUNT.encoding(),
            ],
            |state| {
                state.get(field::VM_ENTRY_MSR_LOAD_COUNT) == 0
                    || state.get(field::VM_ENTRY_MSR_LOAD_ADDRESS).0 & 0xF == 0
            },
        ),
        Rule::new(
            "entry-msr-load-area-within-physical-width",
            "where the VM-entry MSR-load count is not 0, the area's first and last byte lie \
             within the CPU's physical-address width",
            &[
                field::VM_ENTRY_MSR_LOAD_ADDRESS.encoding(),
                field::VM_ENTRY_MSR_LOAD_COUNT.encoding(),
            ],
            |state| {
                let count = state.get(field::VM_ENTRY_MSR_LOAD_COUNT);
                let address = state.get(field::VM_ENTRY_MSR_LOAD_ADDRESS);
                count == 0 || is_physical_array(state, address, count, MSR_ENTRY_SIZE)
            },
        ),
        Rule::new(
            "entry-to-smm-needs-smm",
            "\"entry to SMM\" is 1 only in SMM",
            &[field::VM_ENTRY_CONTROLS.encoding()],
            |state| !state.entry(SMM) || state.circumstances().in_smm,
        ),
        Rule::new(
            "deactivate-dual-monitor-needs-smm",
            "\"deactivate dual-monitor treatment\" is 1 only in SMM",
            &[field::VM_ENTRY_CONTROLS.encoding()],
            |state| !state.entry(END_DUAL_MONITOR) || state.circumstances().in_smm,
        ),
        Rule::new(
            "entry-to-smm-excludes-deactivate-dual-monitor",
            "\"entry to SMM\" and \"deactivate dual-monitor treatment\" are not both 1",
            &[field::VM_ENTRY_CONTROLS.encoding()],
            |state| !state.entry(SMM.union(END_DUAL_MONITOR)),
        ),
    ],
};

/// The event that this entry injects.
fn injected(state: &EntryState<'_>) -> Option<InterruptionInformation> {
    let event = state.get(field::VM_ENTRY_INTERRUPTION_INFORMATION);
    event.is_valid().then_some(event)
}

/// Whether the guest is in protected mode, as event injection sees it.
fn is_protected_mode(state: &EntryState<'_>) -> bool {
    !state.secondary(SecondaryControls::UNRESTRICTED_GUEST)
        || state.get(field::GUEST_CR0).contains(Cr0::PE)
}

/// Whether events in the guest are delivered by FRED: IA-32e mode and CR4.FRED.
fn guest_has_fred(state: &EntryState<'_>) -> bool {
    state.entry(EntryControls::IA32E_MODE_GUEST) && state.get(field::GUEST_CR4).contains(Cr4::FRED)
}
