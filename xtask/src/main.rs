//! Set-up, images, Bochs and the tests.
fn main() {}
