//! Links at a fixed address, as a kernel is: no relocations beside the constants.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=--no-pie");
}
