//! A place where CPUs meet.

use core::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};

/// A meeting point for a fixed number of CPUs, again and again.
///
/// What each did before it came is visible to all when they leave.
#[derive(Debug)]
pub(crate) struct Barrier {
    size: usize,
    /// Arrivals at all meetings together.
    arrivals: AtomicUsize,
}

impl Barrier {
    /// For this many CPUs, at least one.
    pub(crate) const fn new(size: usize) -> Self {
        Self { size, arrivals: AtomicUsize::new(0) }
    }

    /// Comes to the next meeting and waits until all are there. `turn` is called again and
    /// again meanwhile; `false` from it gives up.
    ///
    /// Whether all came. After a `false` the barrier is of no use any more.
    pub(crate) fn meet(&self, mut turn: impl FnMut() -> bool) -> bool {
        let before = self.arrivals.fetch_add(1, AcqRel);
        // Nobody comes to the meeting after this one before this one is full.
        let full = (before / self.size + 1) * self.size;
        while self.arrivals.load(Acquire) < full {
            if !turn() {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use std::thread;

    use super::Barrier;

    /// Written by one thread between two meetings and read by all between the next two.
    struct Word(Cell<usize>);

    // SAFETY: nothing vouches for the order but the barrier, which is what the test is about:
    // Miri reports a data race if it does not hold.
    unsafe impl Sync for Word {}

    #[test]
    fn what_was_done_before_a_meeting_is_seen_after_it() {
        const THREADS: usize = 3;
        let barrier = Barrier::new(THREADS);
        let word = Word(Cell::new(0));
        let meet = || {
            barrier.meet(|| {
                thread::yield_now();
                true
            })
        };
        thread::scope(|scope| {
            for number in 0..THREADS {
                let (word, meet) = (&word, &meet);
                scope.spawn(move || {
                    for round in 0..20 {
                        if round % THREADS == number {
                            word.0.set(round);
                        }
                        assert!(meet());
                        assert_eq!(word.0.get(), round);
                        assert!(meet());
                    }
                });
            }
        });
    }

    #[test]
    fn gives_up_when_told() {
        let mut turns = 0;
        let all_came = Barrier::new(2).meet(|| {
            turns += 1;
            turns < 10
        });
        assert!(!all_came);
        assert_eq!(turns, 10);
        assert!(Barrier::new(1).meet(|| panic!("nobody else is to come")));
    }
}
