//! VM-exit information fields, read-only data. Source: SDM, appendix "Field Encoding in VMCS".

use super::existence::Existence::{Secondary, Tertiary};
use super::existence::FRED;
use super::row::fields;
use crate::control::execution::{SecondaryControls, TertiaryControls};
use crate::ept::address::GuestPhysicalAddress;
use crate::event::interruption::InterruptionInformation;
use crate::exit::reason::ExitReason;
use crate::vmcs::error::InstructionError;

fields! {
    EXIT_INFORMATION:

    // 64-bit fields.

    /// Guest-physical address of an EPT violation or misconfiguration.
    GUEST_PHYSICAL_ADDRESS: GuestPhysicalAddress, ReadOnly = 0x2400
        if Secondary(SecondaryControls::ENABLE_EPT);
    /// What the exiting WRMSRLIST would write.
    MSR_DATA: u64, ReadOnly = 0x2402 if Tertiary(TertiaryControls::ENABLE_MSR_LIST_INSTRUCTIONS);
    /// Event data of the event whose delivery the exit interrupted.
    ORIGINAL_EVENT_DATA: u64, ReadOnly = 0x2404 if FRED;

    // 32-bit fields.

    /// Number of the last VMfailValid.
    VM_INSTRUCTION_ERROR: InstructionError, ReadOnly = 0x4400;
    /// Exit reason.
    EXIT_REASON: ExitReason, ReadOnly = 0x4402;
    /// VM-exit interruption information: "exiting-event identification" in newer
    /// manuals.
    VM_EXIT_INTERRUPTION_INFORMATION: InterruptionInformation, ReadOnly = 0x4404;
    /// VM-exit interruption error code: "exiting-event error code".
    VM_EXIT_INTERRUPTION_ERROR_CODE: u32, ReadOnly = 0x4406;
    /// IDT-vectoring information: the event whose delivery the exit interrupted;
    /// "original-event identification" in newer manuals.
    IDT_VECTORING_INFORMATION: InterruptionInformation, ReadOnly = 0x4408;
    /// IDT-vectoring error code: "original-event error code".
    IDT_VECTORING_ERROR_CODE: u32, ReadOnly = 0x440A;
    /// Length of the instruction that exited, in bytes.
    VM_EXIT_INSTRUCTION_LENGTH: u32, ReadOnly = 0x440C;
    /// VM-exit instruction information.
    VM_EXIT_INSTRUCTION_INFORMATION: u32, ReadOnly = 0x440E;

    // Natural-width fields.

    /// Exit qualification.
    EXIT_QUALIFICATION: u64, ReadOnly = 0x6400;
    /// RCX before the I/O instruction that an SMI followed.
    IO_RCX: u64, ReadOnly = 0x6402;
    /// RSI before the I/O instruction that an SMI followed.
    IO_RSI: u64, ReadOnly = 0x6404;
    /// RDI before the I/O instruction that an SMI followed.
    IO_RDI: u64, ReadOnly = 0x6406;
    /// RIP before the I/O instruction that an SMI followed.
    IO_RIP: u64, ReadOnly = 0x6408;
    /// Guest linear address.
    GUEST_LINEAR_ADDRESS: u64, ReadOnly = 0x640A;
}
