//! The table of all fields that have a name, and what is looked up in it.

use core::fmt;
use core::marker::PhantomData;

use super::encoding::{Encoding, Field, Width};
use super::row::FieldRow;
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
pub static FIELDS: [FieldRow; FIELD_COUNT] = {
    let groups = [control::CONTROL, exit_information::EXIT_INFORMATION, guest::GUEST, host::HOST];
    let mut rows = [control::CONTROL[0]; FIELD_COUNT];
    let (mut group, mut in_group, mut row) = (0, 0, 0);
    while row < FIELD_COUNT {
        if in_group == groups[group].len() {
            (group, in_group) = (group + 1, 0);
        }
        rows[row] = groups[group][in_group];
        (in_group, row) = (in_group + 1, row + 1);
    }
    rows
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
        if key(FIELDS[middle].encoding) < key(encoding) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    if from < FIELD_COUNT && FIELDS[from].encoding.0 == encoding.0 { from } else { FIELD_COUNT }
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
