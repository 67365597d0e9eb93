//! What is shown and where its numbers come from: tables, JSON, progress, instructions
//! counted by callgrind or in disassembled code, bytes of an ELF file.
//!
//! Not here: whether a number is good enough.

pub(crate) mod callgrind;
pub(crate) mod counts;
pub(crate) mod disassembly;
pub(crate) mod elf;
pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod table;
