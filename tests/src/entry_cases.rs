//! The cases of all VM-entry rules, and the rules that have none.

use crate::entry_case::{Case, Exception};

pub mod guest_access_rights;
pub mod guest_control;
pub mod guest_events;
pub mod guest_msr_loading;
pub mod guest_msrs;
pub mod guest_pdptes;
pub mod guest_pending;
pub mod guest_segments;
pub mod guest_state;
pub mod guest_system_segments;
pub mod guest_virtual_8086;

/// Every case, by group of rules.
pub const CASES: &[&[Case]] = &[
    guest_control::CASES,
    guest_msrs::CASES,
    guest_segments::CASES,
    guest_virtual_8086::CASES,
    guest_access_rights::CASES,
    guest_system_segments::CASES,
    guest_state::CASES,
    guest_events::CASES,
    guest_pending::CASES,
    guest_pdptes::CASES,
    guest_msr_loading::CASES,
];

/// Every rule that has no case.
pub const EXCEPTIONS: &[&[Exception]] = &[
    guest_control::EXCEPTIONS,
    guest_msrs::EXCEPTIONS,
    guest_state::EXCEPTIONS,
    guest_events::EXCEPTIONS,
    guest_pending::EXCEPTIONS,
    guest_msr_loading::EXCEPTIONS,
];
