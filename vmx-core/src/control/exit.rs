//! VM-exit control words. Source: SDM, "VM-Exit Control Fields".

use bitflags::bitflags;

bitflags! {
    /// Primary VM-exit controls.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct ExitControls: u32 {
        /// DR7 and IA32_DEBUGCTL are saved.
        const SAVE_DEBUG_CONTROLS = 1 << 2;
        /// The host is in 64-bit mode.
        const HOST_ADDRESS_SPACE_SIZE = 1 << 9;
        /// IA32_PERF_GLOBAL_CTRL is loaded.
        const LOAD_IA32_PERF_GLOBAL_CTRL = 1 << 12;
        /// The interrupt controller is acknowledged.
        const ACKNOWLEDGE_INTERRUPT_ON_EXIT = 1 << 15;
        /// IA32_PAT is saved.
        const SAVE_IA32_PAT = 1 << 18;
        /// IA32_PAT is loaded.
        const LOAD_IA32_PAT = 1 << 19;
        /// IA32_EFER is saved.
        const SAVE_IA32_EFER = 1 << 20;
        /// IA32_EFER is loaded.
        const LOAD_IA32_EFER = 1 << 21;
        /// The VMX-preemption timer's value is saved.
        const SAVE_VMX_PREEMPTION_TIMER_VALUE = 1 << 22;
        /// IA32_BNDCFGS is cleared.
        const CLEAR_IA32_BNDCFGS = 1 << 23;
        /// Intel PT does not show VMX operation.
        const CONCEAL_VMX_FROM_PT = 1 << 24;
        /// IA32_RTIT_CTL is cleared.
        const CLEAR_IA32_RTIT_CTL = 1 << 25;
        /// IA32_LBR_CTL is cleared.
        const CLEAR_IA32_LBR_CTL = 1 << 26;
        /// UINV is cleared.
        const CLEAR_UINV = 1 << 27;
        /// The host's CET state is loaded. Without it the guest's IA32_S_CET
        /// stays live in the host.
        const LOAD_CET_STATE = 1 << 28;
        /// IA32_PKRS is loaded.
        const LOAD_PKRS = 1 << 29;
        /// IA32_PERF_GLOBAL_CTRL is saved.
        const SAVE_IA32_PERF_GLOBAL_CTRL = 1 << 30;
        /// The secondary VM-exit controls are used.
        const ACTIVATE_SECONDARY_CONTROLS = 1 << 31;
        /// Unknown bits are kept.
        const _ = !0;
    }

    /// Secondary VM-exit controls: a 64-bit word.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct SecondaryExitControls: u64 {
        /// The guest's FRED state is saved.
        const SAVE_FRED_STATE = 1 << 0;
        /// The host's FRED state is loaded.
        const LOAD_FRED_STATE = 1 << 1;
        /// IA32_SPEC_CTRL is loaded.
        const LOAD_IA32_SPEC_CTRL = 1 << 2;
        /// Exits that may leave a supervisor shadow-stack token busy say so.
        const PREMATURELY_BUSY_SHADOW_STACK = 1 << 3;
        /// Unknown bits are kept.
        const _ = !0;
    }
}
