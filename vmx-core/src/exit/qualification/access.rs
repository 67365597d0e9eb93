//! Accesses to control and debug registers and to lists of MSRs. Source: SDM,
//! "Exit Qualification for Control-Register Accesses", "Exit Qualification for MOV
//! DR", and "Basic VM-Exit Information".

use crate::exit::general_register::GeneralRegister;
use crate::msr::index::MsrIndex;

/// The exit qualification of a control-register access.
///
/// ```
/// use vmx_core::exit::qualification::{ControlRegisterAccess, ControlRegisterAccessType};
/// use vmx_core::exit::GeneralRegister;
/// let access = ControlRegisterAccess(0x0304); // MOV CR4, RBX
/// assert_eq!(access.control_register(), 4);
/// assert_eq!(access.access_type(), ControlRegisterAccessType::MovTo);
/// assert_eq!(access.general_register(), GeneralRegister::Rbx);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ControlRegisterAccess(pub u64);

/// Bits 5:4 of a control-register access: the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlRegisterAccessType {
    /// MOV to the control register.
    MovTo,
    /// MOV from the control register.
    MovFrom,
    /// CLTS, which clears CR0.TS.
    Clts,
    /// LMSW, which loads CR0 bits 3:0.
    Lmsw,
}

impl ControlRegisterAccess {
    /// Bits 3:0: the number of the control register; 0 for CLTS and LMSW.
    pub const fn control_register(self) -> u8 {
        (self.0 & 0xF) as u8
    }

    /// Bits 5:4.
    pub const fn access_type(self) -> ControlRegisterAccessType {
        match (self.0 >> 4) & 0b11 {
            0 => ControlRegisterAccessType::MovTo,
            1 => ControlRegisterAccessType::MovFrom,
            2 => ControlRegisterAccessType::Clts,
            _ => ControlRegisterAccessType::Lmsw,
        }
    }

    /// Bit 6, of LMSW: its operand is in memory, at the guest linear address; not
    /// in a register.
    pub const fn is_lmsw_from_memory(self) -> bool {
        self.0 & (1 << 6) != 0
    }

    /// Bits 11:8, of MOV: the general register.
    pub const fn general_register(self) -> GeneralRegister {
        GeneralRegister::from_number(self.0 >> 8)
    }

    /// Bits 31:16, of LMSW: its source data.
    pub const fn lmsw_source_data(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

/// The exit qualification of MOV to or from a debug register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct DebugRegisterAccess(pub u64);

/// Bit 4 of a debug-register access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterDirection {
    /// MOV to the debug register.
    MovTo,
    /// MOV from the debug register.
    MovFrom,
}

impl DebugRegisterAccess {
    /// Bits 2:0: the number of the debug register.
    pub const fn debug_register(self) -> u8 {
        (self.0 & 0b111) as u8
    }

    /// Bit 4.
    pub const fn direction(self) -> RegisterDirection {
        if self.0 & (1 << 4) == 0 { RegisterDirection::MovTo } else { RegisterDirection::MovFrom }
    }

    /// Bits 11:8: the general register.
    pub const fn general_register(self) -> GeneralRegister {
        GeneralRegister::from_number(self.0 >> 8)
    }
}

/// The exit qualification of RDMSRLIST and WRMSRLIST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct MsrListAccess(pub u64);

impl MsrListAccess {
    /// Bits 31:0: the MSR of the list whose access exited.
    pub const fn msr(self) -> MsrIndex {
        MsrIndex(self.0 as u32)
    }
}
