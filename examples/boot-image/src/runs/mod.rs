//! The example hypervisor, run.

mod broken_policy;
mod ept_run;
mod hypervisor_run;
mod on_cpus;
mod wide_address_run;

use crate::output::exit::ExitKind;
use crate::parameters::Parameters;

/// Runs what the parameters `ept`, `wide-address` or `policy` name.
pub(crate) fn run(parameters: &Parameters) -> ExitKind {
    if let Some(name) = parameters.get("ept") {
        ept_run::run(name, parameters)
    } else if let Some(policy) = parameters.get("wide-address") {
        wide_address_run::run(policy, parameters)
    } else {
        hypervisor_run::run(parameters)
    }
}
