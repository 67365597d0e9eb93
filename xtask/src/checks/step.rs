//! One call of cargo, and what it comes to.

use anyhow::{Context, Result};

use crate::machine::toolchain;
use crate::machine::workspace::{Workspace, cargo};

/// One call of cargo.
pub(crate) struct Step<'a> {
    /// What is shown, in words.
    pub(crate) name: &'a str,
    pub(super) arguments: &'a [&'a str],
    /// Variables for it.
    pub(super) variables: &'a [(&'a str, &'a str)],
    /// It reports tests of its own, which are counted instead of the call.
    pub(super) counts_tests: bool,
    /// Whose cargo runs it, if it is not the running one.
    pub(super) toolchain: Option<&'a str>,
}

/// What a step came to.
pub(crate) struct StepResult {
    /// The tests that it reported, else the step itself.
    pub(crate) totals: Totals,
    /// How many tests, in words, if it reports any.
    pub(crate) detail: String,
    /// The call and all that it printed.
    pub(crate) output: String,
}

impl<'a> Step<'a> {
    /// A call that passes if cargo does.
    pub(super) const fn new(name: &'a str, arguments: &'a [&'a str]) -> Self {
        Self { name, arguments, variables: &[], counts_tests: false, toolchain: None }
    }

    /// Runs it.
    ///
    /// # Errors
    /// There is no cargo.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<StepResult> {
        let mut cargo = self.toolchain.map_or_else(cargo, toolchain::cargo_of);
        let output = cargo
            .args(self.arguments)
            .envs(self.variables.iter().copied())
            .env("CARGO_TERM_COLOR", "never")
            .current_dir(&workspace.root)
            .output()
            .context("cannot start cargo")?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let success = output.status.success();
        let mut totals = Totals::one(success);
        let mut detail = String::new();
        if self.counts_tests {
            totals = judge(success, count_tests(&stdout));
            detail = format!("{} passed, {} failed or ignored", totals.passed, totals.failed);
        }
        let toolchain = self.toolchain.map(|name| format!("+{name} ")).unwrap_or_default();
        let call = format!("cargo {toolchain}{}", self.arguments.join(" "));
        let stderr = String::from_utf8_lossy(&output.stderr);
        Ok(StepResult { totals, detail, output: format!("{call}\n{stdout}{stderr}") })
    }
}

/// Tests, steps and boots so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Totals {
    /// Adds others.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// One that passed or failed.
    pub(crate) fn one(passed: bool) -> Self {
        Self { passed: u64::from(passed), failed: u64::from(!passed) }
    }
}

/// What a call that reports tests comes to. It fails besides if something failed that is no
/// test, such as the build, or if it ran none: their names may have changed.
fn judge(success: bool, tests: Totals) -> Totals {
    let silent = tests.failed == 0 && (!success || tests.passed == 0);
    Totals { failed: tests.failed + u64::from(silent), ..tests }
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
    use super::{Totals, count_tests, judge};

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

    #[test]
    fn a_call_that_ran_no_test_has_failed() {
        let totals = |passed, failed| Totals { passed, failed };
        assert_eq!(judge(true, totals(0, 0)), totals(0, 1));
        assert_eq!(judge(true, totals(3, 0)), totals(3, 0));
        assert_eq!(judge(false, totals(3, 0)), totals(3, 1));
        assert_eq!(judge(false, totals(3, 2)), totals(3, 2));
    }
}
