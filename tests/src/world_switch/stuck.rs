//! Why a switch cannot be followed.

use std::fmt::{self, Display};

/// The switch cannot be followed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck(String);

impl Stuck {
    pub(super) fn new(what: &str, reason: &dyn Display) -> Self {
        Self(format!("{what}: {reason}"))
    }

    pub(super) fn at(address: u64, reason: &str) -> Self {
        Self(format!("at {address:#x}: {reason}"))
    }
}

impl Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stuck {}
