//! `cargo xtask bench`: instructions counted, each beside its bound and a comparison.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use vmx_core::entry_check::SECTIONS;

use crate::machine::workspace::{Workspace, cargo};
use crate::report::progress::Spinner;
use crate::report::table::{self, Format};
use crate::report::{callgrind, disassembly};

/// The options of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What to measure
    #[arg(value_enum)]
    what: What,
    /// What to print: a table, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What there is to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// `vmx-core`, and VMREAD and VMWRITE of `vmx-bare-metal`.
    Core,
}

/// One line of the table.
struct Measurement {
    /// What is done, in words.
    what: &'static str,
    /// Our way of doing it.
    ours: Source,
    /// How many instructions it may have.
    bound: u32,
    /// Another way of doing it: whose, and where.
    other: Option<(&'static str, Source)>,
}

/// Where a number comes from, by a name in `tests/benches/core`.
#[derive(Clone, Copy)]
enum Source {
    /// Executed: instructions per iteration.
    Executed(&'static str),
    /// Disassembled: instructions of a function's success path.
    Disassembled(&'static str),
}

use Source::{Disassembled, Executed};

/// What is compared with bitmaps.
const BIT_AT_A_TIME: &str = "bit-at-a-time";
/// What is compared with instructions.
const X86: &str = "x86 crate";
/// The measurement that is told per rule, too.
const ENTRY_CHECK: &str = "VM-entry check of a valid state";
/// Below the table.
const NOTE: &str = "
static: on the inlined success path; else executed in one iteration, its loop
included, which the compiler may unroll.
";
/// What the disassembled functions call when they fail.
const FAILURE: &str = "probe_failed";

const CORE: &[Measurement] = &[
    Measurement {
        what: "bitmap: pass R+W of PL0..2_SSP",
        ours: Executed("bitmap-constant"),
        bound: 9,
        other: Some((BIT_AT_A_TIME, Executed("peer-bitmap-constant"))),
    },
    Measurement {
        what: "bitmap: the same as an MsrGroup",
        ours: Executed("bitmap-group"),
        bound: 9,
        other: Some((BIT_AT_A_TIME, Executed("peer-bitmap-constant"))),
    },
    Measurement {
        what: "bitmap: pass R+W of a runtime MSR",
        ours: Executed("bitmap-runtime"),
        bound: 15,
        other: Some((BIT_AT_A_TIME, Executed("peer-bitmap-runtime"))),
    },
    Measurement {
        what: "EPT violation: a handler's questions",
        ours: Executed("exit-handler"),
        bound: 20,
        other: None,
    },
    Measurement {
        what: "exit decoded, any reason, to memory",
        ours: Executed("exit-decoder"),
        bound: 20,
        other: None,
    },
    Measurement { what: ENTRY_CHECK, ours: Executed("entry-check"), bound: 4000, other: None },
    Measurement {
        what: "VMREAD of a field, static",
        ours: Disassembled("probe_vmread"),
        bound: 6,
        other: Some((X86, Disassembled("probe_x86_vmread"))),
    },
    Measurement {
        what: "VMWRITE of a field, static",
        ours: Disassembled("probe_vmwrite"),
        bound: 6,
        other: Some((X86, Disassembled("probe_x86_vmwrite"))),
    },
];

/// A measurement with its numbers. Also a line of JSON.
#[derive(Debug, Serialize)]
struct Measured {
    measurement: &'static str,
    instructions: f64,
    bound: u32,
    within_bound: bool,
    comparison: Option<&'static str>,
    comparison_instructions: Option<f64>,
    /// How many rules the VM-entry check evaluates.
    rules: Option<usize>,
}

/// Runs the command.
pub(crate) fn command(options: &Options) -> Result<ExitCode> {
    let What::Core = options.what;
    let workspace = Workspace::find()?;
    callgrind::ensure_installed()?;
    let spinner = Spinner::start("building the benchmark");
    let program = build(&workspace)?;
    spinner.finish("built the benchmark");

    let spinner = Spinner::start("counting instructions");
    let bench = Bench {
        elf: std::fs::read(&program)
            .with_context(|| format!("cannot read {}", program.display()))?,
        program,
        work: workspace.target,
    };
    let measured =
        CORE.iter().map(|measurement| bench.measure(measurement)).collect::<Result<Vec<_>>>()?;
    spinner.finish("counted instructions");

    match options.format {
        Format::Table => print!("{}", text(&measured)),
        Format::Json => {
            for row in &measured {
                println!("{}", serde_json::to_string(row)?);
            }
        }
    }
    let mut code = ExitCode::SUCCESS;
    for row in measured.iter().filter(|row| !row.within_bound) {
        let Measured { measurement, instructions, bound, .. } = row;
        eprintln!("error: {measurement}: {instructions} instructions, and {bound} are allowed");
        code = ExitCode::FAILURE;
    }
    Ok(code)
}

/// The program that is measured.
struct Bench {
    program: PathBuf,
    elf: Vec<u8>,
    /// A folder for files.
    work: PathBuf,
}

impl Bench {
    fn measure(&self, measurement: &Measurement) -> Result<Measured> {
        let instructions = self.count(measurement.ours)?;
        let other = measurement.other.map(|(_, source)| self.count(source)).transpose()?;
        Ok(Measured {
            measurement: measurement.what,
            instructions,
            bound: measurement.bound,
            within_bound: instructions <= measurement.bound.into(),
            comparison: measurement.other.map(|(name, _)| name),
            comparison_instructions: other,
            rules: (measurement.what == ENTRY_CHECK)
                .then(|| SECTIONS.iter().map(|section| section.rules.len()).sum()),
        })
    }

    fn count(&self, source: Source) -> Result<f64> {
        match source {
            Executed(name) => callgrind::per_iteration(&self.program, name, &self.work),
            Disassembled(function) => {
                Ok(disassembly::success_path(&self.elf, function, FAILURE)? as f64)
            }
        }
    }
}

/// Builds the program as a user's release build would be; returns where it is.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let output = cargo()
        .args(["build", "--quiet", "--release", "--package", "vmx-tests", "--bench", "core"])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(&workspace.root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the benchmark does not build: see the compiler's messages above");
    }
    executable(&String::from_utf8_lossy(&output.stdout)).context("cargo built no benchmark")
}

/// The benchmark's path in cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Artifact<'a> {
        #[serde(borrow)]
        executable: Option<std::borrow::Cow<'a, Path>>,
    }
    messages.lines().find_map(|line| {
        serde_json::from_str::<Artifact<'_>>(line).ok()?.executable.map(|path| path.into_owned())
    })
}

