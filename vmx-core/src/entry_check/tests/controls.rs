//! What breaks each rule of the VM-execution controls, and only it.

use super::exit_and_entry_controls;
use super::valid_entry::{BEYOND_WIDTH, Break, Entry, assert_each_breaks_one_rule};
use crate::capability::ept_vpid::EptVpidCapabilities;
use crate::control::entry::EntryControls;
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls, VmFunctions,
};
use crate::control::exit::ExitControls;
use crate::entry_check::Group;
use crate::memory::address::PhysicalAddress;
use crate::vmcs::field;
use crate::vmcs::field::Field;

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
    assert_each_breaks_one_rule(Group::Controls, &[BREAKS, exit_and_entry_controls::BREAKS]);
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
