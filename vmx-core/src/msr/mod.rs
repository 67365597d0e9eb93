//! MSR numbers, and the closed set of MSRs that a safe method may read.
//!
//! Not here: RDMSR and WRMSR ([`cpu`](crate::cpu)), the lists that the CPU works off
//! ([`msr_list`](crate::msr_list)) and the bitmap ([`intercept`](crate::intercept)).
//!
//! ```
//! use vmx_core::MsrIndex;
//! use vmx_core::msr::NamedMsr;
//! assert_eq!(NamedMsr::Xss.index(), MsrIndex::IA32_XSS);
//! assert_eq!(MsrIndex(0x6A4).to_string(), "MSR 6A4h");
//! ```

pub(crate) mod index;
pub(crate) mod named;
pub(crate) mod value;

pub use index::MsrIndex;
pub use named::{NamedMsr, VariableMtrr};
