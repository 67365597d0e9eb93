//! Instruction counts by callgrind, a tool of Valgrind: the program runs on a simulated
//! processor, so the count is exact and the same on every run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::machine::workspace::find_program;

/// Iterations of the two runs. As many digits each, so that reading the number costs
/// the same in both.
const ITERATIONS: [&str; 2] = ["01000", "11000"];
/// Iterations that one run has more than the other.
const DIFFERENCE: f64 = 10_000.0;

/// Installs Valgrind if the machine has none.
pub(crate) fn ensure_installed() -> Result<()> {
    if find_program("valgrind").is_some() {
        return Ok(());
    }
    eprintln!("this machine has no Valgrind: apt-get install valgrind");
    // Without rights this fails, and the line below says what to run. A machine that is
    // fresh has no list of packages yet.
    let apt_get = |arguments: &[&str]| {
        Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let install = || apt_get(&["install", "-y", "--no-install-recommends", "valgrind"]);
    let installed = install() || (apt_get(&["update"]) && install());
    ensure!(
        installed && find_program("valgrind").is_some(),
        "the benchmark counts with Valgrind; run: sudo apt-get update && sudo apt-get install \
         valgrind"
    );
    Ok(())
}

/// The instructions of one iteration of `program NAME N`, the loop around it included,
/// to a hundredth: the compiler may have unrolled the loop.
///
/// What is left of start-up is a difference of a few instructions over all iterations.
pub(crate) fn per_iteration(program: &Path, name: &str, work: &Path) -> Result<f64> {
    let mut counts = [0; 2];
    for (count, iterations) in counts.iter_mut().zip(ITERATIONS) {
        *count = instructions(program, &[name, iterations], work)?;
    }
    Ok(difference(counts))
}

fn difference([few, many]: [u64; 2]) -> f64 {
    (many.saturating_sub(few) as f64 / DIFFERENCE * 100.0).round() / 100.0
}

/// The instructions of a whole run.
fn instructions(program: &Path, arguments: &[&str], work: &Path) -> Result<u64> {
    let file = work.join(format!("callgrind-{}.out", std::process::id()));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot start valgrind")?;
    let counted = fs::read_to_string(&file);
    let _ = fs::remove_file(&file);
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed under valgrind:\n{}", arguments.join(" "), of_program(&text));
    }
    total(&counted.context("callgrind left no file")?)
        .with_context(|| format!("callgrind counted nothing for `{}`", arguments.join(" ")))
}

/// What the program said itself: Valgrind's own lines start with `==`.
fn of_program(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("==")).collect();
    lines.join("\n")
}

/// The sum in a file of callgrind's.
fn total(file: &str) -> Option<u64> {
    file.lines().find_map(|line| line.strip_prefix("summary: ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{difference, of_program, total};

    #[test]
    fn reads_the_sum() {
        let file = "# callgrind format\nversion: 1\n\nevents: Ir\nsummary: 1727804\n\nob=(3) x\n";
        assert_eq!(total(file), Some(1_727_804));
        assert_eq!(total("events: Ir\nsummary: \n"), None);
        assert_eq!(total(""), None);
    }

    #[test]
    fn what_start_up_differs_by_does_not_count() {
        assert_eq!(difference([317_393, 339_893]), 2.25);
        assert_eq!(difference([317_393, 387_400]), 7.0);
        assert_eq!(difference([317_393, 387_500]), 7.01);
    }

    #[test]
    fn a_failure_is_told_without_valgrinds_lines() {
        assert_eq!(of_program("==7== Callgrind\ncheck: wrong\n==7==\n"), "check: wrong");
    }
}
