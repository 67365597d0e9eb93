//! From where a CPU begins to Rust: the boot processor from reset, the others from a start-up
//! IPI. Then the image's work.

mod application_processors;
mod reset;
mod trampoline;

use crate::output::console;
use crate::output::exit::{self, ExitKind};
use crate::parameters::{self, Parameters};
use crate::processors::number::{self, Number};
use crate::registers::extended_state;
use crate::system::descriptors;

pub(crate) use application_processors::{StartError, start};

/// Where the assembly ends and Rust begins on the CPU that came from reset: makes it sane,
/// starts the others, runs the image's work and ends with its verdict.
extern "C" fn boot_processor() -> ! {
    number::register(Number::BOOT);
    console::begin();
    descriptors::fill_gates();
    descriptors::install(Number::BOOT);
    if let Err(error) = reset::guard_stack() {
        give_up(format_args!("cannot guard the stack: {error}"));
    }
    extended_state::enable();
    number::set_online(Number::BOOT);
    // SAFETY: page 0 is mapped by the assembly, and nothing but the loader of the image
    // writes to the parameter block.
    let parameters = unsafe { parameters::read_block() };
    start_others(&parameters);
    let kind = crate::image_main(&parameters);
    exit::end(kind)
}

/// Starts as many CPUs as the parameter `cpus` says the machine has.
fn start_others(parameters: &Parameters) {
    let Some(text) = parameters.get("cpus") else { return };
    match text.parse() {
        Ok(1) => {}
        Ok(processors @ 2..=number::MOST) => {
            if let Err(error) = start(processors) {
                give_up(format_args!("{error}"));
            }
        }
        _ => give_up(format_args!("the image runs on 1 to {} CPUs, not {text}", number::MOST)),
    }
}

fn give_up(why: core::fmt::Arguments<'_>) -> ! {
    console::say(format_args!("error {why}"));
    exit::end(ExitKind::Failed)
}
