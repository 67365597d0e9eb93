//! Where things are, and which parts of the toolchain must be there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The target of the boot image.
pub(crate) const BARE_METAL: &str = "x86_64-unknown-none";
/// A target whose processor is not x86.
pub(crate) const NOT_X86: &str = "aarch64-unknown-none";

/// The folders of this workspace.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Workspace {
    /// The folder with the workspace's `Cargo.toml`.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn find() -> Result<Self> {
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(own_folder())
            .output()
            .context("cannot start cargo: install Rust with rustup")?;
        if !output.status.success() {
            bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        serde_json::from_slice(&output.stdout).context("cannot read the answer of cargo metadata")
    }

    /// Everything that has to do with Bochs: the emulator, its runs, its logs.
    pub(crate) fn bochs(&self) -> PathBuf {
        self.target.join("bochs")
    }
}

/// The folder of this package: of the checkout that runs it, where cargo says
/// so, else of the one that built it.
fn own_folder() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf(), PathBuf::from)
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

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
