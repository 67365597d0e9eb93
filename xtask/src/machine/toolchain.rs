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
    let present = nightly_cargo()
        .args(["miri", "--version"])
        .current_dir(&workspace.root)
        .output()
        .is_ok_and(|output| output.status.success());
    if present {
        return Ok(());
    }
    let has_nightly = Command::new("rustup")
        .args(["run", "nightly", "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_nightly {
        rustup(workspace, &["toolchain", "install", "nightly", "--profile", "minimal"])?;
    }
    rustup(workspace, &["component", "add", "--toolchain", "nightly", "rust-src", "miri"])
}

/// The nightly toolchain's cargo, which only Miri is run by.
pub(crate) fn nightly_cargo() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]);
    // What the running cargo set is about another toolchain.
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(variable);
    }
    command
}

/// Whether the toolchain has the target's libraries.
fn has_target(workspace: &Workspace, target: &str) -> Result<bool> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(&workspace.root)
        .output()
        .context("cannot start rustc: install Rust with rustup")?;
    let folder = String::from_utf8_lossy(&output.stdout);
    Ok(output.status.success() && Path::new(folder.trim()).is_dir())
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
