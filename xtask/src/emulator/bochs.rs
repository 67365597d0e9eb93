//! A Bochs that can run the image: the machine's own, or one obtained.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::emulator::obtain;
use crate::machine::workspace::{Workspace, find_program};

/// The first version whose XSAVES and CPUID.D handle CET state.
const OLDEST: (u32, u32) = (3, 0);
/// A CPU model with VMX and CET, which the emulator must know.
const NEEDED_MODEL: &str = "sapphire_rapids";
/// The display library that needs neither a window system nor a terminal.
const DISPLAY_PLUGIN: &str = "libbx_term_gui.so";

/// How to start a Bochs.
#[derive(Debug, Clone)]
pub(crate) struct Bochs {
    /// The program and its leading arguments.
    words: Vec<OsString>,
    /// Variables that it needs.
    variables: Vec<(&'static str, OsString)>,
    /// The VGA BIOS that its configuration has to name.
    pub(crate) vga_bios: PathBuf,
    /// The names of its CPU models.
    pub(crate) models: Vec<String>,
    /// Its debugger sleeps unless asked for with `-debugger`.
    pub(crate) debugger_on_request: bool,
}

impl Bochs {
    /// Finds the machine's own Bochs or, if that will not do, obtains one.
    pub(crate) fn set_up(workspace: &Workspace) -> Result<Self> {
        let reason = match Self::of_machine() {
            Ok(bochs) => return Ok(bochs),
            Err(reason) => reason,
        };
        let root = obtain::root(workspace, &reason)?;
        Self::unpacked(&root).with_context(|| {
            format!(
                "the Bochs in {} does not start: delete that folder and run again",
                root.display()
            )
        })
    }

    /// The machine's own; the error says why it will not do.
    fn of_machine() -> Result<Self> {
        let Some(program) = find_program("bochs") else {
            bail!("this machine has no Bochs");
        };
        let prefix =
            program.parent().and_then(Path::parent).context("its place is unusual")?.to_path_buf();
        if !plugin_folders(&prefix).any(|folder| folder.join(DISPLAY_PLUGIN).exists()) {
            bail!("the Bochs of this machine has no display library `term`");
        }
        let vga_bios = ["share/vgabios/vgabios.bin", "share/bochs/VGABIOS-lgpl-latest"]
            .iter()
            .map(|path| prefix.join(path))
            .find(|path| path.exists())
            .context("the Bochs of this machine has no VGA BIOS")?;
        Self {
            words: vec![program.into()],
            variables: Vec::new(),
            vga_bios,
            models: Vec::new(),
            debugger_on_request: false,
        }
        .examined()
    }

    /// One that was unpacked below `root`. It runs through its own loader: the
    /// machine's C library may be too old for it.
    fn unpacked(root: &Path) -> Result<Self> {
        let libraries = root.join("usr/lib/x86_64-linux-gnu");
        Self {
            words: vec![
                libraries.join("ld-linux-x86-64.so.2").into(),
                "--library-path".into(),
                libraries.clone().into(),
                root.join("usr/bin/bochs-bin").into(),
            ],
            variables: vec![
                ("LTDL_LIBRARY_PATH", libraries.join("bochs/plugins").into()),
                ("BXSHARE", root.join("usr/share/bochs").into()),
            ],
            vga_bios: root.join("usr/share/vgabios/vgabios.bin"),
            models: Vec::new(),
            debugger_on_request: false,
        }
        .examined()
    }

    /// Asks it for its version and models and refuses what will not do.
    fn examined(mut self) -> Result<Self> {
        let models = self.answer(&["--help", "cpu"])?;
        match version(&models) {
            Some(found) if found >= OLDEST => {}
            Some((major, minor)) => bail!(
                "the Bochs of this machine is {major}.{minor}; {}.{} or newer is needed",
                OLDEST.0,
                OLDEST.1
            ),
            None => bail!("the Bochs of this machine does not tell its version"),
        }
        self.models = model_names(&models);
        if !self.models.iter().any(|model| model == NEEDED_MODEL) {
            bail!("the Bochs of this machine does not know the CPU model {NEEDED_MODEL}");
        }
        let help = self.answer(&["--help"])?;
        if !help.contains("-rc filename") {
            bail!("the Bochs of this machine was built without its debugger");
        }
        self.debugger_on_request = help.contains("  -debugger ");
        Ok(self)
    }

    /// What it prints when asked.
    fn answer(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(false).args(arguments).output().context("cannot start Bochs")?;
        // It prints its version on one stream and its answers on the other.
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(text)
    }

    /// A command that starts it, without arguments of its own.
    ///
    /// `guarded`: the emulator also ends if this program is killed.
    pub(crate) fn command(&self, guarded: bool) -> Command {
        let guard = guarded.then(|| find_program("setpriv")).flatten();
        let mut words: Vec<OsString> = Vec::new();
        if let Some(setpriv) = guard {
            words.extend([setpriv.into(), "--pdeathsig".into(), "KILL".into(), "--".into()]);
        }
        words.extend(self.words.iter().cloned());
        let (program, arguments) = match words.split_first() {
            Some((program, arguments)) => (program.clone(), arguments),
            None => (OsString::from("bochs"), [].as_slice()),
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            // The display library wants to know a terminal, and finds none.
            .env("TERM", "linux")
            .stdin(Stdio::null());
        command
    }
}

/// Where an installed Bochs may keep its plugins.
fn plugin_folders(prefix: &Path) -> impl Iterator<Item = PathBuf> {
    let multiarch = format!("lib/{}-linux-gnu/bochs/plugins", env::consts::ARCH);
    let named = env::var_os("LTDL_LIBRARY_PATH").unwrap_or_default();
    env::split_paths(&named).collect::<Vec<_>>().into_iter().chain([
        prefix.join(multiarch),
        prefix.join("lib/bochs/plugins"),
        prefix.join("lib64/bochs/plugins"),
    ])
}

/// The version in `Bochs x86 Emulator 3.0`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.split_once("Bochs x86 Emulator ")?;
    let number = rest.split_whitespace().next()?;
    let mut parts = number.split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    Some((major, minor))
}

/// The names after `Supported CPU models:`.
fn model_names(text: &str) -> Vec<String> {
    text.lines()
        .skip_while(|line| !line.starts_with("Supported CPU models"))
        .skip(1)
        .skip_while(|line| line.trim().is_empty())
        .take_while(|line| !line.trim().is_empty())
        .map(|line| line.trim().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{model_names, version};

    const ANSWER: &str = "000i[      ] LTDL_LIBRARY_PATH is set\nSupported CPU models:\n\n\
        i386\ntigerlake\nsapphire_rapids\n\n000i[SIM   ] quit_sim called with exit code 0\n\
        ====\n          Bochs x86 Emulator 3.0\n   Built from GitHub snapshot\n";

    #[test]
    fn reads_the_version() {
        assert_eq!(version(ANSWER), Some((3, 0)));
        assert_eq!(version("Bochs x86 Emulator 2.7\n"), Some((2, 7)));
        assert_eq!(version("Bochs x86 Emulator 3.1.devel"), Some((3, 1)));
        assert_eq!(version("bash: bochs: command not found"), None);
    }

    #[test]
    fn reads_the_models() {
        assert_eq!(model_names(ANSWER), ["i386", "tigerlake", "sapphire_rapids"]);
        assert!(model_names("nothing").is_empty());
    }
}
