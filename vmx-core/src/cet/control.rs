//! IA32_S_CET and IA32_U_CET.

use bitflags::bitflags;

bitflags! {
    /// IA32_S_CET and IA32_U_CET: the low bits; 63:12 hold the base of the legacy
    /// code-page bitmap. Source: SDM, "Control-flow Enforcement Technology", MSRs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct CetControl: u64 {
        /// SH_STK_EN: shadow stacks are on.
        const SH_STK_EN = 1 << 0;
        /// WR_SHSTK_EN: WRSS may write shadow stacks.
        const WR_SHSTK_EN = 1 << 1;
        /// ENDBR_EN: indirect-branch tracking is on.
        const ENDBR_EN = 1 << 2;
        /// LEG_IW_EN: the legacy code-page bitmap is consulted.
        const LEG_IW_EN = 1 << 3;
        /// NO_TRACK_EN: the no-track prefix is honoured.
        const NO_TRACK_EN = 1 << 4;
        /// SUPPRESS_DIS: legacy treatment does not suppress tracking.
        const SUPPRESS_DIS = 1 << 5;
        /// SUPPRESS: tracking is suppressed.
        const SUPPRESS = 1 << 10;
        /// TRACKER: the CPU waits for ENDBRANCH.
        const TRACKER = 1 << 11;
        /// Unknown bits are kept.
        const _ = !0;
    }
}
