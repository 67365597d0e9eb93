//! The exit qualification: what the exit reason does not say.
//!
//! Its format depends on the exit reason. Each format is a type over the raw 64
//! bits with an accessor per part, so nothing is lost and nothing is decoded that
//! nobody asks for; [`ExitQualification::decode`] picks the type. Source: SDM,
//! "Basic VM-Exit Information", exit qualification.
//!
//! ```
//! use vmx_core::exit::BasicExitReason;
//! use vmx_core::exit::qualification::{EptViolation, ExitQualification, IoDirection};
//! use vmx_core::intercept::IoSize;
//!
//! // OUT DX, AL to port 3F8h.
//! let ExitQualification::Io(io) =
//!     ExitQualification::decode(BasicExitReason::IO_INSTRUCTION, 0x03F8_0000)
//! else {
//!     unreachable!()
//! };
//! assert_eq!((io.port(), io.size()), (0x3F8, Some(IoSize::Bytes1)));
//! assert_eq!(io.direction(), IoDirection::Out);
//!
//! // A handler that knows the reason needs no `decode`.
//! let violation = EptViolation::from_bits_retain(0x182);
//! assert!(violation.contains(EptViolation::WRITE));
//! assert_eq!(violation.permissions(), 0);
//! ```

mod access;
mod apic;
mod entry_failure;
mod ept_violation;
mod event;
mod io;

pub use access::{
    ControlRegisterAccess, ControlRegisterAccessType, DebugRegisterAccess, MsrListAccess,
    RegisterDirection,
};
pub use apic::{ApicAccess, ApicAccessType, ApicWrite, VirtualizedEoi};
pub use entry_failure::{GuestStateFailure, MsrLoadingFailure};
pub use ept_violation::{EptViolation, PageModificationLogFull, SppRelatedEvent};
pub use event::{
    DebugException, ExceptionQualification, Monitoring, NotifyWindow, StartupIpi, TaskSwitch,
    TaskSwitchSource,
};
pub use io::{IoDirection, IoQualification};

use crate::exit::reason::BasicExitReason;

/// The exit qualification in the format of its exit reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitQualification {
    /// Reason 0: an exception, of which the interruption information tells more.
    Exception(ExceptionQualification),
    /// Reason 4.
    StartupIpi(StartupIpi),
    /// Reason 9.
    TaskSwitch(TaskSwitch),
    /// Reason 14, INVLPG: the linear address of its operand.
    Invlpg {
        /// The operand.
        linear_address: u64,
    },
    /// An instruction with a memory operand: its displacement, sign-extended; with
    /// RIP-relative addressing the sum of displacement and next RIP; 0 without a
    /// displacement. The rest is in the
    /// [instruction information](crate::exit::instruction_information).
    ///
    /// Reasons 19, 21 to 23, 25, 27, 46, 47, 50, 53, 58, 63 and 64: VMCLEAR,
    /// VMPTRLD, VMPTRST, VMREAD, VMWRITE, VMXON, descriptor-table accesses, INVEPT,
    /// INVVPID, INVPCID, XSAVES and XRSTORS.
    Displacement(u64),
    /// Reason 28.
    ControlRegister(ControlRegisterAccess),
    /// Reason 29.
    DebugRegister(DebugRegisterAccess),
    /// Reason 30.
    Io(IoQualification),
    /// Reason 33, an entry failure.
    GuestState(GuestStateFailure),
    /// Reason 34, an entry failure.
    MsrLoading(MsrLoadingFailure),
    /// Reason 36, MWAIT.
    Mwait(Monitoring),
    /// Reason 44.
    ApicAccess(ApicAccess),
    /// Reason 45.
    VirtualizedEoi(VirtualizedEoi),
    /// Reason 48.
    EptViolation(EptViolation),
    /// Reason 56.
    ApicWrite(ApicWrite),
    /// Reason 62.
    PageModificationLogFull(PageModificationLogFull),
    /// Reason 66.
    SppRelatedEvent(SppRelatedEvent),
    /// Reason 75.
    NotifyWindow(NotifyWindow),
    /// Reasons 78 and 79.
    MsrList(MsrListAccess),
    /// A reason for which the field has no meaning, or an unknown one.
    ///
    /// EPT misconfigurations (49) are among them: their guest-physical address is
    /// all that the CPU tells. So are bus locks (74) and RDMSR and WRMSR (31, 32),
    /// whose MSR is in ECX.
    Other(u64),
}

impl ExitQualification {
    /// The raw value in the format of the reason.
    #[inline]
    pub const fn decode(reason: BasicExitReason, raw: u64) -> Self {
        use BasicExitReason as Reason;
        match reason {
            Reason::EXCEPTION_OR_NMI => Self::Exception(ExceptionQualification(raw)),
            Reason::STARTUP_IPI => Self::StartupIpi(StartupIpi(raw)),
            Reason::TASK_SWITCH => Self::TaskSwitch(TaskSwitch(raw)),
            Reason::INVLPG => Self::Invlpg { linear_address: raw },
            Reason::VMCLEAR
            | Reason::VMPTRLD
            | Reason::VMPTRST
            | Reason::VMREAD
            | Reason::VMWRITE
            | Reason::VMXON
            | Reason::GDTR_OR_IDTR_ACCESS
            | Reason::LDTR_OR_TR_ACCESS
            | Reason::INVEPT
            | Reason::INVVPID
            | Reason::INVPCID
            | Reason::XSAVES
            | Reason::XRSTORS => Self::Displacement(raw),
            Reason::CONTROL_REGISTER_ACCESS => Self::ControlRegister(ControlRegisterAccess(raw)),
            Reason::MOV_DR => Self::DebugRegister(DebugRegisterAccess(raw)),
            Reason::IO_INSTRUCTION => Self::Io(IoQualification(raw)),
            Reason::ENTRY_FAILURE_GUEST_STATE => Self::GuestState(GuestStateFailure(raw)),
            Reason::ENTRY_FAILURE_MSR_LOADING => Self::MsrLoading(MsrLoadingFailure(raw)),
            Reason::MWAIT => Self::Mwait(Monitoring(raw)),
            Reason::APIC_ACCESS => Self::ApicAccess(ApicAccess(raw)),
            Reason::VIRTUALIZED_EOI => Self::VirtualizedEoi(VirtualizedEoi(raw)),
            Reason::EPT_VIOLATION => Self::EptViolation(EptViolation::from_bits_retain(raw)),
            Reason::APIC_WRITE => Self::ApicWrite(ApicWrite(raw)),
            Reason::PAGE_MODIFICATION_LOG_FULL => {
                Self::PageModificationLogFull(PageModificationLogFull(raw))
            }
            Reason::SPP_RELATED_EVENT => Self::SppRelatedEvent(SppRelatedEvent(raw)),
            Reason::INSTRUCTION_TIMEOUT => Self::NotifyWindow(NotifyWindow(raw)),
            Reason::RDMSRLIST | Reason::WRMSRLIST => Self::MsrList(MsrListAccess(raw)),
            _ => Self::Other(raw),
        }
    }
}

#[cfg(test)]
mod tests;
