//! The cases of all VM-entry rules, and the rules that have none.

use crate::entry_case::{Case, Exception};

/// Every case, by group of rules.
pub const CASES: &[&[Case]] = &[];

/// Every rule that has no case.
pub const EXCEPTIONS: &[&[Exception]] = &[];
