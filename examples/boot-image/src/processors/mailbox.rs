//! "Run this on that CPU": a place for one order, and the order itself.
//!
//! An order lies on the stack of the CPU that gives it and is passed by address. So giving
//! it must not end before the other CPU is done with it: whoever gave an order either takes
//! it back, which succeeds only while nobody has begun it, or waits until it is done.
//!
//! The place is free again as soon as the order is begun. So an order may give orders of its
//! own, to the CPU that waits for it too, if that one serves its mailbox while it waits.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Acquire, Ordering::Relaxed};
use core::sync::atomic::{Ordering::Release, Ordering::SeqCst};

/// Where one CPU finds what others want of it.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// Null, or the order to execute next. It lives until its `done` is set, or until
    /// whoever gave it has taken it out of here.
    order: AtomicPtr<Order>,
    /// The CPU is about to sleep, or does, and must be woken to look in here.
    asleep: AtomicBool,
}

/// The part of a [`Task`] that does not depend on its types.
#[derive(Debug)]
struct Order {
    /// Executes the task that begins with this order.
    execute: unsafe fn(*const Order),
    /// Whether it was executed; who executed it does not touch it afterwards.
    done: AtomicBool,
}

/// What shall be done, then what came of it.
#[repr(C)] // The order comes first.
struct Task<F, R> {
    order: Order,
    work: Cell<Option<F>>,
    result: Cell<Option<R>>,
}

/// Nobody began with the work, and it will not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotTaken;

/// Executes a task, wherever it was given.
///
/// # Safety
///
/// 1. The pointer is to the order of a `Task<F, R>`, with the provenance of the whole.
/// 2. The task lives, and nobody else touches its work or its result, until `done` is set.
unsafe fn execute<F: FnOnce() -> R, R>(order: *const Order) {
    // SAFETY: a task (1) that lives until `done` (2). It consists of cells and atomics, so
    // this reference may dangle after that, unused.
    let task = unsafe { &*order.cast::<Task<F, R>>() };
    task.result.set(task.work.take().map(|work| work()));
    task.order.done.store(true, Release);
}

impl Mailbox {
    /// An empty one, of a CPU that is awake.
    pub(crate) const fn new() -> Self {
        Self { order: AtomicPtr::new(ptr::null_mut()), asleep: AtomicBool::new(false) }
    }

    /// Has `work` done by the CPU of this mailbox, does `meanwhile` here, and waits for the
    /// work's end.
    ///
    /// `wake` is called if the CPU must be woken. `turn` is called again and again while
    /// this waits; `false` from it means to wait no longer. That is heeded only while nobody
    /// has begun the work.
    ///
    /// The second value is that of `meanwhile`, which is done in any case.
    ///
    /// # Errors
    ///
    /// [`NotTaken`].
    pub(crate) fn give<R: Send, M>(
        &self,
        work: impl FnOnce() -> R + Send,
        wake: impl FnOnce(),
        meanwhile: impl FnOnce() -> M,
        mut turn: impl FnMut() -> bool,
    ) -> (Result<R, NotTaken>, M) {
        let task = Task {
            order: Order { execute: execute_of(&work), done: AtomicBool::new(false) },
            work: Cell::new(Some(work)),
            result: Cell::new(None),
        };
        // Of the whole task, for `execute`.
        let order = (&raw const task).cast::<Order>().cast_mut();
        // Waits while the order of a third CPU is in the way.
        while self.order.compare_exchange(ptr::null_mut(), order, SeqCst, SeqCst).is_err() {
            if !turn() {
                return (Err(NotTaken), meanwhile());
            }
        }
        let given = Given { mailbox: self, order, done: &task.order.done, turn: &mut turn };
        // After the order is in the mailbox, in the single order of SeqCst: see `sleep`.
        if self.is_asleep() {
            wake();
        }
        let meanwhile = meanwhile();
        drop(given);
        (task.result.into_inner().ok_or(NotTaken), meanwhile)
    }

    /// Executes the order in this mailbox. Whether there was one.
    pub(crate) fn serve(&self) -> bool {
        // Looks before it writes: this is called in loops.
        if self.order.load(Relaxed).is_null() {
            return false;
        }
        let order = self.order.swap(ptr::null_mut(), SeqCst);
        if order.is_null() {
            return false;
        }
        // SAFETY: an order in a mailbox lives, and from the swap on nobody can take it back,
        // so it lives until it is done.
        let execute = unsafe { (*order).execute };
        // SAFETY: `execute` was made for the task that the order begins (1); `give` waits
        // until it is done, and only looks at `done` meanwhile (2). The work may be done and
        // its result made on this CPU, since both are `Send`.
        unsafe { execute(order) };
        true
    }

