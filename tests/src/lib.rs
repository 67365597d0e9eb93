//! What crosses the crates: the policy contract as a search, and the table of the
//! second processor's departures from the manual.
//!
//! - [`machine`]: a model of a CPU as far as a policy can touch it, with its own
//!   reading of what is [legal](legality).
//! - [`check`]: runs two guests under a policy, or a broken one, in every short
//!   history and many long ones, and compares each with a guest that has a CPU of
//!   its own. [`check_policy`] returns a [`Violation`] with the shortest history.
//! - [`broken`]: one broken variant for each hazard, which the checker must find.
//! - [`departures`]: where Bochs is not what the manual says; [`cet_msr_difference`]
//!   looks up what a comparison of the CET MSRs found.
//! - `world_switch`: the machine code of the world switch, executed on a model of a CPU.
//! - [`vmx_cpu`]: a logical processor with VMX, by the manual, which panics where a real
//!   one would be corrupted.
//! - [`entry_cases`]: states around every VM-entry rule, for the boot image to try.
//!
//! The boot image uses the last two parts, without `std`.
//!
//! ```
//! use cet_policy::{HostMode, LazyIntercept};
//! use vmx_tests::{Setup, check_policy};
//! let setup = Setup { depth: 2, ..Setup::new(HostMode::UsesShadowStacks) };
//! let stats = check_policy::<LazyIntercept>(&setup)?;
//! assert!(stats.states > 10);
//! # Ok::<(), Box<vmx_tests::Violation>>(())
//! ```

#![cfg_attr(target_os = "none", no_std)]

#[cfg(not(target_os = "none"))]
pub mod broken;
pub mod cet_msr_difference;
#[cfg(not(target_os = "none"))]
pub mod check;
pub mod departures;
#[cfg(not(target_os = "none"))]
pub mod driver;
pub mod entry_case;
pub mod entry_cases;
pub mod field_difference;
#[cfg(not(target_os = "none"))]
pub mod legality;
#[cfg(not(target_os = "none"))]
pub mod machine;
#[cfg(not(target_os = "none"))]
pub mod operation;
#[cfg(not(target_os = "none"))]
pub mod setup;
#[cfg(not(target_os = "none"))]
pub mod violation;
#[cfg(not(target_os = "none"))]
pub mod vmx_cpu;
#[cfg(not(target_os = "none"))]
mod world;
#[cfg(all(target_arch = "x86_64", not(target_os = "none")))]
pub mod world_switch;

#[cfg(not(target_os = "none"))]
pub use check::{Stats, check_driver, check_policy, check_random};
#[cfg(not(target_os = "none"))]
pub use setup::Setup;
#[cfg(not(target_os = "none"))]
pub use violation::{Broken, Point, Violation};

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
