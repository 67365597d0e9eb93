//! Which parts of the Rust toolchain must be there; what is missing is installed.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine::workspace::{Workspace, cargo};

/// The target of the boot image.
pub(crate) const BARE_METAL: &str = "x86_64-unknown-none";
/// A target whose processor is not x86.
pub(crate) const NOT_X86: &str = "aarch64-unknown-none";
/// The toolchain that has Miri.
pub(crate) const NIGHTLY: &str = "nightly";
/// Why there is no compiler to ask.
const NO_RUSTC: &str = "cannot start rustc: install Rust with rustup";

/// Installs targets that the toolchain lacks.
pub(crate) fn ensure_targets(workspace: &Workspace, targets: &[&str]) -> Result<()> {
    for target in targets {
        if !has_target(workspace, target)? {
            rustup(workspace, &["target", "add", target])?;
        }
    }
    Ok(())
}

/// Installs rustfmt and clippy if the toolchain lacks them.
pub(crate) fn ensure_components(workspace: &Workspace) -> Result<()> {
    for (command, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let present = cargo()
            .args([command, "--version"])
            .current_dir(&workspace.root)
            .output()
            .is_ok_and(|output| output.status.success());
        if !present {
            rustup(workspace, &["component", "add", component])?;
        }
    }
    Ok(())
}

/// Installs the nightly toolchain's Miri, if it is not there.
pub(crate) fn ensure_miri(workspace: &Workspace) -> Result<()> {
    let present = cargo_of(NIGHTLY)
        .args(["miri", "--version"])
        .current_dir(&workspace.root)
        .output()
        .is_ok_and(|output| output.status.success());
    if present {
        return Ok(());
    }
    ensure_toolchain(workspace, NIGHTLY)?;
    rustup(workspace, &["component", "add", "--toolchain", NIGHTLY, "rust-src", "miri"])
}

/// Installs a toolchain, if it is not there.
pub(crate) fn ensure_toolchain(workspace: &Workspace, toolchain: &str) -> Result<()> {
    let present = Command::new("rustup")
        .args(["run", toolchain, "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if present {
        return Ok(());
    }
    rustup(workspace, &["toolchain", "install", toolchain, "--profile", "minimal"])
}

/// The cargo of another toolchain.
pub(crate) fn cargo_of(toolchain: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, "cargo"]);
    // What the running cargo set is about its own toolchain.
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(variable);
    }
    command
}

/// The version of the running toolchain's compiler, such as `1.95.0`.
pub(crate) fn rust_version(workspace: &Workspace) -> Result<String> {
    let output = rustc(workspace).arg("--version").output().context(NO_RUSTC)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.strip_prefix("rustc ").and_then(|rest| rest.split_whitespace().next());
    Ok(version.context("rustc does not tell its version")?.to_owned())
}

/// Whether the toolchain has the target's libraries.
fn has_target(workspace: &Workspace, target: &str) -> Result<bool> {
    let output = rustc(workspace)
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .context(NO_RUSTC)?;
    let folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
}

/// The running toolchain's compiler.
fn rustc(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.current_dir(&workspace.root);
    command
}

fn rustup(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let line = format!("rustup {}", arguments.join(" "));
    eprintln!("{line}");
    let status = Command::new("rustup").args(arguments).current_dir(&workspace.root).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => bail!("`{line}` failed: see above, then run it by hand"),
        Err(_) => bail!(
            "the Rust toolchain lacks `{}` and there is no rustup: install it with your \
             distribution's package manager, or install rustup and run `{line}`",
            arguments.last().unwrap_or(&"")
        ),
    }
}
