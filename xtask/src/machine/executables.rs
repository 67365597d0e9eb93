//! Programs that cargo builds, by their names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::machine::workspace::{Workspace, cargo};

/// Builds, and returns where each program lies until the next build.
///
/// # Errors
/// It does not build; the compiler's messages are on standard error.
pub(crate) fn build(
    workspace: &Workspace,
    arguments: &[&str],
) -> Result<BTreeMap<String, PathBuf>> {
    let output = cargo()
        .args(["build", "--quiet", "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .current_dir(&workspace.root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let arguments = arguments.join(" ");
        bail!("`cargo build {arguments}` failed: see the compiler's messages above");
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

/// The programs in cargo's messages.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    #[derive(Deserialize)]
    struct Artifact<'a> {
        #[serde(borrow)]
        executable: Option<Cow<'a, Path>>,
        #[serde(borrow)]
        target: Target<'a>,
    }
    #[derive(Deserialize)]
    struct Target<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    let named = messages.lines().filter_map(|line| {
        let Artifact { executable, target } = serde_json::from_str(line).ok()?;
        Some((target.name.into_owned(), executable?.into_owned()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::executables;

    #[test]
    fn programs_have_the_names_of_their_targets() {
        let messages = "\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"lib\"},\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"core\"},\
            \"executable\":\"/t/core-1\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        let found: Vec<_> = executables(messages).into_iter().collect();
        assert_eq!(found, [("core".to_owned(), "/t/core-1".into())]);
        assert!(executables("warning: x\n").is_empty());
    }
}
