//! A row of the table of fields, and the notation of the table.

use core::fmt;

use super::encoding::Encoding;
use super::existence::Existence;

/// Makes a constant of each row, and a list of the rows, from one table:
/// `NAME: value type [, ReadOnly] = encoding [if what makes it exist];`
macro_rules! fields {
    ($rows:ident: $(
        $(#[$doc:meta])* $name:ident: $value:ty $(, $access:ident)? = $encoding:literal
        $(if $existence:expr)?;
    )*) => {
        $($(#[$doc])*
        pub const $name: super::encoding::Field<$value $(, super::encoding::$access)?> =
            super::encoding::Field::new(super::encoding::Encoding($encoding));)*

        pub(super) const $rows: &[(super::row::FieldRow, super::row::Describe)] = &[$((
            super::row::FieldRow {
                name: stringify!($name),
                encoding: super::encoding::Encoding($encoding),
                existence: fields!(@existence $($existence)?),
            },
            super::value::describe_raw::<$value>,
        ),)*];
    };
    (@existence) => { super::existence::Existence::Always };
    (@existence $existence:expr) => { $existence };
}
pub(super) use fields;

/// One row of [`FIELDS`](super::FIELDS).
#[derive(Clone, Copy, Debug)]
pub struct FieldRow {
    /// The name of the constant.
    pub name: &'static str,
    /// The encoding.
    pub encoding: Encoding,
    /// What makes the field exist.
    pub existence: Existence,
}

/// Writes a raw value as [`FieldValue::describe`](super::FieldValue::describe) of the
/// field's type does.
pub(super) type Describe = fn(u64, &mut fmt::Formatter<'_>) -> fmt::Result;
