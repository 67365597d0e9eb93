//! What breaks each rule of the controls, and only it.

use super::valid_entry::{BEYOND_WIDTH, Break, Entry, assert_each_breaks_one_rule};
use crate::PhysicalAddress;
use crate::capability::EptVpidCapabilities;
use crate::control::{
    EntryControls, ExitControls, PinBasedControls, PrimaryControls, SecondaryControls,
    SecondaryExitControls, TertiaryControls, VmFunctions,
};
use crate::entry_check::Group;
use crate::field::{self, Field};

/// An address beyond the physical-address width.
const BEYOND: PhysicalAddress = PhysicalAddress(BEYOND_WIDTH);
/// An address that is a multiple of 4 and no more.
const CROOKED: PhysicalAddress = PhysicalAddress(0x4004);

const BREAKS: &[Break] = &[
    ("pin-based-reserved-bits", |e| e.remove(PinBasedControls::from_bits_retain(1 << 1))),
    ("pin-based-reserved-bits", |e| e.add(PinBasedControls::from_bits_retain(1 << 8))),
    ("primary-reserved-bits", |e| e.remove(PrimaryControls::from_bits_retain(1 << 1))),
    ("primary-reserved-bits", |e| e.add(PrimaryControls::from_bits_retain(1 << 18))),
    ("secondary-reserved-bits", |e| {
        e.capabilities.secondary.may_be_one &= !SecondaryControls::WBINVD_EXITING.bits();
        e.add(SecondaryControls::WBINVD_EXITING);
    }),
    ("tertiary-reserved-bits", |e| e.add(TertiaryControls::from_bits_retain(1 << 63))),
    ("cr3-target-count", |e| e.set(field::CR3_TARGET_COUNT, 5)),
    ("io-bitmaps-aligned", |e| {
        e.add(PrimaryControls::USE_IO_BITMAPS);
        e.set(field::IO_BITMAP_B, CROOKED);
    }),
    ("io-bitmaps-within-physical-width", |e| {
        e.add(PrimaryControls::USE_IO_BITMAPS);
        e.set(field::IO_BITMAP_A, BEYOND);
    }),
    ("msr-bitmap-aligned", |e| {
        e.add(PrimaryControls::USE_MSR_BITMAPS);
        e.set(field::MSR_BITMAP, CROOKED);
    }),
    ("msr-bitmap-within-physical-width", |e| {
        e.add(PrimaryControls::USE_MSR_BITMAPS);
        e.set(field::MSR_BITMAP, BEYOND);
    }),
    ("virtual-nmis-need-nmi-exiting", |e| e.add(PinBasedControls::VIRTUAL_NMIS)),
    ("nmi-window-exiting-needs-virtual-nmis", |e| e.add(PrimaryControls::NMI_WINDOW_EXITING)),
    ("vpid-not-zero", |e| e.add(SecondaryControls::ENABLE_VPID)),
    ("vmcs-shadowing-bitmaps-aligned", |e| {
        e.add(SecondaryControls::VMCS_SHADOWING);
        e.set(field::VMWRITE_BITMAP_ADDRESS, CROOKED);
    }),
    ("vmcs-shadowing-bitmaps-within-physical-width", |e| {
        e.add(SecondaryControls::VMCS_SHADOWING);
        e.set(field::VMREAD_BITMAP_ADDRESS, BEYOND);
    }),
    ("pt-guest-physical-needs-load-rtit-ctl", |e| {
        e.add(SecondaryControls::PT_USES_GUEST_PHYSICAL);
        e.add(ExitControls::CLEAR_IA32_RTIT_CTL);
    }),
    ("pt-guest-physical-needs-clear-rtit-ctl", |e| {
        e.add(SecondaryControls::PT_USES_GUEST_PHYSICAL);
        e.add(EntryControls::LOAD_IA32_RTIT_CTL);
    }),
    ("tsc-multiplier-not-zero", |e| e.add(SecondaryControls::USE_TSC_SCALING)),
    ("pasid-directories-aligned", |e| {
        e.add(SecondaryControls::PASID_TRANSLATION);
        e.set(field::HIGH_PASID_DIRECTORY_ADDRESS, CROOKED);
    }),
    ("pasid-directories-within-physical-width", |e| {
        e.add(SecondaryControls::PASID_TRANSLATION);
        e.set(field::LOW_PASID_DIRECTORY_ADDRESS, BEYOND);
    }),
    // APIC.
    ("virtual-apic-page-aligned", |e| {
        e.add(PrimaryControls::USE_TPR_SHADOW);
        e.set(field::VIRTUAL_APIC_ADDRESS, CROOKED);
    }),
    ("virtual-apic-page-within-physical-width", |e| {
        e.add(PrimaryControls::USE_TPR_SHADOW);
        e.set(field::VIRTUAL_APIC_ADDRESS, BEYOND);
    }),
    ("tpr-threshold-reserved-bits", |e| {
        e.add(PrimaryControls::USE_TPR_SHADOW);
        e.set(field::TPR_THRESHOLD, 1 << 4);
    }),
    ("tpr-threshold-not-above-vtpr", |e| {
        e.add(PrimaryControls::USE_TPR_SHADOW);
        e.set(field::TPR_THRESHOLD, 3);
    }),
    ("apic-access-page-aligned", |e| {
        e.add(SecondaryControls::VIRTUALIZE_APIC_ACCESSES);
        e.set(field::APIC_ACCESS_ADDRESS, CROOKED);
    }),
    ("apic-access-page-within-physical-width", |e| {
        e.add(SecondaryControls::VIRTUALIZE_APIC_ACCESSES);
        e.set(field::APIC_ACCESS_ADDRESS, BEYOND);
    }),
    ("x2apic-mode-needs-tpr-shadow", |e| e.add(SecondaryControls::VIRTUALIZE_X2APIC_MODE)),
    ("apic-register-virtualization-needs-tpr-shadow", |e| {
        e.add(SecondaryControls::APIC_REGISTER_VIRTUALIZATION);
    }),
    ("virtual-interrupt-delivery-needs-tpr-shadow", |e| {
        e.add(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
        e.add(PinBasedControls::EXTERNAL_INTERRUPT_EXITING);
    }),
    ("ipi-virtualization-needs-tpr-shadow", |e| e.add(TertiaryControls::IPI_VIRTUALIZATION)),
    ("x2apic-mode-excludes-apic-accesses", |e| {
        e.add(PrimaryControls::USE_TPR_SHADOW);
        e.add(SecondaryControls::VIRTUALIZE_X2APIC_MODE);
        e.add(SecondaryControls::VIRTUALIZE_APIC_ACCESSES);
    }),
    ("virtual-interrupt-delivery-needs-external-interrupt-exiting", |e| {
        e.add(PrimaryControls::USE_TPR_SHADOW);
        e.add(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    }),
    ("posted-interrupts-need-virtual-interrupt-delivery", |e| {
        post_interrupts(e);
        e.remove(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    }),
    ("posted-interrupts-need-acknowledge-on-exit", |e| {
        post_interrupts(e);
        e.remove(ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT);
    }),
    ("posted-interrupt-notification-vector", |e| {
        post_interrupts(e);
        e.set(field::POSTED_INTERRUPT_NOTIFICATION_VECTOR, 0x100);
    }),
    ("posted-interrupt-descriptor-aligned", |e| {
        post_interrupts(e);
        e.set(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, PhysicalAddress(0x20));
    }),
    ("posted-interrupt-descriptor-within-physical-width", |e| {
        post_interrupts(e);
        e.set(field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, BEYOND);
    }),
    ("pid-pointer-table-aligned", |e| {
        send_ipis(e);
        e.set(field::PID_POINTER_TABLE_ADDRESS, CROOKED);
    }),
    ("pid-pointer-table-within-physical-width", |e| {
        send_ipis(e);
        e.set(field::PID_POINTER_TABLE_ADDRESS, BEYOND);
    }),
    ("pid-pointer-table-within-physical-width", |e| {
        send_ipis(e);
        e.set(field::PID_POINTER_TABLE_ADDRESS, PhysicalAddress(BEYOND_WIDTH - 8));
        e.set(field::LAST_PID_POINTER_INDEX, 1);
    }),
    ("apic-timer-needs-virtual-interrupt-delivery", |e| {
        e.add(TertiaryControls::APIC_TIMER_VIRTUALIZATION);
    }),
    ("apic-timer-excludes-rdtsc-exiting", |e| {
        virtualize_timer(e);
        e.add(PrimaryControls::RDTSC_EXITING);
    }),
    ("virtual-timer-vector", |e| {
        virtualize_timer(e);
        e.set(field::VIRTUAL_TIMER_VECTOR, 0x100);
    }),
    // EPT.
    ("eptp-memory-type", |e| e.set(field::EPT_POINTER, 0x1000 | 3 << 3 | 4)),
    ("eptp-memory-type", |e| {
        e.capabilities.ept_vpid.remove(EptVpidCapabilities::UNCACHEABLE_STRUCTURES);
        e.set(field::EPT_POINTER, 0x1000 | 3 << 3);
    }),
    ("eptp-page-walk-length", |e| e.set(field::EPT_POINTER, 0x1000 | 4 << 3 | 6)),
    ("eptp-page-walk-length", |e| e.set(field::EPT_POINTER, 0x1000 | 2 << 3 | 6)),
    ("eptp-accessed-and-dirty", |e| {
        e.capabilities.ept_vpid.remove(EptVpidCapabilities::ACCESSED_AND_DIRTY);
        e.set(field::EPT_POINTER, 0x1000 | 1 << 6 | 3 << 3 | 6);
    }),
    ("eptp-supervisor-shadow-stack", |e| {
        e.capabilities.ept_vpid.remove(EptVpidCapabilities::SUPERVISOR_SHADOW_STACK);
        e.set(field::EPT_POINTER, 0x1000 | 1 << 7 | 3 << 3 | 6);
    }),
    ("eptp-reserved-bits", |e| e.set(field::EPT_POINTER, 0x1000 | 1 << 8 | 3 << 3 | 6)),
    ("eptp-within-physical-width", |e| e.set(field::EPT_POINTER, BEYOND_WIDTH | 3 << 3 | 6)),
    ("unrestricted-guest-needs-ept", |e| without_ept(e, SecondaryControls::UNRESTRICTED_GUEST)),
    ("pml-needs-ept", |e| without_ept(e, SecondaryControls::ENABLE_PML)),
    ("pml-address-aligned", |e| {
        with(e, SecondaryControls::ENABLE_PML, field::PML_ADDRESS, CROOKED)
    }),
    ("pml-address-within-physical-width", |e| {
        with(e, SecondaryControls::ENABLE_PML, field::PML_ADDRESS, BEYOND);
    }),
    ("mode-based-execute-control-needs-ept", |e| {
        without_ept(e, SecondaryControls::MODE_BASED_EXECUTE_CONTROL);
    }),
    ("sub-page-write-permissions-need-ept", |e| {
        without_ept(e, SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS);
    }),
    ("sub-page-permission-table-aligned", |e| {
        let control = SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS;
        with(e, control, field::SUB_PAGE_PERMISSION_TABLE_POINTER, CROOKED);
    }),
    ("sub-page-permission-table-within-physical-width", |e| {
        let control = SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS;
        with(e, control, field::SUB_PAGE_PERMISSION_TABLE_POINTER, BEYOND);
    }),
    ("pt-guest-physical-needs-ept", |e| {
        without_ept(e, SecondaryControls::PT_USES_GUEST_PHYSICAL);
        e.add(ExitControls::CLEAR_IA32_RTIT_CTL);
        e.add(EntryControls::LOAD_IA32_RTIT_CTL);
    }),
    ("vm-function-reserved-bits", |e| {
        e.add(SecondaryControls::ENABLE_VM_FUNCTIONS);
        e.set(field::VM_FUNCTION_CONTROLS, VmFunctions::from_bits_retain(1 << 1));
    }),
    ("eptp-switching-needs-ept", |e| {
        switch_eptp(e);
        e.remove(SecondaryControls::ENABLE_EPT);
    }),
    ("eptp-list-aligned", |e| {
        switch_eptp(e);
        e.set(field::EPTP_LIST_ADDRESS, CROOKED);
    }),
    ("eptp-list-within-physical-width", |e| {
        switch_eptp(e);
        e.set(field::EPTP_LIST_ADDRESS, BEYOND);
    }),
    ("ve-information-aligned", |e| {
        with(e, SecondaryControls::EPT_VIOLATION_VE, field::VE_INFORMATION_ADDRESS, CROOKED);
    }),
    ("ve-information-within-physical-width", |e| {
        with(e, SecondaryControls::EPT_VIOLATION_VE, field::VE_INFORMATION_ADDRESS, BEYOND);
    }),
    ("hlat-needs-ept", |e| {
        e.add(TertiaryControls::ENABLE_HLAT);
        e.remove(SecondaryControls::ENABLE_EPT);
    }),
    ("hlat-pointer-reserved-bits", |e| {
        e.add(TertiaryControls::ENABLE_HLAT);
        e.set(field::HLAT_POINTER, 1 << 5);
    }),
    ("hlat-pointer-within-physical-width", |e| {
        e.add(TertiaryControls::ENABLE_HLAT);
        e.set(field::HLAT_POINTER, BEYOND_WIDTH);
    }),
    ("hlat-prefix-size", |e| {
        e.add(TertiaryControls::ENABLE_HLAT);
        e.set(field::HLAT_PREFIX_SIZE, 2);
    }),
    ("ept-paging-write-needs-ept", |e| {
        e.add(TertiaryControls::EPT_PAGING_WRITE_CONTROL);
        e.remove(SecondaryControls::ENABLE_EPT);
    }),
    ("guest-paging-verification-needs-ept", |e| {
        e.add(TertiaryControls::GUEST_PAGING_VERIFICATION);
        e.remove(SecondaryControls::ENABLE_EPT);
    }),
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

fn post_interrupts(e: &mut Entry) {
    e.add(PrimaryControls::USE_TPR_SHADOW);
    e.add(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    e.add(PinBasedControls::EXTERNAL_INTERRUPT_EXITING);
    e.add(PinBasedControls::PROCESS_POSTED_INTERRUPTS);
    e.add(ExitControls::ACKNOWLEDGE_INTERRUPT_ON_EXIT);
}

fn send_ipis(e: &mut Entry) {
    e.add(PrimaryControls::USE_TPR_SHADOW);
    e.add(TertiaryControls::IPI_VIRTUALIZATION);
}

fn virtualize_timer(e: &mut Entry) {
    e.add(PrimaryControls::USE_TPR_SHADOW);
    e.add(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    e.add(PinBasedControls::EXTERNAL_INTERRUPT_EXITING);
    e.add(TertiaryControls::APIC_TIMER_VIRTUALIZATION);
}

fn switch_eptp(e: &mut Entry) {
    e.add(SecondaryControls::ENABLE_VM_FUNCTIONS);
    e.set(field::VM_FUNCTION_CONTROLS, VmFunctions::EPTP_SWITCHING);
}

fn without_ept(e: &mut Entry, control: SecondaryControls) {
    e.add(control);
    e.remove(SecondaryControls::ENABLE_EPT);
}

fn with(
    e: &mut Entry,
    control: SecondaryControls,
    address: Field<PhysicalAddress>,
    value: PhysicalAddress,
) {
    e.add(control);
    e.set(address, value);
}

#[test]
fn each_rule_of_the_controls_is_broken_alone() {
    assert_each_breaks_one_rule(Group::Controls, BREAKS);
}

/// Structures stay below 4 GiB where IA32_VMX_BASIC\[48\] is 1.
#[test]
fn addresses_of_32_bits() {
    let mut entry = Entry::valid();
    entry.capabilities.basic.0 |= 1 << 48;
    assert_eq!(entry.broken_rules(), [""; 0]);
    entry.add(PrimaryControls::USE_MSR_BITMAPS);
    entry.set(field::MSR_BITMAP, PhysicalAddress(1 << 32));
    assert_eq!(entry.broken_rules(), ["msr-bitmap-within-physical-width"]);
}

/// Areas of no entry may be anywhere.
#[test]
fn addresses_of_empty_areas_do_not_matter() {
    let mut entry = Entry::valid();
    for address in [
        field::VM_EXIT_MSR_STORE_ADDRESS,
        field::VM_EXIT_MSR_LOAD_ADDRESS,
        field::VM_ENTRY_MSR_LOAD_ADDRESS,
    ] {
        entry.set(address, PhysicalAddress(u64::MAX));
    }
    assert_eq!(entry.broken_rules(), [""; 0]);
}

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
