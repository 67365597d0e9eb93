//! CPUID, with zeros for leaves that the CPU does not have.

use core::arch::x86_64::__cpuid_count;

use vmx_core::cpu::{Cpuid, CpuidResult};

use crate::BareMetal;

impl Cpuid for BareMetal {
    /// Executes CPUID once more for the highest leaf of the range, because an
    /// Intel CPU answers a leaf above it with the data of another one.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult {
        if has_leaf(leaf, execute) { execute(leaf, subleaf) } else { CpuidResult::default() }
    }
}

/// The CPUID instruction.
fn execute(leaf: u32, subleaf: u32) -> CpuidResult {
    // SAFETY: every CPU of this architecture has the instruction.
    #[allow(unused_unsafe, reason = "newer versions of Rust declare the function safe")]
    let found = unsafe { __cpuid_count(leaf, subleaf) };
    CpuidResult { eax: found.eax, ebx: found.ebx, ecx: found.ecx, edx: found.edx }
}

/// Whether a CPU that answers as `cpuid` does has this leaf.
///
/// The basic, the hypervisor's and the extended range each start with a leaf that
/// names the highest one. The hypervisor's is there only under a hypervisor
/// (CPUID.1:ECX\[31\]) and may hold several interfaces 100h apart, so that the
/// first one's highest leaf is no limit.
fn has_leaf(leaf: u32, cpuid: impl Fn(u32, u32) -> CpuidResult) -> bool {
    match leaf {
        0..0x4000_0000 => leaf <= cpuid(0, 0).eax,
        0x4000_0000..0x5000_0000 => cpuid(1, 0).ecx & 1 << 31 != 0,
        _ => {
            let start = leaf & 0xFFFF_0000;
            (start..=cpuid(start, 0).eax).contains(&leaf) && start >= 0x8000_0000
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Highest basic leaf 1Fh, highest extended leaf 80000008h; any other leaf
    /// gives the data of leaf 1Fh, as Intel CPUs do.
    fn cpu(hypervisor: bool) -> impl Fn(u32, u32) -> CpuidResult + Copy {
        move |leaf, _| match leaf {
            0 => CpuidResult { eax: 0x1F, ..Default::default() },
            1 => CpuidResult { ecx: u32::from(hypervisor) << 31, ..Default::default() },
            0x8000_0000 => CpuidResult { eax: 0x8000_0008, ..Default::default() },
            _ => CpuidResult { eax: 5, ..Default::default() },
        }
    }

    #[test]
    fn leaves_within_the_two_ranges_exist() {
        for leaf in [0, 1, 7, 0xD, 0x1F, 0x8000_0000, 0x8000_0008] {
            assert!(has_leaf(leaf, cpu(false)), "{leaf:#x}");
        }
    }

    #[test]
    fn leaves_above_the_highest_do_not() {
        for leaf in [0x20, 0x3FFF_FFFF, 0x5000_0000, 0x8000_0009, 0x8001_0000, 0xC000_0000, !0] {
            assert!(!has_leaf(leaf, cpu(false)), "{leaf:#x}");
        }
    }

    #[test]
    fn the_hypervisor_range_needs_a_hypervisor() {
        for leaf in [0x4000_0000, 0x4000_0100] {
            assert!(!has_leaf(leaf, cpu(false)));
            assert!(has_leaf(leaf, cpu(true)));
        }
    }

    #[test]
    fn a_leaf_that_no_cpu_has_gives_zeros() {
        // SAFETY: CPUID may be executed in any ring; nothing else is called.
        let mut this = unsafe { BareMetal::new() };
        assert_eq!(this.cpuid(0x3FFF_FFFF, 0), CpuidResult::default());
        assert_ne!(this.cpuid(0, 0).eax, 0);
    }
}
