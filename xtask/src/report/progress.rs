//! Progress on standard error: a moving line on a terminal, plain lines else.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Work of unknown length, with its elapsed time.
pub(crate) struct Spinner {
    bar: Option<ProgressBar>,
    started: Instant,
}

impl Spinner {
    /// Shows that the work began.
    pub(crate) fn start(text: &str) -> Self {
        let bar = if terminal() {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.set_message(text.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            Some(bar)
        } else {
            eprintln!("{text} ...");
            None
        };
        Self { bar, started: Instant::now() }
    }

    /// Replaces the moving line by a last one.
    pub(crate) fn finish(self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{text} ({:.1} s)", self.started.elapsed().as_secs_f64());
    }
}

/// The switches of one boot.
pub(crate) struct BootProgress {
    bar: Option<ProgressBar>,
    name: String,
    started: Instant,
}

impl BootProgress {
    /// Shows that the boot began.
    pub(crate) fn start(name: &str) -> Self {
        let bar = terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) =
                ProgressStyle::with_template("{msg:32} [{bar:24}] {pos}/{len} switches {elapsed}")
            {
                bar.set_style(style);
            }
            bar.set_message(name.to_owned());
            bar
        });
        Self { bar, name: name.to_owned(), started: Instant::now() }
    }

    /// Moves the bar.
    pub(crate) fn update(&self, scenario: Option<&str>, done: u64, of: u64) {
        if let Some(bar) = &self.bar {
            if let Some(scenario) = scenario {
                bar.set_message(format!("{}, scenario {scenario}", self.name));
            }
            bar.set_length(of);
            bar.set_position(done);
        }
    }

    /// Replaces the bar by one line.
    pub(crate) fn finish(self, verdict: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {verdict} ({:.2} s)", self.name, self.started.elapsed().as_secs_f64());
    }
}

fn terminal() -> bool {
    std::io::stderr().is_terminal()
}
