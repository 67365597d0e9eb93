//! Bochs: obtained and found, configured for a boot, run to its end, and its log counted.
//!
//! Not here: what is booted, and whether a boot went as it should.

pub(crate) mod bochs;
pub(crate) mod boot;
pub(crate) mod log_count;
mod obtain;
pub(crate) mod run_folder;
pub(crate) mod test_bed;
