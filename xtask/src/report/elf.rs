//! Bytes of a program, and what is in them.

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};

/// The code and the constants of a program.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Bytes of machine code.
    pub(crate) code: usize,
    /// Bytes of everything else that lies in memory and is not zero at first.
    pub(crate) constants: usize,
    /// The same, as far as it is text.
    texts: String,
    /// The symbols.
    symbols: Vec<String>,
}

impl Contents {
    /// Reads an ELF file that has its symbols.
    ///
    /// # Errors
    /// It is not one.
    pub(crate) fn read(elf: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf).context("not an ELF file")?;
        let (mut code, mut constants) = (0, Vec::new());
        for section in file.sections() {
            match section.kind() {
                SectionKind::Text => code += section.data()?.len(),
                SectionKind::ReadOnlyData
                | SectionKind::ReadOnlyDataWithRel
                | SectionKind::ReadOnlyString
                | SectionKind::Data => constants.extend_from_slice(section.data()?),
                _ => {}
            }
        }
        let symbols: Vec<String> =
            file.symbols().filter_map(|symbol| Some(symbol.name().ok()?.to_owned())).collect();
        ensure!(code != 0 && !symbols.is_empty(), "no code, or no symbols");
        let texts = String::from_utf8_lossy(&constants).into_owned();
        Ok(Self { code, constants: constants.len(), texts, symbols })
    }

    /// As of a program that has these.
    #[cfg(test)]
    pub(crate) fn of(code: usize, texts: &str, symbol: &str) -> Self {
        let (texts, symbols) = (texts.to_owned(), vec![symbol.to_owned()]);
        Self { code, constants: texts.len(), texts, symbols }
    }

    /// Whether the constants have this text somewhere.
    pub(crate) fn has_text(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    /// A symbol that has this in its name.
    pub(crate) fn symbol_with(&self, part: &str) -> Option<&str> {
        self.symbols.iter().map(String::as_str).find(|symbol| symbol.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::Contents;

    static KNOWN: &str = "a text of this very program";

    #[test]
    fn this_program_has_its_texts_and_symbols() {
        let elf = std::fs::read(std::env::current_exe().expect("a path")).expect("a file");
        let contents = Contents::read(&elf).expect("an ELF file");
        assert!(contents.code > 10_000 && contents.constants > 10_000, "{contents:?}");
        assert!(contents.has_text(std::hint::black_box(KNOWN)));
        // Not a constant of its own, and the symbols are none.
        assert!(!contents.has_text(&["a text of this", "other program"].join(" ")));
        assert!(contents.symbol_with("this_program_has_its_texts").is_some());
        assert!(contents.symbol_with("no such function").is_none());
    }

    #[test]
    fn what_is_no_elf_file_is_an_error() {
        assert!(Contents::read(b"#!/bin/sh").is_err());
    }
}
