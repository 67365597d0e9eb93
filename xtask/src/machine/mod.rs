//! This machine: the checkout's folders, the programs on the search path and those that
//! cargo builds, and the Rust toolchains, which are completed where something is missing.
//!
//! Not here: the emulator, which has a room of its own.

pub(crate) mod executables;
pub(crate) mod toolchain;
pub(crate) mod workspace;
