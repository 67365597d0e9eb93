//! Injecting an event: the three VM-entry fields.

use super::interruption::{EventType, InterruptionInformation};
use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::error::VmxError;
use crate::vmcs::field;

/// An event for the guest. Source: SDM, "Event Injection".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An external interrupt.
    ExternalInterrupt {
        /// Its vector.
        vector: u8,
    },
    /// An NMI.
    Nmi,
    /// An exception other than #BP and #OF.
    HardwareException {
        /// Its vector, 0 to 31.
        vector: u8,
        /// Its error code, bits 31:16 zero.
        error_code: Option<u32>,
    },
    /// INT n.
    SoftwareInterrupt {
        /// The n.
        vector: u8,
        /// The instruction's length in bytes, up to 15.
        instruction_length: u32,
    },
    /// INT1, which raises #DB.
    PrivilegedSoftwareException {
        /// The instruction's length in bytes, up to 15.
        instruction_length: u32,
    },
    /// INT3 (#BP, vector 3) or INTO (#OF, vector 4).
    SoftwareException {
        /// 3 or 4; entry does not check it.
        vector: u8,
        /// The instruction's length in bytes, up to 15.
        instruction_length: u32,
    },
    /// An MTF VM exit, pending right after entry.
    MonitorTrapFlag,
}

/// The three VM-entry fields for event injection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Injection {
    /// VM-entry interruption information.
    pub information: InterruptionInformation,
    /// VM-entry exception error code; used if the information delivers one.
    pub error_code: u32,
    /// VM-entry instruction length in bytes; used for software events.
    pub instruction_length: u32,
}

impl Event {
    /// The fields that inject the event, whether or not entry accepts them.
    pub const fn fields(self) -> Injection {
        let (event_type, vector, error_code, instruction_length) = match self {
            Self::ExternalInterrupt { vector } => (EventType::ExternalInterrupt, vector, None, 0),
            Self::Nmi => (EventType::Nmi, 2, None, 0),
            Self::HardwareException { vector, error_code } => {
                (EventType::HardwareException, vector, error_code, 0)
            }
            Self::SoftwareInterrupt { vector, instruction_length } => {
                (EventType::SoftwareInterrupt, vector, None, instruction_length)
            }
            Self::PrivilegedSoftwareException { instruction_length } => {
                (EventType::PrivilegedSoftwareException, 1, None, instruction_length)
            }
            Self::SoftwareException { vector, instruction_length } => {
                (EventType::SoftwareException, vector, None, instruction_length)
            }
            Self::MonitorTrapFlag => (EventType::Other, 0, None, 0),
        };
        let mut information =
            InterruptionInformation::VALID | (event_type.number() as u32) << 8 | vector as u32;
        let error_code = match error_code {
            Some(code) => {
                information |= InterruptionInformation::DELIVER_ERROR_CODE;
                code
            }
            None => 0,
        };
        Injection {
            information: InterruptionInformation(information),
            error_code,
            instruction_length,
        }
    }
}

impl Injection {
    /// The injection of the event whose delivery a VM exit interrupted; `None` if
    /// it interrupted none. The arguments are the IDT-vectoring information and
    /// error code, and the VM-exit instruction length, which has the length of the
    /// software event's instruction.
    ///
    /// Before injecting an NMI again, clear blocking by NMI in the interruptibility
    /// state: the interrupted delivery had set it, and the injection sets it again.
    /// Source: SDM, "Information for VM Exits That Occur During Event Delivery".
    ///
    /// ```
    /// use vmx_core::event::{Injection, InterruptionInformation};
    /// // An EPT violation while INT 80h was delivered.
    /// let vectoring = InterruptionInformation(0x8000_0480);
    /// let again = Injection::from_idt_vectoring(vectoring, 0, 2).unwrap();
    /// assert_eq!((again.information, again.instruction_length), (vectoring, 2));
    /// ```
    pub const fn from_idt_vectoring(
        vectoring: InterruptionInformation,
        error_code: u32,
        exit_instruction_length: u32,
    ) -> Option<Self> {
        /// Bit 12 is undefined in IDT-vectoring information, those above reserved.
        const KEPT: u32 = InterruptionInformation::VALID | 0xFFF;
        if !vectoring.is_valid() {
            return None;
        }
        let software = vectoring.event_type().is_software();
        Some(Self {
            information: InterruptionInformation(vectoring.0 & KEPT),
            error_code: if vectoring.has_error_code() { error_code } else { 0 },
            instruction_length: if software { exit_instruction_length } else { 0 },
        })
    }

    /// Writes the fields into the current VMCS; the error code and the length only
    /// where entry uses them.
    ///
    /// # Errors
    /// [`VmxError`] of the VMWRITE that failed.
    pub fn write<V: VmcsAccess>(&self, vmcs: &mut V) -> Result<(), VmxError> {
        vmcs.write(field::VM_ENTRY_INTERRUPTION_INFORMATION, self.information)?;
        if self.information.has_error_code() {
            vmcs.write(field::VM_ENTRY_EXCEPTION_ERROR_CODE, self.error_code)?;
        }
        if self.information.event_type().is_software() {
            vmcs.write(field::VM_ENTRY_INSTRUCTION_LENGTH, self.instruction_length)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
