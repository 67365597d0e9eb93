//! The values of VMCS fields, outside a VMCS: a snapshot to print, to compare, to
//! store, to hand to whoever takes a [`VmcsAccess`].
//!
//! ```
//! use vmx_core::vmcs::{field, FieldValues};
//! let mut values = FieldValues::new();
//! values.set(field::GUEST_RIP, 0x1000);
//! assert_eq!(values.get(field::GUEST_RIP), Some(0x1000));
//! assert_eq!(values.get(field::GUEST_RSP), None);
//!
//! // What happened between two exits?
//! let before = values.clone();
//! values.set(field::GUEST_RIP, 0x1003);
//! let change = before.changes(&values).next().unwrap();
//! assert_eq!(change.to_string(), "GUEST_RIP: 0x1000 -> 0x1003");
//! ```

use core::fmt;

use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::error::{InstructionError, VmxError};
use crate::vmcs::field::encoding::Encoding;
use crate::vmcs::field::encoding::Field;
use crate::vmcs::field::table::{ENCODINGS, FIELD_COUNT, FIELDS, row_of};
use crate::vmcs::field::value::FieldValue;

#[cfg(feature = "serde")]
mod serialization;

const WORDS: usize = FIELD_COUNT.div_ceil(64);

/// A value for some of the fields in [`FIELDS`], about 8 bytes a field.
///
/// It prints as one line a field, in groups, with decoded values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldValues {
    values: [u64; FIELD_COUNT],
    present: [u64; WORDS],
}

impl FieldValues {
    /// No values.
    pub const fn new() -> Self {
        Self { values: [0; FIELD_COUNT], present: [0; WORDS] }
    }

    /// Reads every field that the CPU has, each once, from the current VMCS.
    pub fn read<V: VmcsAccess>(vmcs: &V) -> Self {
        let mut values = Self::new();
        for (row, encoding) in ENCODINGS.iter().enumerate() {
            if let Ok(value) = vmcs.vmread(*encoding) {
                values.set_row(row, value);
            }
        }
        values
    }

    /// The value of a field, if there is one.
    #[inline]
    pub fn get<V: FieldValue, A>(&self, field: Field<V, A>) -> Option<V> {
        self.get_row(field.row()?).map(V::from_field)
    }

    /// The value of a field; zero if there is none.
    #[inline]
    pub fn get_or_zero<V: FieldValue, A>(&self, field: Field<V, A>) -> V {
        // A row without a value holds zero, so whether there is one need not be asked.
        let value = field.row().and_then(|row| self.values.get(row).copied());
        V::from_field(value.unwrap_or(0))
    }

    /// Gives a field a value, a read-only one too. A field without a name has no
    /// place here and is left out.
    #[inline]
    pub fn set<V: FieldValue, A>(&mut self, field: Field<V, A>, value: V) {
        if let Some(row) = field.row() {
            self.set_row(row, value.into_field());
        }
    }

    /// The raw value of the field with this encoding, if there is one.
    pub fn get_raw(&self, encoding: Encoding) -> Option<u64> {
        self.get_row(row_of(encoding))
    }

    /// Gives the field with this encoding a raw value; not for one without a name.
    pub fn set_raw(&mut self, encoding: Encoding, value: u64) {
        self.set_row(row_of(encoding), value);
    }

    /// Takes a field's value away, as on a CPU that has no such field.
    pub fn remove(&mut self, encoding: Encoding) {
        let row = row_of(encoding);
        // The value too, so that equal contents are equal.
        self.set_row(row, 0);
        if let Some(word) = self.present.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    /// The fields that have a value, in the order of [`FIELDS`].
    pub fn iter(&self) -> impl Iterator<Item = (Encoding, u64)> {
        self.with_values(&ENCODINGS).map(|(encoding, value)| (*encoding, value))
    }

    /// The fields whose value is another one in `later`, or that have a value in
    /// one of both only, in the order of [`FIELDS`].
    pub fn changes<'a>(&'a self, later: &'a Self) -> impl Iterator<Item = Change> + 'a {
        ENCODINGS.iter().enumerate().filter_map(|(row, encoding)| {
            let (before, after) = (self.get_row(row), later.get_row(row));
            (before != after).then_some(Change { encoding: *encoding, before, after })
        })
    }

    /// Of a column of [`FIELDS`], what belongs to a field that has a value, with that.
    fn with_values<T>(&self, column: &'static [T]) -> impl Iterator<Item = (&'static T, u64)> {
        column.iter().enumerate().filter_map(|(row, entry)| Some((entry, self.get_row(row)?)))
    }

    #[inline]
    fn get_row(&self, row: usize) -> Option<u64> {
        let word = self.present.get(row / 64)?;
        if word & (1 << (row % 64)) == 0 { None } else { self.values.get(row).copied() }
    }

    #[inline]
    fn set_row(&mut self, row: usize, value: u64) {
        if let (Some(place), Some(word)) =
            (self.values.get_mut(row), self.present.get_mut(row / 64))
        {
            *place = value;
            *word |= 1 << (row % 64);
        }
    }
}

impl Default for FieldValues {
    fn default() -> Self {
        Self::new()
    }
}

/// Values in memory as if they were the current VMCS of a CPU that has every field
/// in [`FIELDS`], but no high halves. Reading a field that has no value fails as
/// reading one that the CPU lacks.
impl VmcsAccess for FieldValues {
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        self.get_raw(encoding).ok_or(VmxError::FailValid(InstructionError::UNSUPPORTED_COMPONENT))
    }

    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        if row_of(encoding) == FIELD_COUNT {
            return Err(VmxError::FailValid(InstructionError::UNSUPPORTED_COMPONENT));
        }
        if encoding.is_read_only() {
            return Err(VmxError::FailValid(InstructionError::READ_ONLY_COMPONENT));
        }
        self.set_raw(encoding, value & encoding.width().mask());
        Ok(())
    }
}

impl fmt::Display for FieldValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for (row, value) in self.with_values(&FIELDS) {
            let group = row.encoding.group();
            if last != Some(group) {
                writeln!(f, "{group}:")?;
                last = Some(group);
            }
            writeln!(f, "  {:<36} {}", row.name, Described(row.encoding, Some(value)))?;
        }
        Ok(())
    }
}

/// A field whose value changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The field.
    pub encoding: Encoding,
    /// Its raw value before, if it had one.
    pub before: Option<u64>,
    /// Its raw value after, if it has one.
    pub after: Option<u64>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoding, before, after } = *self;
        let name = encoding.name().unwrap_or("unnamed field");
        write!(f, "{name}: {} -> {}", Described(encoding, before), Described(encoding, after))
    }
}

/// A field's value, decoded.
struct Described(Encoding, Option<u64>);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(value) => self.0.describe(value, f),
            None => f.write_str("absent"),
        }
    }
}

#[cfg(test)]
mod tests;
