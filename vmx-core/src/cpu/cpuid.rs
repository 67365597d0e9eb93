//! CPUID.

/// What CPUID returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the register of its name.
pub struct CpuidResult {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

/// The CPUID instruction.
pub trait Cpuid {
    /// CPUID with EAX = `leaf` and ECX = `subleaf`. A leaf above the highest one
    /// that the CPU has gives zeros, not the data of another leaf.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult;
}
