//! What crosses the crates: the policy contract as a search, the cases of VM entry, the
//! world switch executed, and the table of the second processor's departures.
//!
//! - [`contract`]: runs two guests under a policy, or a broken one, in every short
//!   history and many long ones. [`check_policy`] returns a [`Violation`] with the
//!   shortest history.
//! - [`entry_cases`]: states around every VM-entry rule, for tests and for the boot image
//!   to try.
//! - [`departures`]: where Bochs is not what the manual says.
//! - `world_switch`: the machine code of the world switch, executed on a model of a CPU.
//! - [`vmx_cpu`]: a logical processor with VMX, by the manual, which panics where a real
//!   one would be corrupted.
//!
//! The boot image uses the cases and the departures, without `std`.
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
pub mod contract;
pub mod departures;
pub mod entry_cases;
#[cfg(not(target_os = "none"))]
pub mod vmx_cpu;
#[cfg(all(target_arch = "x86_64", not(target_os = "none")))]
pub mod world_switch;

#[cfg(not(target_os = "none"))]
pub use contract::check::{Stats, check_driver, check_policy, check_random};
#[cfg(not(target_os = "none"))]
pub use contract::setup::Setup;
#[cfg(not(target_os = "none"))]
pub use contract::violation::{Broken, Point, Violation};

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The code of the guide to porting compiles.
#[cfg(all(doctest, target_arch = "x86_64"))]
#[doc = include_str!("../../docs/porting.md")]
pub struct Porting;