fn text(measured: &[Measured]) -> String {
    let mut table =
        table::new(["instructions", "ours", "bound", "other", "ratio", "the other one"]);
    for row in measured {
        let other = row.comparison_instructions;
        table.add_row([
            row.measurement.to_owned(),
            row.instructions.to_string(),
            row.bound.to_string(),
            other.map(|other| other.to_string()).unwrap_or_default(),
            other.map(|other| format!("{:.1}", other / row.instructions)).unwrap_or_default(),
            row.comparison.unwrap_or_default().to_owned(),
        ]);
    }
    table::align(&mut table, 1);
    let mut text = table::lines(&table);
    text.push_str(NOTE);
    for row in measured {
        if let Some(rules) = row.rules {
            let each = row.instructions / rules as f64;
            text.push_str(&format!(
                "VM-entry check: {rules} rules, {each:.1} instructions each, no heap.\n"
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Measured, executable, text};

    #[test]
    fn finds_the_program_in_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/core-1\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(messages), Some("/t/core-1".into()));
        assert_eq!(executable("warning: x\n"), None);
    }

    #[test]
    fn the_table_fits_into_80_columns_and_tells_each_rule() {
        let row = Measured {
            measurement: "EPT violation: a handler's questions",
            instructions: 3999.99,
            bound: 4000,
            within_bound: true,
            comparison: Some("bit-at-a-time"),
            comparison_instructions: Some(7999.98),
            rules: Some(200),
        };
        let text = text(&[row]);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("7999.98   2.0 bit-at-a-time"), "{text}");
        assert!(text.contains("200 rules, 20.0 instructions each"), "{text}");
    }
}
