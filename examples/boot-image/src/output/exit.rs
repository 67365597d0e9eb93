//! How a run of the image ends.

use crate::output::console::say;
use crate::registers::halt::halt;

/// The verdict of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitKind {
    /// Everything that was checked is right: Bochs ends with status 0.
    Passed,
    /// Something failed or was refused: Bochs ends with status 1.
    Failed,
}

/// Bochs ends with status 1 when the text "Shutdown" is written here.
const SHUTDOWN_PORT: u16 = 0x8900;

/// Ends the run. On a machine that is not Bochs the processor halts.
pub(crate) fn end(kind: ExitKind) -> ! {
    match kind {
        ExitKind::Passed => magic_breakpoint(),
        ExitKind::Failed => shutdown(),
    }
    halt()
}

/// The end of a run in which so many checks were made, and all passed.
pub(crate) fn passed(checks: u64) -> ExitKind {
    say(format_args!("end passed={checks} failed=0"));
    ExitKind::Passed
}

/// Stops in Bochs' debugger, whose command script then quits with status 0.
fn magic_breakpoint() {
    // SAFETY: exchanging a register with itself changes nothing.
    unsafe { core::arch::asm!("xchg bx, bx", options(nomem, nostack, preserves_flags)) };
}

fn shutdown() {
    for byte in *b"Shutdown" {
        // SAFETY: no device of a PC answers at this port; Bochs only compares
        // the bytes.
        unsafe { x86::io::outb(SHUTDOWN_PORT, byte) };
    }
}
