//! The parameter block: what this run shall do, without a rebuild.
//!
//! Whoever loads the image leaves `key=value` pairs, separated by spaces and
//! ended by a zero byte, in ASCII at physical address 500h. A memory of zeros
//! is an empty block.

/// Where the block begins, in physical memory: the first byte after the BIOS
/// data area, free on every PC.
#[cfg(target_os = "none")]
const BLOCK_ADDRESS: usize = 0x500;

/// The longest block, in bytes, with its end mark.
pub(crate) const BLOCK_SIZE: usize = 256;

/// A copy of the parameter block.
#[derive(Debug, Clone)]
pub(crate) struct Parameters {
    bytes: [u8; BLOCK_SIZE],
    length: usize,
}

impl Parameters {
    /// Copies a block up to its zero byte, its first byte that is not ASCII or
    /// [`BLOCK_SIZE`] bytes, whichever comes first.
    pub(crate) fn parse(block: &[u8]) -> Self {
        let mut bytes = [0; BLOCK_SIZE];
        let mut length = 0;
        for (to, &from) in bytes.iter_mut().zip(block) {
            if from == 0 || !from.is_ascii() {
                break;
            }
            *to = from;
            length += 1;
        }
        Self { bytes, length }
    }

    /// The value of the first pair with this key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.pairs().find_map(|(found, value)| (found == key).then_some(value))
    }

    /// All pairs in order; a word without `=` is a key with an empty value.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = self.bytes.get(..self.length).unwrap_or_default();
        core::str::from_utf8(text)
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(|word| word.split_once('=').unwrap_or((word, "")))
    }
}

/// Copies the block that the loader left.
///
/// # Safety
///
/// 1. The block's [`BLOCK_SIZE`] bytes are mapped at their physical address.
/// 2. Nothing writes to them during the call.
#[cfg(target_os = "none")]
pub(crate) unsafe fn read_block() -> Parameters {
    let address = core::ptr::with_exposed_provenance::<u8>(BLOCK_ADDRESS);
    // SAFETY: the caller vouches that the bytes are mapped (1) and at rest (2);
    // the slice does not outlive the call.
    let block = unsafe { core::slice::from_raw_parts(address, BLOCK_SIZE) };
    Parameters::parse(block)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_SIZE, Parameters};

    #[test]
    fn finds_values_by_key() {
        let parameters = Parameters::parse(b"policy=lazy  rounds=350 quiet\0policy=eager");
        assert_eq!(parameters.get("policy"), Some("lazy"));
        assert_eq!(parameters.get("rounds"), Some("350"));
        assert_eq!(parameters.get("quiet"), Some(""));
        assert_eq!(parameters.get("absent"), None);
        assert_eq!(parameters.pairs().count(), 3);
    }

    #[test]
    fn zeros_are_an_empty_block() {
        assert_eq!(Parameters::parse(&[0; BLOCK_SIZE]).pairs().count(), 0);
        assert_eq!(Parameters::parse(&[]).pairs().count(), 0);
    }

    #[test]
    fn ends_at_the_size_and_at_bytes_that_are_not_ascii() {
        let long = [b'x'; BLOCK_SIZE + 50];
        let parameters = Parameters::parse(&long);
        assert_eq!(parameters.pairs().map(|(key, _)| key.len()).sum::<usize>(), BLOCK_SIZE);
        assert_eq!(Parameters::parse(b"a=1\xFFb=2").get("a"), Some("1"));
        assert_eq!(Parameters::parse(b"a=1 \xFFb=2").get("b"), None);
    }
}
