//! What CPUID shows the guest of CET.

use vmx_core::cpu::{Cpuid, CpuidResult};

use crate::features::GuestCet;

/// Hides from a CPUID result of the host what the guest is not offered.
///
/// Touches CET bits and supervisor state components only; every other leaf and bit
/// is the hypervisor's. CPUID.(D,1):EBX depends on the guest's XCR0 and IA32_XSS:
/// take it from [`xsaves_area_size`].
///
/// ```
/// use cet_policy::{GuestCet, filter_cpuid};
/// use vmx_core::cpu::CpuidResult;
/// let host = CpuidResult { ecx: 1 << 7 | 1, ..CpuidResult::default() };
/// let shown = filter_cpuid(7, 0, host, &GuestCet::default());
/// assert_eq!(shown.ecx, 1);
/// ```
pub fn filter_cpuid(
    leaf: u32,
    subleaf: u32,
    mut result: CpuidResult,
    guest: &GuestCet,
) -> CpuidResult {
    match (leaf, subleaf) {
        (7, 0) => {
            if !guest.shadow_stacks {
                result.ecx &= !(1 << 7);
            }
            if !guest.indirect_branch_tracking {
                result.edx &= !(1 << 20);
            }
        }
        // CET_SSS: supervisor shadow stacks are safe from premature busy tokens.
        (7, 1) => result.edx &= !(1 << 18),
        (0xD, 1) => {
            result.ecx &= guest.xss as u32;
            result.edx &= (guest.xss >> 32) as u32;
        }
        // ECX[0]: the component is a supervisor's, and IA32_XSS enables it.
        (0xD, 2..=62) if result.ecx & 1 != 0 && guest.xss & (1 << subleaf) == 0 => {
            result = CpuidResult::default();
        }
        _ => {}
    }
    result
}

/// CPUID.(D,1):EBX for these values of XCR0 and IA32_XSS: bytes of the compacted
/// area. Source: SDM, "Managing State Using the XSAVE Feature Set", "Extended
/// Region of an XSAVE Area".
pub fn xsaves_area_size<C: Cpuid + ?Sized>(cpu: &mut C, xcr0: u64, xss: u64) -> u32 {
    const LEGACY_AND_HEADER: u32 = 512 + 64;
    const ALIGNED_TO_64: u32 = 1 << 1;
    let components = xcr0 | xss;
    let mut size = LEGACY_AND_HEADER;
    for component in (2..63).filter(|bit| components & (1 << bit) != 0) {
        let description = cpu.cpuid(0xD, component);
        if description.ecx & ALIGNED_TO_64 != 0 {
            size = size.checked_next_multiple_of(64).unwrap_or(u32::MAX);
        }
        size = size.saturating_add(description.eax);
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Leaves;

    impl Cpuid for Leaves {
        fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult {
            let (eax, ecx) = match (leaf, subleaf) {
                (0xD, 2) => (256, 0),
                (0xD, 9) => (8, 0),
                (0xD, 11) => (16, 1),
                (0xD, 12) => (24, 1),
                (0xD, 17) => (64, 2),
                _ => (0, 0),
            };
            CpuidResult { eax, ecx, ..CpuidResult::default() }
        }
    }

    #[test]
    fn sizes_add_up() {
        assert_eq!(xsaves_area_size(&mut Leaves, 1, 0), 576);
        assert_eq!(xsaves_area_size(&mut Leaves, 1, 1 << 12), 600);
        assert_eq!(xsaves_area_size(&mut Leaves, 7, 3 << 11), 576 + 256 + 40);
        assert_eq!(xsaves_area_size(&mut Leaves, 1 << 9 | 1 << 17, 0), 640 + 64);
    }

    #[test]
    fn only_what_is_offered_is_shown() {
        let all = CpuidResult { eax: !0, ebx: !0, ecx: !0, edx: !0 };
        let none = GuestCet::default();
        let cet_s = GuestCet { shadow_stacks: true, xss: 1 << 12, ..none };
        assert_eq!(filter_cpuid(7, 0, all, &none).edx, !(1 << 20));
        assert_eq!(filter_cpuid(7, 0, all, &cet_s).ecx, !0);
        assert_eq!(filter_cpuid(7, 1, all, &cet_s).edx, !(1 << 18));
        assert_eq!(filter_cpuid(0xD, 1, all, &cet_s).ecx, 1 << 12);
        assert_eq!(filter_cpuid(0xD, 1, all, &cet_s).edx, 0);
        assert_eq!(filter_cpuid(0xD, 12, all, &none), CpuidResult::default());
        assert_eq!(filter_cpuid(0xD, 12, all, &cet_s), all);
        // Every supervisor component goes by IA32_XSS, and no user component does.
        let user = CpuidResult { ecx: !1, ..all };
        for component in (2..=62).filter(|component| *component != 12) {
            assert_eq!(filter_cpuid(0xD, component, all, &cet_s), CpuidResult::default());
            assert_eq!(filter_cpuid(0xD, component, user, &none), user);
        }
    }
}
