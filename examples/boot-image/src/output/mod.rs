//! What the image says, and how it ends.

pub(crate) mod console;
pub(crate) mod exit;
pub(crate) mod fatal;
