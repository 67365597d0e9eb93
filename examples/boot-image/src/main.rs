//! The example hypervisor as an image that boots by itself.
//!
//! `cargo xtask run` builds it for x86_64-unknown-none, turns it into a ROM
//! and boots that in Bochs. For any other target it only says so.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod broken_policy;
#[cfg(target_os = "none")]
mod compare;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod control;
#[cfg(target_os = "none")]
mod demo;
#[cfg(target_os = "none")]
mod descriptors;
#[cfg(target_os = "none")]
mod entry_basics;
#[cfg(target_os = "none")]
mod entry_random;
#[cfg(target_os = "none")]
mod entry_trial;
#[cfg(target_os = "none")]
mod entry_trials;
#[cfg(target_os = "none")]
mod ept_run;
#[cfg(target_os = "none")]
mod exceptions;
#[cfg(target_os = "none")]
mod exit;
#[cfg(target_os = "none")]
mod explain_entry_failure;
#[cfg(target_os = "none")]
mod extended_state;
#[cfg(target_os = "none")]
mod field_trials;
#[cfg(target_os = "none")]
mod hypervisor_run;
#[cfg(target_os = "none")]
mod paging;
#[cfg(any(target_os = "none", test))]
mod parameters;
#[cfg(target_os = "none")]
mod shadow_stack;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod wide_address_run;
#[cfg(target_os = "none")]
mod world_switch;

/// The image's work: what happens once the processor is in a sane state.
#[cfg(target_os = "none")]
fn image_main(parameters: &parameters::Parameters) -> exit::ExitKind {
    if parameters.get("example") == Some("explain_entry_failure") {
        return explain_entry_failure::run();
    }
    match parameters.get("compare") {
        Some("fields") => return field_trials::run(),
        Some("vm-entry") => return entry_trials::run(),
        Some("vm-entry-random") => {
            let seed = parameters.get("seed").and_then(|text| text.parse().ok());
            return entry_random::run(seed.unwrap_or(2026));
        }
        Some(_) => return compare::run(),
        None => {}
    }
    if let Some(name) = parameters.get("demo") {
        demo::run(name)
    } else if let Some(name) = parameters.get("ept") {
        ept_run::run(name, parameters)
    } else if let Some(policy) = parameters.get("wide-address") {
        wide_address_run::run(policy, parameters)
    } else {
        hypervisor_run::run(parameters)
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!(
        "This program is the boot image of the example hypervisor; `cargo xtask run` builds \
         it for x86_64-unknown-none and boots it."
    );
}
