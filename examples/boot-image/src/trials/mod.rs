//! What the crates say of a CPU, compared with what this CPU does.
//!
//! Chosen by the parameter `compare`; or, to show what the explanation of a failed VM entry
//! looks like, by `example`; the world switch by `demo`.

mod cet_msrs;
mod entry_basics;
mod entry_random;
mod entry_trial;
mod entry_trials;
mod explain_entry_failure;
mod field_trials;
pub(crate) mod world_switch;

use crate::output::console::say;
use crate::output::exit::ExitKind;
use crate::parameters::Parameters;

/// The seed of `vm-entry-random` where the parameters name none.
const SEED: u64 = 2026;

/// Runs the comparison of this name.
pub(crate) fn run(name: &str, parameters: &Parameters) -> ExitKind {
    match name {
        "cet-msrs" => cet_msrs::run(),
        "fields" => field_trials::run(),
        "vm-entry" => entry_trials::run(),
        "vm-entry-random" => {
            let seed = parameters.get("seed").and_then(|text| text.parse().ok());
            entry_random::run(seed.unwrap_or(SEED))
        }
        other => {
            say(format_args!(
                "error the image compares cet-msrs, fields, vm-entry and vm-entry-random, not {other}"
            ));
            ExitKind::Failed
        }
    }
}

/// Runs the example of this name.
pub(crate) fn explain(name: &str) -> ExitKind {
    if name == "explain_entry_failure" {
        return explain_entry_failure::run();
    }
    say(format_args!("error the image has the example explain_entry_failure, not {name}"));
    ExitKind::Failed
}
