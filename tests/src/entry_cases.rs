//! The cases of all VM-entry rules, and the rules that have none.

use crate::entry_case::{Case, Exception};

mod controls;
mod host;

/// Every case, by group of rules.
pub const CASES: &[&[Case]] = &[controls::CASES, host::CASES];

/// Every rule that has no case.
pub const EXCEPTIONS: &[&[Exception]] = &[controls::EXCEPTIONS, host::EXCEPTIONS];

/// Physical address of a page that nobody uses and the cases may: the last one of the
/// 64 MiB that the second processor is given. It holds zeroes.
pub const SCRATCH: u64 = 0x03FF_F000;

#[cfg(all(test, not(target_os = "none")))]
mod tests;
