//! A minimal hypervisor that says nothing about an entry that failed.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    vmx_size::main(|_, _, _| {})
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this program is built for bare metal and measured by: cargo xtask bench core");
}
