//! Instructions of `vmx-core`, and of VMREAD and VMWRITE of `vmx-bare-metal`: executed
//! under callgrind or read from the machine code, each beside its bound and a comparison.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;
use vmx_core::entry_check::SECTIONS;

use crate::machine::executables;
use crate::machine::workspace::Workspace;
use crate::measure::Excess;
use crate::report::progress::Spinner;
use crate::report::{callgrind, disassembly, table};

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
pub(crate) struct Measured {
    measurement: &'static str,
    instructions: f64,
    bound: u32,
    within_bound: bool,
    comparison: Option<&'static str>,
    comparison_instructions: Option<f64>,
    /// How many rules the VM-entry check evaluates.
    rules: Option<usize>,
}

/// Builds the benchmark as a user's release build would be, and counts.
///
/// # Errors
/// It does not build, or cannot be counted.
pub(crate) fn measure(workspace: &Workspace) -> Result<Vec<Measured>> {
    callgrind::ensure_installed()?;
    let spinner = Spinner::start("building the benchmark");
    let built =
        executables::build(workspace, &["--release", "--package", "vmx-tests", "--bench", "core"])?;
    let program = built.get("core").context("cargo built no benchmark")?.clone();
    spinner.finish("built the benchmark");

    let spinner = Spinner::start("counting instructions");
    let elf =
        std::fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    let bench = Bench { program, elf, work: workspace.target.clone() };
    let measured = CORE.iter().map(|measurement| bench.measure(measurement)).collect();
    spinner.finish("counted instructions");
    measured
}

impl Measured {
    /// Whether there are too many.
    pub(crate) fn excess(&self) -> Option<Excess> {
        Excess::of(self.measurement, "instructions", self.instructions, self.bound)
    }
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

/// The table.
pub(crate) fn text(measured: &[Measured]) -> String {
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
    use super::{Measured, text};

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
