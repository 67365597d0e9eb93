//! Small runs that exercise the image itself; chosen by the parameter `demo`.

mod counts;
mod faults;
mod several_cpus;
mod several_cpus_fail;
mod xsaves_without_xss;

use crate::output::console::say;
use crate::output::exit::{ExitKind, passed};
use crate::trials::world_switch;

/// Runs a demonstration by name.
pub(crate) fn run(name: &str) -> ExitKind {
    if let Some(name) = name.strip_prefix("switch-") {
        return world_switch::run(name);
    }
    match name {
        "pass" => passed(1),
        "page-fault" => faults::page_fault(),
        "stack-overflow" => faults::stack_overflow(),
        "shadow-stack" => faults::shadow_stack(),
        "shadow-stack-overflow" => faults::shadow_stack_overflow(),
        "counts" => counts::counts(),
        "xsaves-without-xss" => xsaves_without_xss::xsaves_without_xss(),
        "two-cpus" => several_cpus::run(),
        "ap-page-fault" => several_cpus_fail::on_another(faults::page_fault),
        "ap-stack-overflow" => several_cpus_fail::on_another(faults::stack_overflow),
        "ap-shadow-stack-overflow" => several_cpus_fail::on_another(faults::shadow_stack_overflow),
        "ap-panic" => several_cpus_fail::on_another_with_this_on_shadow_stack(faults::panic),
        "bsp-page-fault" => several_cpus_fail::on_this(faults::page_fault),
        "deaf-cpu" => several_cpus_fail::deaf(),
        "absent-cpu" => several_cpus_fail::absent(),
        "hang" => loop {
            core::hint::spin_loop();
        },
        other => {
            say(format_args!("error no demonstration is called {other}"));
            ExitKind::Failed
        }
    }
}
