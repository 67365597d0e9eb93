//! From where a CPU begins to Rust.

mod reset;
