//! `cargo xtask`: set-up, images, Bochs, the tests and the benchmark.

mod bench;
mod boot;
mod checks;
mod emulator;
mod image;
mod machine;
mod measure;
mod options;
mod report;
mod run;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::options::Misuse;

/// Runs the example hypervisor on an emulated CPU, the tests and the benchmark.
///
/// What is missing (the bare-metal target, Bochs, Valgrind) is obtained first.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Boot the example hypervisor once per policy and print what it counted.
    Run(run::Options),
    /// Boot the image once with parameters of your choice and print what it says.
    Boot(boot::Options),
    /// Run every check of the workspace, the boots included.
    Test,
    /// Count instructions and bytes, beside those of others; fails if there are too many.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(options) => run::command(&options),
        Command::Boot(options) => boot::command(&options),
        Command::Test => test::command(),
        Command::Bench(options) => bench::command(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        if error.is::<Misuse>() { ExitCode::from(Misuse::STATUS) } else { ExitCode::FAILURE }
    })
}
