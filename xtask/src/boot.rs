//! `cargo xtask boot`: one boot of the image with parameters of your choice.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::checks::verdict::{self, Verdict};
use crate::emulator::bochs::Bochs;
use crate::emulator::run_folder::Boot;
use crate::emulator::test_bed::{DEFAULT_MODEL, TestBed};
use crate::image::protocol::Message;
use crate::machine::workspace::Workspace;
use crate::run;

/// The options of `cargo xtask boot`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Words for the image's parameter block, such as `compare=vm-entry`
    #[arg(value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    /// The emulator's name of the CPU model
    #[arg(long, default_value = DEFAULT_MODEL)]
    model: String,
    /// Kill a boot that takes longer
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: u64,
}

/// Runs the command: prints what the image says, and how it ended.
pub(crate) fn command(options: &Options) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let bochs = Bochs::set_up(&workspace)?;
    if let Some(misuse) = run::unknown_model(&bochs, &options.model) {
        return Ok(misuse);
    }
    let bed = TestBed::new(workspace, bochs)?;
    let boot = Boot {
        name: "boot",
        model: &options.model,
        parameters: options.parameters.join(" "),
        log: None,
        limit: Duration::from_secs(options.time_limit),
    };
    let outcome = bed.boot(&boot, |message| match message {
        Message::Summary(text) | Message::Note(text) => println!("{text}"),
        Message::Difference(difference) => println!("{difference:x?}"),
        Message::FieldDifference(difference) => println!("{difference:x?}"),
        Message::Error(text) | Message::Fatal(text) => eprintln!("{text}"),
        _ => {}
    })?;
    Ok(match verdict::of_end(&outcome) {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Refused(text) => {
            eprintln!("refused: {text}");
            ExitCode::FAILURE
        }
        // What the image said was printed as it came; the rest matters if it did not
        // come to its end.
        Verdict::Failed(text) => {
            let ended = outcome.messages.iter().any(|m| matches!(m, Message::End { .. }));
            let lines = text.lines().take(if ended { 1 } else { usize::MAX });
            lines.for_each(|line| eprintln!("{line}"));
            ExitCode::FAILURE
        }
    })
}
