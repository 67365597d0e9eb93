//! Exceptions, task switches, start-up IPIs, MWAIT and the notify window.
//! Source: SDM, "Exit Qualification for Debug Exceptions", "Exit Qualification for
//! Task Switches", and "Basic VM-Exit Information".

use bitflags::bitflags;

use crate::event::interruption::{EventType, InterruptionInformation};

/// The exit qualification of an exception or NMI. Which one it was stands in the
/// VM-exit interruption information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ExceptionQualification(pub u64);

impl ExceptionQualification {
    /// Of a #PF: the linear address, which the CPU has not written to CR2. `None`
    /// for any other event.
    ///
    /// ```
    /// use vmx_core::exit::qualification::ExceptionQualification;
    /// use vmx_core::event::InterruptionInformation;
    /// let page_fault = InterruptionInformation(0x8000_0B0E);
    /// assert_eq!(ExceptionQualification(0x5000).page_fault_address(page_fault), Some(0x5000));
    /// ```
    pub const fn page_fault_address(self, event: InterruptionInformation) -> Option<u64> {
        if is_exception(event, 14) { Some(self.0) } else { None }
    }

    /// Of a #DB: what caused it; the CPU has not changed DR6. `None` for any other
    /// event.
    pub const fn debug_exception(self, event: InterruptionInformation) -> Option<DebugException> {
        if is_exception(event, 1) { Some(DebugException::from_bits_retain(self.0)) } else { None }
    }
}

/// Whether the event is this exception, raised by the CPU or by INT1.
const fn is_exception(event: InterruptionInformation, vector: u8) -> bool {
    let exception = matches!(
        event.event_type(),
        EventType::HardwareException | EventType::PrivilegedSoftwareException
    );
    event.is_valid() && exception && event.vector() == vector
}

bitflags! {
    /// What caused a debug exception.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct DebugException: u64 {
        /// The condition of breakpoint 0 was met, even if DR7 does not enable it.
        const B0 = 1 << 0;
        /// The same for breakpoint 1.
        const B1 = 1 << 1;
        /// The same for breakpoint 2.
        const B2 = 1 << 2;
        /// The same for breakpoint 3.
        const B3 = 1 << 3;
        /// A bus lock was asserted while its detection was enabled. Unlike in DR6,
        /// the bit is 1 then.
        const BLD = 1 << 11;
        /// A debug register was accessed while DR7.GD was 1.
        const BD = 1 << 13;
        /// A single step or a taken branch.
        const BS = 1 << 14;
        /// The exception occurred in a transactional region. Unlike in DR6, the bit
        /// is 1 then.
        const RTM = 1 << 16;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

/// The exit qualification of a start-up IPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct StartupIpi(pub u64);

impl StartupIpi {
    /// Bits 7:0: the vector; the CPU starts at this page.
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// The guest-physical address at which the CPU starts: CS base, with IP 0.
    pub const fn start_address(self) -> u32 {
        (self.vector() as u32) << 12
    }
}

/// The exit qualification of a task switch.
///
/// ```
/// use vmx_core::exit::qualification::{TaskSwitch, TaskSwitchSource};
/// let switch = TaskSwitch(0x8000_0028); // JMP to the TSS at 28h
/// assert_eq!((switch.selector(), switch.source()), (0x28, TaskSwitchSource::Jmp));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct TaskSwitch(pub u64);

/// Bits 31:30 of a task switch: what initiated it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskSwitchSource {
    /// CALL.
    Call,
    /// IRET.
    Iret,
    /// JMP.
    Jmp,
    /// A task gate in the IDT; the IDT-vectoring information has the event.
    TaskGate,
}

impl TaskSwitch {
    /// Bits 15:0: the selector of the TSS to switch to.
    pub const fn selector(self) -> u16 {
        self.0 as u16
    }

    /// Bits 31:30.
    pub const fn source(self) -> TaskSwitchSource {
        match (self.0 >> 30) & 0b11 {
            0 => TaskSwitchSource::Call,
            1 => TaskSwitchSource::Iret,
            2 => TaskSwitchSource::Jmp,
            _ => TaskSwitchSource::TaskGate,
        }
    }
}

/// The exit qualification of MWAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Monitoring(pub u64);

impl Monitoring {
    /// Bit 0: address-range monitoring was armed.
    pub const fn is_armed(self) -> bool {
        self.0 & 1 != 0
    }
}

/// The exit qualification of an instruction that outlasted the notify window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct NotifyWindow(pub u64);

impl NotifyWindow {
    /// Bit 0: the guest's state in the VMCS is not valid; it cannot go on.
    pub const fn is_context_invalid(self) -> bool {
        self.0 & 1 != 0
    }

    /// Bit 12: IRET had ended blocking by NMI before the exit.
    pub const fn nmi_unblocking(self) -> bool {
        self.0 & (1 << 12) != 0
    }
}
