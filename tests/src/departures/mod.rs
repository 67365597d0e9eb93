//! Where the second processor, Bochs, departs from the manual.
//!
//! Every comparison with it goes by these tables: a difference has an identifier, and
//! one that is not here is an error. This module needs nothing but `core`, so that an
//! image without `std` can use it.
//!
//! - [`DEPARTURES`]: each difference that is known, with the reason; [`find`] gives the
//!   row of an identifier.
//! - [`CetMsrDifference`] and [`FieldDifference`]: what a comparison of the CET MSRs, or
//!   of the fields of a VMCS, found, and the row that explains it.
//!
//! "What Bochs does" was read in the sources of Bochs 3.0; the versions say where it
//! was seen. SDM titles are those of Intel's manual.

mod cet_msr_difference;
mod departure;
mod field_difference;
mod others;
mod table;
mod vm_entry;

pub use cet_msr_difference::{CetMsrDifference, Instruction};
pub use departure::Departure;
pub use field_difference::{FieldDifference, KNOWN, KnownDifference};
pub use table::{DEPARTURES, find};
