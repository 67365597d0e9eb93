//! Several CPUs: how they are told apart, wait for each other, call each other, and keep no
//! translation that another one has changed.
//!
//! `mailbox`, `barrier` and `shootdown` are the algorithms; they know no CPU, and are tested
//! with threads. The other files bring them onto the machine.
//!
//! Not here: what makes a CPU run ([`start`](crate::start)).

pub(crate) mod barrier;
#[cfg(target_os = "none")]
pub(crate) mod call;
#[cfg(target_os = "none")]
pub(crate) mod lock;
pub(crate) mod mailbox;
#[cfg(target_os = "none")]
pub(crate) mod number;
pub(crate) mod shootdown;
#[cfg(test)]
mod testing;
#[cfg(target_os = "none")]
pub(crate) mod translations;
