//! The words that the image is started with.

use anyhow::{Result, ensure};

/// The longest parameter block that the image reads, with its end mark.
const LONGEST: usize = 256;

/// A policy of the example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Save and reload at every switch.
    Eager,
    /// Nothing moves until the guest first uses the feature.
    Lazy,
    /// XSAVES and XRSTORS.
    Xsave,
}

impl Policy {
    /// All, in the order of the table.
    pub(crate) const ALL: [Self; 3] = [Self::Eager, Self::Lazy, Self::Xsave];

    /// The name in options, parameters and reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Lazy => "lazy",
            Self::Xsave => "xsave",
        }
    }
}

/// The block as the image finds it in memory: `key=value` words, ended by a zero byte. The
/// first one says how many CPUs the machine has.
///
/// # Errors
/// More words than the image reads.
pub(crate) fn block(cpus: u8, words: &str) -> Result<Vec<u8>> {
    let block = format!("cpus={cpus} {words}\0");
    ensure!(block.len() <= LONGEST, "the image takes {LONGEST} bytes of parameters, not more");
    Ok(block.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::block;

    #[test]
    fn a_block_ends_with_zero_and_is_not_longer_than_the_image_reads() {
        assert_eq!(block(2, "a=1").ok().as_deref(), Some(b"cpus=2 a=1\0".as_slice()));
        assert!(block(1, &"x".repeat(248)).is_ok());
        assert!(block(1, &"x".repeat(249)).is_err());
    }
}
