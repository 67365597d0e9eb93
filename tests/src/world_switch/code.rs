//! The machine code of the running program, read from its own file.

use std::fs;

use iced_x86::{Decoder, DecoderOptions, Instruction};
use object::{Object, ObjectSection};

use super::stuck::Stuck;

/// The program's file, and how far from its addresses the program is loaded.
#[derive(Debug)]
pub struct Code {
    file: Vec<u8>,
    text: Vec<u8>,
    /// Address of the first byte of `text` in the file.
    start: u64,
    /// What is added to an address in the file, here and now.
    slide: u64,
}

impl Code {
    /// The code of the running program.
    ///
    /// # Errors
    /// [`Stuck`] where the system does not tell where it is, or the file is no ELF file.
    pub fn of_this_program() -> Result<Self, Stuck> {
        let problem = |what: &str, error: &dyn std::fmt::Display| Stuck::new(what, error);
        let path = std::env::current_exe().map_err(|error| problem("own path", &error))?;
        let file = fs::read(&path).map_err(|error| problem("own file", &error))?;
        let maps = fs::read_to_string("/proc/self/maps")
            .map_err(|error| problem("/proc/self/maps", &error))?;
        let slide = slide(&maps, &path.to_string_lossy())
            .ok_or_else(|| Stuck::new("/proc/self/maps", &"this program is not in it"))?;
        let (text, start, fixed) = {
            let elf = object::File::parse(&*file).map_err(|error| problem("own ELF", &error))?;
            let text = elf
                .section_by_name(".text")
                .ok_or_else(|| Stuck::new("own ELF", &"no section .text"))?;
            let bytes = text.data().map_err(|error| problem("own code", &error))?.to_vec();
            (bytes, text.address(), elf.kind() == object::ObjectKind::Executable)
        };
        Ok(Self { file, text, start, slide: if fixed { 0 } else { slide } })
    }

    /// The file, for its other sections.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// The address in the file of what the program has at `address`.
    pub fn in_file(&self, address: usize) -> u64 {
        (address as u64).wrapping_sub(self.slide)
    }

    /// The instruction at an address in the file.
    ///
    /// # Errors
    /// [`Stuck`] where there is none.
    pub fn decode(&self, address: u64) -> Result<Instruction, Stuck> {
        let bytes = address
            .checked_sub(self.start)
            .and_then(|offset| self.text.get(usize::try_from(offset).ok()?..))
            .ok_or_else(|| Stuck::at(address, "outside the code"))?;
        let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return Err(Stuck::at(address, "no instruction"));
        }
        Ok(instruction)
    }
}

/// The lowest address at which the file is mapped, whose first segment it is.
fn slide(maps: &str, path: &str) -> Option<u64> {
    let line = maps.lines().find(|line| line.ends_with(path))?;
    u64::from_str_radix(line.split('-').next()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mapping_of_the_file_counts() {
        let maps = "5000-6000 r--p 00000000 08:01 7  /bin/other\n\
                    7f00-8000 r--p 00000000 08:01 9  /bin/this\n\
                    8000-9000 r-xp 00001000 08:01 9  /bin/this\n";
        assert_eq!(slide(maps, "/bin/this"), Some(0x7F00));
        assert_eq!(slide(maps, "/bin/none"), None);
    }

    #[test]
    fn a_function_of_this_program_decodes() {
        let code = Code::of_this_program().unwrap();
        let address = code.in_file(Code::of_this_program as fn() -> _ as usize);
        assert!(code.decode(address).is_ok());
        assert!(code.decode(0).is_err());
    }
}
