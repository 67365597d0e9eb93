//! The VM-exit control fields.

use super::address::is_physical_array;
use super::rule::{Group, Rule, Section, all_hold};
use crate::control::execution::PinBasedControls;
use crate::control::exit::ExitControls;
use crate::vmcs::field;

/// Bytes of an entry in an MSR-load or MSR-store area.
pub(super) const MSR_ENTRY_SIZE: u64 = 16;

/// The words and the MSR areas of VM exit.
pub(super) const EXIT_CONTROLS: Section = Section {
    group: Group::Controls,
    title: "Checks on VM-Exit Control Fields",
    all_hold: |state| all_hold(EXIT_CONTROLS.rules, state),
    rules: &[
        Rule::new(
            "exit-reserved-bits",
            "each primary VM-exit control has a value that the CPU allows (IA32_VMX_EXIT_CTLS)",
            &[field::VM_EXIT_CONTROLS.encoding()],
            |state| state.capabilities().exit.accepts(state.get(field::VM_EXIT_CONTROLS)),
        ),
        Rule::new(
            "secondary-exit-reserved-bits",
            "no activated secondary VM-exit control is 1 that the CPU lacks (IA32_VMX_EXIT_CTLS2)",
            &[field::SECONDARY_VM_EXIT_CONTROLS.encoding()],
            |state| {
                !state.exit(ExitControls::ACTIVATE_SECONDARY_CONTROLS)
                    || state
                        .capabilities()
                        .secondary_exit
                        .accepts(state.get(field::SECONDARY_VM_EXIT_CONTROLS))
            },
        ),
        Rule::new(
            "save-preemption-timer-needs-preemption-timer",
            "\"save VMX-preemption timer value\" is 1 only with \"activate VMX-preemption timer\"",
            &[field::VM_EXIT_CONTROLS.encoding(), field::PIN_BASED_CONTROLS.encoding()],
            |state| {
                !state.exit(ExitControls::SAVE_VMX_PREEMPTION_TIMER_VALUE)
                    || state.pin_based(PinBasedControls::ACTIVATE_VMX_PREEMPTION_TIMER)
            },
        ),
        Rule::new(
            "exit-msr-store-area-aligned",
            "where the VM-exit MSR-store count is not 0, bits 3:0 of its address are 0",
            &[
                field::VM_EXIT_MSR_STORE_ADDRESS.encoding(),
                field::VM_EXIT_MSR_STORE_COUNT.encoding(),
            ],
            |state| {
                state.get(field::VM_EXIT_MSR_STORE_COUNT) == 0
                    || state.get(field::VM_EXIT_MSR_STORE_ADDRESS).0 & 0xF == 0
            },
        ),
        Rule::new(
            "exit-msr-store-area-within-physical-width",
            "where the VM-exit MSR-store count is not 0, the area's first and last byte lie within \
             the CPU's physical-address width",
            &[
                field::VM_EXIT_MSR_STORE_ADDRESS.encoding(),
                field::VM_EXIT_MSR_STORE_COUNT.encoding(),
            ],
            |state| {
                let count = state.get(field::VM_EXIT_MSR_STORE_COUNT);
                let address = state.get(field::VM_EXIT_MSR_STORE_ADDRESS);
                count == 0 || is_physical_array(state, address, count, MSR_ENTRY_SIZE)
            },
        ),
        Rule::new(
            "exit-msr-load-area-aligned",
            "where the VM-exit MSR-load count is not 0, bits 3:0 of its address are 0",
            &[field::VM_EXIT_MSR_LOAD_ADDRESS.encoding(), field::VM_EXIT_MSR_LOAD_COUNT.encoding()],
            |state| {
                state.get(field::VM_EXIT_MSR_LOAD_COUNT) == 0
                    || state.get(field::VM_EXIT_MSR_LOAD_ADDRESS).0 & 0xF == 0
            },
        ),
        Rule::new(
            "exit-msr-load-area-within-physical-width",
            "where the VM-exit MSR-load count is not 0, the area's first and last byte lie within \
             the CPU's physical-address width",
            &[field::VM_EXIT_MSR_LOAD_ADDRESS.encoding(), field::VM_EXIT_MSR_LOAD_COUNT.encoding()],
            |state| {
                let count = state.get(field::VM_EXIT_MSR_LOAD_COUNT);
                let address = state.get(field::VM_EXIT_MSR_LOAD_ADDRESS);
                count == 0 || is_physical_array(state, address, count, MSR_ENTRY_SIZE)
            },
        ),
    ],
};
