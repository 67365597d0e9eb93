//! Having something done by other CPUs.
//!
//! A CPU does what others ask of it when it has nothing to do ([`idle`]) and while it waits
//! for a call of its own: in the middle of what called. So hold no lock and nothing of this
//! CPU that a served call could need across a call.

use core::fmt;
use core::time::Duration;

use crate::processors::lock::relax;
use crate::processors::mailbox::Mailbox;
use crate::processors::number::{self, MOST, Number, PerProcessor, Set};
use crate::processors::translations;
use crate::registers::halt;
use crate::registers::local_apic::{self, Message};
use crate::registers::time::Deadline;

/// How long a call waits for the other CPU to begin with it.
const PATIENCE: Duration = Duration::from_millis(20);

static MAILBOXES: PerProcessor<Mailbox> = PerProcessor::new([const { Mailbox::new() }; MOST]);

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The CPU was never started.
    NotOnline(Number),
    /// The CPU did not begin with it in time; it will not be done.
    NotTaken(Number),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOnline(number) => write!(f, "{number} was called, but it was never started"),
            Self::NotTaken(number) => write!(
                f,
                "{number} did not take a call within {} ms: it neither idles nor waits for a \
                 call of its own",
                PATIENCE.as_millis()
            ),
        }
    }
}

impl core::error::Error for CallError {}

/// Has this done by another CPU, or here if that is this one, and waits for the result.
///
/// # Errors
///
/// See [`CallError`]; nothing was done.
pub(crate) fn call<R: Send>(on: Number, work: impl FnOnce() -> R + Send) -> Result<R, CallError> {
    if on == number::this() { Ok(work()) } else { call_while(on, work, || ()).0 }
}

/// Has this done by another CPU, does `meanwhile` on this one, and waits for both.
///
/// # Errors
///
/// See [`CallError`]; the work was not done. That the other CPU does not begin is noticed
/// only after `meanwhile`.
pub(crate) fn call_while<R: Send, M>(
    on: Number,
    work: impl FnOnce() -> R + Send,
    meanwhile: impl FnOnce() -> M,
) -> (Result<R, CallError>, M) {
    let own = number::this();
    if on == own || !number::online().contains(on) {
        return (Err(CallError::NotOnline(on)), meanwhile());
    }
    let mut deadline = None;
    let turn = || {
        relax();
        MAILBOXES.of(own).serve();
        !deadline.get_or_insert_with(|| Deadline::after(PATIENCE)).is_over()
    };
    let (result, meanwhile) =
        MAILBOXES.of(on).give(work, || send(Message::Attention, on), meanwhile, turn);
    (result.map_err(|_| CallError::NotTaken(on)), meanwhile)
}

/// Has this done by all CPUs at once; what came of it, by their numbers.
///
/// Each gets its number. `None`: there is no such CPU.
pub(crate) fn on_all<R: Send>(
    work: impl Fn(Number) -> R + Sync,
) -> [Option<Result<R, CallError>>; MOST] {
    let mut results = [const { None }; MOST];
    on_each(number::others(), &work, &mut results);
    results
}

/// On those of the set, each in a call during which the rest is called; on this one when all
/// others are.
fn on_each<R: Send>(
    others: Set,
    work: &(impl Fn(Number) -> R + Sync),
    results: &mut [Option<Result<R, CallError>>; MOST],
) {
    let Some(first) = others.iter().next() else {
        let own = number::this();
        results[own.index()] = Some(Ok(work(own)));
        return;
    };
    let rest = || on_each(others.without(first), work, results);
    let (result, ()) = call_while(first, || work(first), rest);
    results[first.index()] = Some(result);
}

/// What a CPU does that has nothing to do: it sleeps until another one wants something.
pub(crate) fn idle() -> ! {
    let own = number::this();
    let mailbox = MAILBOXES.of(own);
    loop {
        mailbox.sleep(|| {
            if !translations::is_pending() {
                halt::sleep();
            }
        });
        translations::answer();
        mailbox.serve();
    }
}

/// Wakes those of these CPUs that sleep, so that they see what was stored by SeqCst before.
pub(crate) fn wake(processors: Set) {
    for number in processors.iter().filter(|&number| MAILBOXES.of(number).is_asleep()) {
        send(Message::Attention, number);
    }
}

/// Sends a message to a CPU, or to this one.
pub(crate) fn send(message: Message, to: Number) {
    if let Some(apic_id) = number::apic_id(to) {
        local_apic::send(message, apic_id);
    }
}
