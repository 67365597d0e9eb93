//! CPUID, with zeros for leaves that the CPU does not have.

use core::arch::x86_64::__cpuid_count;

use vmx_core::cpu::{Cpuid, CpuidResult};

use crate::{BareMetal, SwitchOptions};

/// The CPUID instruction, which any ring may execute: no `unsafe` is needed to ask
/// what the CPU can do.
///
/// The answers are those of the CPU that executes the call. They differ between CPUs
/// in the APIC ID, and on some machines in more.
///
/// ```
/// use vmx_bare_metal::CpuidInstruction;
/// use vmx_core::cpu::Cpuid;
///
/// let has_vmx = CpuidInstruction.cpuid(1, 0).ecx & 1 << 5 != 0;
/// # let _ = has_vmx;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuidInstruction;

impl Cpuid for CpuidInstruction {
    /// Executes CPUID once more for the highest leaf of the range, because an
    /// Intel CPU answers a leaf above it with the data of another one.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult {
        if has_leaf(leaf, execute) { execute(leaf, subleaf) } else { CpuidResult::default() }
    }
}

impl<O: SwitchOptions> Cpuid for BareMetal<O> {
    /// As [`CpuidInstruction`] does.
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult {
        CpuidInstruction.cpuid(leaf, subleaf)
    }
}

/// The CPUID instruction.
fn execute(leaf: u32, subleaf: u32) -> CpuidResult {
    // SAFETY: every CPU with a 64-bit mode has CPUID.
    #[allow(unused_unsafe, reason = "a safe function since Rust 1.94")]
    let found = unsafe { __cpuid_count(leaf, subleaf) };
    CpuidResult { eax: found.eax, ebx: found.ebx, ecx: found.ecx, edx: found.edx }
}

/// The APIC ID of the CPU that executes this: 32 bits by leaf 1Fh or Bh where they
/// have a valid level, else the 8 bits of leaf 1 (SDM, "CPUID—CPU Identification").
pub(crate) fn local_apic_id<C: Cpuid>(cpu: &mut C) -> u32 {
    for leaf in [0x1F, 0xB] {
        let topology = cpu.cpuid(leaf, 0);
        // EBX is the number of CPUs at this level: 0 where the leaf is not there.
        if topology.ebx != 0 {
            return topology.edx;
        }
    }
    cpu.cpuid(1, 0).ebx >> 24
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
        assert_eq!(CpuidInstruction.cpuid(0x3FFF_FFFF, 0), CpuidResult::default());
        assert_ne!(CpuidInstruction.cpuid(0, 0).eax, 0);
    }

    /// APIC ID 0x111 by leaf 1Fh, 0xBB by leaf Bh, 1 by leaf 1, up to the leaf that the
    /// CPU has.
    struct Topology(u32);

    impl Cpuid for Topology {
        fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult {
            assert_eq!(subleaf, 0);
            match leaf {
                1 => CpuidResult { ebx: 0x01AB_CDEF, edx: 7, ..Default::default() },
                0xB if self.0 >= 0xB => CpuidResult { ebx: 2, edx: 0xBB, ..Default::default() },
                0x1F if self.0 >= 0x1F => CpuidResult { ebx: 1, edx: 0x111, ..Default::default() },
                _ => CpuidResult::default(),
            }
        }
    }

    #[test]
    fn the_apic_id_is_of_the_newest_leaf() {
        assert_eq!(local_apic_id(&mut Topology(0x1F)), 0x111);
        assert_eq!(local_apic_id(&mut Topology(0x1E)), 0xBB);
        assert_eq!(local_apic_id(&mut Topology(0xA)), 1);
    }
}
