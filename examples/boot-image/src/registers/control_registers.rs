//! CR4, with every bit kept that this code does not know.

use core::arch::asm;

/// Bits of CR4 that the image sets.
pub(crate) struct Cr4;

impl Cr4 {
    /// FXSAVE, FXRSTOR and SSE are in use.
    pub(crate) const OSFXSR: u64 = 1 << 9;
    /// Unmasked SIMD floating-point exceptions raise #XM.
    pub(crate) const OSXMMEXCPT: u64 = 1 << 10;
    /// XSAVE and XCR0 are in use.
    pub(crate) const OSXSAVE: u64 = 1 << 18;
    /// Control-flow enforcement; needs CR0.WP.
    pub(crate) const CET: u64 = 1 << 23;
}

/// Reads CR4.
pub(crate) fn cr4() -> u64 {
    let value;
    // SAFETY: reading CR4 in ring 0 has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack)) };
    value
}

/// Sets bits in CR4 and leaves all others as they are.
///
/// # Safety
///
/// 1. The processor has the features of the bits.
/// 2. Setting them does not change what the running code means.
pub(crate) unsafe fn set_cr4(bits: u64) {
    let value = cr4() | bits;
    // SAFETY: the old value with bits added that the processor has (1) and the
    // running code bears (2).
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack)) };
}
