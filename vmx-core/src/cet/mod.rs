//! Control-flow enforcement as far as VMX needs it: shadow-stack pointers, IA32_S_CET, and
//! the XSAVE component that holds the pointers.
//!
//! Not here: who may write what and when it is switched (the crate `cet-policy`).

pub(crate) mod control;
pub(crate) mod ssp;
pub(crate) mod xsave_area;

pub use control::CetControl;
pub use ssp::{IllegalSsp, Ssp, SspRegister, SspRegisters};
pub use xsave_area::{CET_S, CET_U, CetSupervisorArea};
