//! Events for the guest: what is injected, what blocks it, and how both are written in the
//! VMCS.
//!
//! Not here: the exits that events cause ([`exit`](crate::exit)).

pub(crate) mod guest_event_state;
pub(crate) mod injection;
pub(crate) mod injection_rules;
pub(crate) mod interruption;
pub(crate) mod non_register_state;

pub use guest_event_state::{BlockedBy, GuestEventState};
pub use injection::{Event, Injection};
pub use injection_rules::{IllegalInjection, InjectionContext};
pub use interruption::{
    CONTROL_PROTECTION, EventType, GENERAL_PROTECTION, InterruptionInformation,
};
pub use non_register_state::{ActivityState, InterruptibilityState, PendingDebugExceptions};
