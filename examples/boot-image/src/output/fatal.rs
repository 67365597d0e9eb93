//! The end of a run in which a CPU failed: it stops all others, says why, and ends the run.

use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use core::time::Duration;

use crate::output::console;
use crate::output::exit::{self, ExitKind};
use crate::processors::call::send;
use crate::processors::number::{self, Number, Set};
use crate::registers::halt::halt;
use crate::registers::local_apic::Message;
use crate::registers::time::Deadline;

/// How long the other CPUs may take to stop.
const PATIENCE: Duration = Duration::from_millis(10);

/// The CPU that failed, as a [`Set`]: the first one. Empty if none has.
static FAILED: AtomicU32 = AtomicU32::new(0);
/// The CPUs that have stopped for it, as a [`Set`].
static STOPPED: AtomicU32 = AtomicU32::new(0);

/// Stops all other CPUs, prints what happened on this one, and ends the run as failed.
///
/// Of two CPUs that fail at once the first one is heard.
pub(crate) fn fatal(what: fmt::Arguments<'_>) -> ! {
    let own = number::this();
    if let Err(failed) = FAILED.compare_exchange(0, Set::of(own).0, SeqCst, SeqCst) {
        if !Set(failed).contains(own) {
            stop(own);
        }
        // While it was telling what had happened. What tells it may be what fails.
        console::say_last(|| (), format_args!("fatal {own} failed again while it told of it"));
        exit::end(ExitKind::Failed);
    }
    let others = number::online().without(own);
    if others.len() == 0 {
        console::say_last(|| (), format_args!("fatal {what}"));
    } else {
        let stop_others = || stop_all(others);
        console::say_last(stop_others, format_args!("fatal {own}: {what}{}", Stopped(others)));
    }
    exit::end(ExitKind::Failed)
}

/// Stops this CPU if another one has failed: for the handler of the NMI.
pub(crate) fn stop_if_another_failed() {
    let failed = Set(FAILED.load(SeqCst));
    let own = number::this();
    if failed.len() != 0 && !failed.contains(own) {
        stop(own);
    }
}

/// Says that this CPU stops, and does.
fn stop(own: Number) -> ! {
    STOPPED.fetch_or(Set::of(own).0, Relaxed);
    halt()
}

/// Stops these CPUs by NMI, which reaches them wherever they are, and waits a moment for it.
fn stop_all(others: Set) {
    for number in others.iter() {
        send(Message::Nmi, number);
    }
    let deadline = Deadline::after(PATIENCE);
    while STOPPED.load(Relaxed) & others.0 != others.0 && !deadline.is_over() {
        core::hint::spin_loop();
    }
}

/// Whether these CPUs have stopped, in words; asked when it is printed.
struct Stopped(Set);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stopped = Set(STOPPED.load(Relaxed));
        for number in self.0.iter() {
            let not = if stopped.contains(number) { "" } else { " not" };
            write!(f, "; {number} was{not} stopped")?;
        }
        Ok(())
    }
}
