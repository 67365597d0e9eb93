//! The table of fields. Source: SDM, appendix "Field Encoding in VMCS".

use super::{Encoding, Field, FieldRow, ReadOnly};
use crate::control::{
    EntryControls, ExitControls, PinBasedControls, PrimaryControls, SecondaryControls,
};
use crate::error::InstructionError;
use crate::exit_reason::ExitReason;
use crate::frame::PhysicalAddress;
use crate::interruption::InterruptionInformation;
use crate::ssp::CetControl;

/// Makes a constant of each row, and the list of all rows, from one table.
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $value:ty $(, $access:ident)? = $encoding:literal;)*) => {
        $($(#[$doc])* pub const $name: Field<$value $(, $access)?> = Field::new(Encoding($encoding));)*

        /// Every field that has a name, sorted by encoding within each group.
        pub static FIELDS: &[FieldRow] = &[
            $(FieldRow { name: stringify!($name), encoding: Encoding($encoding) },)*
        ];
    };
}

fields! {
    // Control fields.

    /// Virtual-processor identifier; needs "enable VPID".
    VPID: u16 = 0x0000;
    /// Physical address of I/O bitmap A, ports 0 to 7FFFh.
    IO_BITMAP_A: PhysicalAddress = 0x2000;
    /// Physical address of I/O bitmap B, ports 8000h to FFFFh.
    IO_BITMAP_B: PhysicalAddress = 0x2002;
    /// Physical address of the MSR bitmap.
    MSR_BITMAP: PhysicalAddress = 0x2004;
    /// Physical address of the MSRs to store at VM exit.
    VM_EXIT_MSR_STORE_ADDRESS: PhysicalAddress = 0x2006;
    /// Physical address of the MSRs to load at VM exit.
    VM_EXIT_MSR_LOAD_ADDRESS: PhysicalAddress = 0x2008;
    /// Physical address of the MSRs to load at VM entry.
    VM_ENTRY_MSR_LOAD_ADDRESS: PhysicalAddress = 0x200A;
    /// TSC offset, added to what RDTSC gives the guest.
    TSC_OFFSET: u64 = 0x2010;
    /// Extended-page-table pointer; needs "enable EPT".
    EPT_POINTER: u64 = 0x201A;
    /// XSS-exiting bitmap: components whose XSAVES and XRSTORS exit.
    XSS_EXITING_BITMAP: u64 = 0x202C;
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
    /// The event that VM entry injects.
    VM_ENTRY_INTERRUPTION_INFORMATION: InterruptionInformation = 0x4016;
    /// The error code of the injected event.
    VM_ENTRY_EXCEPTION_ERROR_CODE: u32 = 0x4018;
    /// Length of the injected software event's instruction, in bytes.
    VM_ENTRY_INSTRUCTION_LENGTH: u32 = 0x401A;
    /// Secondary processor-based VM-execution controls.
    SECONDARY_CONTROLS: SecondaryControls = 0x401E;
    /// CR0 bits that belong to the host.
    CR0_GUEST_HOST_MASK: u64 = 0x6000;
    /// CR4 bits that belong to the host.
    CR4_GUEST_HOST_MASK: u64 = 0x6002;
    /// What the guest reads for CR0 bits that belong to the host.
    CR0_READ_SHADOW: u64 = 0x6004;
    /// What the guest reads for CR4 bits that belong to the host.
    CR4_READ_SHADOW: u64 = 0x6006;

    // VM-exit information, read-only.

    /// Guest-physical address of an EPT violation or misconfiguration.
    GUEST_PHYSICAL_ADDRESS: PhysicalAddress, ReadOnly = 0x2400;
    /// Number of the last VMfailValid.
    VM_INSTRUCTION_ERROR: InstructionError, ReadOnly = 0x4400;
    /// Exit reason.
    EXIT_REASON: ExitReason, ReadOnly = 0x4402;
    /// VM-exit interruption information.
    VM_EXIT_INTERRUPTION_INFORMATION: InterruptionInformation, ReadOnly = 0x4404;
    /// VM-exit interruption error code.
    VM_EXIT_INTERRUPTION_ERROR_CODE: u32, ReadOnly = 0x4406;
    /// IDT-vectoring information: the event whose delivery the exit interrupted.
    IDT_VECTORING_INFORMATION: InterruptionInformation, ReadOnly = 0x4408;
    /// IDT-vectoring error code.
    IDT_VECTORING_ERROR_CODE: u32, ReadOnly = 0x440A;
    /// Length of the instruction that exited, in bytes.
    VM_EXIT_INSTRUCTION_LENGTH: u32, ReadOnly = 0x440C;
    /// VM-exit instruction information.
    VM_EXIT_INSTRUCTION_INFORMATION: u32, ReadOnly = 0x440E;
    /// Exit qualification.
    EXIT_QUALIFICATION: u64, ReadOnly = 0x6400;
    /// Guest linear address.
    GUEST_LINEAR_ADDRESS: u64, ReadOnly = 0x640A;

    // Guest state.

    /// Guest ES selector.
    GUEST_ES_SELECTOR: u16 = 0x0800;
    /// Guest CS selector.
    GUEST_CS_SELECTOR: u16 = 0x0802;
    /// Guest SS selector.
    GUEST_SS_SELECTOR: u16 = 0x0804;
    /// Guest DS selector.
    GUEST_DS_SELECTOR: u16 = 0x0806;
    /// Guest FS selector.
    GUEST_FS_SELECTOR: u16 = 0x0808;
    /// Guest GS selector.
    GUEST_GS_SELECTOR: u16 = 0x080A;
    /// Guest LDTR selector.
    GUEST_LDTR_SELECTOR: u16 = 0x080C;
    /// Guest TR selector.
    GUEST_TR_SELECTOR: u16 = 0x080E;
    /// VMCS link pointer; all ones without VMCS shadowing.
    VMCS_LINK_POINTER: u64 = 0x2800;
    /// Guest IA32_DEBUGCTL.
    GUEST_IA32_DEBUGCTL: u64 = 0x2802;
    /// Guest IA32_PAT.
    GUEST_IA32_PAT: u64 = 0x2804;
    /// Guest IA32_EFER.
    GUEST_IA32_EFER: u64 = 0x2806;
    /// Guest ES limit.
    GUEST_ES_LIMIT: u32 = 0x4800;
    /// Guest CS limit.
    GUEST_CS_LIMIT: u32 = 0x4802;
    /// Guest SS limit.
    GUEST_SS_LIMIT: u32 = 0x4804;
    /// Guest DS limit.
    GUEST_DS_LIMIT: u32 = 0x4806;
    /// Guest FS limit.
    GUEST_FS_LIMIT: u32 = 0x4808;
    /// Guest GS limit.
    GUEST_GS_LIMIT: u32 = 0x480A;
    /// Guest LDTR limit.
    GUEST_LDTR_LIMIT: u32 = 0x480C;
    /// Guest TR limit.
    GUEST_TR_LIMIT: u32 = 0x480E;
    /// Guest GDTR limit.
    GUEST_GDTR_LIMIT: u32 = 0x4810;
    /// Guest IDTR limit.
    GUEST_IDTR_LIMIT: u32 = 0x4812;
    /// Guest ES access rights.
    GUEST_ES_ACCESS_RIGHTS: u32 = 0x4814;
    /// Guest CS access rights.
    GUEST_CS_ACCESS_RIGHTS: u32 = 0x4816;
    /// Guest SS access rights.
    GUEST_SS_ACCESS_RIGHTS: u32 = 0x4818;
    /// Guest DS access rights.
    GUEST_DS_ACCESS_RIGHTS: u32 = 0x481A;
    /// Guest FS access rights.
    GUEST_FS_ACCESS_RIGHTS: u32 = 0x481C;
    /// Guest GS access rights.
    GUEST_GS_ACCESS_RIGHTS: u32 = 0x481E;
    /// Guest LDTR access rights.
    GUEST_LDTR_ACCESS_RIGHTS: u32 = 0x4820;
    /// Guest TR access rights.
    GUEST_TR_ACCESS_RIGHTS: u32 = 0x4822;
    /// Guest interruptibility state.
    GUEST_INTERRUPTIBILITY_STATE: u32 = 0x4824;
    /// Guest activity state.
    GUEST_ACTIVITY_STATE: u32 = 0x4826;
    /// Guest IA32_SYSENTER_CS.
    GUEST_IA32_SYSENTER_CS: u32 = 0x482A;
    /// VMX-preemption timer value, in units of TSC ticks shifted right by
    /// IA32_VMX_MISC\[4:0\].
    VMX_PREEMPTION_TIMER_VALUE: u32 = 0x482E;
    /// Guest CR0.
    GUEST_CR0: u64 = 0x6800;
    /// Guest CR3.
    GUEST_CR3: u64 = 0x6802;
    /// Guest CR4.
    GUEST_CR4: u64 = 0x6804;
    /// Guest ES base.
    GUEST_ES_BASE: u64 = 0x6806;
    /// Guest CS base.
    GUEST_CS_BASE: u64 = 0x6808;
    /// Guest SS base.
    GUEST_SS_BASE: u64 = 0x680A;
    /// Guest DS base.
    GUEST_DS_BASE: u64 = 0x680C;
    /// Guest FS base.
    GUEST_FS_BASE: u64 = 0x680E;
    /// Guest GS base.
    GUEST_GS_BASE: u64 = 0x6810;
    /// Guest LDTR base.
    GUEST_LDTR_BASE: u64 = 0x6812;
    /// Guest TR base.
    GUEST_TR_BASE: u64 = 0x6814;
    /// Guest GDTR base.
    GUEST_GDTR_BASE: u64 = 0x6816;
    /// Guest IDTR base.
    GUEST_IDTR_BASE: u64 = 0x6818;
    /// Guest DR7.
    GUEST_DR7: u64 = 0x681A;
    /// Guest RSP.
    GUEST_RSP: u64 = 0x681C;
    /// Guest RIP.
    GUEST_RIP: u64 = 0x681E;
    /// Guest RFLAGS.
    GUEST_RFLAGS: u64 = 0x6820;
    /// Guest pending debug exceptions.
    GUEST_PENDING_DEBUG_EXCEPTIONS: u64 = 0x6822;
    /// Guest IA32_SYSENTER_ESP.
    GUEST_IA32_SYSENTER_ESP: u64 = 0x6824;
    /// Guest IA32_SYSENTER_EIP.
    GUEST_IA32_SYSENTER_EIP: u64 = 0x6826;
    /// Guest IA32_S_CET. Saved on every exit; loaded by entry with "load CET state".
    GUEST_S_CET: CetControl = 0x6828;
    /// Guest SSP. Saved and loaded as [`GUEST_S_CET`] is.
    GUEST_SSP: u64 = 0x682A;
    /// Guest IA32_INTERRUPT_SSP_TABLE_ADDR. Saved and loaded as [`GUEST_S_CET`] is.
    GUEST_INTERRUPT_SSP_TABLE_ADDR: u64 = 0x682C;

    // Host state.

    /// Host ES selector.
    HOST_ES_SELECTOR: u16 = 0x0C00;
    /// Host CS selector.
    HOST_CS_SELECTOR: u16 = 0x0C02;
    /// Host SS selector.
    HOST_SS_SELECTOR: u16 = 0x0C04;
    /// Host DS selector.
    HOST_DS_SELECTOR: u16 = 0x0C06;
    /// Host FS selector.
    HOST_FS_SELECTOR: u16 = 0x0C08;
    /// Host GS selector.
    HOST_GS_SELECTOR: u16 = 0x0C0A;
    /// Host TR selector.
    HOST_TR_SELECTOR: u16 = 0x0C0C;
    /// Host IA32_PAT.
    HOST_IA32_PAT: u64 = 0x2C00;
    /// Host IA32_EFER.
    HOST_IA32_EFER: u64 = 0x2C02;
    /// Host IA32_SYSENTER_CS.
    HOST_IA32_SYSENTER_CS: u32 = 0x4C00;
    /// Host CR0.
    HOST_CR0: u64 = 0x6C00;
    /// Host CR3.
    HOST_CR3: u64 = 0x6C02;
    /// Host CR4.
    HOST_CR4: u64 = 0x6C04;
    /// Host FS base.
    HOST_FS_BASE: u64 = 0x6C06;
    /// Host GS base.
    HOST_GS_BASE: u64 = 0x6C08;
    /// Host TR base.
    HOST_TR_BASE: u64 = 0x6C0A;
    /// Host GDTR base.
    HOST_GDTR_BASE: u64 = 0x6C0C;
    /// Host IDTR base.
    HOST_IDTR_BASE: u64 = 0x6C0E;
    /// Host IA32_SYSENTER_ESP.
    HOST_IA32_SYSENTER_ESP: u64 = 0x6C10;
    /// Host IA32_SYSENTER_EIP.
    HOST_IA32_SYSENTER_EIP: u64 = 0x6C12;
    /// Host RSP. Written by the world switch.
    HOST_RSP: u64 = 0x6C14;
    /// Host RIP. Written by the world switch.
    HOST_RIP: u64 = 0x6C16;
    /// Host IA32_S_CET. Loaded by exit with "load CET state".
    HOST_S_CET: CetControl = 0x6C18;
    /// Host SSP. Loaded as [`HOST_S_CET`] is; written by the world switch.
    HOST_SSP: u64 = 0x6C1A;
    /// Host IA32_INTERRUPT_SSP_TABLE_ADDR. Loaded as [`HOST_S_CET`] is.
    HOST_INTERRUPT_SSP_TABLE_ADDR: u64 = 0x6C1C;
}
