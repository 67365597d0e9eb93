//! What the CPU may answer to a VM entry.

use core::fmt;

use super::rule::Group;
use super::state::EntryState;
use super::{Violation, check, msr_loading};
use crate::exit::reason::ExitReason;
use crate::vmcs::entry_failure::EntryFailure;
use crate::vmcs::error::{InstructionError, VmxError};

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

impl From<EntryFailure> for Outcome {
    fn from(failure: EntryFailure) -> Self {
        match failure {
            EntryFailure::Instruction(error) => Self::Failed(error),
            EntryFailure::GuestState { reason, qualification } => {
                Self::ExitedAtOnce { reason, qualification }
            }
            EntryFailure::ExitInformation(error) => Self::Failed(error),
        }
    }
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
    ///
    /// A broken rule that is optional may be answered, or passed over.
    pub fn allow(&self, outcome: Outcome) -> bool {
        let mut certain = [false; 5];
        for violation in check(self.state).filter(|violation| !violation.rule.is_optional) {
            if let Some(broken) = certain.get_mut(violation.section.group as usize) {
                *broken = true;
            }
        }
        let [basic, controls, host, guest, msrs] = certain;
        if basic {
            return check(self.state).next().is_some_and(|first| answer(&first) == outcome);
        }
        // The groups that the CPU can come to.
        let reached: &[Group] = match (controls || host, guest) {
            (true, _) => &[Group::Controls, Group::HostState],
            (_, true) => &[Group::Controls, Group::HostState, Group::GuestState],
            _ => &[Group::Controls, Group::HostState, Group::GuestState, Group::MsrLoad],
        };
        match outcome {
            Outcome::Entered => !(controls || host || guest || msrs),
            Outcome::ExitedAtOnce { reason: ExitReason(MSR_LOADING), qualification } => {
                reached.contains(&Group::MsrLoad)
                    && msr_loading::may_stop_at(self.state, qualification)
            }
            _ => check(self.state)
                .filter(|violation| reached.contains(&violation.section.group))
                .any(|violation| answer(&violation) == outcome),
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
            qualification: msr_loading::first_refused(violation.state),
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
