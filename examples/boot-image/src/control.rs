//! CR4, before there is a CPU by its traits.

use core::arch::asm;

use vmx_core::cpu::Cr4;

/// Reads CR4.
pub(crate) fn cr4() -> Cr4 {
    let value;
    // SAFETY: reading CR4 in ring 0 has no effect.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack)) };
    Cr4::from_bits_retain(value)
}

/// Sets bits in CR4 and leaves all others as they are.
///
/// # Safety
///
/// 1. The processor has the features of the bits.
/// 2. Setting them does not change what the running code means.
pub(crate) unsafe fn set_cr4(bits: Cr4) {
    let value = cr4() | bits;
    // SAFETY: the old value with bits added that the processor has (1) and the
    // running code bears (2).
    unsafe { asm!("mov cr4, {}", in(reg) value.bits(), options(nostack)) };
}
