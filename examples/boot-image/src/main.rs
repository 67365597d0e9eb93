//! The example hypervisor as an image that boots by itself.
//!
//! `cargo xtask run` builds it for x86_64-unknown-none, turns it into a ROM
//! and boots that in Bochs. For any other target it only says so.
//!
//! | folder | holds |
//! |---|---|
//! | `registers` | registers of the running CPU |
//! | `processors` | several CPUs: numbers, locks, calls, stale translations |
//! | `output` | what the image says, and how it ends |
//! | `system` | the data structures that a CPU runs on: segments, gates, pages, stacks |
//! | `start` | from the reset vector, and from a start-up IPI, to Rust |
//! | `trials` | what the crates say of a CPU, compared with what this CPU does |
//! | `runs` | the example hypervisor |
//! | `demos` | small runs by name: of the image itself, and of the world switch |
//!
//! A file uses its own folder and those above it in the table.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod demos;
#[cfg(target_os = "none")]
mod output;
#[cfg(any(target_os = "none", test))]
mod parameters;
#[cfg(any(target_os = "none", test))]
mod processors;
#[cfg(target_os = "none")]
mod registers;
#[cfg(target_os = "none")]
mod runs;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod system;
#[cfg(target_os = "none")]
mod trials;

/// The image's work: what happens once the processor is in a sane state.
#[cfg(target_os = "none")]
fn image_main(parameters: &parameters::Parameters) -> output::exit::ExitKind {
    if let Some(name) = parameters.get("example") {
        trials::explain(name)
    } else if let Some(name) = parameters.get("compare") {
        trials::run(name, parameters)
    } else if let Some(name) = parameters.get("demo") {
        demos::run(name)
    } else {
        runs::run(parameters)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!(
        "This program is the boot image of the example hypervisor; `cargo xtask run` builds \
         it for x86_64-unknown-none and boots it."
    );
}
