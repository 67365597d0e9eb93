//! Registers of the running CPU: read, written, switched on.
//!
//! Not here: what lies in memory for the CPU to find (`system`).

pub(crate) mod control_registers;
pub(crate) mod extended_state;
pub(crate) mod halt;
pub(crate) mod local_apic;
pub(crate) mod time;
