//! The virtual-machine control structure: its fields and values, its region, and its
//! life from VMXON to VMXOFF.
//!
//! | you look for | it is in |
//! |---|---|
//! | every field with its type | [`field`] |
//! | fields as a plain value, dumps, differences | [`FieldValues`] |
//! | VMXON, VMCLEAR, VMPTRLD, launch and resume | [`VmxOperation`], [`Vmcs`], [`CurrentVmcs`] |
//! | how an instruction fails | [`VmxError`] |
//!
//! Not here: what fills the fields ([`state`](crate::state), [`control`](crate::control))
//! and what judges them ([`entry_check`](crate::entry_check)).

pub(crate) mod access_rights;
pub(crate) mod error;
pub mod field;
pub(crate) mod field_values;
pub(crate) mod lifecycle;
pub(crate) mod operation_error;
pub(crate) mod region;

pub use access_rights::AccessRights;
pub use error::{InstructionError, VmxError};
pub use field_values::{Change, FieldValues};
pub use lifecycle::{CurrentVmcs, EnterRefused, LeaveRefused, Vmcs, VmxOperation};
pub use operation_error::{EnterError, LeaveError, LoadError};
pub use region::{VmcsRegion, VmxonRegion};
