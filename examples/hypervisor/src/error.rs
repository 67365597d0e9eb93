//! Why a run ends early, with what a person needs to know.

use core::error::Error as _;
use core::fmt;

use cet_policy::{LoadError as LoadCetError, Refused};
use vmx_core::VmxError;
use vmx_core::capability::NoVmx;
use vmx_core::control::ControlError;
use vmx_core::cpu::VmcsAccess;
use vmx_core::ept::EptError;
use vmx_core::exit::{BasicExitReason, ExitReason};
use vmx_core::vmcs::{ClearRefused, EnterError, EntryFailure, LeaveError, LoadError};

use crate::ept_access::EptAccess;
use crate::guest_memory::GuestMemoryError;
use crate::guest_program::Role;

/// Why a run ended early.
#[derive(Clone, Copy, Debug)]
pub enum RunError {
    /// The CPU lacks VMX.
    NoVmx(NoVmx),
    /// The CPU lacks what CET guests or the policy need.
    Refused(Refused),
    /// A vCPU's CET state cannot be loaded.
    Cet(LoadCetError),
    /// The CPU's VMX lacks controls.
    Controls(ControlError),
    /// The CPU did not enter VMX operation.
    Enter(EnterError),
    /// The CPU did not leave VMX operation.
    Leave(LeaveError),
    /// A VMCS was not loaded or cleared.
    Load(LoadError),
    /// A VMX instruction failed.
    Vmx(VmxError),
    /// Another CPU did not enter VMX operation, so this one left it.
    RolledBack {
        /// CR4.VMXE is 1 all the same.
        in_vmx_operation: bool,
    },
    /// Another CPU met an error.
    OtherCpuStopped,
    /// The hypervisor's pages are used up.
    OutOfMemory,
    /// The CPU does not take the guest's EPT, or it cannot be changed.
    Ept(EptError),
    /// VM entry failed.
    Entry(Role, EntryFailure),
    /// The guest ran into an exception that it did not provoke.
    GuestException {
        /// The guest.
        role: Role,
        /// The exception's vector.
        vector: u64,
        /// What lay on top of the stack: its error code, or RIP without one.
        top: u64,
        /// What lay below: RIP, or CS.
        next: u64,
    },
    /// The VMX-preemption timer stopped the guest.
    GuestHangs(Role),
    /// The guest reached for memory in a way that its EPT does not allow.
    EptViolation(Role, EptAccess),
    /// An exit that the hypervisor has no answer for.
    UnexpectedExit(Role, ExitReason),
}

impl RunError {
    /// Whether the CPU lacks something, rather than something having gone wrong.
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NoVmx(_)
                | Self::Refused(_)
                | Self::Controls(_)
                | Self::Ept(EptError::Pointer(_) | EptError::NoInvept | EptError::PageSize(_))
        )
    }
}

impl From<NoVmx> for RunError {
    fn from(error: NoVmx) -> Self {
        Self::NoVmx(error)
    }
}
impl From<Refused> for RunError {
    fn from(error: Refused) -> Self {
        Self::Refused(error)
    }
}
impl From<LoadCetError> for RunError {
    fn from(error: LoadCetError) -> Self {
        Self::Cet(error)
    }
}
impl From<ControlError> for RunError {
    fn from(error: ControlError) -> Self {
        Self::Controls(error)
    }
}
impl From<ClearRefused> for RunError {
    fn from(refused: ClearRefused) -> Self {
        Self::Load(refused.error)
    }
}
impl From<LeaveError> for RunError {
    fn from(error: LeaveError) -> Self {
        Self::Leave(error)
    }
}
impl From<LoadError> for RunError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}
impl From<VmxError> for RunError {
    fn from(error: VmxError) -> Self {
        Self::Vmx(error)
    }
}
impl From<EptError> for RunError {
    fn from(error: EptError) -> Self {
        Self::Ept(error)
    }
}
impl From<GuestMemoryError> for RunError {
    fn from(error: GuestMemoryError) -> Self {
        match error {
            GuestMemoryError::OutOfMemory => Self::OutOfMemory,
            GuestMemoryError::Ept(error) => Self::Ept(error),
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVmx(error) => fmt::Display::fmt(error, f),
            Self::Refused(error) => fmt::Display::fmt(error, f),
            Self::Cet(error) => match error.source() {
                Some(cause) => write!(f, "{error}: {cause}"),
                None => fmt::Display::fmt(error, f),
            },
            Self::Controls(error) => fmt::Display::fmt(error, f),
            Self::Enter(error) => fmt::Display::fmt(error, f),
            Self::Leave(error) => fmt::Display::fmt(error, f),
            Self::Load(error) => fmt::Display::fmt(error, f),
            Self::Vmx(error) => fmt::Display::fmt(error, f),
            Self::Ept(error) => fmt::Display::fmt(error, f),
            Self::EptViolation(role, violation) => write!(f, "guest {role}: {violation}"),
            Self::RolledBack { in_vmx_operation } => write!(
                f,
                "another CPU did not enter VMX operation, so this one left it (CR4.VMXE is {})",
                u8::from(*in_vmx_operation)
            ),
            Self::OtherCpuStopped => f.write_str("another CPU met an error"),
            Self::OutOfMemory => f.write_str("the hypervisor's pages are used up"),
            Self::Entry(role, failure) => write!(f, "guest {role}: {failure}"),
            Self::GuestException { role, vector, top, next } => write!(
                f,
                "guest {role} took exception {vector} that it did not provoke; on its stack, \
                 error code and RIP or RIP and CS: {top:#x} {next:#x}"
            ),
            Self::GuestHangs(role) => {
                write!(f, "guest {role} does not exit: the VMX-preemption timer stopped it")
            }
            Self::UnexpectedExit(role, reason) => {
                write!(f, "guest {role} exited with no answer for it: {reason}")
            }
        }
    }
}

impl core::error::Error for RunError {}

/// The error for an exit that nobody expected, the timer's included.
pub fn unexpected_exit<V: VmcsAccess>(vmcs: &mut V, role: Role, reason: ExitReason) -> RunError {
    match reason.basic() {
        BasicExitReason::VMX_PREEMPTION_TIMER_EXPIRED => RunError::GuestHangs(role),
        BasicExitReason::EPT_VIOLATION => match EptAccess::read(vmcs) {
            Ok(violation) => RunError::EptViolation(role, violation),
            Err(error) => RunError::Vmx(error),
        },
        _ => RunError::UnexpectedExit(role, reason),
    }
}
