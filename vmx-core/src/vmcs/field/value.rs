//! The types that stand in VMCS fields.

use core::fmt;

use bitflags::{Bits, Flags};

use crate::cet::control::CetControl;
use crate::control::entry::EntryControls;
use crate::control::execution::{
    PinBasedControls, PrimaryControls, SecondaryControls, TertiaryControls, VmFunctions,
};
use crate::control::exit::{ExitControls, SecondaryExitControls};
use crate::cpu::register_bits::{Cr0, Cr4, Rflags};
use crate::event::interruption::InterruptionInformation;
use crate::event::non_register_state::{
    ActivityState, InterruptibilityState, PendingDebugExceptions,
};
use crate::exit::reason::ExitReason;
use crate::memory::address::PhysicalAddress;
use crate::vmcs::access_rights::AccessRights;
use crate::vmcs::error::InstructionError;

/// A type that stands in a VMCS field.
///
/// VMREAD delivers 64 bits, those above the field's width zero; VMWRITE ignores
/// bits above it.
pub trait FieldValue: Copy {
    /// The value from what VMREAD returned. No bit within the width is lost.
    fn from_field(raw: u64) -> Self;
    /// The value for VMWRITE.
    fn into_field(self) -> u64;
    /// Writes the value decoded, for people: bits by name, reasons in words.
    ///
    /// # Errors
    /// That of the formatter.
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Writes a raw value of a field whose values are `V`.
pub(super) fn describe_raw<V: FieldValue>(raw: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    V::from_field(raw).describe(f)
}

impl FieldValue for u64 {
    fn from_field(raw: u64) -> Self {
        raw
    }
    fn into_field(self) -> u64 {
        self
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#x}")
    }
}

impl FieldValue for u32 {
    fn from_field(raw: u64) -> Self {
        raw as u32
    }
    fn into_field(self) -> u64 {
        self.into()
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#x}")
    }
}

impl FieldValue for u16 {
    fn from_field(raw: u64) -> Self {
        raw as u16
    }
    fn into_field(self) -> u64 {
        self.into()
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#x}")
    }
}

impl FieldValue for PhysicalAddress {
    fn from_field(raw: u64) -> Self {
        Self(raw)
    }
    fn into_field(self) -> u64 {
        self.0
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl FieldValue for AccessRights {
    fn from_field(raw: u64) -> Self {
        Self(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.0.into()
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FieldValue for ActivityState {
    fn from_field(raw: u64) -> Self {
        Self(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.0.into()
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}: {self:?}", self.0)
    }
}

impl FieldValue for ExitReason {
    fn from_field(raw: u64) -> Self {
        Self(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.0.into()
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}: {self}", self.0)
    }
}

impl FieldValue for InstructionError {
    fn from_field(raw: u64) -> Self {
        Self(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.0.into()
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0: none") } else { write!(f, "{:#x}: {self}", self.0) }
    }
}

impl FieldValue for InterruptionInformation {
    fn from_field(raw: u64) -> Self {
        Self(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.0.into()
    }
    fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}: {self:?}", self.0)
    }
}

/// Bit flags, all bits kept.
macro_rules! flags_are_field_values {
    ($($flags:ident: $bits:ty,)*) => {$(
        impl FieldValue for $flags {
            fn from_field(raw: u64) -> Self {
                Self::from_bits_retain(raw as $bits)
            }
            fn into_field(self) -> u64 {
                self.bits() as u64
            }
            fn describe(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}: ", self.bits())?;
                write_names(f, &self)
            }
        }
    )*};
}

flags_are_field_values! {
    InterruptibilityState: u32,
    PendingDebugExceptions: u64,
    PinBasedControls: u32,
    PrimaryControls: u32,
    SecondaryControls: u32,
    TertiaryControls: u64,
    VmFunctions: u64,
    ExitControls: u32,
    SecondaryExitControls: u64,
    EntryControls: u32,
    CetControl: u64,
    Cr0: u64,
    Cr4: u64,
    Rflags: u64,
}

/// Writes the names of the bits that are 1, and what has no name as a number.
fn write_names<F>(f: &mut fmt::Formatter<'_>, flags: &F) -> fmt::Result
where
    F: Flags<Bits: fmt::LowerHex>,
{
    if flags.bits() == F::Bits::EMPTY {
        return f.write_str("none");
    }
    let mut separator = "";
    let mut names = flags.iter_names();
    for (name, _) in names.by_ref() {
        write!(f, "{separator}{name}")?;
        separator = " | ";
    }
    let unnamed = names.remaining().bits();
    if unnamed != F::Bits::EMPTY {
        write!(f, "{separator}{unnamed:#x}")?;
    }
    Ok(())
}
