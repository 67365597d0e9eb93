//! The virtual-machine control structure: its fields and values, its region, and its
//! life from VMXON to VMXOFF.
//!
//! | you look for | it is in |
//! |---|---|
//! | every field with its type | [`field`] |
//! | fields as a plain value, dumps, differences | [`FieldValues`] |
//! | what a CPU keeps: VMXON, VMXOFF, what is active | [`VmxOperation`] |
//! | what a vCPU keeps: launch state, where it is active | [`Vmcs`] |
//! | doing something to both | [`CriticalSection`], [`CurrentVmcs`] |
//! | moving a VMCS to another CPU | [`ClearRequest`], [`ClearMailbox`] |
//! | VMX operation on all CPUs or on none | [`Rollout`] |
//! | VMX operation that did not end as it should | [`EndedOperation`] |
//! | how an instruction fails | [`VmxError`], [`EntryFailure`] |
//!
//! Not here: what fills the fields ([`state`](crate::state), [`control`](crate::control))
//! and what judges them ([`entry_check`](crate::entry_check)).

pub(crate) mod access_rights;
pub(crate) mod active;
pub(crate) mod clear_mailbox;
pub(crate) mod clear_request;
pub(crate) mod current;
pub(crate) mod ended;
pub(crate) mod entry_failure;
pub(crate) mod error;
pub mod field;
pub(crate) mod field_values;
pub(crate) mod operation;
pub(crate) mod operation_error;
pub(crate) mod operation_id;
pub(crate) mod pointer;
pub(crate) mod rollout;
pub(crate) mod section;
pub(crate) mod vmcs_states;

pub use access_rights::AccessRights;
pub use clear_mailbox::{ClearMailbox, PostedClear};
pub use clear_request::{ClearReceipt, ClearRequest};
pub use current::CurrentVmcs;
pub use ended::EndedOperation;
pub use entry_failure::EntryFailure;
pub use error::{InstructionError, VmxError};
pub use field_values::{Change, FieldValues};
pub use operation::VmxOperation;
pub use operation_error::{
    ClearRefused, EnterError, EnterRefused, LeaveError, LoadError, ReleaseError,
};
pub use operation_id::OperationId;
pub use pointer::{VmcsPointer, VmxonPointer};
pub use rollout::{Rollout, Verdict};
pub use section::CriticalSection;
pub use vmcs_states::Vmcs;
