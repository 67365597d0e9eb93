//! Obtaining Bochs: Debian's packages, downloaded and unpacked into `target/`.
//!
//! apt-get does it with a state of its own, so neither root nor a change to
//! the system is needed. The mirror is the one this machine already uses;
//! proxies and credentials of its configuration stay in force, and the
//! signature is checked with Debian's keyring.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::machine::workspace::{Workspace, find_program};
use crate::report::progress::Spinner;

/// The Debian release that has Bochs 3.0.
const SUITE: &str = "trixie";
const PACKAGES: [&str; 4] = ["bochs", "bochs-term", "bochsbios", "vgabios"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Names a mirror, where the machine's apt knows none of Debian's.
const MIRROR_VARIABLE: &str = "XTASK_DEBIAN_MIRROR";
/// What every failure here ends with.
const OTHERWISE: &str = "install Bochs 3.0 or newer, with its `term` display, so that `bochs` is \
                         on the search path, then run again";

/// The folder with the unpacked packages; obtains them if they are not there.
///
/// `reason` says why the machine's own Bochs will not do.
pub(crate) fn root(workspace: &Workspace, reason: &anyhow::Error) -> Result<PathBuf> {
    let base = workspace.bochs();
    let root = base.join("root");
    if root.is_dir() {
        return Ok(root);
    }
    fs::create_dir_all(&base).with_context(|| format!("cannot create {}", base.display()))?;
    // Two runs at once: the second waits and finds the work done.
    let lock = File::create(base.join("lock")).context("cannot create the set-up's lock")?;
    lock.lock().context("cannot lock the set-up")?;
    if root.is_dir() {
        return Ok(root);
    }
    let spinner = Spinner::start(&format!(
        "{reason}: downloading Debian's ({SUITE}, 55 MB) into the target directory"
    ));
    let work = base.join("unpacking");
    let _ = fs::remove_dir_all(&work);
    let result = obtain(&work, &root);
    let _ = fs::remove_dir_all(&work);
    match &result {
        Ok(()) => spinner.finish("Bochs is set up"),
        Err(_) => spinner.finish("Bochs was not obtained"),
    }
    result.with_context(|| format!("{reason}, and it was not obtained"))?;
    Ok(root)
}

fn obtain(work: &Path, root: &Path) -> Result<()> {
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "the packages to unpack are for x86-64: {OTHERWISE}"
    );
    for program in ["apt-get", "dpkg-deb"] {
        ensure!(
            find_program(program).is_some(),
            "looked for {program} to fetch Debian's packages, but this machine has none: \
             {OTHERWISE}"
        );
    }
    ensure_keyring()?;

    let mirrors = mirrors();
    ensure!(
        !mirrors.is_empty(),
        "this machine's apt configuration names no Debian mirror: set {MIRROR_VARIABLE} to the \
         address of one, or {OTHERWISE}"
    );
    let mut tried = String::new();
    for mirror in &mirrors {
        match download(work, mirror) {
            Ok(()) => {
                tried.clear();
                break;
            }
            Err(error) => tried.push_str(&format!("\n{mirror}: {error:#}")),
        }
    }
    ensure!(
        tried.is_empty(),
        "tried {SUITE} on every Debian mirror that is known here:{tried}\nCheck the \
         network, set {MIRROR_VARIABLE} to another mirror, or {OTHERWISE}"
    );
    unpack(work)?;
    // The name appears only now, so that an interrupted set-up is not taken
    // for a complete one.
    fs::rename(work.join("root"), root).context("cannot move the unpacked packages in place")
}

