//! I/O instructions. Source: SDM, "Exit Qualification for I/O Instructions".

use crate::intercept::io_bitmap::IoSize;

/// The exit qualification of an I/O instruction. An I/O SMI (reason 5) has the same
/// format in its I/O qualification, an SMM field.
///
/// ```
/// use vmx_core::exit::qualification::{IoDirection, IoQualification};
/// let io = IoQualification(0x0060_0048); // IN AL, 60h
/// assert_eq!((io.port(), io.direction()), (0x60, IoDirection::In));
/// assert!(io.is_immediate() && !io.is_string());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct IoQualification(pub u64);

/// Bit 3 of the qualification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoDirection {
    /// OUT or OUTS.
    Out,
    /// IN or INS.
    In,
}

impl IoQualification {
    /// Bits 2:0: the size of the access; `None` for a value that the manual does
    /// not use.
    pub const fn size(self) -> Option<IoSize> {
        IoSize::from_bytes((self.0 & 0b111) + 1)
    }

    /// Bit 3.
    pub const fn direction(self) -> IoDirection {
        if self.0 & (1 << 3) == 0 { IoDirection::Out } else { IoDirection::In }
    }

    /// Bit 4: INS or OUTS. The linear address of the memory operand is in the guest
    /// linear address, its segment in the instruction information.
    pub const fn is_string(self) -> bool {
        self.0 & (1 << 4) != 0
    }

    /// Bit 5: the instruction has a REP prefix.
    pub const fn is_repeated(self) -> bool {
        self.0 & (1 << 5) != 0
    }

    /// Bit 6: the port is an immediate operand; else it is in DX.
    pub const fn is_immediate(self) -> bool {
        self.0 & (1 << 6) != 0
    }

    /// Bits 31:16: the port.
    pub const fn port(self) -> u16 {
        (self.0 >> 16) as u16
    }
}
