//! The guest interrupt status: RVI and SVI.

use crate::vmcs::field::value::FieldValue;

/// The guest interrupt status, a guest-state field for virtual-interrupt delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct GuestInterruptStatus(pub u16);

impl GuestInterruptStatus {
    /// RVI, bits 7:0: the highest requested vector, 0 without any.
    pub const fn requesting(self) -> u8 {
        self.0 as u8
    }

    /// SVI, bits 15:8: the highest vector in service, 0 without any.
    pub const fn servicing(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// The status with another RVI.
    pub const fn with_requesting(self, vector: u8) -> Self {
        Self(self.0 & 0xFF00 | vector as u16)
    }

    /// The status with another SVI.
    pub const fn with_servicing(self, vector: u8) -> Self {
        Self(self.0 & 0xFF | (vector as u16) << 8)
    }
}

impl FieldValue for GuestInterruptStatus {
    fn from_field(raw: u64) -> Self {
        Self(raw as u16)
    }
    fn into_field(self) -> u64 {
        self.0.into()
    }
    fn describe(self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x}: RVI {:#x}, SVI {:#x}", self.0, self.requesting(), self.servicing())
    }
}
