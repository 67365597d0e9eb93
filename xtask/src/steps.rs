//! `cargo xtask test`: every check of the workspace, one line each.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::checks;
use crate::run::Bench;
use crate::workspace::{self, BARE_METAL, NOT_X86, Workspace};

/// One call of cargo.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    /// Variables for it.
    variables: &'static [(&'static str, &'static str)],
    /// It reports tests of its own, which are counted instead of the call.
    counts_tests: bool,
    /// The nightly toolchain's cargo runs it.
    nightly: bool,
}

impl Step {
    const fn new(name: &'static str, arguments: &'static [&'static str]) -> Self {
        Self { name, arguments, variables: &[], counts_tests: false, nightly: false }
    }
}

const STEPS: &[Step] = &[
    Step::new("formatting", &["fmt", "--all", "--check"]),
    Step::new(
        "clippy, everything for this machine",
        &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
    ),
    Step::new(
        "clippy, the boot image",
        &[
            "clippy",
            "--release",
            "--package",
            "boot-image",
            "--target",
            BARE_METAL,
            "--",
            "-D",
            "warnings",
        ],
    ),
    Step {
        counts_tests: true,
        ..Step::new(
            "unit, integration and doc tests",
            &["test", "--workspace", "--all-features", "--no-fail-fast"],
        )
    },
    Step::new(
        "no_std builds for bare metal",
        &[
            "build",
            "--package",
            "vmx-core",
            "--package",
            "cet-policy",
            "--package",
            "vmx-bare-metal",
            "--package",
            "vmx-mock",
            "--no-default-features",
            "--target",
            BARE_METAL,
        ],
    ),
    Step::new(
        "builds for a processor that is not x86",
        &[
            "build",
            "--package",
            "vmx-core",
            "--package",
            "cet-policy",
            "--no-default-features",
            "--target",
            NOT_X86,
        ],
    ),
    Step {
        // Miri is slow: it gets the decoders, which take any input, and few cases of
        // each property.
        variables: &[("PROPTEST_CASES", "2"), ("MIRIFLAGS", "-Zmiri-disable-isolation")],
        counts_tests: true,
        nightly: true,
        ..Step::new(
            "decoders under Miri",
            &[
                "miri",
                "test",
                "--package",
                "vmx-core",
                "--package",
                "cet-policy",
                "--lib",
                "--",
                "exit::qualification",
                "instruction_information",
                "general_register",
                "event::in",
                "msr_bitmap",
                "access_rights",
                "no_text_panics",
                "ept::entry",
                "ept::pointer",
                "ssp::",
                "xsave_area",
                "legality",
                "cpuid",
            ],
        )
    },
    Step {
        variables: &[("RUSTDOCFLAGS", "-D warnings")],
        ..Step::new("documentation", &["doc", "--workspace", "--no-deps", "--all-features"])
    },
];

/// Tests, steps and boots so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    fn one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed) }
    }
}

/// Runs the command.
pub(crate) fn command() -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    workspace::ensure_targets(&workspace, &[BARE_METAL, NOT_X86])?;
    workspace::ensure_components(&workspace)?;
    workspace::ensure_miri(&workspace)?;
    let mut totals = Totals::default();
    for step in STEPS {
        totals.add(run_step(&workspace, step)?);
    }
    totals.add(run_boots(workspace));
    println!("total: {} passed, {} failed", totals.passed, totals.failed);
    Ok(if totals.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_step(workspace: &Workspace, step: &Step) -> Result<Totals> {
    let started = Instant::now();
    let mut cargo = if step.nightly { workspace::nightly_cargo() } else { workspace::cargo() };
    let output = cargo
        .args(step.arguments)
        .envs(step.variables.iter().copied())
        .env("CARGO_TERM_COLOR", "never")
        .current_dir(&workspace.root)
        .output()
        .context("cannot start cargo")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let success = output.status.success();
    let mut totals = Totals::one(success);
    if step.counts_tests {
        let tests = count_tests(&stdout);
        if !success && tests.failed == 0 {
            // Something failed that is no test, such as the build.
            totals.add(tests);
        } else {
            totals = tests;
        }
    }
    let passed = totals.failed == 0;
    let detail = if step.counts_tests {
        format!("{} passed, {} failed or ignored", totals.passed, totals.failed)
    } else {
        String::new()
    };
    show(step.name, passed, started, &detail);
    if !passed {
        println!("cargo {}", step.arguments.join(" "));
        print!("{stdout}");
        print!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(totals)
}

/// All boots. Without a Bochs or an image each of them fails.
fn run_boots(workspace: Workspace) -> Totals {
    let bench = match Bench::set_up(workspace) {
        Ok(bench) => bench,
        Err(error) => {
            let failed = checks::ALL.len() as u64;
            println!("FAILED  all {failed} boots: {error:#}");
            return Totals { passed: 0, failed };
        }
    };
    let mut totals = Totals::default();
    for check in checks::ALL {
        let started = Instant::now();
        let result = check.run(&bench);
        show(format!("boot: {}", check.name), result.is_ok(), started, "");
        match &result {
            Ok(summaries) => summaries.iter().for_each(|summary| println!("        {summary}")),
            Err(error) => println!("{error:#}"),
        }
        totals.add(Totals::one(result.is_ok()));
    }
    totals
}

fn show(name: impl Display, passed: bool, started: Instant, detail: &str) {
    let mark = if passed { "ok    " } else { "FAILED" };
    let seconds = started.elapsed().as_secs_f64();
    println!("{}", format!("{mark}  {name} ({seconds:.1} s) {detail}").trim_end());
}

/// The sums of cargo's lines `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
/// A test that is ignored shows nothing, so it counts as failed.
fn count_tests(output: &str) -> Totals {
    let mut totals = Totals::default();
    for line in output.lines() {
        let Some(rest) = line.trim().strip_prefix("test result: ") else {
            continue;
        };
        for part in rest.split(['.', ';']) {
            let Some((number, kind)) = part.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match kind {
                "passed" => totals.passed += number,
                "failed" | "ignored" => totals.failed += number,
                _ => {}
            }
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::{Totals, count_tests};

    #[test]
    fn sums_cargos_lines() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; \
            finished in 0.00s\n\
            test result: FAILED. 4 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; \
            finished in 0.10s\n";
        assert_eq!(count_tests(output), Totals { passed: 7, failed: 3 });
        assert_eq!(count_tests("error: could not compile"), Totals::default());
    }
}
