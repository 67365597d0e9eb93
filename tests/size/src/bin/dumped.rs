//! As `silent`, and prints every field of a VMCS that was not entered.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    vmx_size::main(|current, _, _| vmx_size::print(vmx_core::vmcs::FieldValues::read(current)))
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("this program is built for bare metal and measured by: cargo xtask bench core");
}
