//! The life of VMX operation and of VMCSs on several CPUs, against a CPU that behaves
//! ([`vmx_tests::vmx_cpu`]) and against what should happen ([`ideal`]).

// Helpers of tests, which the lints do not take for tests.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod histories;
mod ideal;
mod many;
mod mocks;
mod step;
mod stories;
mod threads;
mod world;
