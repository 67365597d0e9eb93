//! One boot of a ROM in Bochs.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::emulator::bochs::Bochs;
use crate::emulator::run_folder::{Boot, RunFolder};
use crate::image::protocol::{self, Message};
use crate::machine::workspace::Workspace;

/// Lines of output that are kept to explain a failure.
const KEPT_LINES: usize = 12;

/// How a boot went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the image said.
    pub(crate) messages: Vec<Message>,
    /// Lines of the image's that could not be read, with the reasons.
    pub(crate) unreadable: Vec<String>,
    /// The last lines of output of any kind.
    pub(crate) last_lines: Vec<String>,
    /// Lines of Bochs' log in which it gave up or refused a VM entry.
    pub(crate) complaints: Vec<String>,
    /// How Bochs ended; `None` if it had to be killed at the limit.
    pub(crate) status: Option<ExitStatus>,
}

/// Boots and waits for the end, or kills Bochs at the limit. Every message is
/// passed to `heard` when it arrives.
pub(crate) fn run(
    workspace: &Workspace,
    bochs: &Bochs,
    rom: &[u8],
    boot: &Boot<'_>,
    mut heard: impl FnMut(&Message),
) -> Result<Outcome> {
    let folder = RunFolder::create(workspace, bochs, rom, boot)?;
    let mut command = bochs.command(true);
    // The debugger is what stops at the image's magic breakpoint.
    if bochs.debugger_on_request {
        command.arg("-debugger");
    }
    let mut child = command
        .args(["-q", "-f", "bochsrc", "-rc", "commands"])
        .current_dir(&folder.path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start Bochs")?;

    let mut outcome = Outcome {
        messages: Vec::new(),
        unreadable: Vec::new(),
        last_lines: Vec::new(),
        complaints: Vec::new(),
        status: None,
    };
    let mut last_lines = VecDeque::new();
    let ended = collect(&mut child, boot.limit, |line| {
        if last_lines.len() == KEPT_LINES {
            last_lines.pop_front();
        }
        last_lines.push_back(line.to_owned());
        match protocol::parse(line) {
            None => {}
            Some(Err(error)) => outcome.unreadable.push(format!("{error:#}")),
            Some(Ok(message)) => {
                heard(&message);
                outcome.messages.push(message);
            }
        }
    });
    if !ended {
        // SIGKILL, to this child only: the display library swallows SIGTERM.
        // An error means that it ended by itself in this moment.
        let _ = child.kill();
    }
    let status = child.wait().context("cannot wait for Bochs")?;
    outcome.status = ended.then_some(status);
    outcome.last_lines = last_lines.into();
    let log = folder.path.join("bochs.log");
    if !(ended && status.success()) {
        outcome.complaints = complaints(&log);
    }
    if let Some(kept) = &boot.log {
        fs::rename(&log, kept)
            .with_context(|| format!("cannot move Bochs' log to {}", kept.display()))?;
    }
    Ok(outcome)
}

/// Reads the child's two streams line by line until both end (`true`) or the
/// limit is over (`false`).
fn collect(child: &mut Child, limit: Duration, mut take: impl FnMut(&str)) -> bool {
    let deadline = Instant::now() + limit;
    let (sender, lines) = mpsc::channel();
    if let Some(stream) = child.stdout.take() {
        forward(stream, sender.clone());
    }
    if let Some(stream) = child.stderr.take() {
        forward(stream, sender.clone());
    }
    drop(sender);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        match lines.recv_timeout(left) {
            Ok(line) => take(&line),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
}

/// Sends the lines of a stream from a thread of its own.
fn forward(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if lines.send(text).is_err() {
                return;
            }
        }
    });
}

/// Lines of a log in which Bochs says that it gives up, or which check of a VM
/// entry failed.
fn complaints(log: &Path) -> Vec<String> {
    let Ok(log) = fs::File::open(log) else {
        return Vec::new();
    };
    BufReader::new(log)
        .lines()
        .map_while(Result::ok)
        .filter(|line| {
            [">>PANIC<<", "VMENTER FAIL", "VMFAIL", "VMX abort"]
                .iter()
                .any(|mark| line.contains(mark))
        })
        // The image's own way to end as failed.
        .filter(|line| !line.contains("shutdown requested"))
        .take(KEPT_LINES)
        .collect()
}
