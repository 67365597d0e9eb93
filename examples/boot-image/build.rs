//! Passes the linker script when, and only when, the bootable image is built.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=image.ld");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let Ok(folder) = env::var("CARGO_MANIFEST_DIR") else {
        println!("cargo:warning=CARGO_MANIFEST_DIR is not set: build through cargo");
        return;
    };
    println!("cargo:rustc-link-arg-bins=-T{folder}/image.ld");
    // The image runs at the address it is linked for, before anything could
    // apply relocations.
    println!("cargo:rustc-link-arg-bins=--no-pie");
    println!("cargo:rustc-link-arg-bins=--build-id=none");
}
