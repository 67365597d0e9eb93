//! A memory operand: what the formats with one share.

use crate::cpu::guest_registers::GuestRegisters;
use crate::exit::general_register::GeneralRegister;

/// The bits that describe a memory operand. The displacement is the exit
/// qualification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct MemoryOperand(pub u32);

/// Bits 9:7: how wide the effective address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressSize {
    /// 16 bits.
    Bits16,
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

impl AddressSize {
    /// The number in bits 9:7; `None` for one that the manual does not use.
    pub(super) const fn from_bits(information: u32) -> Option<Self> {
        match (information >> 7) & 0b111 {
            0 => Some(Self::Bits16),
            1 => Some(Self::Bits32),
            2 => Some(Self::Bits64),
            _ => None,
        }
    }

    /// The bits of an address that count.
    pub const fn mask(self) -> u64 {
        match self {
            Self::Bits16 => 0xFFFF,
            Self::Bits32 => 0xFFFF_FFFF,
            Self::Bits64 => u64::MAX,
        }
    }
}

/// Bits 17:15: the segment of the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // Each variant is the register of its name.
pub enum SegmentRegister {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
}

impl SegmentRegister {
    /// The number in bits 17:15; `None` for one that the manual does not use.
    pub(super) const fn from_bits(information: u32) -> Option<Self> {
        match (information >> 15) & 0b111 {
            0 => Some(Self::Es),
            1 => Some(Self::Cs),
            2 => Some(Self::Ss),
            3 => Some(Self::Ds),
            4 => Some(Self::Fs),
            5 => Some(Self::Gs),
            _ => None,
        }
    }
}

impl MemoryOperand {
    /// Bits 1:0: what the index register is multiplied with: 1, 2, 4 or 8. Undefined
    /// without an index register.
    pub const fn scale(self) -> u8 {
        1 << (self.0 & 0b11)
    }

    /// Bits 9:7; `None` for a number that the manual does not use.
    pub const fn address_size(self) -> Option<AddressSize> {
        AddressSize::from_bits(self.0)
    }

    /// Bits 17:15; `None` for a number that the manual does not use.
    pub const fn segment(self) -> Option<SegmentRegister> {
        SegmentRegister::from_bits(self.0)
    }

    /// Bits 22:18: the index register, if there is one.
    pub const fn index(self) -> Option<GeneralRegister> {
        if self.0 & (1 << 22) == 0 {
            Some(GeneralRegister::from_number((self.0 >> 18) as u64))
        } else {
            None
        }
    }

    /// Bits 27:23: the base register, if there is one.
    pub const fn base(self) -> Option<GeneralRegister> {
        if self.0 & (1 << 27) == 0 {
            Some(GeneralRegister::from_number((self.0 >> 23) as u64))
        } else {
            None
        }
    }

    /// The offset within the segment: base + scale * index + displacement, cut to
    /// the address size. `rsp` is the guest's RSP. With RIP-relative addressing
    /// there are neither base nor index, and the displacement holds the sum.
    ///
    /// The caller adds the segment's base, checks its limit, and whether the linear
    /// address is canonical. An unknown address size counts as 64 bits.
    pub const fn effective_address(
        self,
        displacement: u64,
        registers: &GuestRegisters,
        rsp: u64,
    ) -> u64 {
        let mut address = displacement;
        if let Some(base) = self.base() {
            address = address.wrapping_add(base.value(registers, rsp));
        }
        if let Some(index) = self.index() {
            let index = index.value(registers, rsp);
            address = address.wrapping_add(index.wrapping_mul(self.scale() as u64));
        }
        match self.address_size() {
            Some(size) => address & size.mask(),
            None => address,
        }
    }
}
