//! Builds with the oldest Rust that a package promises.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::checks::step::{Step, StepResult};
use crate::machine::toolchain;
use crate::machine::workspace::{Package, Workspace};

/// A version that packages promise to build with, older than the running one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OlderRust {
    /// The toolchain's name, such as `1.88.0`.
    toolchain: String,
    packages: Vec<String>,
}

impl OlderRust {
    /// All of them, the oldest first.
    ///
    /// # Errors
    /// A version that cannot be read.
    pub(crate) fn all(workspace: &Workspace) -> Result<Vec<Self>> {
        older(&workspace.packages, &toolchain::rust_version(workspace)?)
    }

    /// What is shown, in words.
    pub(crate) fn name(&self) -> String {
        format!("builds with Rust {}: {}", self.toolchain, self.packages.join(", "))
    }

    /// Installs the toolchain if it is missing, and builds.
    ///
    /// # Errors
    /// It cannot be installed.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<StepResult> {
        toolchain::ensure_toolchain(workspace, &self.toolchain)?;
        let mut arguments = vec!["check", "--all-features"];
        for package in &self.packages {
            arguments.extend(["--package", package]);
        }
        let name = self.name();
        let step = Step { toolchain: Some(&self.toolchain), ..Step::new(&name, &arguments) };
        step.run(workspace)
    }
}

/// The packages by the version that they promise, where that is older than `running`.
fn older(packages: &[Package], running: &str) -> Result<Vec<OlderRust>> {
    let running = number(running)?;
    let mut by_version = BTreeMap::<_, Vec<String>>::new();
    for package in packages {
        let Some(promised) = &package.rust_version else { continue };
        let version = number(promised)?;
        if version < running {
            by_version.entry(version).or_default().push(package.name.clone());
        }
    }
    let named = by_version.into_iter().map(|([major, minor, patch], packages)| OlderRust {
        toolchain: format!("{major}.{minor}.{patch}"),
        packages,
    });
    Ok(named.collect())
}

/// The numbers of `1.88`, `1.88.1` or `1.97.0-nightly`.
fn number(version: &str) -> Result<[u32; 3]> {
    let release = version.split('-').next().unwrap_or_default();
    let mut parts = [0; 3];
    for (index, part) in release.split('.').enumerate() {
        let slot = parts.get_mut(index);
        let unread = || format!("`{version}` is no version of Rust");
        *slot.with_context(unread)? = part.parse().with_context(unread)?;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::{OlderRust, older};
    use crate::machine::workspace::Package;

    fn package(name: &str, rust_version: Option<&str>) -> Package {
        Package { name: name.into(), rust_version: rust_version.map(Into::into) }
    }

    #[test]
    fn packages_that_promise_an_older_version_are_built_with_it() {
        let packages = [
            package("a", Some("1.88")),
            package("b", Some("1.95")),
            package("c", Some("1.9.1")),
            package("d", None),
            package("e", Some("1.88.0")),
            package("f", Some("1.100")),
        ];
        let expected = |toolchain: &str, packages: &[&str]| OlderRust {
            toolchain: toolchain.into(),
            packages: packages.iter().map(|&name| name.to_owned()).collect(),
        };
        assert_eq!(
            older(&packages, "1.95.0").expect("versions"),
            [expected("1.9.1", &["c"]), expected("1.88.0", &["a", "e"])]
        );
        assert!(older(&packages, "1.101.0-nightly").expect("versions").len() == 4);
    }

    #[test]
    fn what_is_no_version_is_an_error() {
        for version in ["", "stable", "1.x", "1.2.3.4"] {
            assert!(older(&[package("a", Some(version))], "1.95.0").is_err(), "{version}");
        }
    }
}