/// Debian's keys: present on Debian, a package elsewhere.
fn ensure_keyring() -> Result<()> {
    if Path::new(KEYRING).exists() {
        return Ok(());
    }
    // Without rights this fails, and the line below says what to run.
    let installed = Command::new("apt-get")
        .args(["install", "-y", "--no-install-recommends", "debian-archive-keyring"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .is_ok_and(|output| output.status.success());
    ensure!(
        installed && Path::new(KEYRING).exists(),
        "Debian's keys are missing; run: sudo apt-get update && sudo apt-get install \
         debian-archive-keyring"
    );
    Ok(())
}

/// Mirrors to try, those that are surely Debian's first.
fn mirrors() -> Vec<String> {
    if let Ok(mirror) = std::env::var(MIRROR_VARIABLE) {
        return vec![mirror];
    }
    // Without downloaded lists apt knows no origin: those come second, and the
    // signature tells whether they are Debian's.
    let known = index_targets(&["$(ORIGIN) $(REPO_URI)"]);
    let unknown = index_targets(&["--no-release-info", "? $(REPO_URI)"]);
    choose_mirrors(known.lines().chain(unknown.lines()))
}

fn index_targets(arguments: &[&str]) -> String {
    let Some((format, options)) = arguments.split_last() else {
        return String::new();
    };
    Command::new("apt-get")
        .arg("indextargets")
        .args(options)
        .args(["--format", format, "Created-By: Packages"])
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

/// From lines `origin address`, in which `?` is an unknown origin.
fn choose_mirrors<'line>(lines: impl Iterator<Item = &'line str>) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    for line in lines {
        let Some((origin @ ("Debian" | "?"), mirror)) = line.split_once(' ') else {
            continue;
        };
        let mirror = mirror.trim().trim_end_matches('/');
        // Updates of security alone do not hold the whole release; an unknown
        // repository can only be Debian's if its address says so.
        let partial = mirror.contains("security");
        let foreign = origin == "?" && !mirror.contains("debian");
        if !mirror.is_empty() && !partial && !foreign && !chosen.iter().any(|old| old == mirror) {
            chosen.push(mirror.to_owned());
        }
    }
    chosen
}

/// Downloads the packages and what they depend on into `work/cache/archives`.
fn download(work: &Path, mirror: &str) -> Result<()> {
    for folder in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(work.join(folder))?;
    }
    fs::write(work.join("status"), "")?;
    fs::write(
        work.join("sources.list"),
        format!("deb [arch=amd64 signed-by={KEYRING}] {mirror} {SUITE} main\n"),
    )?;
    fs::write(work.join("apt.conf"), apt_configuration(work))?;
    apt_get(work, &["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends", "--download-only"];
    install.extend(PACKAGES);
    apt_get(work, &install)
}

/// Everything apt-get writes goes below `work`; the rest of the machine's
/// configuration stays in force, except for hooks that act on the system.
fn apt_configuration(work: &Path) -> String {
    let work = work.display();
    format!(
        "#clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         #clear DPkg::Pre-Install-Pkgs;\n\
         #clear APT::NeverAutoRemove;\n\
         Dir::Etc::SourceList \"{work}/sources.list\";\n\
         Dir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"/dev/null\";\n\
         Dir::Etc::PreferencesParts \"/dev/null\";\n\
         Dir::State \"{work}/state\";\n\
         Dir::State::status \"{work}/status\";\n\
         Dir::Cache \"{work}/cache\";\n\
         Dir::Log \"{work}\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         APT::Default-Release \"\";\n\
         APT::Sandbox::User \"\";\n\
         APT::Update::Error-Mode \"any\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    )
}

fn apt_get(work: &Path, arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .arg("-q")
        .arg("-c")
        .arg(work.join("apt.conf"))
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .context("cannot start apt-get")?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    bail!("`apt-get {}` failed: {}", arguments.join(" "), last_lines(&text, 4));
}

/// Unpacks every downloaded package into `work/root`.
fn unpack(work: &Path) -> Result<()> {
    let root = work.join("root");
    fs::create_dir_all(&root)?;
    let mut packages = 0;
    for entry in fs::read_dir(work.join("cache/archives"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let output = Command::new("dpkg-deb")
            .arg("-x")
            .arg(&path)
            .arg(&root)
            .output()
            .context("cannot start dpkg-deb")?;
        ensure!(
            output.status.success(),
            "cannot unpack {}: {}",
            path.display(),
            last_lines(&String::from_utf8_lossy(&output.stderr), 4)
        );
        // Together they need 55 MB that nobody uses again.
        fs::remove_file(&path)?;
        packages += 1;
    }
    ensure!(packages > 0, "apt-get downloaded nothing");
    for folder in ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"] {
        let _ = fs::remove_dir_all(root.join(folder));
    }
    Ok(())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests {
    use super::{choose_mirrors, last_lines};

    #[test]
    fn prefers_mirrors_known_as_debians() {
        let lines = [
            "Other https://packages.example/apt/",
            "Debian http://mirror.example/debian-security/",
            "Debian http://mirror.example/debian/",
            "Debian http://mirror.example/debian",
            "? http://other.example/debian/",
            "? http://other.example/tool/",
        ];
        assert_eq!(
            choose_mirrors(lines.into_iter()),
            ["http://mirror.example/debian", "http://other.example/debian"]
        );
        assert!(choose_mirrors(std::iter::empty()).is_empty());
    }

    #[test]
    fn keeps_the_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b; c");
        assert_eq!(last_lines("", 2), "");
    }
}
