//! What happens at VM entry.

use vmx_core::exit::{BasicExitReason, ExitReason};
use vmx_core::vmcs::InstructionError;

/// What comes of one VM entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestEvent {
    /// VMfailValid: 7 for controls, 8 for host state, 26 for blocking by MOV SS.
    Refused(InstructionError),
    /// The guest ran, or VM entry failed after its state was loaded (bit 31): the launch
    /// state tells the two apart as the manual does.
    Exit {
        /// Exit reason.
        reason: ExitReason,
        /// Exit qualification.
        qualification: u64,
    },
}

impl GuestEvent {
    /// The guest executes VMCALL at once, as it does where nothing else is said.
    pub const VMCALL: Self =
        Self::Exit { reason: ExitReason(BasicExitReason::VMCALL.0 as u32), qualification: 0 };
}
