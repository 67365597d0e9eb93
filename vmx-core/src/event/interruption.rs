//! Events: VM-entry and VM-exit interruption information, IDT-vectoring information.
//!
//! [`Event::inject`] turns an event into the three VM-entry fields, or names the
//! rule that they would break; [`Injection::from_idt_vectoring`] injects again what
//! a VM exit interrupted.
//!
//! ```
//! use vmx_core::event::{EventType, InterruptionInformation};
//! let event = InterruptionInformation(0x8000_0B0E);
//! assert!(event.is_valid() && event.has_error_code());
//! assert_eq!((event.event_type(), event.vector()), (EventType::HardwareException, 14));
//! ```

use core::fmt;

use crate::capability::vmx_basic::VmxBasic;

/// The vector of #GP, the general-protection exception.
pub const GENERAL_PROTECTION: u8 = 13;
/// The vector of #CP, the control-protection exception.
pub const CONTROL_PROTECTION: u8 = 21;

/// The 32-bit format that the three interruption-information fields share.
/// Source: SDM, "VM-Entry Controls for Event Injection".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct InterruptionInformation(pub u32);

/// Bits 10:8 of the information: the event's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventType {
    /// External interrupt.
    ExternalInterrupt = 0,
    /// The reserved type 1.
    Reserved = 1,
    /// Non-maskable interrupt.
    Nmi = 2,
    /// An exception that the CPU raises.
    HardwareException = 3,
    /// INT n.
    SoftwareInterrupt = 4,
    /// INT1.
    PrivilegedSoftwareException = 5,
    /// INT3 and INTO.
    SoftwareException = 6,
    /// Other event: with vector 0 a pending MTF VM exit.
    Other = 7,
}

impl EventType {
    /// The number in bits 10:8.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether an instruction raises the event, so that delivering it needs the
    /// instruction's length.
    pub const fn is_software(self) -> bool {
        matches!(
            self,
            Self::SoftwareInterrupt | Self::PrivilegedSoftwareException | Self::SoftwareException
        )
    }
}

impl InterruptionInformation {
    pub(super) const DELIVER_ERROR_CODE: u32 = 1 << 11;
    pub(super) const VALID: u32 = 1 << 31;

    /// No event.
    pub const NONE: Self = Self(0);

    /// Bit 31: there is an event.
    pub const fn is_valid(self) -> bool {
        self.0 & Self::VALID != 0
    }

    /// Bits 7:0.
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// Bit 11: the event has an error code, in a field of its own.
    pub const fn has_error_code(self) -> bool {
        self.0 & Self::DELIVER_ERROR_CODE != 0
    }

    /// Bit 12 of the VM-exit interruption information: IRET had ended blocking by
    /// NMI before the fault that exited, so block NMIs again before going back to
    /// the IRET. Undefined in IDT-vectoring information, and for a double fault.
    pub const fn nmi_unblocking(self) -> bool {
        self.0 & (1 << 12) != 0
    }

    /// Bits 10:8.
    pub const fn event_type(self) -> EventType {
        match (self.0 >> 8) & 0b111 {
            0 => EventType::ExternalInterrupt,
            1 => EventType::Reserved,
            2 => EventType::Nmi,
            3 => EventType::HardwareException,
            4 => EventType::SoftwareInterrupt,
            5 => EventType::PrivilegedSoftwareException,
            6 => EventType::SoftwareException,
            _ => EventType::Other,
        }
    }

    /// The information that injects a hardware exception into a guest in
    /// protected mode, as the architecture would deliver it. The error code goes
    /// into its own field if [`has_error_code`](Self::has_error_code).
    ///
    /// #CP has an error code, but a CPU whose IA32_VMX_BASIC\[56\] is 0 insists
    /// that entry injects it without one.
    ///
    /// ```
    /// use vmx_core::capability::VmxBasic;
    /// use vmx_core::event::{GENERAL_PROTECTION, InterruptionInformation};
    /// let gp = InterruptionInformation::hardware_exception(GENERAL_PROTECTION, VmxBasic(0));
    /// assert_eq!(gp.0, 0x8000_0B0D);
    /// ```
    pub const fn hardware_exception(vector: u8, basic: VmxBasic) -> Self {
        let error_code = match vector {
            CONTROL_PROTECTION => basic.any_error_code(),
            _ => has_checked_error_code(vector),
        };
        let deliver = if error_code { Self::DELIVER_ERROR_CODE } else { 0 };
        Self(Self::VALID | deliver | 3 << 8 | vector as u32)
    }
}

/// The exceptions that a CPU whose IA32_VMX_BASIC\[56\] is 0 wants injected with
/// an error code: #DF, #TS, #NP, #SS, #GP, #PF and #AC.
pub(super) const fn has_checked_error_code(vector: u8) -> bool {
    matches!(vector, 8 | 10..=14 | 17)
}

impl fmt::Debug for InterruptionInformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_valid() {
            write!(f, "{:?} vector {} ({:#010x})", self.event_type(), self.vector(), self.0)
        } else {
            write!(f, "no event ({:#010x})", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cp_has_an_error_code_only_where_the_cpu_does_not_check() {
        let checks = VmxBasic(0);
        let does_not = VmxBasic(1 << 56);
        let cp = |basic| InterruptionInformation::hardware_exception(CONTROL_PROTECTION, basic);
        assert!(!cp(checks).has_error_code());
        assert!(cp(does_not).has_error_code());
        assert_eq!(cp(checks).event_type(), EventType::HardwareException);
    }
}
