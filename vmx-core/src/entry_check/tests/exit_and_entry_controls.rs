//! What breaks each rule of the VM-exit and VM-entry controls, and only it.

use super::valid_entry::{BEYOND_WIDTH, Break, Entry};
use crate::control::entry::EntryControls;
use crate::control::execution::{PrimaryControls, SecondaryControls};
use crate::control::exit::{ExitControls, SecondaryExitControls};
use crate::memory::address::PhysicalAddress;
use crate::vmcs::field;

/// An address beyond the physical-address width.
const BEYOND: PhysicalAddress = PhysicalAddress(BEYOND_WIDTH);

pub(super) const BREAKS: &[Break] = &[
    // VM exit.
    ("exit-reserved-bits", |e| e.remove(ExitControls::from_bits_retain(1 << 0))),
    ("exit-reserved-bits", |e| {
        e.capabilities.exit.may_be_one &= !ExitControls::CLEAR_UINV.bits();
        e.add(ExitControls::CLEAR_UINV);
    }),
    ("secondary-exit-reserved-bits", |e| {
        e.add(SecondaryExitControls::from_bits_retain(1 << 63));
    }),
    ("save-preemption-timer-needs-preemption-timer", |e| {
        e.add(ExitControls::SAVE_VMX_PREEMPTION_TIMER_VALUE);
    }),
    ("exit-msr-store-area-aligned", |e| {
        e.set(field::VM_EXIT_MSR_STORE_COUNT, 1);
        e.set(field::VM_EXIT_MSR_STORE_ADDRESS, PhysicalAddress(8));
    }),
    ("exit-msr-store-area-within-physical-width", |e| {
        e.set(field::VM_EXIT_MSR_STORE_COUNT, 1);
        e.set(field::VM_EXIT_MSR_STORE_ADDRESS, BEYOND);
    }),
    ("exit-msr-load-area-aligned", |e| {
        e.set(field::VM_EXIT_MSR_LOAD_COUNT, 1);
        e.set(field::VM_EXIT_MSR_LOAD_ADDRESS, PhysicalAddress(8));
    }),
    ("exit-msr-load-area-within-physical-width", |e| {
        e.set(field::VM_EXIT_MSR_LOAD_COUNT, u32::MAX);
        e.set(field::VM_EXIT_MSR_LOAD_ADDRESS, PhysicalAddress(BEYOND_WIDTH - 16));
    }),
    // VM entry.
    ("entry-reserved-bits", |e| e.remove(EntryControls::from_bits_retain(1 << 0))),
    ("entry-reserved-bits", |e| e.add(EntryControls::from_bits_retain(1 << 31))),
    ("load-rtit-ctl-excludes-tracing", |e| {
        e.circumstances.tracing = true;
        e.add(EntryControls::LOAD_IA32_RTIT_CTL);
    }),
    ("injected-event-type", |e| e.inject(1 << 8)),
    ("injected-event-type", |e| {
        e.capabilities.primary.may_be_one &= !PrimaryControls::MONITOR_TRAP_FLAG.bits();
        e.inject(7 << 8);
    }),
    ("injected-event-vector", |e| e.inject(2 << 8 | 3)),
    ("injected-event-vector", |e| e.inject(3 << 8 | 32)),
    ("injected-event-vector", |e| {
        e.set(field::GUEST_CR4, 1 << 32 | 0x2020);
        e.set(field::VM_ENTRY_INSTRUCTION_LENGTH, 2);
        e.inject(7 << 8 | 3);
    }),
    ("injected-error-code-is-of-exception", |e| e.inject(1 << 11 | 0x20)),
    ("injected-error-code-is-of-exception", |e| {
        e.add(SecondaryControls::UNRESTRICTED_GUEST);
        e.set(field::GUEST_CR0, 0x20);
        e.inject(1 << 11 | 3 << 8 | 13);
    }),
    ("injected-error-code-fits-vector", |e| e.inject(3 << 8 | 13)),
    ("injected-error-code-fits-vector", |e| e.inject(1 << 11 | 3 << 8 | 21)),
    ("injected-event-reserved-bits", |e| e.inject(1 << 13 | 0x20)),
    ("injected-event-reserved-bits", |e| {
        e.capabilities.basic.0 |= 1 << 58;
        e.inject(1 << 12 | 0x20);
    }),
    ("injected-error-code-high-bits", |e| {
        e.inject(1 << 11 | 3 << 8 | 13);
        e.set(field::VM_ENTRY_EXCEPTION_ERROR_CODE, 1 << 16);
    }),
    ("injected-instruction-length", |e| e.inject(4 << 8 | 0x80)),
    ("injected-instruction-length", |e| {
        e.inject(6 << 8 | 3);
        e.set(field::VM_ENTRY_INSTRUCTION_LENGTH, 16);
    }),
    ("entry-msr-load-area-aligned", |e| {
        e.set(field::VM_ENTRY_MSR_LOAD_COUNT, 1);
        e.set(field::VM_ENTRY_MSR_LOAD_ADDRESS, PhysicalAddress(8));
    }),
    ("entry-msr-load-area-within-physical-width", |e| {
        e.set(field::VM_ENTRY_MSR_LOAD_COUNT, 2);
        e.set(field::VM_ENTRY_MSR_LOAD_ADDRESS, PhysicalAddress(BEYOND_WIDTH - 16));
    }),
    ("entry-to-smm-needs-smm", |e| e.add(EntryControls::ENTRY_TO_SMM)),
    ("deactivate-dual-monitor-needs-smm", |e| {
        e.add(EntryControls::DEACTIVATE_DUAL_MONITOR_TREATMENT);
    }),
    ("entry-to-smm-excludes-deactivate-dual-monitor", |e| {
        e.circumstances.in_smm = true;
        e.add(EntryControls::ENTRY_TO_SMM);
        e.add(EntryControls::DEACTIVATE_DUAL_MONITOR_TREATMENT);
    }),
];

/// Each event that the architecture can deliver, and #CP on both kinds of CPU.
#[test]
fn legal_events_are_injected() {
    for information in [0x20, 0xFF, 2 << 8 | 2, 3 << 8 | 6, 3 << 8 | 1 << 11 | 14, 7 << 8] {
        let mut entry = Entry::valid();
        entry.inject(information);
        assert_eq!(entry.broken_rules(), [""; 0], "{information:#x}");
    }
    for (any_error_code, information) in [(0, 0x315), (1 << 56, 0x315), (1 << 56, 0xB15)] {
        let mut entry = Entry::valid();
        entry.capabilities.basic.0 |= any_error_code;
        entry.inject(information);
        assert_eq!(entry.broken_rules(), [""; 0], "{information:#x}");
    }
}
