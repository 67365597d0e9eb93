//! One row of the tables.

/// One row: a difference that is known and explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The name that a comparison uses.
    pub id: &'static str,
    /// What the manual says.
    pub manual: &'static str,
    /// What Bochs does.
    pub bochs: &'static str,
    /// The versions that were looked at and do so.
    pub versions: &'static str,
    /// Why it is so.
    pub reason: &'static str,
    /// Where to see it: file and function in Bochs, title in the manual.
    pub source: &'static str,
    /// What has to know it.
    pub used_by: &'static str,
}
