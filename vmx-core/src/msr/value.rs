//! What the values of MSRs must be, wherever they are loaded from: a VMCS field or an
//! MSR-load list.
//!
//! Which bits of an MSR are reserved depends on CPUID leaves that are no part of
//! [`Capabilities`](crate::Capabilities): these are the bits that every CPU reserves, and
//! a CPU may refuse more. Source: SDM, chapter "Model-Specific Registers".

use crate::cet::control::CetControl;

/// IA32_EFER.LME.
pub(crate) const EFER_LME: u64 = 1 << 8;
/// IA32_EFER.LMA.
pub(crate) const EFER_LMA: u64 = 1 << 10;
/// SUPPRESS and TRACKER, of which IA32_S_CET and IA32_U_CET hold at most one.
pub(crate) const SUPPRESS_AND_TRACKER: CetControl = CetControl::SUPPRESS.union(CetControl::TRACKER);

/// Bits that every CPU reserves.
pub(crate) mod reserved {
    /// IA32_EFER has SCE, LME, LMA and NXE.
    pub(crate) const EFER: u64 = !(1 | super::EFER_LME | super::EFER_LMA | 1 << 11);
    /// IA32_DEBUGCTL has LBR, BTF, BLD, TR, BTS, BTINT, BTS_OFF_OS, BTS_OFF_USR, the
    /// two FREEZE bits, ENABLE_UNCORE_PMI, FREEZE_WHILE_SMM and RTM_DEBUG.
    pub(crate) const DEBUGCTL: u64 = !0xFFC7;
    /// IA32_PERF_GLOBAL_CTRL: general counters in bits 31:0, fixed ones in 47:32,
    /// performance metrics in bit 48.
    pub(crate) const PERF_GLOBAL_CTRL: u64 = !0x0001_FFFF_FFFF_FFFF;
    /// IA32_BNDCFGS, between the enable bits and the base.
    pub(crate) const BNDCFGS: u64 = 0xFFC;
    /// IA32_RTIT_CTL: 18, 23, 30:28, 54:48 and 63:57.
    pub(crate) const RTIT_CTL: u64 = 0xFE7F_0000_7084_0000;
    /// IA32_LBR_CTL: 15:4 and 63:23.
    pub(crate) const LBR_CTL: u64 = !0x7F_000F;
    /// IA32_SPEC_CTRL: 9 and 63:11.
    pub(crate) const SPEC_CTRL: u64 = !0x5FF;
    /// IA32_FRED_CONFIG: 2, 5:4 and 11.
    pub(crate) const FRED_CONFIG: u64 = 0x834;
    /// IA32_S_CET and IA32_U_CET: 9:6.
    pub(crate) const CET: u64 = 0xF << 6;
}

/// The reserved bits of IA32_S_CET and IA32_U_CET on a CPU with these features.
#[inline]
pub(crate) const fn cet_reserved_bits(shadow_stacks: bool, indirect_branch_tracking: bool) -> u64 {
    const OF_SHADOW_STACKS: u64 = 0b11;
    const OF_TRACKING: u64 = !(reserved::CET | OF_SHADOW_STACKS);
    let mut bits = reserved::CET;
    if !shadow_stacks {
        bits |= OF_SHADOW_STACKS;
    }
    if !indirect_branch_tracking {
        bits |= OF_TRACKING;
    }
    bits
}

/// Whether every byte of IA32_PAT is a memory type: UC (0), WC (1), WT (4), WP (5), WB
/// (6) or UC- (7).
#[inline]
pub(crate) const fn is_pat(value: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Bits 7:3 are 0, and bit 1 comes with bit 2 only.
    value & (0xF8 * ONES) == 0 && (value >> 1) & !(value >> 2) & ONES == 0
}
