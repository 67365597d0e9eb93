//! What the commands that boot have in common: which CPU, how many, and for how long.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::emulator::bochs::Bochs;
use crate::emulator::run_folder::Boot;
use crate::emulator::test_bed::{DEFAULT_MODEL, TestBed};
use crate::machine::workspace::Workspace;

/// The options of every command that boots.
#[derive(Debug, Args)]
pub(crate) struct BootOptions {
    /// The emulator's name of the CPU model
    #[arg(long, default_value = DEFAULT_MODEL)]
    pub(crate) model: String,
    /// How many CPUs the machine has
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) cpus: u8,
    /// Kill a boot that takes longer
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: u64,
}

impl BootOptions {
    /// Sets Bochs up and builds the image.
    ///
    /// # Errors
    /// [`Misuse`]: Bochs does not know the model.
    pub(crate) fn test_bed(&self) -> Result<TestBed> {
        let workspace = Workspace::find()?;
        let bochs = Bochs::set_up(&workspace)?;
        if !bochs.models.contains(&self.model) {
            bail!(Misuse(format!(
                "Bochs knows no CPU model `{}`\n  [possible values: {}]",
                self.model,
                bochs.models.join(", ")
            )));
        }
        TestBed::new(workspace, bochs)
    }

    /// A boot with these options.
    pub(crate) fn boot<'a>(
        &'a self,
        name: &'a str,
        parameters: String,
        log: Option<PathBuf>,
    ) -> Boot<'a> {
        let limit = Duration::from_secs(self.time_limit);
        Boot { name, model: &self.model, cpus: self.cpus, parameters, log, limit }
    }

    /// The machine, in words.
    pub(crate) fn machine(&self) -> String {
        match self.cpus {
            1 => self.model.clone(),
            cpus => format!("{cpus} x {}", self.model),
        }
    }
}

/// An option whose value does not exist.
#[derive(Debug)]
pub(crate) struct Misuse(String);

impl Misuse {
    /// The exit status, as for any option that cannot be read.
    pub(crate) const STATUS: u8 = 2;
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}
