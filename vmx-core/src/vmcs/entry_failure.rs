//! A VM entry that failed.

use core::fmt;

use super::error::VmxError;
use super::field;
use crate::cpu::vmcs_access::VmcsAccess;
use crate::exit::reason::ExitReason;

/// VM entry failed: the guest did not execute an instruction, and the VMCS is as it was
/// but for the exit information. (After [`ExitInformation`](Self::ExitInformation) neither
/// is known.) [`CurrentVmcs::explain`](super::CurrentVmcs::explain)
/// tells why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryFailure {
    /// VMLAUNCH or VMRESUME failed. Controls and host state are judged so, with errors 7
    /// and 8.
    Instruction(VmxError),
    /// The CPU gave up while or after it loaded guest state, and exited with bit 31 of the
    /// reason: 33 for guest state, 34 for the MSR-load area, 41 for a machine check.
    GuestState {
        /// Exit reason, bit 31 set.
        reason: ExitReason,
        /// Exit qualification.
        qualification: u64,
    },
    /// The switch returned as after a VM exit, but the exit information cannot be read:
    /// the VMCS is not the current one any more.
    ExitInformation(VmxError),
}

impl EntryFailure {
    /// Why the guest exited, or why it did not run, after a world switch that answered
    /// `entered`. For one whose VMCSs are not managed here:
    /// [`CurrentVmcs::enter_with`](super::CurrentVmcs::enter_with) does it itself.
    ///
    /// # Errors
    /// [`EntryFailure`]: the guest did not run.
    ///
    /// ```
    /// use vmx_core::cpu::VmcsAccess;
    /// use vmx_core::exit::ExitReason;
    /// use vmx_core::vmcs::{EntryFailure, VmxError, field};
    ///
    /// /// `result` is what an assembly stub returns: 0 after a VM exit, 1 where CF is 1,
    /// /// 2 where ZF is 1.
    /// fn ended(vmcs: &impl VmcsAccess, result: u64) -> Result<ExitReason, EntryFailure> {
    ///     let entered = match result {
    ///         0 => Ok(()),
    ///         1 => Err(VmxError::FailInvalid),
    ///         _ => vmcs
    ///             .read(field::VM_INSTRUCTION_ERROR)
    ///             .and_then(|number| Err(VmxError::FailValid(number))),
    ///     };
    ///     EntryFailure::rule_out(vmcs, entered)
    /// }
    /// # let mut vmcs = vmx_core::vmcs::FieldValues::new();
    /// # vmcs.set(field::VM_INSTRUCTION_ERROR, vmx_core::vmcs::InstructionError(7));
    /// # assert!(ended(&vmcs, 2).unwrap_err().to_string().contains("invalid control fields"));
    /// ```
    #[inline]
    pub fn rule_out<V: VmcsAccess>(
        vmcs: &V,
        entered: Result<(), VmxError>,
    ) -> Result<ExitReason, Self> {
        entered.map_err(Self::Instruction)?;
        let reason = vmcs.read(field::EXIT_REASON).map_err(Self::ExitInformation)?;
        if reason.is_entry_failure() { Err(Self::guest_state(vmcs, reason)) } else { Ok(reason) }
    }

    #[cold]
    fn guest_state<V: VmcsAccess>(vmcs: &V, reason: ExitReason) -> Self {
        match vmcs.read(field::EXIT_QUALIFICATION) {
            Ok(qualification) => Self::GuestState { reason, qualification },
            Err(error) => Self::ExitInformation(error),
        }
    }
}

impl fmt::Display for EntryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction(error) => write!(f, "VM entry: {error}"),
            Self::GuestState { reason, qualification } => {
                write!(f, "VM entry: {reason}, exit qualification {qualification:#x}")
            }
            Self::ExitInformation(error) => {
                write!(f, "the exit information cannot be read after VM entry: {error}")
            }
        }
    }
}

impl core::error::Error for EntryFailure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Instruction(error) | Self::ExitInformation(error) => Some(error),
            Self::GuestState { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmcs::error::InstructionError;
    use crate::vmcs::field_values::FieldValues;

    #[test]
    fn the_guest_ran_or_it_is_said_why_not() {
        let mut vmcs = FieldValues::new();
        let failed = VmxError::FailValid(InstructionError(8));
        let absent = VmxError::FailValid(InstructionError(12));
        let ended = |vmcs: &FieldValues, entered| EntryFailure::rule_out(vmcs, entered);
        assert_eq!(ended(&vmcs, Err(failed)), Err(EntryFailure::Instruction(failed)));
        assert_eq!(ended(&vmcs, Ok(())), Err(EntryFailure::ExitInformation(absent)));
        vmcs.set(field::EXIT_REASON, ExitReason(10));
        assert_eq!(ended(&vmcs, Ok(())), Ok(ExitReason(10)));
        // Stale, if the instruction failed.
        assert_eq!(ended(&vmcs, Err(failed)), Err(EntryFailure::Instruction(failed)));
        let reason = ExitReason(0x8000_0021);
        vmcs.set(field::EXIT_REASON, reason);
        assert_eq!(ended(&vmcs, Ok(())), Err(EntryFailure::ExitInformation(absent)));
        vmcs.set(field::EXIT_QUALIFICATION, 4);
        let expected = EntryFailure::GuestState { reason, qualification: 4 };
        assert_eq!(ended(&vmcs, Ok(())), Err(expected));
    }
}
