//! The shadow-stack-pointer registers and the values they take.

use core::fmt;

use bitflags::bitflags;

use crate::memory::linear_address::LinearAddressWidth;
use crate::msr::index::MsrIndex;

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

/// A value for IA32_PL0_SSP to IA32_PL2_SSP.
///
/// What the type promises: bits 1:0 are zero. What it does not: that the CPU which
/// runs takes the value. [`new`](Self::new) checked it for a width that the caller
/// named, [`from_register`](Self::from_register) not at all, and a CPU may judge by a
/// narrower width than CPUID reports. WRMSR of a value that the CPU does not take
/// raises #GP(0), and so does XRSTORS. Whoever hands values to a CPU checks them for
/// the width of that CPU, and asks it about those that
/// [need more than 48 bits](Self::needs_more_than_48_bits), by
/// [`accepts_ssp`](crate::cpu::SupervisorSsp::accepts_ssp). `VcpuCet` of the crate
/// `cet-policy` does both wherever a value comes in.
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
    /// use vmx_core::cet::Ssp;
    /// use vmx_core::memory::LinearAddressWidth::Bits48;
    /// use vmx_core::cet::IllegalSsp;
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

    /// Whether a CPU may refuse the value though it is legal by CPUID: it is canonical
    /// for 57 bits only, at most, and some CPUs and hypervisors judge by CR4.LA57.
    ///
    /// ```
    /// use vmx_core::cet::Ssp;
    /// use vmx_core::memory::LinearAddressWidth::Bits57;
    /// assert!(Ssp::new(1 << 47, Bits57)?.needs_more_than_48_bits());
    /// assert!(!Ssp::new(0xFFFF_8000_0000_0000, Bits57)?.needs_more_than_48_bits());
    /// # Ok::<(), vmx_core::cet::IllegalSsp>(())
    /// ```
    pub const fn needs_more_than_48_bits(self) -> bool {
        !LinearAddressWidth::Bits48.is_canonical(self.0)
    }

    /// A value that came out of one of the registers, or out of component 12 that
    /// XSAVES wrote: the CPU keeps no other there. Bits 1:0 are cleared, so that
    /// the type's promise holds whatever a wrong backend passes; nothing else is
    /// checked.
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
