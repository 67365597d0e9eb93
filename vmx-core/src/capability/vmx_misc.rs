//! IA32_VMX_MISC. Source: SDM, "Miscellaneous Data".
//!
//! ```
//! use vmx_core::event::ActivityState;
//! use vmx_core::capability::VmxMisc;
//! let misc = VmxMisc(0x6004_01E0);
//! assert_eq!((misc.cr3_target_count(), misc.recommended_msr_list_length()), (4, 512));
//! assert!(misc.has_activity_state(ActivityState::WAIT_FOR_SIPI));
//! assert!(misc.vmwrite_writes_any_field());
//! ```

use crate::event::non_register_state::ActivityState;

/// IA32_VMX_MISC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct VmxMisc(pub u64);

impl VmxMisc {
    /// Bits 4:0: the VMX-preemption timer counts down once every 2^n TSC ticks.
    pub const fn preemption_timer_shift(self) -> u32 {
        self.0 as u32 & 0x1F
    }

    /// Bit 5: VM exits store IA32_EFER.LMA into the control "IA-32e mode guest".
    pub const fn stores_lma(self) -> bool {
        self.0 & (1 << 5) != 0
    }

    /// Whether a guest may be in this activity state: active always, HLT (bit 6),
    /// shutdown (bit 7), wait-for-SIPI (bit 8). No other exists.
    pub const fn has_activity_state(self, state: ActivityState) -> bool {
        match state {
            ActivityState::ACTIVE => true,
            ActivityState::HLT => self.0 & (1 << 6) != 0,
            ActivityState::SHUTDOWN => self.0 & (1 << 7) != 0,
            ActivityState::WAIT_FOR_SIPI => self.0 & (1 << 8) != 0,
            _ => false,
        }
    }

    /// Bit 14: Intel PT may be used in VMX operation.
    pub const fn allows_processor_trace(self) -> bool {
        self.0 & (1 << 14) != 0
    }

    /// Bit 15: RDMSR in SMM reads IA32_SMBASE.
    pub const fn has_smbase_msr(self) -> bool {
        self.0 & (1 << 15) != 0
    }

    /// Bits 24:16: how many CR3-target values there are.
    pub const fn cr3_target_count(self) -> u32 {
        (self.0 >> 16) as u32 & 0x1FF
    }

    /// Bits 27:25: how many entries an MSR-load or MSR-store list should have at
    /// most; the CPU's behaviour with more is undefined.
    pub const fn recommended_msr_list_length(self) -> u32 {
        512 * (((self.0 >> 25) as u32 & 0b111) + 1)
    }

    /// Bit 28: IA32_SMM_MONITOR_CTL\[2\] may be 1, so VMXOFF may unblock SMIs.
    pub const fn can_unblock_smi(self) -> bool {
        self.0 & (1 << 28) != 0
    }

    /// Bit 29: VMWRITE writes every field, VM-exit information too.
    pub const fn vmwrite_writes_any_field(self) -> bool {
        self.0 & (1 << 29) != 0
    }

    /// Bit 30: VM entry injects software events of instruction length 0.
    pub const fn injects_with_zero_length(self) -> bool {
        self.0 & (1 << 30) != 0
    }

    /// Bits 63:32: the revision identifier of the MSEG, the monitor segment of
    /// SMM.
    pub const fn mseg_revision(self) -> u32 {
        (self.0 >> 32) as u32
    }
}
