//! Locks that spin.

use crate::processors::translations;

/// A lock for what several CPUs use. Who waits for it answers shootdowns, but serves no
/// calls: one could need the very lock.
///
/// Hold it shortly, and not while another CPU is called.
pub(crate) type Lock<T> = spin::mutex::SpinMutex<T, Relax>;

/// One turn of waiting for another CPU.
#[derive(Debug)]
pub(crate) struct Relax;

impl spin::RelaxStrategy for Relax {
    fn relax() {
        translations::answer();
        core::hint::spin_loop();
    }
}

/// See [`Relax`].
pub(crate) fn relax() {
    <Relax as spin::RelaxStrategy>::relax();
}
