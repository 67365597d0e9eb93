//! The formats, one type each. Source: SDM, the tables "Format of the VM-Exit
//! Instruction-Information Field as Used for …".

use super::memory_operand::{AddressSize, MemoryOperand, SegmentRegister};
use crate::exit::general_register::GeneralRegister;

/// The register in bits 6:3.
const fn register_1(information: u32) -> GeneralRegister {
    GeneralRegister::from_number((information >> 3) as u64)
}

/// The register in bits 31:28.
const fn register_2(information: u32) -> GeneralRegister {
    GeneralRegister::from_number((information >> 28) as u64)
}

/// Of INS and OUTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct StringIo(pub u32);

impl StringIo {
    /// Bits 9:7; `None` for a number that the manual does not use.
    pub const fn address_size(self) -> Option<AddressSize> {
        AddressSize::from_bits(self.0)
    }

    /// Bits 17:15, of OUTS; undefined for INS, which uses ES. `None` for a number
    /// that the manual does not use.
    pub const fn segment(self) -> Option<SegmentRegister> {
        SegmentRegister::from_bits(self.0)
    }
}

/// Of INVEPT, INVVPID and INVPCID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct InvalidateInstruction(pub u32);

impl InvalidateInstruction {
    /// The 128-bit descriptor.
    pub const fn descriptor(self) -> MemoryOperand {
        MemoryOperand(self.0)
    }

    /// Bits 31:28: the register that holds the type of invalidation.
    pub const fn type_register(self) -> GeneralRegister {
        register_2(self.0)
    }
}

/// Of LGDT, LIDT, SGDT and SIDT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct DescriptorTableAccess(pub u32);

/// Bits 29:28 of a descriptor-table access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each variant is the instruction of its name.
pub enum DescriptorTableInstruction {
    Sgdt,
    Sidt,
    Lgdt,
    Lidt,
}

impl DescriptorTableAccess {
    /// Bits 29:28.
    pub const fn instruction(self) -> DescriptorTableInstruction {
        match (self.0 >> 28) & 0b11 {
            0 => DescriptorTableInstruction::Sgdt,
            1 => DescriptorTableInstruction::Sidt,
            2 => DescriptorTableInstruction::Lgdt,
            _ => DescriptorTableInstruction::Lidt,
        }
    }

    /// The pseudo-descriptor: a 16-bit limit and a base.
    pub const fn operand(self) -> MemoryOperand {
        MemoryOperand(self.0)
    }

    /// Bit 11. Undefined for exits from 64-bit mode, where the base has 64 bits.
    pub const fn operand_size(self) -> OperandSize {
        if self.0 & (1 << 11) == 0 { OperandSize::Bits16 } else { OperandSize::Bits32 }
    }
}

/// How wide an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperandSize {
    /// 16 bits.
    Bits16,
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

/// An operand that is one or the other, by bit 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOrMemory {
    /// A general register, from bits 6:3.
    Register(GeneralRegister),
    /// A memory operand.
    Memory(MemoryOperand),
}

impl RegisterOrMemory {
    const fn from_bits(information: u32) -> Self {
        if information & (1 << 10) != 0 {
            Self::Register(register_1(information))
        } else {
            Self::Memory(MemoryOperand(information))
        }
    }
}

/// Of LLDT, LTR, SLDT and STR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct SegmentRegisterAccess(pub u32);

/// Bits 29:28 of an access to LDTR or TR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each variant is the instruction of its name.
pub enum SegmentRegisterInstruction {
    Sldt,
    Str,
    Lldt,
    Ltr,
}

impl SegmentRegisterAccess {
    /// Bits 29:28.
    pub const fn instruction(self) -> SegmentRegisterInstruction {
        match (self.0 >> 28) & 0b11 {
            0 => SegmentRegisterInstruction::Sldt,
            1 => SegmentRegisterInstruction::Str,
            2 => SegmentRegisterInstruction::Lldt,
            _ => SegmentRegisterInstruction::Ltr,
        }
    }

    /// Where the selector is.
    pub const fn operand(self) -> RegisterOrMemory {
        RegisterOrMemory::from_bits(self.0)
    }
}

/// Of RDRAND and RDSEED, whose register is the destination, and of UMWAIT and
/// TPAUSE, whose register is the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct RegisterOperand(pub u32);

impl RegisterOperand {
    /// Bits 6:3.
    pub const fn register(self) -> GeneralRegister {
        register_1(self.0)
    }

    /// Bits 12:11; `None` for 3, which the manual does not use.
    pub const fn operand_size(self) -> Option<OperandSize> {
        match (self.0 >> 11) & 0b11 {
            0 => Some(OperandSize::Bits16),
            1 => Some(OperandSize::Bits32),
            2 => Some(OperandSize::Bits64),
            _ => None,
        }
    }
}

/// Of VMREAD and VMWRITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct VmcsFieldAccess(pub u32);

impl VmcsFieldAccess {
    /// Where VMREAD puts the value, or VMWRITE takes it from.
    pub const fn operand(self) -> RegisterOrMemory {
        RegisterOrMemory::from_bits(self.0)
    }

    /// Bits 31:28: the register that holds the field's encoding.
    pub const fn encoding_register(self) -> GeneralRegister {
        register_2(self.0)
    }
}

/// Of LOADIWKEY, whose operands are XMM registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct LoadInternalWrappingKey(pub u32);

impl LoadInternalWrappingKey {
    /// Bits 6:3: the number of the first XMM register.
    pub const fn register_1(self) -> u8 {
        register_1(self.0).number()
    }

    /// Bits 31:28: the number of the second XMM register.
    pub const fn register_2(self) -> u8 {
        register_2(self.0).number()
    }
}
