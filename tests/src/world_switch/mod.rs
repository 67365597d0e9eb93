//! The world switch of `vmx-bare-metal`, executed instruction by instruction on a model
//! of a CPU: what it costs, what it writes, what it leaves behind.
//!
//! It takes the machine code of the running program, so what is looked at is what the
//! compiler and the assembler made of it.
//!
//! ```
//! let plain = &vmx_tests::world_switch::round_trips()?[0];
//! assert_eq!(plain.what, "plain");
//! assert!(plain.instructions < 100);
//! # Ok::<(), vmx_tests::world_switch::Stuck>(())
//! ```

mod call;
mod code;
mod cpu;
mod round_trip;
mod stuck;
mod variant;

pub use call::{general_in_order, place};
pub use code::Code;
pub use cpu::{Answer, Cpu, HOST_RIP, HOST_RSP, HOST_SSP, Registers, SPEC_CTRL};
pub use round_trip::{RoundTrip, first_round_trip, round_trips};
pub use stuck::Stuck;
pub use variant::{Variant, variants};
