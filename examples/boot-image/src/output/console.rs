//! Text output on port E9h.
//!
//! Bochs copies each byte written there to its standard output at once, so a
//! line survives even if Bochs is killed. A line that begins with `@` belongs
//! to the protocol between the image and `cargo xtask run`; every other line
//! is the emulator's own chatter.

use core::fmt::{self, Write};
use core::time::Duration;

use crate::processors::lock::{Lock, relax};
use crate::registers::time::Deadline;

/// The port that Bochs copies to its standard output.
const DEBUG_PORT: u16 = 0xE9;

/// How long the last words wait for another CPU's line to end.
const PATIENCE: Duration = Duration::from_millis(10);

/// A writer of raw text to the debug port.
#[derive(Debug)]
struct Console;

static CONSOLE: Lock<Console> = Lock::new(Console);

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: port E9h belongs to no device of a PC; a write there has
            // no effect on memory or on the processor.
            unsafe { x86::io::outb(DEBUG_PORT, byte) };
        }
        Ok(())
    }
}

/// Starts a fresh line: the emulator's prompt may stand in the current one.
pub(crate) fn begin() {
    write(&mut CONSOLE.lock(), format_args!("\n"));
}

/// Prints one line of the protocol; `@` and the line's end are added.
///
/// The text must not contain a line break, or its rest is taken for chatter.
/// Formatting it must not print.
///
/// # Example
///
/// ```ignore
/// say(format_args!("progress policy={policy} done={done} of={all}"));
/// ```
pub(crate) fn say(text: fmt::Arguments<'_>) {
    write(&mut CONSOLE.lock(), format_args!("@{text}\n"));
}

/// Prints a text of several lines, each as a line of the protocol of this `kind`. No other
/// CPU's line comes between them.
pub(crate) fn say_lines(kind: &str, text: fmt::Arguments<'_>) {
    let mut lines = Lines { console: &mut CONSOLE.lock(), kind, at_start: true };
    let _ = lines.write_fmt(text);
    if !lines.at_start {
        write(lines.console, format_args!("\n"));
    }
}

/// Waits a moment for the line of another CPU to end, does `work`, and prints a line of the
/// protocol, whoever has the lock. For a CPU that ends the run: this CPU itself may have been
/// printing when something happened.
pub(crate) fn say_last(work: impl FnOnce(), text: fmt::Arguments<'_>) {
    let deadline = Deadline::after(PATIENCE);
    let lock = loop {
        if let Some(lock) = CONSOLE.try_lock() {
            break Some(lock);
        }
        if deadline.is_over() {
            break None;
        }
        relax();
    };
    work();
    // A line of its own, where another one was broken off.
    let begin = if lock.is_some() { "" } else { "\n" };
    write(&mut Console, format_args!("{begin}@{text}\n"));
}

fn write(console: &mut Console, text: fmt::Arguments<'_>) {
    // Writing to the console cannot fail, and a failing `Display` of the
    // caller's has printed what it could.
    let _ = console.write_fmt(text);
}

/// Puts `@kind` in front of each line.
struct Lines<'a> {
    console: &'a mut Console,
    kind: &'a str,
    at_start: bool,
}

impl Write for Lines<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            if self.at_start {
                write!(self.console, "@{} ", self.kind)?;
            }
            self.console.write_str(part)?;
            self.at_start = part.ends_with('\n');
        }
        Ok(())
    }
}
