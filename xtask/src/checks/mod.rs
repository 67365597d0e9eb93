//! What `cargo xtask test` checks: the calls of cargo, the boots with the endings that they
//! must have, and the judgement of a boot.
//!
//! Not here: how a boot is made and how its results are shown.

pub(crate) mod boots;
pub(crate) mod compare;
pub(crate) mod log_report;
pub(crate) mod older_rust;
pub(crate) mod step;
pub(crate) mod steps;
pub(crate) mod verdict;
