//! Mocks of `vmx-core`'s CPU traits, and a wrapper that counts every access.
//!
//! Two ways to test code that is generic over the CPU; neither knows anything of
//! the architecture:
//!
//! - [`Counting`] wraps any backend, a real CPU included, and counts what goes
//!   through it. `no_std`, without an allocator.
//! - With the feature `mockall`, off by default and needing std, the module `mocks`
//!   has `MockCpu` and `MockMemory`, scripted with `mockall`'s expectations.
//!
//! Prefer counting over a stateful CPU where the number of accesses matters, and a
//! script where a certain order or a failure does: a script repeats the code under
//! test, and every change of it breaks the script.
#![cfg_attr(not(any(test, feature = "mockall")), no_std)]

mod counting;
mod counts;
#[cfg(any(test, feature = "mockall"))]
pub mod mocks;

pub use counting::Counting;
pub use counts::Counts;
