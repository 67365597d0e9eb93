//! `cargo xtask run`: one boot per policy, and what they counted.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::checks::compare::{self, Comparison};
use crate::checks::log_report::LogReport;
use crate::checks::verdict::{self, Verdict};
use crate::emulator::bochs::Bochs;
use crate::emulator::boot::Outcome;
use crate::emulator::run_folder::Boot;
use crate::emulator::test_bed::{DEFAULT_MODEL, TestBed};
use crate::image::parameters::Policy;
use crate::image::protocol::{self, Message};
use crate::machine::workspace::Workspace;
use crate::report::progress::BootProgress;
use crate::report::table::Format;
use crate::report::{counts, json};

/// Exit status for a name that does not exist, as for any misuse.
const MISUSE: u8 = 2;

/// The options of `cargo xtask run`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which policy switches the guests' shadow-stack pointers
    #[arg(long, value_enum, default_value_t = PolicyChoice::All)]
    policy: PolicyChoice,
    /// Which CPU runs it
    #[arg(long, value_enum, default_value_t = On::Bochs)]
    on: On,
    /// The emulator's name of the CPU model
    #[arg(long, default_value = DEFAULT_MODEL)]
    model: String,
    /// What to print: a table, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Let Bochs log every access, and compare its count with the image's
    #[arg(long)]
    log: bool,
    /// Kill a boot that takes longer
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: u64,
    /// More words for the image's parameter block; may be repeated
    #[arg(long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
}

/// What `--policy` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PolicyChoice {
    Eager,
    Lazy,
    Xsave,
    All,
}

impl PolicyChoice {
    const fn name(self) -> &'static str {
        match self {
            Self::Eager => Policy::Eager.name(),
            Self::Lazy => Policy::Lazy.name(),
            Self::Xsave => Policy::Xsave.name(),
            Self::All => "all",
        }
    }

    fn policies(self) -> &'static [Policy] {
        match self {
            Self::Eager => &[Policy::Eager],
            Self::Lazy => &[Policy::Lazy],
            Self::Xsave => &[Policy::Xsave],
            Self::All => &Policy::ALL,
        }
    }
}

/// What `--on` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum On {
    Bochs,
}

impl On {
    const fn name(self) -> &'static str {
        match self {
            Self::Bochs => "bochs",
        }
    }
}

/// One policy's boot, judged.
struct PolicyRun {
    policy: Policy,
    outcome: Outcome,
    verdict: Verdict,
    /// With `--log`: what it says.
    log: Option<LogReport>,
}

/// The exit status for a model that Bochs does not know, after saying which it does.
pub(crate) fn unknown_model(bochs: &Bochs, model: &str) -> Option<ExitCode> {
    if bochs.models.iter().any(|known| known == model) {
        return None;
    }
    let models = bochs.models.join(", ");
    eprintln!("error: Bochs knows no CPU model `{model}`\n  [possible values: {models}]");
    Some(ExitCode::from(MISUSE))
}

/// Runs the command.
pub(crate) fn command(options: &Options) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let bochs = Bochs::set_up(&workspace)?;
    if let Some(misuse) = unknown_model(&bochs, &options.model) {
        return Ok(misuse);
    }
    let bed = TestBed::new(workspace, bochs)?;
    let rules = compare_rules(&bed, options)?;
    match &rules.verdict {
        Verdict::Passed => {}
        Verdict::Refused(text) => {
            // The policies would be refused for the same reason.
            eprintln!("refused: {text}");
            return Ok(ExitCode::FAILURE);
        }
        Verdict::Failed(text) => eprintln!("error: {text}"),
    }
    let mut runs = Vec::new();
    for &policy in options.policy.policies() {
        let run = run_policy(&bed, options, policy)?;
        let refused = matches!(run.verdict, Verdict::Refused(_));
        runs.push(run);
        if refused {
            // The other policies would be refused for the same reason.
            break;
        }
    }
    print(options, &runs)?;
    match options.format {
        Format::Table => print!("\n{}", rules.text),
        Format::Json => eprint!("{}", rules.text),
    }
    Ok(if complain(&runs) || rules.verdict != Verdict::Passed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The boot before the policies: are the rules of the CET MSRs the CPU's?
fn compare_rules(bed: &TestBed, options: &Options) -> Result<Comparison> {
    let boot = Boot {
        name: "compare",
        model: &options.model,
        parameters: compare::PARAMETERS.to_owned(),
        log: None,
        limit: Duration::from_secs(options.time_limit),
    };
    let outcome = bed.boot(&boot, |_| {})?;
    Ok(compare::of(&outcome, &options.model))
}

fn run_policy(bed: &TestBed, options: &Options, policy: Policy) -> Result<PolicyRun> {
    let name = policy.name();
    let log = options.log.then(|| bed.log_path(name));
    let mut parameters = format!("policy={name}");
    for word in &options.parameters {
        parameters.push(' ');
        parameters.push_str(word);
    }
    let progress = BootProgress::start(&format!("{name} on {}", options.model));
    let boot = Boot {
        name,
        model: &options.model,
        parameters,
        log: log.clone(),
        limit: Duration::from_secs(options.time_limit),
    };
    let outcome = bed.boot(&boot, |message| {
        if let Message::Progress { scenario, done, of, .. } = message {
            progress.update(scenario.as_deref(), *done, *of);
        }
    })?;
    let verdict = verdict::of_policy(&outcome, name);
    progress.finish(match &verdict {
        Verdict::Passed => "passed",
        Verdict::Refused(_) => "refused",
        Verdict::Failed(_) => "failed",
    });
    let log = match log {
        Some(path) => LogReport::of(path, &outcome)?,
        None => None,
    };
    Ok(PolicyRun { policy, outcome, verdict, log })
}

/// The results to standard output.
fn print(options: &Options, runs: &[PolicyRun]) -> Result<()> {
    let counted: Vec<(&str, &[Message])> = runs
        .iter()
        .map(|run| (run.policy.name(), run.outcome.messages.as_slice()))
        .filter(|(_, messages)| protocol::results(messages).next().is_some())
        .collect();
    let messages = counted.iter().map(|(_, messages)| *messages);
    match options.format {
        _ if counted.is_empty() => {}
        Format::Json => {
            let policy = options.policy.name();
            print!("{}", json::lines(messages, policy, options.on.name(), &options.model)?);
        }
        Format::Table => {
            println!("{}", counts::counts(messages));
            print!("{}", counts::exits(counted.iter().copied()));
        }
    }
    for run in runs {
        let Some(log) = &run.log else { continue };
        let text = log.text(run.policy.name());
        // JSON is for programs: nothing else may stand beside it.
        match options.format {
            Format::Table => println!("\n{text}"),
            Format::Json => eprintln!("\n{text}"),
        }
    }
    Ok(())
}

/// Says what did not pass; whether anything did not.
fn complain(runs: &[PolicyRun]) -> bool {
    let mut bad = false;
    for run in runs {
        let name = run.policy.name();
        match &run.verdict {
            Verdict::Passed => {}
            Verdict::Refused(text) => {
                eprintln!("refused: {text}");
                bad = true;
            }
            Verdict::Failed(text) => {
                eprintln!("error: policy {name}: {text}");
                bad = true;
            }
        }
        if run.log.as_ref().is_some_and(|log| log.differences().next().is_some()) {
            eprintln!("error: policy {name}: Bochs counted otherwise than the image, see above");
            bad = true;
        }
    }
    bad
}
