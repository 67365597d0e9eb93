//! What the CPU may answer to a VM entry.

use core::fmt;

use super::rule::Group;
use super::state::EntryState;
use super::{Violation, check};
use crate::error::{InstructionError, VmxError};
use crate::exit_reason::ExitReason;

/// How a VM entry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The guest was entered.
    Entered,
    /// The instruction failed.
    Failed(VmxError),
    /// VM entry failed while or after loading guest state, and exited.
    ExitedAtOnce {
        /// Exit reason, bit 31 set.
        reason: ExitReason,
        /// Exit qualification.
        qualification: u64,
    },
}

/// What the architecture lets the CPU answer.
///
/// Controls and host state may be checked in either order, and the guest state in
/// any order within itself; so one broken rule fixes the answer, and several leave
/// the CPU a choice.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes<'s> {
    state: &'s EntryState<'s>,
}

impl<'s> Outcomes<'s> {
    /// The answers to this entry.
    pub const fn of(state: &'s EntryState<'s>) -> Self {
        Self { state }
    }

    /// Whether the CPU may answer so.
    pub fn allow(&self, outcome: Outcome) -> bool {
        let mut groups = [false; 5];
        for violation in check(self.state) {
            if let Some(broken) = groups.get_mut(violation.section.group as usize) {
                *broken = true;
            }
        }
        let [basic, controls, host, guest, msrs] = groups;
        match outcome {
            _ if basic => check(self.state).next().is_some_and(|first| answer(&first) == outcome),
            _ if controls || host => {
                let error = |number| Outcome::Failed(VmxError::FailValid(number));
                controls && outcome == error(InstructionError::ENTRY_INVALID_CONTROLS)
                    || host && outcome == error(InstructionError::ENTRY_INVALID_HOST_STATE)
            }
            _ if guest => {
                let mut guest = check(self.state).filter(|v| v.section.group == Group::GuestState);
                guest.any(|violation| answer(&violation) == outcome)
            }
            Outcome::ExitedAtOnce { reason, .. } => msrs && reason.0 == MSR_LOADING,
            Outcome::Entered => !msrs,
            Outcome::Failed(_) => false,
        }
    }
}

/// Exit reason 34 with the entry-failure bit.
const MSR_LOADING: u32 = 0x8000_0022;
/// Exit reason 33 with the entry-failure bit.
const GUEST_STATE: u32 = 0x8000_0021;

/// The CPU's answer if this rule alone is broken.
fn answer(violation: &Violation<'_>) -> Outcome {
    let failed = |number| Outcome::Failed(VmxError::FailValid(InstructionError(number)));
    match violation.section.group {
        Group::Basic => match violation.rule.name {
            "current-vmcs" => Outcome::Failed(VmxError::FailInvalid),
            "not-blocked-by-mov-ss" => failed(26),
            "launch-needs-clear-vmcs" => failed(4),
            _ => failed(5),
        },
        Group::Controls => failed(7),
        Group::HostState => failed(8),
        Group::GuestState => Outcome::ExitedAtOnce {
            reason: ExitReason(GUEST_STATE),
            qualification: violation.rule.qualification,
        },
        Group::MsrLoad => Outcome::ExitedAtOnce {
            reason: ExitReason(MSR_LOADING),
            qualification: violation.rule.qualification,
        },
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entered => f.write_str("the guest was entered"),
            Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::ExitedAtOnce { reason, qualification } => {
                write!(f, "{reason}, exit qualification {qualification:#x}")
            }
        }
    }
}
