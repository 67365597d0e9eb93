//! Who has still to drop translations that another CPU has changed.
//!
//! A CPU may go on using a translation that it has cached after the paging structures say
//! something else. So who takes rights away from a page asks all other CPUs to drop their
//! translations, and goes on when all have (SDM, "Propagation of Paging-Structure Changes to
//! Multiple Processors").
//!
//! They are not interrupted for it: each answers when it waits for anything, and where it
//! does not, the change is not made known as done. That is enough for an image in which
//! rights change at a few known places.

use core::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::SeqCst};

/// The CPUs that were asked and have not answered, by the bits of their numbers.
#[derive(Debug)]
pub(crate) struct Shootdown {
    pending: AtomicU32,
}

impl Shootdown {
    /// Nobody was asked.
    pub(crate) const fn new() -> Self {
        Self { pending: AtomicU32::new(0) }
    }

    /// Asks these CPUs and waits until all have answered. The change of the paging structures
    /// was stored before.
    ///
    /// One CPU asks at a time: the caller sees to it. `wake` is called when the question can
    /// be seen. `turn` is called again and again while this waits; `false` from it gives up.
    ///
    /// # Errors
    ///
    /// The CPUs that have not answered.
    pub(crate) fn ask(
        &self,
        processors: u32,
        wake: impl FnOnce(),
        mut turn: impl FnMut() -> bool,
    ) -> Result<(), u32> {
        // SeqCst, so that a CPU that falls asleep either sees it or is seen asleep by `wake`.
        self.pending.store(processors, SeqCst);
        wake();
        while self.pending.load(Acquire) != 0 {
            if !turn() {
                let missing = self.pending.swap(0, SeqCst);
                return if missing == 0 { Ok(()) } else { Err(missing) };
            }
        }
        Ok(())
    }

    /// Whether anybody was asked and has not answered. Cheap.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(SeqCst) != 0
    }

    /// Answers for the CPU that executes this, whose bit is `processor`, if it was asked:
    /// calls `drop_translations` first.
    pub(crate) fn answer(&self, processor: u32, drop_translations: impl FnOnce()) {
        if self.pending.load(Acquire) & processor != 0 {
            drop_translations();
            self.pending.fetch_and(!processor, SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
    use std::thread;

    use super::Shootdown;
    use crate::processors::mailbox::Mailbox;
    use crate::processors::testing::{ROUNDS, until_it_is_late, with_sleeper};

    /// A page that anybody may write whose translation leads to it.
    struct Page(Cell<usize>);

    // SAFETY: nothing keeps two threads apart but the shootdown, which is what the test is
    // about: Miri reports a data race if it does not.
    unsafe impl Sync for Page {}

    /// Two threads write to the page that their own, cached translation leads to; a third
    /// changes the translation and then has the old page for itself.
    #[test]
    fn after_an_answer_no_stale_translation_is_used() {
        const CHANGES: usize = 15;
        const ASKED: u32 = 0b110;
        let pages: [Page; CHANGES + 1] = core::array::from_fn(|_| Page(Cell::new(0)));
        // One page for each of the writers: they are not to race with each other.
        let others: [Page; CHANGES + 1] = core::array::from_fn(|_| Page(Cell::new(0)));
        let entry = AtomicUsize::new(0);
        let shootdown = Shootdown::new();
        let end = AtomicBool::new(false);
        thread::scope(|scope| {
            for (bit, pages) in [(0b010, &pages), (0b100, &others)] {
                let (entry, shootdown, end) = (&entry, &shootdown, &end);
                scope.spawn(move || {
                    let mut cached = entry.load(Relaxed);
                    while !end.load(Relaxed) {
                        let page = &pages[cached];
                        page.0.set(page.0.get() + 1);
                        shootdown.answer(bit, || {
                            // The old one may be used until it is dropped.
                            page.0.set(page.0.get() + 1);
                            cached = entry.load(Relaxed);
                        });
                        thread::yield_now();
                    }
                });
            }
            for change in 1..=CHANGES {
                entry.store(change, Relaxed);
                let answer = shootdown.ask(
                    ASKED,
                    || (),
                    || {
                        thread::yield_now();
                        true
                    },
                );
                assert_eq!(answer, Ok(()));
                pages[change - 1].0.set(0);
                others[change - 1].0.set(0);
            }
            end.store(true, Relaxed);
        });
        for page in pages.iter().chain(&others).take(CHANGES) {
            assert_eq!(page.0.get(), 0, "written after it was taken away");
        }
    }

    #[test]
    fn a_sleeper_answers() {
        let (shootdown, mailbox) = (Shootdown::new(), Mailbox::new());
        let (pending, answer) = (|| shootdown.is_pending(), || shootdown.answer(1, || ()));
        with_sleeper(&mailbox, pending, answer, |wake| {
            for _ in 0..ROUNDS {
                let wake_if_asleep = || {
                    if mailbox.is_asleep() {
                        wake();
                    }
                };
                let answer = shootdown.ask(1, wake_if_asleep, until_it_is_late());
                assert_eq!(answer, Ok(()), "the sleeper was not woken");
            }
        });
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let shootdown = Shootdown::new();
        let mut turns = 0;
        let answer = shootdown.ask(
            0b1010,
            || (),
            || {
                shootdown.answer(0b0010, || ());
                turns += 1;
                turns < 3
            },
        );
        assert_eq!(answer, Err(0b1000));
        assert!(!shootdown.is_pending());
        shootdown.answer(0b1000, || panic!("the question was withdrawn"));
    }
}
