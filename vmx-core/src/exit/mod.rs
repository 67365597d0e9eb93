//! What a VM exit means: its reason, its qualification, and the instruction that caused it.
//!
//! Not here: the answer to an exit, which is the hypervisor's.

pub(crate) mod general_register;
pub mod instruction_information;
pub mod qualification;
pub(crate) mod reason;

pub use general_register::{GeneralRegister, RspIsInTheVmcs};
pub use reason::{BasicExitReason, ExitReason};
