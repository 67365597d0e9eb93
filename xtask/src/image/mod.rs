//! The boot image as this program sees it: how it is built and made a ROM, the words that
//! it is started with, and the lines that it answers.
//!
//! Not here: the image's own code, and what a run of it amounts to.

pub(crate) mod parameters;
pub(crate) mod protocol;
pub(crate) mod rom;
