//! Waiting without executing, and the moments in which the image takes interrupts.
//!
//! RFLAGS.IF is 0 everywhere but between the STI and the CLI of this file. STI holds
//! interrupts back for one more instruction, so that none comes between it and the HLT:
//! one that is pending already ends the HLT.

use core::arch::asm;

/// Stops this CPU for good.
pub(crate) fn halt() -> ! {
    loop {
        // SAFETY: ring 0; with interrupts off HLT only waits. An NMI that ends it comes
        // back here.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// Waits for an interrupt and takes it. An interrupt that is pending is one.
pub(crate) fn sleep() {
    // SAFETY: ring 0. The interrupts that can come are those that `local_apic` lets in, and
    // their gates lead to a handler that keeps all registers. The image has no red zone.
    // The handler may write memory: the block is not `nomem`.
    unsafe { asm!("sti", "hlt", "cli") };
}

/// Takes the interrupts that are pending; comes back at once.
pub(crate) fn take_interrupts() {
    // SAFETY: as for `sleep`.
    unsafe { asm!("sti", "nop", "cli") };
}
