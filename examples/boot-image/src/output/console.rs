//! Text output on port E9h.
//!
//! Bochs copies each byte written there to its standard output at once, so a
//! line survives even if Bochs is killed. A line that begins with `@` belongs
//! to the protocol between the image and `cargo xtask run`; every other line
//! is the emulator's own chatter.

use core::fmt::{self, Write};

/// The port that Bochs copies to its standard output.
const DEBUG_PORT: u16 = 0xE9;

/// A writer of raw text to the debug port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console;

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
    say_raw(format_args!("\n"));
}

/// Prints one line of the protocol; `@` and the line's end are added.
///
/// The text must not contain a line break, or its rest is taken for chatter.
///
/// # Example
///
/// ```ignore
/// say(format_args!("progress policy={policy} done={done} of={all}"));
/// ```
pub(crate) fn say(text: fmt::Arguments<'_>) {
    say_raw(format_args!("@{text}\n"));
}

fn say_raw(text: fmt::Arguments<'_>) {
    // Writing to the console cannot fail, and a failing `Display` of the
    // caller's has printed what it could.
    let _ = Console.write_fmt(text);
}

/// Prints a text of several lines, each as a line of the protocol of this `kind`.
pub(crate) fn say_lines(kind: &str, text: fmt::Arguments<'_>) {
    let mut lines = Lines { kind, at_start: true };
    let _ = lines.write_fmt(text);
    if !lines.at_start {
        say_raw(format_args!("\n"));
    }
}

/// Puts `@kind` in front of each line.
struct Lines<'a> {
    kind: &'a str,
    at_start: bool,
}

impl Write for Lines<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive('\n') {
            if self.at_start {
                write!(Console, "@{} ", self.kind)?;
            }
            Console.write_str(part)?;
            self.at_start = part.ends_with('\n');
        }
        Ok(())
    }
}
