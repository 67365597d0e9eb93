//! VMCS fields: encodings, types and the table of all that this crate names.
//!
//! A [`Field`] knows its encoding, its value's type and whether VMWRITE may be
//! used on it. Read and write them through
//! [`VmcsAccess`](crate::cpu::VmcsAccess); a field without a name here is reached
//! through [`Encoding`] and `vmread`/`vmwrite`.
//!
//! ```
//! use vmx_core::field::{self, Encoding, Group, Width};
//! assert_eq!(field::GUEST_S_CET.encoding(), Encoding(0x6828));
//! assert_eq!(Encoding(0x6828).width(), Width::Natural);
//! assert_eq!(Encoding(0x6828).group(), Group::GuestState);
//! assert_eq!(Encoding(0x6828).name(), Some("GUEST_S_CET"));
//! ```
//!
//! Writing a read-only field does not compile:
//!
//! ```compile_fail
//! fn wrong(cpu: &mut impl vmx_core::cpu::VmcsAccess) {
//!     cpu.write(vmx_core::field::EXIT_REASON, vmx_core::ExitReason(0));
//! }
//! ```

mod table;

use core::fmt;
use core::marker::PhantomData;

pub use table::*;

/// The 32-bit encoding of a VMCS field, as VMREAD and VMWRITE take it.
/// Source: SDM, "Field Encoding in VMCS".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Encoding(pub u32);

/// Bits 14:13 of an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// 16 bits.
    Bits16,
    /// 64 bits, also on a 32-bit CPU.
    Bits64,
    /// 32 bits.
    Bits32,
    /// As wide as a register.
    Natural,
}

/// Bits 11:10 of an encoding: the field's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// A control field.
    Control,
    /// A VM-exit information field: read-only data.
    ExitInformation,
    /// Guest state.
    GuestState,
    /// Host state.
    HostState,
}

impl Encoding {
    /// The field's width.
    pub const fn width(self) -> Width {
        match (self.0 >> 13) & 0b11 {
            0 => Width::Bits16,
            1 => Width::Bits64,
            2 => Width::Bits32,
            _ => Width::Natural,
        }
    }

    /// The group that the field belongs to.
    pub const fn group(self) -> Group {
        match (self.0 >> 10) & 0b11 {
            0 => Group::Control,
            1 => Group::ExitInformation,
            2 => Group::GuestState,
            _ => Group::HostState,
        }
    }

    /// The name in this crate's table, which is also that of the constant.
    pub fn name(self) -> Option<&'static str> {
        FIELDS.get(row_of(self)).map(|row| row.name)
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({:#06x})", self.0),
            None => write!(f, "field {:#06x}", self.0),
        }
    }
}

/// One row of [`FIELDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRow {
    /// The name of the constant.
    pub name: &'static str,
    /// The encoding.
    pub encoding: Encoding,
}

/// The row of an encoding in [`FIELDS`]; its length if there is none.
pub(crate) const fn row_of(encoding: Encoding) -> usize {
    let mut row = 0;
    while row < FIELDS.len() && FIELDS[row].encoding.0 != encoding.0 {
        row += 1;
    }
    row
}

/// The type parameter of a [`Field`] that VMWRITE may be used on.
#[derive(Clone, Copy, Debug)]
pub enum ReadWrite {}

/// The type parameter of a VM-exit information [`Field`].
///
/// Some CPUs allow VMWRITE on these (IA32_VMX_MISC\[29\]); use
/// [`VmcsAccess::vmwrite`](crate::cpu::VmcsAccess::vmwrite) there.
#[derive(Clone, Copy, Debug)]
pub enum ReadOnly {}

/// A VMCS field whose value is a `V`.
pub struct Field<V, A = ReadWrite> {
    encoding: Encoding,
    /// The row in [`FIELDS`], or its length for a field without a name.
    row: u16,
    value: PhantomData<fn(V) -> (V, A)>,
}

impl<V, A> Field<V, A> {
    /// A field by its encoding, for one that has no name here yet.
    pub const fn new(encoding: Encoding) -> Self {
        Self { encoding, row: row_of(encoding) as u16, value: PhantomData }
    }

    /// The row in [`FIELDS`]; `None` for a field without a name.
    pub const fn row(self) -> Option<usize> {
        if (self.row as usize) < FIELDS.len() { Some(self.row as usize) } else { None }
    }

    /// The field's encoding.
    pub const fn encoding(self) -> Encoding {
        self.encoding
    }
}

impl<V, A> Clone for Field<V, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, A> Copy for Field<V, A> {}

impl<V, A> fmt::Debug for Field<V, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.encoding, f)
    }
}

/// A type that stands in a VMCS field.
///
/// VMREAD delivers 64 bits, those above the field's width zero; VMWRITE ignores
/// bits above it.
pub trait FieldValue: Copy {
    /// The value from what VMREAD returned. No bit within the width is lost.
    fn from_field(raw: u64) -> Self;
    /// The value for VMWRITE.
    fn into_field(self) -> u64;
}

impl FieldValue for u64 {
    fn from_field(raw: u64) -> Self {
        raw
    }
    fn into_field(self) -> u64 {
        self
    }
}

impl FieldValue for u32 {
    fn from_field(raw: u64) -> Self {
        raw as u32
    }
    fn into_field(self) -> u64 {
        self.into()
    }
}

impl FieldValue for u16 {
    fn from_field(raw: u64) -> Self {
        raw as u16
    }
    fn into_field(self) -> u64 {
        self.into()
    }
}

impl FieldValue for crate::PhysicalAddress {
    fn from_field(raw: u64) -> Self {
        Self(raw)
    }
    fn into_field(self) -> u64 {
        self.0
    }
}

impl FieldValue for crate::ExitReason {
    fn from_field(raw: u64) -> Self {
        Self(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.0.into()
    }
}

impl FieldValue for crate::InstructionError {
    fn from_field(raw: u64) -> Self {
        Self(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.0.into()
    }
}

impl FieldValue for crate::interruption::InterruptionInformation {
    fn from_field(raw: u64) -> Self {
        Self(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.0.into()
    }
}

impl FieldValue for crate::ssp::CetControl {
    fn from_field(raw: u64) -> Self {
        Self::from_bits_retain(raw)
    }
    fn into_field(self) -> u64 {
        self.bits()
    }
}

impl FieldValue for crate::control::PinBasedControls {
    fn from_field(raw: u64) -> Self {
        Self::from_bits_retain(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.bits().into()
    }
}

impl FieldValue for crate::control::PrimaryControls {
    fn from_field(raw: u64) -> Self {
        Self::from_bits_retain(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.bits().into()
    }
}

impl FieldValue for crate::control::SecondaryControls {
    fn from_field(raw: u64) -> Self {
        Self::from_bits_retain(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.bits().into()
    }
}

impl FieldValue for crate::control::ExitControls {
    fn from_field(raw: u64) -> Self {
        Self::from_bits_retain(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.bits().into()
    }
}

impl FieldValue for crate::control::EntryControls {
    fn from_field(raw: u64) -> Self {
        Self::from_bits_retain(raw as u32)
    }
    fn into_field(self) -> u64 {
        self.bits().into()
    }
}

#[cfg(test)]
mod tests;
