//! Threads in the place of CPUs, for tests.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::processors::mailbox::Mailbox;

/// How often a test does something: Miri is slow.
pub(super) const ROUNDS: u64 = if cfg!(miri) { 30 } else { 10_000 };
/// A wait that is longer will never end.
const LATE: Duration = Duration::from_secs(if cfg!(miri) { 2 } else { 20 });

/// Turns of waiting for another thread.
pub(super) fn until_it_is_late() -> impl FnMut() -> bool {
    let start = Instant::now();
    move || {
        thread::yield_now();
        start.elapsed() < LATE
    }
}

/// Ends a thread that sleeps, even when a test fails.
struct End<'a>(&'a AtomicBool, Thread);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
        self.1.unpark();
    }
}

/// Does `work` while another thread sleeps as an idle CPU does: unless `pending`, and to
/// do `answer` whenever it is awake. The argument of `work` wakes it. A parked thread is
/// a CPU in HLT: woken before, it does not wait.
pub(super) fn with_sleeper(
    mailbox: &Mailbox,
    pending: impl Fn() -> bool + Sync,
    answer: impl Fn() + Sync,
    work: impl FnOnce(&dyn Fn()),
) {
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            while !end.load(SeqCst) {
                mailbox.sleep(|| {
                    if !pending() {
                        thread::park();
                    }
                });
                answer();
            }
        });
        let end = End(&end, sleeper.thread().clone());
        work(&|| end.1.unpark());
    });
}
