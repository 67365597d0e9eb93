//! A Bochs and an image, ready for any number of boots.

use std::path::PathBuf;

use anyhow::Result;

use crate::emulator::bochs::Bochs;
use crate::emulator::boot::{self, Outcome};
use crate::emulator::run_folder::Boot;
use crate::image::protocol::Message;
use crate::image::rom;
use crate::machine::workspace::Workspace;

/// The CPU that the example is made for.
pub(crate) const DEFAULT_MODEL: &str = "sapphire_rapids";

/// Everything that boots of one image share.
pub(crate) struct TestBed {
    workspace: Workspace,
    bochs: Bochs,
    rom: Vec<u8>,
}

impl TestBed {
    /// Builds the image for this Bochs.
    pub(crate) fn new(workspace: Workspace, bochs: Bochs) -> Result<Self> {
        let rom = rom::build(&workspace)?;
        Ok(Self { workspace, bochs, rom })
    }

    /// Boots once. Every message is passed to `heard` when it arrives.
    pub(crate) fn boot(&self, boot: &Boot<'_>, heard: impl FnMut(&Message)) -> Result<Outcome> {
        boot::run(&self.workspace, &self.bochs, &self.rom, boot, heard)
    }

    /// Where the log of a boot of this name goes.
    pub(crate) fn log_path(&self, name: &str) -> PathBuf {
        self.workspace.bochs().join("log").join(format!("{name}.log"))
    }
}
