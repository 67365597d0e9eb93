//! `cargo xtask run`: one boot per policy, and what they counted.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::checks::compare::{self, Comparison};
use crate::checks::log_report::LogReport;
use crate::checks::verdict::{self, Verdict};
use crate::emulator::boot::Outcome;
use crate::emulator::run_folder::Boot;
use crate::emulator::test_bed::TestBed;
use crate::image::parameters::Policy;
use crate::image::protocol::{self, Message};
use crate::options::BootOptions;
use crate::report::counts;
use crate::report::json::{self, Setting};
use crate::report::progress::BootProgress;
use crate::report::table::Format;

/// The options of `cargo xtask run`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which policy switches the guests' shadow-stack pointers
    #[arg(long, value_enum, default_value_t = PolicyChoice::All)]
    policy: PolicyChoice,
    /// Which CPU runs it
    #[arg(long, value_enum, default_value_t = On::Bochs)]
    on: On,
    /// What to print: a table, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Let Bochs log every access, and compare its count with the image's
    #[arg(long)]
    log: bool,
    /// More words for the image's parameter block; may be repeated
    #[arg(long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    #[command(flatten)]
    boot: BootOptions,
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

/// Runs the command.
pub(crate) fn command(options: &Options) -> Result<ExitCode> {
    let bed = options.boot.test_bed()?;
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
    let options = &options.boot;
    // One CPU after another would only say the same.
    let boot = Boot { cpus: 1, ..options.boot("compare", compare::PARAMETERS.to_owned(), None) };
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
    let progress = BootProgress::start(&format!("{name} on {}", options.boot.machine()));
    let boot = options.boot.boot(name, parameters, log.clone());
    let outcome = bed.boot(&boot, |message| {
        if let Message::Progress { scenario, done, of, .. } = message {
            progress.update(scenario.as_deref(), *done, *of);
        }
    })?;
    let verdict = verdict::of_policy(&outcome, name, options.boot.cpus);
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
    let counted = counted.iter().copied();
    match options.format {
        _ if counted.len() == 0 => {}
        Format::Json => {
            let on = Setting {
                on: options.on.name(),
                model: &options.boot.model,
                cpus: options.boot.cpus,
            };
            print!("{}", json::lines(counted, options.policy.name(), on)?);
        }
        Format::Table => {
            println!("{}", counts::guests(counted.clone()));
            if let Some(cpus) = counts::cpus(counted.clone()) {
                println!("{cpus}");
            }
            print!("{}", counts::exits(counted));
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
