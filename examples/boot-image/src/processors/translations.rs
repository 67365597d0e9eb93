//! Dropping what CPUs have cached of the paging structures, on all of them.

use core::sync::atomic::{Ordering::SeqCst, fence};
use core::time::Duration;

use crate::processors::number::{self, Set};
use crate::processors::shootdown::Shootdown;
use crate::registers::control_registers::drop_translations;
use crate::registers::time::Deadline;

/// How long another CPU may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_millis(20);

static SHOOTDOWN: Shootdown = Shootdown::new();

/// Drops the translations of all CPUs; the change was stored before. Only with the lock of
/// the paging structures: one CPU asks at a time. `wake` wakes those that sleep.
///
/// A CPU that comes online now drops its own after it is. Either the store of that is before
/// the fence in the single order of SeqCst, and it is asked; or the change is before it, and
/// what it drops is all that is stale.
///
/// # Errors
///
/// The CPUs that did not answer within [`PATIENCE`], and may still use the old translations.
pub(crate) fn drop_everywhere(wake: impl FnOnce(Set)) -> Result<(), Set> {
    drop_translations();
    fence(SeqCst);
    let others = number::others();
    if others.len() == 0 {
        return Ok(());
    }
    let deadline = Deadline::after(PATIENCE);
    let turn = || {
        core::hint::spin_loop();
        !deadline.is_over()
    };
    SHOOTDOWN.ask(others.0, || wake(others), turn).map_err(Set)
}

/// Whether any CPU is asked to drop its translations.
pub(crate) fn is_pending() -> bool {
    SHOOTDOWN.is_pending()
}

/// Drops this CPU's translations if it was asked to.
pub(crate) fn answer() {
    if SHOOTDOWN.is_pending() {
        SHOOTDOWN.answer(Set::of(number::this()).0, drop_translations);
    }
}
