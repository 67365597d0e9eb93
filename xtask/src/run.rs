//! `cargo xtask run`: one boot per policy, and what they counted.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::bochs::{self, Boot, Outcome};
use crate::compare::{self, Comparison};
use crate::log_count::{self, HostCount};
use crate::progress::BootProgress;
use crate::protocol::{ALL_GUESTS, Message};
use crate::setup::Bochs;
use crate::verdict::{self, Verdict};
use crate::workspace::Workspace;
use crate::{report, rom};

/// The CPU that the example is made for.
pub(crate) const DEFAULT_MODEL: &str = "sapphire_rapids";
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

/// A policy of the example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Save and reload at every switch.
    Eager,
    /// Nothing moves until the guest first uses the feature.
    Lazy,
    /// XSAVES and XRSTORS.
    Xsave,
}

impl Policy {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 3] = [Self::Eager, Self::Lazy, Self::Xsave];

    /// The name in options, parameters and reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Lazy => "lazy",
            Self::Xsave => "xsave",
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

/// What `--format` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One object a line.
    Json,
}

/// Everything that boots of one image share.
pub(crate) struct Bench {
    workspace: Workspace,
    bochs: Bochs,
    rom: Vec<u8>,
}

impl Bench {
    /// Sets Bochs up and builds the image.
    pub(crate) fn set_up(workspace: Workspace) -> Result<Self> {
        let bochs = Bochs::set_up(&workspace)?;
        let rom = rom::build(&workspace)?;
        Ok(Self { workspace, bochs, rom })
    }

    /// Boots once.
    pub(crate) fn boot(
        &self,
        name: &str,
        model: &str,
        parameters: String,
        log: Option<PathBuf>,
        limit: Duration,
        heard: impl FnMut(&Message),
    ) -> Result<Outcome> {
        let boot = Boot { name, rom: &self.rom, model, parameters, log, limit };
        bochs::run(&self.workspace, &self.bochs, &boot, heard)
    }

    /// Where the log of a boot of this name goes.
    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        self.workspace.bochs().join("log").join(format!("{name}.log"))
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

/// What a log of Bochs says.
pub(crate) struct LogReport {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Bochs' counts beside the image's.
    pub(crate) rows: [log_count::Comparison; 4],
}

impl LogReport {
    /// Counts the log of a boot; `None` if the boot has no totals to compare.
    pub(crate) fn of(path: PathBuf, outcome: &Outcome) -> Result<Option<Self>> {
        let Some(total) = verdict::results(outcome).find(|result| result.guest == ALL_GUESTS)
        else {
            return Ok(None);
        };
        let size = std::fs::metadata(&path)
            .with_context(|| format!("Bochs left no log {}", path.display()))?
            .len();
        let rows = HostCount::of_file(&path)?.beside(total);
        Ok(Some(Self { path, size, rows }))
    }

    /// Whether Bochs and the image counted the same.
    pub(crate) fn agrees(&self) -> bool {
        self.rows.iter().all(|row| row.image == row.bochs)
    }
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
    let rom = rom::build(&workspace)?;
    let bench = Bench { workspace, bochs, rom };
    let rules = compare_rules(&bench, options)?;
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
        let run = run_policy(&bench, options, policy)?;
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
fn compare_rules(bench: &Bench, options: &Options) -> Result<Comparison> {
    let limit = Duration::from_secs(options.time_limit);
    let parameters = compare::PARAMETERS.to_owned();
    let outcome = bench.boot("compare", &options.model, parameters, None, limit, |_| {})?;
    Ok(compare::of(&outcome, &options.model))
}

fn run_policy(bench: &Bench, options: &Options, policy: Policy) -> Result<PolicyRun> {
    let name = policy.name();
    let log = options.log.then(|| bench.log_path(name));
    let mut parameters = format!("policy={name}");
    for word in &options.parameters {
        parameters.push(' ');
        parameters.push_str(word);
    }
    let progress = BootProgress::start(&format!("{name} on {}", options.model));
    let outcome = bench.boot(
        name,
        &options.model,
        parameters,
        log.clone(),
        Duration::from_secs(options.time_limit),
        |message| {
            if let Message::Progress { scenario, done, of, .. } = message {
                progress.update(scenario.as_deref(), *done, *of);
            }
        },
    )?;
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
    let counted: Vec<&PolicyRun> =
        runs.iter().filter(|run| verdict::results(&run.outcome).next().is_some()).collect();
    match options.format {
        Format::Json if counted.is_empty() => {}
        Format::Json => {
            let outcomes = counted.iter().map(|run| &run.outcome);
            let policy = options.policy.name();
            print!("{}", report::json(outcomes, policy, options.on.name(), &options.model)?);
        }
        Format::Table if counted.is_empty() => {}
        Format::Table => {
            println!("{}", report::counts(counted.iter().map(|run| &run.outcome)));
            let exits = counted.iter().map(|run| (run.policy.name(), &run.outcome));
            print!("{}", report::exits(exits));
        }
    }
    for run in runs {
        let Some(log) = &run.log else { continue };
        let text = format!(
            "{}log: {} ({:.1} MB)",
            report::comparison(run.policy.name(), &log.rows),
            log.path.display(),
            log.size as f64 / 1e6
        );
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
        if run.log.as_ref().is_some_and(|log| !log.agrees()) {
            eprintln!("error: policy {name}: Bochs counted otherwise than the image, see above");
            bad = true;
        }
    }
    bad
}
