//! Bits of a control register that VMX operation fixes.
//!
//! Source: SDM, "VMX-Fixed Bits in CR0", "VMX-Fixed Bits in CR4".

/// Bits of a control register that VMX operation fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedBits {
    /// Bits that must be 1 (the FIXED0 MSR).
    pub must_be_one: u64,
    /// Bits that may be 1 (the FIXED1 MSR).
    pub may_be_one: u64,
}

impl FixedBits {
    /// Bits that `value` has 0 and must have 1.
    pub const fn missing(self, value: u64) -> u64 {
        self.must_be_one & !value
    }

    /// Bits that `value` has 1 and must have 0.
    pub const fn excess(self, value: u64) -> u64 {
        value & !self.may_be_one
    }

    /// `value` with the fixed bits as the CPU wants them.
    pub const fn apply(self, value: u64) -> u64 {
        (value | self.must_be_one) & self.may_be_one
    }
}
