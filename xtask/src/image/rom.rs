//! The boot image: built by cargo, turned from an ELF file into a ROM.
//!
//! A ROM ends at 4 GiB. Its last page is the ELF's `.boot_stub` with the reset
//! vector; directly below it lies what the stub copies to RAM, the bytes from
//! the symbol `image_start` to `image_end`; the rest is filled up to a power
//! of two.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol};

use crate::machine::toolchain::{self, BARE_METAL};
use crate::machine::workspace::{Workspace, cargo};

/// Bytes of the boot stub: one page.
const STUB_SIZE: usize = 4096;
/// The smallest ROM, which the chipset also shows below 1 MiB.
const SMALLEST: usize = 128 << 10;
/// The largest ROM that Bochs takes.
const LARGEST: usize = 4 << 20;
/// What an erased flash chip holds.
const FILL: u8 = 0xFF;

/// Builds the boot image and returns it as a ROM.
pub(crate) fn build(workspace: &Workspace) -> Result<Vec<u8>> {
    toolchain::ensure_targets(workspace, &[BARE_METAL])?;
    let status = cargo()
        .args(["build", "--quiet", "--release", "--package", "boot-image"])
        .args(["--target", BARE_METAL])
        .current_dir(&workspace.root)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("the boot image does not build: see the compiler's messages above");
    }
    let path = elf_path(workspace);
    let elf = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    from_elf(&elf).with_context(|| format!("{} cannot be made a ROM", path.display()))
}

/// Where cargo leaves the ELF file; it has the symbols for a debugger.
pub(crate) fn elf_path(workspace: &Workspace) -> PathBuf {
    workspace.target.join(BARE_METAL).join("release").join("boot-image")
}

/// Lays out a ROM.
fn from_elf(elf: &[u8]) -> Result<Vec<u8>> {
    let file = object::File::parse(elf).context("not an ELF file")?;
    let stub = file
        .section_by_name(".boot_stub")
        .context("no section .boot_stub: was it linked with image.ld?")?
        .data()?;
    ensure!(stub.len() == STUB_SIZE, ".boot_stub has {} bytes, not {STUB_SIZE}", stub.len());
    let start = symbol(&file, "image_start")?;
    let end = symbol(&file, "image_end")?;
    let payload = flatten(&file, start, end)?;

    let size = (payload.len() + STUB_SIZE).next_power_of_two().max(SMALLEST);
    ensure!(
        size <= LARGEST,
        "the image has {} KiB, and a ROM holds {} KiB: make its constants smaller or keep \
         large tables in .bss",
        payload.len() >> 10,
        (LARGEST - STUB_SIZE) >> 10
    );
    let mut rom = vec![FILL; size - STUB_SIZE - payload.len()];
    rom.extend_from_slice(&payload);
    rom.extend_from_slice(stub);
    Ok(rom)
}

/// The load segments' bytes from address `start` to address `end`.
fn flatten(file: &object::File<'_>, start: u64, end: u64) -> Result<Vec<u8>> {
    let length = end
        .checked_sub(start)
        .and_then(|length| usize::try_from(length).ok())
        .context("image_end lies before image_start")?;
    ensure!(
        length % 16 == 0 && length <= LARGEST,
        "image_start and image_end are {length:#x} bytes apart: expected a multiple of 16 of \
         at most {LARGEST:#x}"
    );
    let mut payload = vec![0; length];
    for segment in file.segments() {
        let data = segment.data()?;
        let address = segment.address();
        if address < start || data.is_empty() {
            continue;
        }
        let offset = usize::try_from(address - start)?;
        payload
            .get_mut(offset..offset + data.len())
            .with_context(|| format!("the segment at {address:#x} reaches beyond image_end"))?
            .copy_from_slice(data);
    }
    Ok(payload)
}

fn symbol(file: &object::File<'_>, name: &str) -> Result<u64> {
    file.symbols()
        .find(|symbol| symbol.name() == Ok(name))
        .map(|symbol| symbol.address())
        .with_context(|| format!("no symbol {name}: was it linked with image.ld?"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn refuses_what_is_not_an_image() {
        assert!(super::from_elf(b"#!/bin/sh").is_err());
        assert!(super::from_elf(b"").is_err());
    }
}