    /// Calls `halt`, which waits until it is woken, unless there is an order already.
    ///
    /// This CPU stores `asleep` and then looks for an order; who gives one stores the order
    /// and then looks at `asleep`. In the single order of SeqCst one of the two stores is
    /// first, and the other CPU sees it. So no order is overlooked, if `halt` returns at
    /// once when the CPU was woken before it.
    pub(crate) fn sleep(&self, halt: impl FnOnce()) {
        self.asleep.store(true, SeqCst);
        if self.order.load(SeqCst).is_null() {
            halt();
        }
        self.asleep.store(false, SeqCst);
    }

    /// Whether the CPU must be woken to see what was stored, by SeqCst, before this.
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep.load(SeqCst)
    }
}

/// [`execute`] for the type of this work, which has no name.
fn execute_of<F: FnOnce() -> R, R>(_: &F) -> unsafe fn(*const Order) {
    execute::<F, R>
}

/// An order that was given. When this is dropped nobody will touch the order any more; so it
/// holds for an unwinding `meanwhile`, too.
struct Given<'a, T: FnMut() -> bool> {
    mailbox: &'a Mailbox,
    order: *mut Order,
    done: &'a AtomicBool,
    turn: &'a mut T,
}

impl<T: FnMut() -> bool> Drop for Given<'_, T> {
    fn drop(&mut self) {
        let in_mailbox = &self.mailbox.order;
        while !self.done.load(Acquire) {
            // It can only be this very order: another one has another address while this lives.
            let take_back =
                || in_mailbox.compare_exchange(self.order, ptr::null_mut(), SeqCst, SeqCst);
            if !(self.turn)() && take_back().is_ok() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::thread;

    use super::{Mailbox, NotTaken};
    use crate::processors::testing::{ROUNDS, until_it_is_late, with_sleeper};

    fn patient() -> bool {
        thread::yield_now();
        true
    }

    fn never() {
        panic!("the other thread never sleeps");
    }

    #[test]
    fn threads_call_each_other_in_calls() {
        let boxes = [Mailbox::new(), Mailbox::new()];
        let finished = [AtomicBool::new(false), AtomicBool::new(false)];
        let run = |own: usize| {
            let other = 1 - own;
            let turn = |mailbox: usize| {
                boxes[mailbox].serve();
                patient()
            };
            let mut sum = 0;
            for round in 0..ROUNDS {
                // Neither the word nor the result is atomic.
                let mut word = 0;
                let (result, ()) = boxes[other].give(
                    || {
                        word = round;
                        let back = || boxes[own].give(|| round, never, || (), || turn(other)).0;
                        back()
                    },
                    never,
                    || (),
                    || turn(own),
                );
                assert_eq!(result, Ok(Ok(round)));
                sum += word;
            }
            finished[own].store(true, SeqCst);
            while !finished[other].load(SeqCst) {
                turn(own);
            }
            sum
        };
        let sums = thread::scope(|scope| {
            let second = scope.spawn(|| run(1));
            [run(0), second.join().expect("the other thread")]
        });
        assert_eq!(sums, [ROUNDS * (ROUNDS - 1) / 2; 2]);
    }

    #[test]
    fn a_sleeper_overlooks_nothing() {
        let mailbox = Mailbox::new();
        with_sleeper(
            &mailbox,
            || false,
            || _ = mailbox.serve(),
            |wake| {
                for round in 0..ROUNDS {
                    let (result, ()) = mailbox.give(|| round, wake, || (), until_it_is_late());
                    assert_eq!(result, Ok(round), "the sleeper was not woken");
                }
            },
        );
    }

    #[test]
    fn work_that_nobody_begins_is_taken_back_and_dropped() {
        let mailbox = Mailbox::new();
        let owned = String::from("dropped by this thread");
        let mut turns = 0;
        let turn = || {
            turns += 1;
            turns < 5
        };
        let (result, meanwhile) = mailbox.give(move || drop(owned), never, || 7, turn);
        assert_eq!((result, meanwhile), (Err(NotTaken), 7));
        assert_eq!(turns, 5);
        assert!(!mailbox.serve(), "nothing was left");
    }

    #[test]
    fn a_full_mailbox_is_waited_for() {
        let mailbox = Mailbox::new();
        let second = || mailbox.give(|| 2, never, || (), || false).0;
        let (first, second) = mailbox.give(|| 1, never, second, || false);
        assert_eq!((first, second), (Err(NotTaken), Err(NotTaken)));
    }

    /// The giver loses patience at about the moment at which the other thread looks.
    #[test]
    fn work_is_done_or_taken_back_and_never_both() {
        let mailbox = Mailbox::new();
        let end = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !end.load(SeqCst) {
                    mailbox.serve();
                    thread::yield_now();
                }
            });
            for round in 0..ROUNDS {
                let mut done = false;
                let mut turns = round % 7;
                let turn = || {
                    turns = turns.saturating_sub(1);
                    turns > 0
                };
                let (result, ()) = mailbox.give(|| done = true, never, || (), turn);
                assert_eq!(result.is_ok(), done);
            }
            end.store(true, SeqCst);
        });
    }
}
