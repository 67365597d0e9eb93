//! The cases of all VM-entry rules, and the rules that have none.

use crate::entry_case::{Case, Exception};

pub mod apic_controls;
mod control_editing;
pub mod entry_controls;
pub mod ept_controls;
pub mod execution_controls;
pub mod exit_controls;
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
pub mod host;

/// Every case, by group of rules.
pub const CASES: &[&[Case]] = &[
    execution_controls::CASES,
    apic_controls::CASES,
    ept_controls::CASES,
    exit_controls::CASES,
    entry_controls::CASES,
    host::CASES,
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
    execution_controls::EXCEPTIONS,
    apic_controls::EXCEPTIONS,
    ept_controls::EXCEPTIONS,
    entry_controls::EXCEPTIONS,
    host::EXCEPTIONS,
    guest_control::EXCEPTIONS,
    guest_msrs::EXCEPTIONS,
    guest_state::EXCEPTIONS,
    guest_events::EXCEPTIONS,
    guest_pending::EXCEPTIONS,
    guest_msr_loading::EXCEPTIONS,
];

/// Physical address of a page that nobody uses and the cases may: the last one of the
/// 64 MiB that the second processor is given. It holds zeroes.
pub const SCRATCH: u64 = 0x03FF_F000;

#[cfg(all(test, not(target_os = "none")))]
mod tests;
