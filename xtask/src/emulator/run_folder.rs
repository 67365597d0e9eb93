//! The files of one boot: the ROM, its parameters and Bochs' configuration.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::emulator::bochs::Bochs;
use crate::image::parameters;
use crate::machine::workspace::Workspace;

/// Instructions that each of several CPUs executes before it is the next one's turn. Bochs'
/// debugger has no other number, and the count of its log relies on one that small.
const QUANTUM: u8 = 5;

/// What to boot.
#[derive(Debug, Clone)]
pub(crate) struct Boot<'a> {
    /// A name for files.
    pub(crate) name: &'a str,
    /// Bochs' name of the CPU.
    pub(crate) model: &'a str,
    /// How many CPUs the machine has.
    pub(crate) cpus: u8,
    /// `key=value` words for the image.
    pub(crate) parameters: String,
    /// Where Bochs shall log every MSR access, XSAVES, XRSTORS, entry and exit.
    pub(crate) log: Option<PathBuf>,
    /// When to kill it.
    pub(crate) limit: Duration,
}

/// The files of one boot; removed at the end.
pub(super) struct RunFolder {
    pub(super) path: PathBuf,
}

impl RunFolder {
    /// Writes them.
    pub(super) fn create(
        workspace: &Workspace,
        bochs: &Bochs,
        rom: &[u8],
        boot: &Boot<'_>,
    ) -> Result<Self> {
        let parameters = parameters::block(boot.cpus, &boot.parameters)?;
        // The process number keeps runs at the same time apart.
        let folder = format!("{}-{}", boot.name, std::process::id());
        let this = Self { path: workspace.bochs().join("run").join(folder) };
        let path = &this.path;
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(path)?;
            if let Some(folder) = boot.log.as_deref().and_then(Path::parent) {
                fs::create_dir_all(folder)?;
            }
            fs::write(path.join("rom.bin"), rom)?;
            fs::write(path.join("parameters.bin"), &parameters)?;
            fs::write(path.join("bochsrc"), configuration(boot))?;
            fs::copy(&bochs.vga_bios, path.join("vgabios.bin"))?;
            // The first command runs the image to its end, a magic breakpoint;
            // the second ends Bochs with status 0.
            fs::write(path.join("commands"), "c\nquit\n")
        };
        write().with_context(|| format!("cannot write to {}", path.display()))?;
        Ok(this)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Bochs' configuration. It names files without folders: a folder's name may
/// contain what Bochs takes for a separator.
fn configuration(boot: &Boot<'_>) -> String {
    let Boot { model, cpus, .. } = boot;
    let quantum = if *cpus > 1 { format!(", quantum={QUANTUM}") } else { String::new() };
    let mut debug = String::from("action=ignore");
    if boot.log.is_some() {
        for cpu in 0..*cpus {
            let _ = write!(debug, ", cpu{cpu}=report");
        }
    }
    format!(
        "plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=0, parallel=1, serial=1\n\
         cpu: model={model}, count={cpus}{quantum}, ips=200000000, reset_on_triple_fault=0, \
         ignore_bad_msrs=0\n\
         memory: guest=64, host=64\n\
         romimage: file=rom.bin\n\
         vgaromimage: file=vgabios.bin\n\
         optramimage1: file=parameters.bin, address=0x500\n\
         display_library: term\n\
         clock: sync=none, time0=1\n\
         port_e9_hack: enabled=1\n\
         magic_break: enabled=1\n\
         boot: disk\n\
         log: bochs.log\n\
         panic: action=fatal\n\
         error: action=report\n\
         info: action=ignore\n\
         debug: {debug}\n"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Boot, configuration};

    #[test]
    fn every_cpu_is_counted_and_logged() {
        let boot = |cpus, log: Option<&str>| {
            configuration(&Boot {
                name: "a",
                model: "b",
                cpus,
                parameters: String::new(),
                log: log.map(Into::into),
                limit: Duration::ZERO,
            })
        };
        let one = boot(1, None);
        assert!(one.contains("cpu: model=b, count=1, ips"), "{one}");
        assert!(one.ends_with("\ndebug: action=ignore\n"), "{one}");
        let two = boot(2, Some("log"));
        assert!(two.contains("cpu: model=b, count=2, quantum=5, ips"), "{two}");
        assert!(two.ends_with("\ndebug: action=ignore, cpu0=report, cpu1=report\n"), "{two}");
    }
}
