//! `cargo xtask bench`: instructions and bytes, each beside its bound.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::machine::workspace::Workspace;
use crate::measure::{instructions, size, world_switch};
use crate::report::table::Format;

/// The options of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to measure
    #[arg(value_enum)]
    what: What,
    /// What to print: tables, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What there is to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// `vmx-core`, the world switch of `vmx-bare-metal`, and the size of a program with both.
    Core,
}

/// Runs the command.
pub(crate) fn command(options: &Options) -> Result<ExitCode> {
    let What::Core = options.what;
    let workspace = Workspace::find()?;
    let measured = instructions::measure(&workspace)?;
    let switches = world_switch::measure()?;
    let sizes = size::measure(&workspace)?;
    match options.format {
        Format::Table => {
            print!("{}", instructions::text(&measured));
            print!("\n{}", world_switch::text(&switches));
            print!("\n{}", size::text(&sizes));
        }
        Format::Json => {
            print_each(&measured)?;
            print_each(&switches)?;
            print_each(&sizes)?;
        }
    }
    let wrong = (measured.iter().filter_map(instructions::Measured::excess))
        .chain(switches.iter().filter_map(world_switch::Measured::excess))
        .chain(sizes.iter().flat_map(size::Measured::excess));
    let mut code = ExitCode::SUCCESS;
    for excess in wrong {
        eprintln!("error: {excess}");
        code = ExitCode::FAILURE;
    }
    Ok(code)
}

fn print_each(lines: &[impl Serialize]) -> Result<()> {
    for line in lines {
        println!("{}", serde_json::to_string(line)?);
    }
    Ok(())
}
