//! How wide linear addresses are.

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
    /// use vmx_core::memory::LinearAddressWidth::{Bits48, Bits57};
    /// assert!(!Bits48.is_canonical(1 << 47));
    /// assert!(Bits57.is_canonical(1 << 47));
    /// assert!(!Bits57.is_canonical(0x4000_0000_0000_0000));
    /// ```
    pub const fn is_canonical(self, address: u64) -> bool {
        let unused = 64 - self.bits();
        (((address << unused) as i64) >> unused) as u64 == address
    }
}
