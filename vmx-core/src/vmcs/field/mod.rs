//! VMCS fields: encodings, types and the table of all that this crate names.
//!
//! A [`Field`] knows its encoding, its value's type and whether VMWRITE may be
//! used on it. Read and write them through
//! [`VmcsAccess`](crate::cpu::VmcsAccess); a field without a name here is reached
//! through [`Encoding`] and `vmread`/`vmwrite`.
//!
//! ```
//! use vmx_core::vmcs::field;
//! use vmx_core::vmcs::field::{Encoding, Group, Width};
//! assert_eq!(field::GUEST_S_CET.encoding(), Encoding(0x6828));
//! assert_eq!(Encoding(0x6828).width(), Width::Natural);
//! assert_eq!(Encoding(0x6828).group(), Group::GuestState);
//! assert_eq!(Encoding(0x6828).name(), Some("GUEST_S_CET"));
//! ```
//!
//! Writing a read-only field does not compile:
//!
//! ```compile_fail,E0308
//! fn wrong(cpu: &mut impl vmx_core::cpu::VmcsAccess) {
//!     cpu.write(vmx_core::vmcs::field::EXIT_REASON, vmx_core::exit::ExitReason(0));
//! }
//! ```

mod control;
pub(crate) mod encoding;
pub(crate) mod existence;
mod exit_information;
mod guest;
mod host;
pub(crate) mod row;
pub(crate) mod table;
pub(crate) mod value;

pub use control::*;
pub use encoding::{Encoding, Field, Group, ReadOnly, ReadWrite, Width};
pub use existence::Existence;
pub use exit_information::*;
pub use guest::*;
pub use host::*;
pub use row::FieldRow;
pub use table::{FIELD_COUNT, FIELDS};
pub use value::FieldValue;

#[cfg(test)]
mod tests;
