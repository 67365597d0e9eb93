//! Segment access rights, as the guest-state area holds them.
//!
//! ```
//! use vmx_core::vmcs::AccessRights;
//! let code = AccessRights::CODE_64;
//! assert!(code.is_code_or_data() && code.is_long() && !code.is_unusable());
//! assert_eq!(code.with_dpl(3).0, 0xA0FB);
//! assert_eq!(code.to_string(), "0xa09b: type 11, code or data, DPL 0, present, L, G");
//! ```

use core::fmt;

/// The access rights of a segment: bits 15:0 are bits 55:40 of its descriptor with
/// the limit's bits masked out, bit 16 says that the segment is unusable.
/// Source: SDM, "Guest Register State".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct AccessRights(pub u32);

impl AccessRights {
    const S: u32 = 1 << 4;
    const PRESENT: u32 = 1 << 7;
    const AVAILABLE: u32 = 1 << 12;
    const LONG: u32 = 1 << 13;
    const DEFAULT_BIG: u32 = 1 << 14;
    const GRANULAR: u32 = 1 << 15;
    const UNUSABLE_BIT: u32 = 1 << 16;

    /// No segment is loaded.
    pub const UNUSABLE: Self = Self(Self::UNUSABLE_BIT);
    /// 64-bit code of ring 0: execute and read, accessed, limit in pages.
    pub const CODE_64: Self = Self(0xA09B);
    /// 32-bit code of ring 0: execute and read, accessed, limit in pages.
    pub const CODE_32: Self = Self(0xC09B);
    /// Data or stack of ring 0: read and write, accessed, 32-bit stack, limit in
    /// pages.
    pub const DATA: Self = Self(0xC093);
    /// A busy TSS, of 32 or 64 bits: the mode of the guest tells.
    pub const BUSY_TSS: Self = Self(0x008B);
    /// A busy 16-bit TSS.
    pub const BUSY_TSS_16: Self = Self(0x0083);
    /// A local descriptor table.
    pub const LDT: Self = Self(0x0082);
    /// Code in real mode after reset: as data, with execute permission.
    pub const REAL_MODE_CODE: Self = Self(0x009B);
    /// Data in real mode.
    pub const REAL_MODE_DATA: Self = Self(0x0093);
    /// Any segment in virtual-8086 mode: data of ring 3.
    pub const VIRTUAL_8086: Self = Self(0x00F3);

    /// Bits 3:0, the segment type.
    pub const fn segment_type(self) -> u8 {
        self.0 as u8 & 0xF
    }

    /// Bit 4, S: a code or data segment; else a system segment.
    pub const fn is_code_or_data(self) -> bool {
        self.0 & Self::S != 0
    }

    /// Bits 6:5, the descriptor privilege level.
    pub const fn dpl(self) -> u8 {
        (self.0 >> 5) as u8 & 0b11
    }

    /// Bit 7, P: the segment is present.
    pub const fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }

    /// Bit 12, AVL: for use by software.
    pub const fn is_available(self) -> bool {
        self.0 & Self::AVAILABLE != 0
    }

    /// Bit 13, L: 64-bit code. Reserved but for CS.
    pub const fn is_long(self) -> bool {
        self.0 & Self::LONG != 0
    }

    /// Bit 14, D/B: 32-bit operands, or a 32-bit stack pointer.
    pub const fn is_default_big(self) -> bool {
        self.0 & Self::DEFAULT_BIG != 0
    }

    /// Bit 15, G: the limit counts pages.
    pub const fn is_granular(self) -> bool {
        self.0 & Self::GRANULAR != 0
    }

    /// Bit 16: the segment is unusable; most other bits do not matter then.
    pub const fn is_unusable(self) -> bool {
        self.0 & Self::UNUSABLE_BIT != 0
    }

    /// Bits 11:8 and 31:17, which must be 0 in a usable segment.
    pub const fn reserved(self) -> u32 {
        self.0 & 0xFFFE_0F00
    }

    /// Type bit 3 of a code or data segment: it is code.
    pub const fn is_code(self) -> bool {
        self.is_code_or_data() && self.0 & 8 != 0
    }

    /// Whether G agrees with `limit`: with limit bits 11:0 not all 1, G must be 0;
    /// with one of bits 31:20 set, G must be 1.
    pub const fn fits_limit(self, limit: u32) -> bool {
        if self.is_granular() { limit & 0xFFF == 0xFFF } else { limit >> 20 == 0 }
    }

    /// The same rights with another privilege level; bits of `dpl` above 1 are
    /// ignored.
    pub const fn with_dpl(self, dpl: u8) -> Self {
        Self(self.0 & !(0b11 << 5) | (dpl as u32 & 0b11) << 5)
    }
}

impl fmt::Display for AccessRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}: ", self.0)?;
        if self.is_unusable() {
            return f.write_str("unusable");
        }
        let class = if self.is_code_or_data() { "code or data" } else { "system" };
        write!(f, "type {}, {class}, DPL {}", self.segment_type(), self.dpl())?;
        for (is_set, name) in [
            (self.is_present(), "present"),
            (self.is_available(), "AVL"),
            (self.is_long(), "L"),
            (self.is_default_big(), "D/B"),
            (self.is_granular(), "G"),
        ] {
            if is_set {
                write!(f, ", {name}")?;
            }
        }
        if self.reserved() != 0 {
            write!(f, ", reserved bits {:#x}", self.reserved())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The accessors cover all 32 bits and overlap in none.
        #[test]
        fn the_parts_are_the_whole(raw: u32) {
            let rights = AccessRights(raw);
            let whole = u32::from(rights.segment_type())
                | u32::from(rights.is_code_or_data()) << 4
                | u32::from(rights.dpl()) << 5
                | u32::from(rights.is_present()) << 7
                | u32::from(rights.is_available()) << 12
                | u32::from(rights.is_long()) << 13
                | u32::from(rights.is_default_big()) << 14
                | u32::from(rights.is_granular()) << 15
                | u32::from(rights.is_unusable()) << 16
                | rights.reserved();
            prop_assert_eq!(whole, raw);
        }

        #[test]
        fn another_dpl_changes_the_dpl_only(raw: u32, dpl in 0u8..4) {
            let changed = AccessRights(raw).with_dpl(dpl);
            prop_assert_eq!(changed.dpl(), dpl);
            prop_assert_eq!((changed.0 ^ raw) & !0x60, 0);
        }
    }

    #[test]
    fn granularity_follows_the_limit() {
        assert!(AccessRights::DATA.fits_limit(u32::MAX));
        assert!(!AccessRights::DATA.fits_limit(0xFFFF_FFFE));
        assert!(AccessRights::BUSY_TSS.fits_limit(0x67));
        assert!(!AccessRights::BUSY_TSS.fits_limit(0x10_0000));
    }

    #[test]
    fn constants_are_present_and_busy() {
        for rights in [AccessRights::CODE_64, AccessRights::CODE_32, AccessRights::REAL_MODE_CODE] {
            assert!(rights.is_present() && rights.is_code() && rights.segment_type() == 11);
        }
        for rights in [AccessRights::DATA, AccessRights::REAL_MODE_DATA] {
            assert!(rights.is_present() && !rights.is_code() && rights.segment_type() == 3);
        }
        assert_eq!(AccessRights::VIRTUAL_8086.dpl(), 3);
        assert_eq!(AccessRights::BUSY_TSS.segment_type(), 11);
        assert!(!AccessRights::BUSY_TSS.is_code_or_data());
    }
}
