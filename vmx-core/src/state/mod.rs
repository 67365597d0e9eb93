//! Filling a VMCS: the host-state area from the running CPU, and guest-state areas to start
//! from.
//!
//! Not here: the controls ([`control`](crate::control)).

pub(crate) mod guest;
pub(crate) mod host;

pub use guest::{GuestCetState, GuestState32, GuestState64, GuestStateReal};
pub use host::{HostCetState, HostFredState, HostState};
