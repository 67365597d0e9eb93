//! `cargo xtask boot`: one boot of the image with parameters of your choice.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::checks::verdict::{self, Verdict};
use crate::image::protocol::Message;
use crate::options::BootOptions;

/// The options of `cargo xtask boot`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Words for the image's parameter block, such as `compare=vm-entry`
    #[arg(value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    #[command(flatten)]
    boot: BootOptions,
}

/// Runs the command: prints what the image says, and how it ended.
pub(crate) fn command(options: &Options) -> Result<ExitCode> {
    let bed = options.boot.test_bed()?;
    let boot = options.boot.boot("boot", options.parameters.join(" "), None);
    let outcome = bed.boot(&boot, |message| match message {
        Message::Summary(text) | Message::Note(text) => println!("{text}"),
        Message::Cpu(cpu) => println!("{cpu:?}"),
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
