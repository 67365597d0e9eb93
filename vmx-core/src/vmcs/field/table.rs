//! The table of all fields that have a name, and what is looked up in it.

use core::fmt;
use core::marker::PhantomData;

use super::encoding::{Encoding, Field, Width};
use super::row::{Describe, FieldRow};
use super::{control, exit_information, guest, host};
use crate::capability::capabilities::Capabilities;

/// How many fields have a name.
pub const FIELD_COUNT: usize = control::CONTROL.len()
    + exit_information::EXIT_INFORMATION.len()
    + guest::GUEST.len()
    + host::HOST.len();

/// Every field that has a name: control fields, VM-exit information, guest state,
/// host state, and in each group by encoding.
///
/// They are those of the manual's appendix as of February 2026 and of the features
/// that it describes without an encoding there: ENCLV exiting, APIC-timer
/// virtualization, and loading IA32_SPEC_CTRL, as KVM and Bochs have them.
///
/// ```
/// use vmx_core::vmcs::field::{FIELDS, Group};
/// let read_only = FIELDS.iter().filter(|row| row.encoding.is_read_only());
/// assert!(read_only.clone().all(|row| row.encoding.group() == Group::ExitInformation));
/// assert_eq!(read_only.map(|row| row.name).next(), Some("GUEST_PHYSICAL_ADDRESS"));
/// ```
pub static FIELDS: [FieldRow; FIELD_COUNT] = COLUMNS.fields;

/// The encodings in [`FIELDS`].
pub(crate) static ENCODINGS: [Encoding; FIELD_COUNT] = COLUMNS.encodings;

/// What describes the values of each field in [`FIELDS`].
static DESCRIBE: [Describe; FIELD_COUNT] = COLUMNS.describe;

/// The table, apart: a program has those columns only that it uses.
struct Columns {
    fields: [FieldRow; FIELD_COUNT],
    encodings: [Encoding; FIELD_COUNT],
    describe: [Describe; FIELD_COUNT],
}

const COLUMNS: Columns = {
    let groups = [control::CONTROL, exit_information::EXIT_INFORMATION, guest::GUEST, host::HOST];
    let (first, describe) = control::CONTROL[0];
    let mut columns = Columns {
        fields: [first; FIELD_COUNT],
        encodings: [first.encoding; FIELD_COUNT],
        describe: [describe; FIELD_COUNT],
    };
    let (mut group, mut in_group, mut row) = (0, 0, 0);
    while row < FIELD_COUNT {
        if in_group == groups[group].len() {
            (group, in_group) = (group + 1, 0);
        }
        let (field, describe) = groups[group][in_group];
        columns.fields[row] = field;
        columns.encodings[row] = field.encoding;
        columns.describe[row] = describe;
        (in_group, row) = (in_group + 1, row + 1);
    }
    columns
};

impl Encoding {
    /// The row in [`FIELDS`]. High halves have none.
    pub fn row(self) -> Option<&'static FieldRow> {
        FIELDS.get(row_of(self))
    }

    /// The name in [`FIELDS`], which is also that of the constant.
    pub fn name(self) -> Option<&'static str> {
        self.row().map(|row| row.name)
    }

    /// The field of this name: that of its constant.
    ///
    /// ```
    /// use vmx_core::vmcs::field;
    /// use vmx_core::vmcs::field::Encoding;
    /// assert_eq!(Encoding::from_name("GUEST_RIP"), Some(field::GUEST_RIP.encoding()));
    /// assert_eq!(Encoding::from_name("GUEST_RIPE"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        FIELDS.iter().find(|row| row.name == name).map(|row| row.encoding)
    }

    /// Writes a raw value of the field as [`FieldValue::describe`] of its type does; as a
    /// number without the feature `dumps`, and where the field has no name.
    ///
    /// ```
    /// use core::fmt;
    /// use vmx_core::vmcs::field;
    ///
    /// struct Reason(u64);
    /// impl fmt::Display for Reason {
    ///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    ///         field::EXIT_REASON.encoding().describe(self.0, f)
    ///     }
    /// }
    /// // With `dumps`: "0xa: CPUID (reason 10)".
    /// assert!(Reason(10).to_string().starts_with("0xa"));
    /// ```
    ///
    /// # Errors
    /// That of the formatter.
    ///
    /// [`FieldValue::describe`]: super::FieldValue::describe
    pub fn describe(self, raw: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is not reached is not in the program.
        let describe = if cfg!(feature = "dumps") { DESCRIBE.get(row_of(self)) } else { None };
        match describe {
            Some(describe) => describe(raw, f),
            None => write!(f, "{raw:#x}"),
        }
    }

    /// Whether a CPU with these capabilities has the field, as far as this crate
    /// knows it: `false` for one without a name. The high half of a 64-bit field
    /// exists where the field does.
    pub fn exists(self, capabilities: &Capabilities) -> bool {
        let is_half = self.is_high() && self.width() == Width::Bits64;
        let field = if is_half { self.full() } else { self };
        field.row().is_some_and(|row| row.existence.holds(capabilities))
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

/// The row of an encoding in [`FIELDS`]; their number if there is none.
pub(crate) const fn row_of(encoding: Encoding) -> usize {
    /// What [`FIELDS`] is sorted by: the group, then the encoding.
    const fn key(encoding: Encoding) -> u64 {
        ((encoding.group() as u64) << 32) | encoding.0 as u64
    }
    let (mut from, mut to) = (0, FIELD_COUNT);
    while from < to {
        let middle = from + (to - from) / 2;
        // Always in the table, which the compiler does not see: it would add a panic.
        if middle < FIELD_COUNT && key(ENCODINGS[middle]) < key(encoding) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    if from < FIELD_COUNT && ENCODINGS[from].0 == encoding.0 { from } else { FIELD_COUNT }
}

impl<V, A> Field<V, A> {
    /// A field by its encoding, for one that has no name here yet.
    pub const fn new(encoding: Encoding) -> Self {
        Self { encoding, row: row_of(encoding) as u16, value: PhantomData }
    }

    /// The row in [`FIELDS`]; `None` for a field without a name.
    pub const fn row(self) -> Option<usize> {
        if (self.row as usize) < FIELD_COUNT { Some(self.row as usize) } else { None }
    }
}
