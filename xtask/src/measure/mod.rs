//! What `cargo xtask bench` measures, and the bounds: instructions of the crates and of the
//! world switch, bytes of a program that uses them.
//!
//! Not here: how instructions are counted in a program or a function.

pub(crate) mod instructions;
pub(crate) mod size;
pub(crate) mod world_switch;

/// A number over its bound, or whatever else must not be. Its `Display` says what is wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excess(String);

impl Excess {
    /// Whether `found` is over `bound`.
    fn of(what: &str, unit: &str, found: f64, bound: u32) -> Option<Self> {
        let is_over = found > bound.into();
        is_over.then(|| Self(format!("{what}: {found} {unit}, and {bound} are allowed")))
    }
}

impl std::fmt::Display for Excess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
