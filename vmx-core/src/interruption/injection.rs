//! Injecting an event: the three VM-entry fields, and what is legal in them.

use core::fmt;

use super::{EventType, InterruptionInformation, has_checked_error_code};
use crate::cpu::VmcsAccess;
use crate::error::VmxError;
use crate::field;
use crate::guest_event_state::{ActivityState, GuestEventState, InterruptibilityState};
use crate::vmx_basic::VmxBasic;

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

/// The CPU and the guest that an event is injected into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectionContext {
    /// IA32_VMX_BASIC; bit 56 frees the presence of error codes.
    pub basic: VmxBasic,
    /// IA32_VMX_MISC; bit 30 allows an instruction length of 0.
    pub misc: u64,
    /// The CPU allows "monitor trap flag", and so the injection of its VM exit.
    pub monitor_trap_flag: bool,
    /// The guest enters in protected mode: CR0.PE is 1, or "unrestricted guest" 0.
    pub protected_mode: bool,
    /// "Virtual NMIs" is 1.
    pub virtual_nmis: bool,
    /// What may block events in the guest. Its `injecting` does not matter here.
    pub guest: GuestEventState,
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
    /// The fields that inject the event.
    ///
    /// # Errors
    /// [`IllegalInjection`]: VM entry would fail.
    ///
    /// ```
    /// use vmx_core::interruption::{CONTROL_PROTECTION, Event, IllegalInjection, InjectionContext};
    /// use vmx_core::{guest_event_state::GuestEventState, vmx_basic::VmxBasic};
    /// let mut context = InjectionContext {
    ///     basic: VmxBasic(0),
    ///     misc: 0,
    ///     monitor_trap_flag: true,
    ///     protected_mode: true,
    ///     virtual_nmis: true,
    ///     guest: GuestEventState::default(),
    /// };
    /// let cp = Event::HardwareException { vector: CONTROL_PROTECTION, error_code: Some(1) };
    /// assert_eq!(cp.inject(&context), Err(IllegalInjection::ErrorCode { vector: 21 }));
    /// context.basic = VmxBasic(1 << 56);
    /// assert_eq!(cp.inject(&context).unwrap().information.0, 0x8000_0B15);
    /// ```
    pub const fn inject(self, context: &InjectionContext) -> Result<Injection, IllegalInjection> {
        let injection = self.fields();
        if let Err(illegal) = injection.check_controls(context) {
            return Err(illegal);
        }
        match injection.check_guest_state(context) {
            Ok(()) => Ok(injection),
            Err(illegal) => Err(illegal),
        }
    }

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
    /// use vmx_core::interruption::{Injection, InterruptionInformation};
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

    /// The rules whose violation is a VMfailValid with error 7.
    /// Source: SDM, "VM-Entry Control Fields", of the checks on VMX controls.
    ///
    /// # Errors
    /// The first rule that is broken. Nothing is checked without a valid event.
    pub const fn check_controls(&self, context: &InjectionContext) -> Result<(), IllegalInjection> {
        const RESERVED: u32 = 0x7FFF_F000;
        let information = self.information;
        if !information.is_valid() {
            return Ok(());
        }
        let vector = information.vector();
        match information.event_type() {
            EventType::Reserved => return Err(IllegalInjection::ReservedType),
            EventType::Other if !context.monitor_trap_flag => {
                return Err(IllegalInjection::NoMonitorTrapFlag);
            }
            EventType::Other if vector != 0 => return Err(IllegalInjection::Vector { vector }),
            EventType::Nmi if vector != 2 => return Err(IllegalInjection::Vector { vector }),
            EventType::HardwareException if vector > 31 => {
                return Err(IllegalInjection::Vector { vector });
            }
            _ => {}
        }
        if !self.error_code_presence_is_legal(context) {
            return Err(IllegalInjection::ErrorCode { vector });
        }
        if information.0 & RESERVED != 0 {
            return Err(IllegalInjection::ReservedBits { bits: information.0 & RESERVED });
        }
        if information.has_error_code() && self.error_code >> 16 != 0 {
            return Err(IllegalInjection::ErrorCodeValue { error_code: self.error_code });
        }
        if information.event_type().is_software() {
            let length = self.instruction_length;
            let zero_allowed = context.misc & (1 << 30) != 0;
            if length > 15 || (length == 0 && !zero_allowed) {
                return Err(IllegalInjection::InstructionLength { length });
            }
        }
        Ok(())
    }

    /// An error code needs a hardware exception in protected mode. There the vector
    /// decides, unless IA32_VMX_BASIC\[56\] leaves it to the hypervisor.
    const fn error_code_presence_is_legal(&self, context: &InjectionContext) -> bool {
        let delivers = self.information.has_error_code();
        let exception = matches!(self.information.event_type(), EventType::HardwareException);
        if !exception || !context.protected_mode {
            !delivers
        } else {
            context.basic.any_error_code()
                || delivers == has_checked_error_code(self.information.vector())
        }
    }

    /// The rules whose violation is an entry failure due to invalid guest state.
    /// Source: SDM, "Checks on Guest Non-Register State".
    ///
    /// # Errors
    /// The first rule that is broken. Nothing is checked without a valid event.
    pub const fn check_guest_state(
        &self,
        context: &InjectionContext,
    ) -> Result<(), IllegalInjection> {
        use InterruptibilityState as State;
        if !self.information.is_valid() {
            return Ok(());
        }
        let guest = &context.guest;
        let event_type = self.information.event_type();
        let interrupt = matches!(event_type, EventType::ExternalInterrupt);
        let nmi = matches!(event_type, EventType::Nmi);
        if !self.is_allowed_in(guest.activity) {
            return Err(IllegalInjection::Activity(guest.activity));
        }
        if interrupt && guest.rflags & (1 << 9) == 0 {
            return Err(IllegalInjection::InterruptFlag);
        }
        if (interrupt || nmi) && guest.interruptibility.contains(State::BLOCKING_BY_MOV_SS) {
            return Err(IllegalInjection::BlockingByMovSs);
        }
        if (interrupt || nmi) && guest.interruptibility.contains(State::BLOCKING_BY_STI) {
            return Err(IllegalInjection::BlockingBySti);
        }
        let nmi_blocked = guest.interruptibility.contains(State::BLOCKING_BY_NMI);
        if nmi && context.virtual_nmis && nmi_blocked {
            return Err(IllegalInjection::BlockingByNmi);
        }
        Ok(())
    }

    /// Whether entry accepts the event with the activity state. An unknown state
    /// is refused by a rule of its own.
    const fn is_allowed_in(&self, activity: ActivityState) -> bool {
        let vector = self.information.vector();
        match activity {
            ActivityState::HLT => match self.information.event_type() {
                EventType::ExternalInterrupt | EventType::Nmi => true,
                EventType::HardwareException => matches!(vector, 1 | 18),
                EventType::Other => vector == 0,
                _ => false,
            },
            ActivityState::SHUTDOWN => match self.information.event_type() {
                EventType::Nmi => true,
                EventType::HardwareException => vector == 18,
                _ => false,
            },
            ActivityState::WAIT_FOR_SIPI => false,
            _ => true,
        }
    }
}

