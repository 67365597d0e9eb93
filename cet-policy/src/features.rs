//! What the CPU has of CET, and what the guest is offered.

use vmx_core::capability::linear_address_width;
use vmx_core::cpu::{ControlRegisters, Cpuid, Cr0};
use vmx_core::memory::LinearAddressWidth;

/// CET and its XSAVE state on one CPU, as CPUID and CR0 tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuCet {
    /// CPUID.(7,0):ECX\[7\].
    pub shadow_stacks: bool,
    /// CPUID.(7,0):EDX\[20\].
    pub indirect_branch_tracking: bool,
    /// CPUID.1:ECX\[27\], a copy of CR4.OSXSAVE.
    pub os_xsave: bool,
    /// CR0.TS: XSAVES and XRSTORS raise #NM while it is 1. A kernel that sets it between
    /// tasks only, and clears it before a policy works, may put `false` here.
    pub task_switched: bool,
    /// CPUID.(D,1):EAX\[3\]: XSAVES, XRSTORS and IA32_XSS exist.
    pub xsaves: bool,
    /// CPUID.(D,1):EDX:ECX: the bits that IA32_XSS takes.
    pub supported_xss: u64,
    /// CPUID.(D,12):EAX: bytes of component 12; 24 where it exists.
    pub cet_s_size: u32,
    /// The width that decides which addresses are canonical. A CPU may judge by a
    /// narrower one: see [`IllegalValue::RefusedByCpu`](crate::IllegalValue).
    pub linear_address_width: LinearAddressWidth,
}

impl CpuCet {
    /// Asks the running CPU.
    pub fn detect<C: Cpuid + ControlRegisters + ?Sized>(cpu: &mut C) -> Self {
        let features = cpu.cpuid(7, 0);
        let os_xsave = cpu.cpuid(1, 0).ecx & (1 << 27) != 0;
        let xsave = cpu.cpuid(0xD, 1);
        let xsaves = xsave.eax & (1 << 3) != 0;
        let supported_xss =
            if xsaves { u64::from(xsave.edx) << 32 | u64::from(xsave.ecx) } else { 0 };
        Self {
            shadow_stacks: features.ecx & (1 << 7) != 0,
            indirect_branch_tracking: features.edx & (1 << 20) != 0,
            os_xsave,
            task_switched: cpu.read_cr0().contains(Cr0::TS),
            xsaves,
            supported_xss,
            cet_s_size: cpu.cpuid(0xD, 12).eax,
            linear_address_width: linear_address_width(cpu),
        }
    }
}

/// What one guest is offered. Its CPUID must say the same: see
/// [`filter_cpuid`](crate::filter_cpuid).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestCet {
    /// CPUID.(7,0):ECX\[7\] of the guest.
    pub shadow_stacks: bool,
    /// CPUID.(7,0):EDX\[20\] of the guest.
    pub indirect_branch_tracking: bool,
    /// The bits that the guest may set in IA32_XSS. Offer bit 12 with shadow
    /// stacks only, and bit 11 only if you switch component 11 yourself.
    pub xss: u64,
}
