//! Control words, and their negotiation with the CPU.
//!
//! Not here: the fields that hold them ([`vmcs::field`](crate::vmcs::field)) and the rules
//! that VM entry adds ([`entry_check`](crate::entry_check)).

pub(crate) mod allowed_settings;
pub(crate) mod entry;
pub(crate) mod execution;
pub(crate) mod exit;
pub(crate) mod negotiation;
pub(crate) mod rules;
pub(crate) mod set;

pub use allowed_settings::{AllowedSettings, ControlWord, Refused};
pub use entry::*;
pub use execution::*;
pub use exit::*;
pub use negotiation::{ControlError, RefusedControls};
pub use rules::{Control, RULES, Rule};
pub use set::ControlSet;
