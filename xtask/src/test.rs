//! `cargo xtask test`: every check of the workspace, one line each.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::checks::older_rust::OlderRust;
use crate::checks::step::{StepResult, Totals};
use crate::checks::{boots, steps};
use crate::emulator::bochs::Bochs;
use crate::emulator::test_bed::TestBed;
use crate::machine::toolchain::{self, BARE_METAL, NOT_X86};
use crate::machine::workspace::Workspace;

/// Runs the command.
pub(crate) fn command() -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    toolchain::ensure_targets(&workspace, &[BARE_METAL, NOT_X86])?;
    toolchain::ensure_components(&workspace)?;
    toolchain::ensure_miri(&workspace)?;
    let mut totals = Totals::default();
    for step in steps::ALL {
        totals.add(run_step(step.name, || step.run(&workspace))?);
    }
    for older in OlderRust::all(&workspace)? {
        totals.add(run_step(&older.name(), || older.run(&workspace))?);
    }
    totals.add(run_boots(workspace));
    println!("total: {} passed, {} failed", totals.passed, totals.failed);
    Ok(if totals.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_step(name: &str, run: impl FnOnce() -> Result<StepResult>) -> Result<Totals> {
    let started = Instant::now();
    let result = run()?;
    let passed = result.totals.failed == 0;
    show(name, passed, started, &result.detail);
    if !passed {
        print!("{}", result.output);
    }
    Ok(result.totals)
}

/// All boots. Without a Bochs or an image each of them fails.
fn run_boots(workspace: Workspace) -> Totals {
    let bochs = Bochs::set_up(&workspace);
    let bed = match bochs.and_then(|bochs| TestBed::new(workspace, bochs)) {
        Ok(bed) => bed,
        Err(error) => {
            let failed = boots::ALL.len() as u64;
            println!("FAILED  all {failed} boots: {error:#}");
            return Totals { passed: 0, failed };
        }
    };
    let mut totals = Totals::default();
    for check in boots::ALL {
        let started = Instant::now();
        let result = check.run(&bed);
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