/// The rule of VM entry that an injection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IllegalInjection {
    /// The event's type is 1, which is reserved.
    ReservedType,
    /// The type is "other event", and the CPU has no monitor trap flag.
    NoMonitorTrapFlag,
    /// The vector is not one for the type: 2 for an NMI, up to 31 for a hardware
    /// exception, 0 for an MTF VM exit.
    Vector {
        /// The vector.
        vector: u8,
    },
    /// There is an error code and must be none, or the other way round.
    ErrorCode {
        /// The vector.
        vector: u8,
    },
    /// Bits 30:12 of the information are not zero.
    ReservedBits {
        /// The offending bits.
        bits: u32,
    },
    /// Bits 31:16 of the error code are not zero.
    ErrorCodeValue {
        /// The error code.
        error_code: u32,
    },
    /// The instruction length of a software event is above 15, or 0 on a CPU whose
    /// IA32_VMX_MISC\[30\] is 0.
    InstructionLength {
        /// The length in bytes.
        length: u32,
    },
    /// The guest does not take the event in this activity state.
    Activity(ActivityState),
    /// An external interrupt while RFLAGS.IF is 0.
    InterruptFlag,
    /// An external interrupt or NMI while events are blocked by MOV SS.
    BlockingByMovSs,
    /// An external interrupt while interrupts are blocked by STI; or an NMI, which
    /// some CPUs refuse then.
    BlockingBySti,
    /// An NMI while virtual NMIs are blocked.
    BlockingByNmi,
}

impl fmt::Display for IllegalInjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedType => f.write_str("interruption type 1 is reserved"),
            Self::NoMonitorTrapFlag => {
                f.write_str("interruption type 7 needs a CPU with the monitor trap flag")
            }
            Self::Vector { vector } => write!(f, "vector {vector} is not one for the event's type"),
            Self::ErrorCode { vector } => {
                write!(f, "vector {vector} has an error code and must not, or the other way round")
            }
            Self::ReservedBits { bits } => {
                write!(f, "reserved bits {bits:#x} of the interruption information are set")
            }
            Self::ErrorCodeValue { error_code } => {
                write!(f, "bits 31:16 of the error code {error_code:#x} are not zero")
            }
            Self::InstructionLength { length } => {
                write!(f, "instruction length {length} is not allowed")
            }
            Self::Activity(state) => {
                write!(f, "the guest does not take the event in activity state {state:?}")
            }
            Self::InterruptFlag => f.write_str("RFLAGS.IF is 0"),
            Self::BlockingByMovSs => f.write_str("events are blocked by MOV SS"),
            Self::BlockingBySti => f.write_str("events are blocked by STI"),
            Self::BlockingByNmi => f.write_str("virtual NMIs are blocked"),
        }
    }
}

impl core::error::Error for IllegalInjection {}

#[cfg(test)]
mod tests;
