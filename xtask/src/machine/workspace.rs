//! Where things are: the folders and packages of this workspace, its cargo, and the
//! programs on the search path.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The folders and packages of this workspace.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Workspace {
    /// The folder with the workspace's `Cargo.toml`.
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    /// Cargo's target directory.
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
    /// Its packages.
    pub(crate) packages: Vec<Package>,
}

/// A package of this workspace.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// The oldest Rust that it promises to build with, such as `1.88`.
    pub(crate) rust_version: Option<String>,
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

/// A program on the search path.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
