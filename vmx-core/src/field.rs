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

mod control;
mod existence;
mod exit_information;
mod guest;
mod host;
mod value;

use core::fmt;
use core::marker::PhantomData;

pub use control::*;
pub use existence::Existence;
pub use exit_information::*;
pub use guest::*;
pub use host::*;
pub use value::FieldValue;

use crate::capability::Capabilities;

/// Makes a constant of each row, and a list of the rows, from one table:
/// `NAME: value type [, ReadOnly] = encoding [if what makes it exist];`
macro_rules! fields {
    ($rows:ident: $(
        $(#[$doc:meta])* $name:ident: $value:ty $(, $access:ident)? = $encoding:literal
        $(if $existence:expr)?;
    )*) => {
        $($(#[$doc])*
        pub const $name: super::Field<$value $(, super::$access)?> =
            super::Field::new(super::Encoding($encoding));)*

        pub(super) const $rows: &[super::FieldRow] = &[$(super::FieldRow {
            name: stringify!($name),
            encoding: super::Encoding($encoding),
            existence: fields!(@existence $($existence)?),
            describe: super::value::describe::<$value>,
        },)*];
    };
    (@existence) => { super::Existence::Always };
    (@existence $existence:expr) => { $existence };
}
use fields;

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
/// use vmx_core::field::{FIELDS, Group};
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

impl Width {
    /// The bits that a field of this width has, natural-width ones on a 64-bit CPU.
    pub const fn mask(self) -> u64 {
        match self {
            Self::Bits16 => 0xFFFF,
            Self::Bits32 => 0xFFFF_FFFF,
            Self::Bits64 | Self::Natural => u64::MAX,
        }
    }
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

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control fields",
            Self::ExitInformation => "VM-exit information",
            Self::GuestState => "guest state",
            Self::HostState => "host state",
        })
    }
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

    /// Whether VMWRITE refuses the field, on a CPU whose IA32_VMX_MISC\[29\] is 0.
    pub const fn is_read_only(self) -> bool {
        matches!(self.group(), Group::ExitInformation)
    }

    /// Whether it is the high half (bit 0) of a 64-bit field, bits 63:32.
    pub const fn is_high(self) -> bool {
        self.0 & 1 != 0
    }

    /// The field itself, of which this may be the high half.
    pub const fn full(self) -> Self {
        Self(self.0 & !1)
    }

    /// The high half of a 64-bit field; `None` for fields of other widths.
    pub const fn high(self) -> Option<Self> {
        match self.width() {
            Width::Bits64 => Some(Self(self.0 | 1)),
            _ => None,
        }
    }

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
    /// use vmx_core::field::{self, Encoding};
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

/// One row of [`FIELDS`].
#[derive(Clone, Copy, Debug)]
pub struct FieldRow {
    /// The name of the constant.
    pub name: &'static str,
    /// The encoding.
    pub encoding: Encoding,
    /// What makes the field exist.
    pub existence: Existence,
    /// Writes a raw value as [`FieldValue::describe`] of the field's type does.
    pub describe: fn(u64, &mut fmt::Formatter<'_>) -> fmt::Result,
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
        if (self.row as usize) < FIELD_COUNT { Some(self.row as usize) } else { None }
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

#[cfg(test)]
mod tests;
