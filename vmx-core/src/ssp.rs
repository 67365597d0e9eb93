//! The shadow-stack-pointer registers, the values they take, and IA32_S_CET.

use core::fmt;

use bitflags::bitflags;

use crate::msr::MsrIndex;

/// How many low bits of a linear address the CPU uses: CPUID.80000008h:EAX\[15:8\].
///
/// Canonicality of an MSR value, a VMCS field or an XRSTORS image is judged by
/// the widest address that the CPU supports, whatever CR4.LA57 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinearAddressWidth {
    /// 48 bits: four-level paging.
    Bits48,
    /// 57 bits: the CPU supports five-level paging.
    Bits57,
}

impl LinearAddressWidth {
    /// The width in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits48 => 48,
            Self::Bits57 => 57,
        }
    }

    /// Whether `address` is canonical: all bits above the width equal the top one.
    ///
    /// ```
    /// use vmx_core::LinearAddressWidth::{Bits48, Bits57};
    /// assert!(!Bits48.is_canonical(1 << 47));
    /// assert!(Bits57.is_canonical(1 << 47));
    /// assert!(!Bits57.is_canonical(0x4000_0000_0000_0000));
    /// ```
    pub const fn is_canonical(self, address: u64) -> bool {
        let unused = 64 - self.bits();
        (((address << unused) as i64) >> unused) as u64 == address
    }
}

/// One of the three supervisor shadow-stack-pointer registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SspRegister {
    /// IA32_PL0_SSP (6A4h).
    Pl0,
    /// IA32_PL1_SSP (6A5h).
    Pl1,
    /// IA32_PL2_SSP (6A6h).
    Pl2,
}

impl SspRegister {
    /// All three, in the order of their numbers and of XSAVE component 12.
    pub const ALL: [Self; 3] = [Self::Pl0, Self::Pl1, Self::Pl2];

    /// 0, 1 or 2: the ring, and the place in an array of three.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The register's MSR number.
    pub const fn msr(self) -> MsrIndex {
        MsrIndex(MsrIndex::IA32_PL0_SSP.0 + self as u32)
    }

    /// The register with this MSR number, if it is one of the three.
    pub const fn from_msr(msr: MsrIndex) -> Option<Self> {
        match msr {
            MsrIndex::IA32_PL0_SSP => Some(Self::Pl0),
            MsrIndex::IA32_PL1_SSP => Some(Self::Pl1),
            MsrIndex::IA32_PL2_SSP => Some(Self::Pl2),
            _ => None,
        }
    }

    /// The register as a set of one.
    pub const fn as_set(self) -> SspRegisters {
        SspRegisters::from_bits_retain(1 << self as u8)
    }
}

bitflags! {
    /// A set of supervisor shadow-stack-pointer registers.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct SspRegisters: u8 {
        /// IA32_PL0_SSP.
        const PL0 = 1 << 0;
        /// IA32_PL1_SSP.
        const PL1 = 1 << 1;
        /// IA32_PL2_SSP.
        const PL2 = 1 << 2;
    }
}

/// A value that WRMSR accepts for IA32_PL0_SSP to IA32_PL2_SSP.
///
/// Bits 1:0 are zero and the address is canonical for the width it was checked
/// against. On a CPU with narrower linear addresses the write raises #GP(0), so
/// check again when a state moves to another machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Ssp(u64);

impl Ssp {
    /// Zero, the value after reset.
    pub const ZERO: Self = Self(0);

    /// Checks `value` as WRMSR does on a CPU of this width.
    ///
    /// # Errors
    /// [`IllegalSsp`]: the CPU would answer #GP(0).
    ///
    /// ```
    /// use vmx_core::{LinearAddressWidth::Bits48, Ssp};
    /// use vmx_core::ssp::IllegalSsp;
    /// assert_eq!(Ssp::new(0x1004, Bits48).map(Ssp::get), Ok(0x1004)); // bit 2 may be set
    /// assert_eq!(Ssp::new(0x1002, Bits48), Err(IllegalSsp::Misaligned));
    /// ```
    pub const fn new(value: u64, width: LinearAddressWidth) -> Result<Self, IllegalSsp> {
        if value & 0b11 != 0 {
            Err(IllegalSsp::Misaligned)
        } else if !width.is_canonical(value) {
            Err(IllegalSsp::NotCanonical)
        } else {
            Ok(Self(value))
        }
    }

    /// The value as RDMSR returns it.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A value that came out of one of the registers, or out of component 12 that
    /// XSAVES wrote: the CPU keeps no other there. Bits 1:0 are cleared, so that
    /// the type's promise holds whatever a wrong backend passes.
    pub const fn from_register(value: u64) -> Self {
        Self(value & !0b11)
    }
}

impl fmt::Debug for Ssp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssp({:#x})", self.0)
    }
}

impl fmt::LowerHex for Ssp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// Why a value is not one for a shadow-stack-pointer register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IllegalSsp {
    /// Bits 1:0 are not zero.
    Misaligned,
    /// The address is not canonical.
    NotCanonical,
}

impl fmt::Display for IllegalSsp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Misaligned => "bits 1:0 of a shadow-stack pointer must be zero",
            Self::NotCanonical => "a shadow-stack pointer must be canonical",
        })
    }
}

impl core::error::Error for IllegalSsp {}

bitflags! {
    /// IA32_S_CET and IA32_U_CET: the low bits; 63:12 hold the base of the legacy
    /// code-page bitmap. Source: SDM, "Control-flow Enforcement Technology", MSRs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct CetControl: u64 {
        /// SH_STK_EN: shadow stacks are on.
        const SH_STK_EN = 1 << 0;
        /// WR_SHSTK_EN: WRSS may write shadow stacks.
        const WR_SHSTK_EN = 1 << 1;
        /// ENDBR_EN: indirect-branch tracking is on.
        const ENDBR_EN = 1 << 2;
        /// LEG_IW_EN: the legacy code-page bitmap is consulted.
        const LEG_IW_EN = 1 << 3;
        /// NO_TRACK_EN: the no-track prefix is honoured.
        const NO_TRACK_EN = 1 << 4;
        /// SUPPRESS_DIS: legacy treatment does not suppress tracking.
        const SUPPRESS_DIS = 1 << 5;
        /// SUPPRESS: tracking is suppressed.
        const SUPPRESS = 1 << 10;
        /// TRACKER: the CPU waits for ENDBRANCH.
        const TRACKER = 1 << 11;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn registers_and_numbers_are_inverse() {
        for register in SspRegister::ALL {
            assert_eq!(SspRegister::from_msr(register.msr()), Some(register));
        }
        assert_eq!(SspRegister::from_msr(MsrIndex::IA32_PL3_SSP), None);
    }

    proptest! {
        #[test]
        fn canonical_means_all_upper_bits_equal(value: u64) {
            for width in [LinearAddressWidth::Bits48, LinearAddressWidth::Bits57] {
                let upper = value >> (width.bits() - 1);
                let all_ones = u64::MAX >> (width.bits() - 1);
                prop_assert_eq!(width.is_canonical(value), upper == 0 || upper == all_ones);
            }
        }
    }
}
