//! VM-entry control word. Source: SDM, "VM-Entry Control Fields".

use bitflags::bitflags;

bitflags! {
    /// VM-entry controls.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct EntryControls: u32 {
        /// DR7 and IA32_DEBUGCTL are loaded.
        const LOAD_DEBUG_CONTROLS = 1 << 2;
        /// The guest is in IA-32e mode.
        const IA32E_MODE_GUEST = 1 << 9;
        /// Entry to SMM.
        const ENTRY_TO_SMM = 1 << 10;
        /// The dual-monitor treatment ends.
        const DEACTIVATE_DUAL_MONITOR_TREATMENT = 1 << 11;
        /// IA32_PERF_GLOBAL_CTRL is loaded.
        const LOAD_IA32_PERF_GLOBAL_CTRL = 1 << 13;
        /// IA32_PAT is loaded.
        const LOAD_IA32_PAT = 1 << 14;
        /// IA32_EFER is loaded.
        const LOAD_IA32_EFER = 1 << 15;
        /// IA32_BNDCFGS is loaded.
        const LOAD_IA32_BNDCFGS = 1 << 16;
        /// Intel PT does not show VMX operation.
        const CONCEAL_VMX_FROM_PT = 1 << 17;
        /// IA32_RTIT_CTL is loaded.
        const LOAD_IA32_RTIT_CTL = 1 << 18;
        /// UINV is loaded.
        const LOAD_UINV = 1 << 19;
        /// The guest's CET state is loaded.
        const LOAD_CET_STATE = 1 << 20;
        /// IA32_LBR_CTL is loaded.
        const LOAD_IA32_LBR_CTL = 1 << 21;
        /// IA32_PKRS is loaded.
        const LOAD_PKRS = 1 << 22;
        /// The guest's FRED state is loaded.
        const LOAD_FRED_STATE = 1 << 23;
        /// IA32_SPEC_CTRL is loaded.
        const LOAD_IA32_SPEC_CTRL = 1 << 24;
        /// Out-of-band telemetry goes on in SEAM non-root operation.
        const ALLOW_SEAM_GUEST_TELEMETRY = 1 << 25;
        /// Unknown bits are kept.
        const _ = !0;
    }
}
