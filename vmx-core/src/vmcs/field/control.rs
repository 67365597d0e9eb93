//! Control fields. Source: SDM, appendix "Field Encoding in VMCS".

use super::existence::Existence::{
    Cr3Target, Exit, Function, PinBased, Primary, Secondary, Tertiary,
};
use super::existence::FRED;
use super::row::fields;
use crate::control::entry::EntryControls;
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls, VmFunctions,
};
use crate::control::exit::{ExitControls, SecondaryExitControls};
use crate::cpu::register_bits::{Cr0, Cr4};
use crate::ept::pointer::EptPointer;
use crate::event::interruption::InterruptionInformation;
use crate::memory::address::PhysicalAddress;

fields! {
    CONTROL:

    // 16-bit fields.

    /// Virtual-processor identifier, not 0.
    VPID: u16 = 0x0000 if Secondary(SecondaryControls::ENABLE_VPID);
    /// Vector that notifies of posted interrupts; 0 to 255.
    POSTED_INTERRUPT_NOTIFICATION_VECTOR: u16 = 0x0002
        if PinBased(PinBasedControls::PROCESS_POSTED_INTERRUPTS);
    /// Index in the EPTP list that a #VE reports.
    EPTP_INDEX: u16 = 0x0004 if Secondary(SecondaryControls::EPT_VIOLATION_VE);
    /// How many high bits of a linear address must be 1 for HLAT to translate it.
    HLAT_PREFIX_SIZE: u16 = 0x0006 if Tertiary(TertiaryControls::ENABLE_HLAT);
    /// Highest index in the PID-pointer table.
    LAST_PID_POINTER_INDEX: u16 = 0x0008 if Tertiary(TertiaryControls::IPI_VIRTUALIZATION);
    /// Vector of the guest's virtual TSC-deadline timer.
    VIRTUAL_TIMER_VECTOR: u16 = 0x000A if Tertiary(TertiaryControls::APIC_TIMER_VIRTUALIZATION);

    // 64-bit fields.

    /// Physical address of I/O bitmap A, ports 0 to 7FFFh.
    IO_BITMAP_A: PhysicalAddress = 0x2000;
    /// Physical address of I/O bitmap B, ports 8000h to FFFFh.
    IO_BITMAP_B: PhysicalAddress = 0x2002;
    /// Physical address of the MSR bitmap.
    MSR_BITMAP: PhysicalAddress = 0x2004 if Primary(PrimaryControls::USE_MSR_BITMAPS);
    /// Physical address of the MSRs to store at VM exit.
    VM_EXIT_MSR_STORE_ADDRESS: PhysicalAddress = 0x2006;
    /// Physical address of the MSRs to load at VM exit.
    VM_EXIT_MSR_LOAD_ADDRESS: PhysicalAddress = 0x2008;
    /// Physical address of the MSRs to load at VM entry.
    VM_ENTRY_MSR_LOAD_ADDRESS: PhysicalAddress = 0x200A;
    /// Executive-VMCS pointer: of the dual-monitor treatment of SMM.
    EXECUTIVE_VMCS_POINTER: PhysicalAddress = 0x200C;
    /// Physical address of the page-modification log.
    PML_ADDRESS: PhysicalAddress = 0x200E if Secondary(SecondaryControls::ENABLE_PML);
    /// TSC offset, added to what RDTSC gives the guest.
    TSC_OFFSET: u64 = 0x2010;
    /// Physical address of the virtual-APIC page.
    VIRTUAL_APIC_ADDRESS: PhysicalAddress = 0x2012 if Primary(PrimaryControls::USE_TPR_SHADOW);
    /// Physical address of the APIC-access page.
    APIC_ACCESS_ADDRESS: PhysicalAddress = 0x2014
        if Secondary(SecondaryControls::VIRTUALIZE_APIC_ACCESSES);
    /// Physical address of the posted-interrupt descriptor; 64-byte aligned.
    POSTED_INTERRUPT_DESCRIPTOR_ADDRESS: PhysicalAddress = 0x2016
        if PinBased(PinBasedControls::PROCESS_POSTED_INTERRUPTS);
    /// VM functions that the guest may invoke.
    VM_FUNCTION_CONTROLS: VmFunctions = 0x2018 if Secondary(SecondaryControls::ENABLE_VM_FUNCTIONS);
    /// Extended-page-table pointer.
    EPT_POINTER: EptPointer = 0x201A if Secondary(SecondaryControls::ENABLE_EPT);
    /// EOI-exit bitmap: vectors 0 to 63.
    EOI_EXIT_BITMAP_0: u64 = 0x201C if Secondary(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    /// EOI-exit bitmap: vectors 64 to 127.
    EOI_EXIT_BITMAP_1: u64 = 0x201E if Secondary(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    /// EOI-exit bitmap: vectors 128 to 191.
    EOI_EXIT_BITMAP_2: u64 = 0x2020 if Secondary(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    /// EOI-exit bitmap: vectors 192 to 255.
    EOI_EXIT_BITMAP_3: u64 = 0x2022 if Secondary(SecondaryControls::VIRTUAL_INTERRUPT_DELIVERY);
    /// Physical address of the EPTP list, of 512 entries.
    EPTP_LIST_ADDRESS: PhysicalAddress = 0x2024 if Function(VmFunctions::EPTP_SWITCHING);
    /// Physical address of the VMREAD bitmap.
    VMREAD_BITMAP_ADDRESS: PhysicalAddress = 0x2026 if Secondary(SecondaryControls::VMCS_SHADOWING);
    /// Physical address of the VMWRITE bitmap.
    VMWRITE_BITMAP_ADDRESS: PhysicalAddress = 0x2028
        if Secondary(SecondaryControls::VMCS_SHADOWING);
    /// Physical address of the virtualization-exception information area.
    VE_INFORMATION_ADDRESS: PhysicalAddress = 0x202A
        if Secondary(SecondaryControls::EPT_VIOLATION_VE);
    /// XSS-exiting bitmap: components whose XSAVES and XRSTORS exit.
    XSS_EXITING_BITMAP: u64 = 0x202C if Secondary(SecondaryControls::ENABLE_XSAVES);
    /// ENCLS-exiting bitmap: leaf functions that exit.
    ENCLS_EXITING_BITMAP: u64 = 0x202E if Secondary(SecondaryControls::ENABLE_ENCLS_EXITING);
    /// Sub-page-permission-table pointer (SPPTP).
    SUB_PAGE_PERMISSION_TABLE_POINTER: PhysicalAddress = 0x2030
        if Secondary(SecondaryControls::SUB_PAGE_WRITE_PERMISSIONS);
    /// TSC multiplier: a fraction of 48 bits after the point.
    TSC_MULTIPLIER: u64 = 0x2032 if Secondary(SecondaryControls::USE_TSC_SCALING);
    /// Tertiary processor-based VM-execution controls.
    TERTIARY_CONTROLS: TertiaryControls = 0x2034
        if Primary(PrimaryControls::ACTIVATE_TERTIARY_CONTROLS);
    /// ENCLV-exiting bitmap: leaf functions that exit.
    ENCLV_EXITING_BITMAP: u64 = 0x2036 if Secondary(SecondaryControls::ENABLE_ENCLV_EXITING);
    /// Physical address of the directory for PASIDs below 80000h.
    LOW_PASID_DIRECTORY_ADDRESS: PhysicalAddress = 0x2038
        if Secondary(SecondaryControls::PASID_TRANSLATION);
    /// Physical address of the directory for PASIDs from 80000h.
    HIGH_PASID_DIRECTORY_ADDRESS: PhysicalAddress = 0x203A
        if Secondary(SecondaryControls::PASID_TRANSLATION);
    /// SEAM shared EPT pointer: of a trust domain's shared memory.
    SHARED_EPT_POINTER: u64 = 0x203C
        if Tertiary(TertiaryControls::SEAM_GUEST_PHYSICAL_ADDRESS_WIDTH);
    /// PCONFIG-exiting bitmap: leaf functions that exit.
    PCONFIG_EXITING_BITMAP: u64 = 0x203E if Secondary(SecondaryControls::ENABLE_PCONFIG);
    /// HLATP: the root of the page tables of HLAT, with PCD and PWT.
    HLAT_POINTER: u64 = 0x2040 if Tertiary(TertiaryControls::ENABLE_HLAT);
    /// Physical address of the table of posted-interrupt-descriptor pointers.
    PID_POINTER_TABLE_ADDRESS: PhysicalAddress = 0x2042
        if Tertiary(TertiaryControls::IPI_VIRTUALIZATION);
    /// Secondary VM-exit controls.
    SECONDARY_VM_EXIT_CONTROLS: SecondaryExitControls = 0x2044
        if Exit(ExitControls::ACTIVATE_SECONDARY_CONTROLS);
    /// IA32_SPEC_CTRL bits that the guest cannot change.
    IA32_SPEC_CTRL_MASK: u64 = 0x204A if Tertiary(TertiaryControls::VIRTUALIZE_IA32_SPEC_CTRL);
    /// What the guest reads as IA32_SPEC_CTRL.
    IA32_SPEC_CTRL_SHADOW: u64 = 0x204C if Tertiary(TertiaryControls::VIRTUALIZE_IA32_SPEC_CTRL);
    /// Guest deadline shadow: IA32_TSC_DEADLINE as the guest reads it.
    GUEST_DEADLINE_SHADOW: u64 = 0x204E if Tertiary(TertiaryControls::APIC_TIMER_VIRTUALIZATION);
    /// Event data that FRED event delivery of the injected event pushes.
    INJECTED_EVENT_DATA: u64 = 0x2052 if FRED;

    // 32-bit fields.

    /// Pin-based VM-execution controls.
    PIN_BASED_CONTROLS: PinBasedControls = 0x4000;
    /// Primary processor-based VM-execution controls.
    PRIMARY_CONTROLS: PrimaryControls = 0x4002;
    /// Exception bitmap: bit n makes exception n exit.
    EXCEPTION_BITMAP: u32 = 0x4004;
    /// Mask of page-fault error-code bits that decide on an exit.
    PAGE_FAULT_ERROR_CODE_MASK: u32 = 0x4006;
    /// What the masked page-fault error code is compared with.
    PAGE_FAULT_ERROR_CODE_MATCH: u32 = 0x4008;
    /// How many of the four CR3-target values are used.
    CR3_TARGET_COUNT: u32 = 0x400A;
    /// Primary VM-exit controls.
    VM_EXIT_CONTROLS: ExitControls = 0x400C;
    /// How many MSRs to store at VM exit.
    VM_EXIT_MSR_STORE_COUNT: u32 = 0x400E;
    /// How many MSRs to load at VM exit.
    VM_EXIT_MSR_LOAD_COUNT: u32 = 0x4010;
    /// VM-entry controls.
    VM_ENTRY_CONTROLS: EntryControls = 0x4012;
    /// How many MSRs to load at VM entry.
    VM_ENTRY_MSR_LOAD_COUNT: u32 = 0x4014;
    /// The event that VM entry injects: "injected-event identification" in newer
    /// manuals.
    VM_ENTRY_INTERRUPTION_INFORMATION: InterruptionInformation = 0x4016;
    /// The error code of the injected event: "injected-event error code".
    VM_ENTRY_EXCEPTION_ERROR_CODE: u32 = 0x4018;
    /// Length of the injected software event's instruction, in bytes.
    VM_ENTRY_INSTRUCTION_LENGTH: u32 = 0x401A;
    /// TPR threshold, bits 3:0: a virtual TPR below it exits.
    TPR_THRESHOLD: u32 = 0x401C if Primary(PrimaryControls::USE_TPR_SHADOW);
    /// Secondary processor-based VM-execution controls.
    SECONDARY_CONTROLS: SecondaryControls = 0x401E
        if Primary(PrimaryControls::ACTIVATE_SECONDARY_CONTROLS);
    /// Longest time between two PAUSEs of one loop, in TSC ticks.
    PLE_GAP: u32 = 0x4020 if Secondary(SecondaryControls::PAUSE_LOOP_EXITING);
    /// Time after which a loop of PAUSEs exits, in TSC ticks.
    PLE_WINDOW: u32 = 0x4022 if Secondary(SecondaryControls::PAUSE_LOOP_EXITING);
    /// Time without an instruction boundary after which an exit comes, in cycles
    /// of the crystal clock; also known as the notify window.
    INSTRUCTION_TIMEOUT_CONTROL: u32 = 0x4024 if Secondary(SecondaryControls::INSTRUCTION_TIMEOUT);
    /// SEAM-guest key identifier: of the key of a trust domain's private memory.
    SEAM_GUEST_KEY_ID: u32 = 0x4026
        if Tertiary(TertiaryControls::SEAM_GUEST_PHYSICAL_ADDRESS_WIDTH);

    // Natural-width fields.

    /// CR0 bits that belong to the host.
    CR0_GUEST_HOST_MASK: Cr0 = 0x6000;
    /// CR4 bits that belong to the host.
    CR4_GUEST_HOST_MASK: Cr4 = 0x6002;
    /// What the guest reads for CR0 bits that belong to the host.
    CR0_READ_SHADOW: Cr0 = 0x6004;
    /// What the guest reads for CR4 bits that belong to the host.
    CR4_READ_SHADOW: Cr4 = 0x6006;
    /// CR3-target value 0: MOV to CR3 of it does not exit.
    CR3_TARGET_VALUE_0: u64 = 0x6008 if Cr3Target(0);
    /// CR3-target value 1: MOV to CR3 of it does not exit.
    CR3_TARGET_VALUE_1: u64 = 0x600A if Cr3Target(1);
    /// CR3-target value 2: MOV to CR3 of it does not exit.
    CR3_TARGET_VALUE_2: u64 = 0x600C if Cr3Target(2);
    /// CR3-target value 3: MOV to CR3 of it does not exit.
    CR3_TARGET_VALUE_3: u64 = 0x600E if Cr3Target(3);
}
