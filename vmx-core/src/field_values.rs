//! The values of VMCS fields, outside a VMCS.
//!
//! ```
//! use vmx_core::{field, field_values::FieldValues};
//! let mut values = FieldValues::new();
//! values.set(field::GUEST_RIP, 0x1000);
//! assert_eq!(values.get(field::GUEST_RIP), Some(0x1000));
//! assert_eq!(values.get(field::GUEST_RSP), None);
//! ```

use crate::cpu::VmcsAccess;
use crate::field::{Encoding, FIELD_COUNT, FIELDS, Field, FieldValue, row_of};

const WORDS: usize = FIELD_COUNT.div_ceil(64);

/// A value for some of the fields in [`FIELDS`], about 8 bytes a field.
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
    pub fn read<V: VmcsAccess>(vmcs: &mut V) -> Self {
        let mut values = Self::new();
        for (row, field) in FIELDS.iter().enumerate() {
            if let Ok(value) = vmcs.vmread(field.encoding) {
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
        if let Some(word) = self.present.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    /// The fields that have a value, in the order of [`FIELDS`].
    pub fn iter(&self) -> impl Iterator<Item = (Encoding, u64)> {
        let rows = FIELDS.iter().enumerate();
        rows.filter_map(|(row, field)| Some((field.encoding, self.get_row(row)?)))
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
