//! CR0, and CR4 with every bit kept that this code does not know, and CR3, whose load drops
//! translations.
//!
//! MOV to and from control registers leaves the arithmetic flags undefined.

use core::arch::asm;

use vmx_core::cpu::Cr4;

/// Reads CR0.
pub(crate) fn cr0() -> u64 {
    let value;
    // SAFETY: reading CR0 in ring 0 has no effect.
    unsafe { asm!("mov {}, cr0", out(reg) value, options(nomem, nostack)) };
    value
}

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

/// Drops all translations that this CPU has cached.
pub(crate) fn drop_translations() {
    // SAFETY: ring 0; CR3 gets the value that it has. No mapping is global, so this forgets
    // every stale translation. The block clobbers memory, so accesses stay on their side.
    unsafe { asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack)) };
}
