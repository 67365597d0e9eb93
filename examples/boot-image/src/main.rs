//! The example hypervisor as an image that boots by itself.
fn main() {}
