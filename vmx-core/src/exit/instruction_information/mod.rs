//! The VM-exit instruction information: the operands of the instruction that
//! exited.
//!
//! Its format depends on the exit reason. Each format is a type over the raw 32
//! bits; [`InstructionInformation::decode`] picks it. Source: SDM, "Information for
//! VM Exits Due to Instruction Execution".
//!
//! ```
//! use vmx_core::GuestRegisters;
//! use vmx_core::exit::BasicExitReason;
//! use vmx_core::exit::instruction_information::{AddressSize, InstructionInformation};
//!
//! // VMPTRLD [RAX + 8*RCX + 10h]; the displacement is the exit qualification.
//! let raw = 3 | 2 << 7 | 3 << 15 | 1 << 18 | 0 << 23;
//! let InstructionInformation::Memory(operand) =
//!     InstructionInformation::decode(BasicExitReason::VMPTRLD, raw)
//! else {
//!     unreachable!()
//! };
//! assert_eq!(operand.address_size(), Some(AddressSize::Bits64));
//! let registers = GuestRegisters { rax: 0x1000, rcx: 2, ..GuestRegisters::default() };
//! assert_eq!(operand.effective_address(0x10, &registers, 0), 0x1020);
//! ```

mod formats;
mod memory_operand;

pub use formats::{
    DescriptorTableAccess, DescriptorTableInstruction, InvalidateInstruction,
    LoadInternalWrappingKey, OperandSize, RegisterOperand, RegisterOrMemory, SegmentRegisterAccess,
    SegmentRegisterInstruction, StringIo, VmcsFieldAccess,
};
pub use memory_operand::{AddressSize, MemoryOperand, SegmentRegister};

use crate::exit::reason::BasicExitReason;

/// The instruction information in the format of its exit reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionInformation {
    /// Reason 30, INS and OUTS. Undefined for IN and OUT, and for INS and OUTS on a
    /// CPU whose IA32_VMX_BASIC\[54\] is 0.
    StringIo(StringIo),
    /// Reasons 50, 53 and 58: INVEPT, INVVPID, INVPCID.
    Invalidate(InvalidateInstruction),
    /// Reason 46: LGDT, LIDT, SGDT, SIDT.
    DescriptorTable(DescriptorTableAccess),
    /// Reason 47: LLDT, LTR, SLDT, STR.
    SegmentRegister(SegmentRegisterAccess),
    /// Reasons 57, 61, 67 and 68: RDRAND, RDSEED, UMWAIT, TPAUSE.
    Register(RegisterOperand),
    /// Reasons 19, 21, 22, 27, 63 and 64: VMCLEAR, VMPTRLD, VMPTRST, VMXON, XSAVES,
    /// XRSTORS.
    Memory(MemoryOperand),
    /// Reasons 23 and 25: VMREAD, VMWRITE.
    VmcsField(VmcsFieldAccess),
    /// Reason 69: LOADIWKEY.
    LoadInternalWrappingKey(LoadInternalWrappingKey),
    /// A reason for which the field is undefined, or an unknown one.
    Other(u32),
}

impl InstructionInformation {
    /// The raw value in the format of the reason.
    pub const fn decode(reason: BasicExitReason, raw: u32) -> Self {
        use BasicExitReason as Reason;
        match reason {
            Reason::IO_INSTRUCTION => Self::StringIo(StringIo(raw)),
            Reason::INVEPT | Reason::INVVPID | Reason::INVPCID => {
                Self::Invalidate(InvalidateInstruction(raw))
            }
            Reason::GDTR_OR_IDTR_ACCESS => Self::DescriptorTable(DescriptorTableAccess(raw)),
            Reason::LDTR_OR_TR_ACCESS => Self::SegmentRegister(SegmentRegisterAccess(raw)),
            Reason::RDRAND | Reason::RDSEED | Reason::UMWAIT | Reason::TPAUSE => {
                Self::Register(RegisterOperand(raw))
            }
            Reason::VMCLEAR
            | Reason::VMPTRLD
            | Reason::VMPTRST
            | Reason::VMXON
            | Reason::XSAVES
            | Reason::XRSTORS => Self::Memory(MemoryOperand(raw)),
            Reason::VMREAD | Reason::VMWRITE => Self::VmcsField(VmcsFieldAccess(raw)),
            Reason::LOADIWKEY => Self::LoadInternalWrappingKey(LoadInternalWrappingKey(raw)),
            _ => Self::Other(raw),
        }
    }
}

#[cfg(test)]
mod tests;
