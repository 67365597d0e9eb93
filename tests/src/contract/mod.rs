//! The policy contract as a search.
//!
//! - [`machine`]: a model of a CPU as far as a policy can touch it, with its own
//!   reading of what is [legal](legality).
//! - [`operation`]: what the guests and the host can do; [`setup`]: the machine that they
//!   do it on.
//! - [`driver`]: what is driven, ours or [`broken`]: one broken variant for each
//!   hazard, which the checker must find.
//! - [`check`]: runs two guests in every short history and many long ones, and compares
//!   each with a guest that has a CPU of its own. It returns a
//!   [`Violation`](violation::Violation) with the shortest history.
//!
//! Not here: agreement with a second processor.

pub mod broken;
pub mod check;
pub mod driver;
pub mod legality;
pub mod machine;
pub mod operation;
pub mod setup;
pub mod violation;
mod world;
