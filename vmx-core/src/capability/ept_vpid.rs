//! IA32_VMX_EPT_VPID_CAP.

use bitflags::bitflags;

bitflags! {
    /// IA32_VMX_EPT_VPID_CAP: what EPT and VPID can do on a CPU.
    /// Source: SDM, "VPID and EPT Capabilities".
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct EptVpidCapabilities: u64 {
        /// EPT entries may allow execution without reading.
        const EXECUTE_ONLY = 1 << 0;
        /// EPT page walks of length 4.
        const PAGE_WALK_4 = 1 << 6;
        /// EPT page walks of length 5.
        const PAGE_WALK_5 = 1 << 7;
        /// EPT structures may be uncacheable.
        const UNCACHEABLE_STRUCTURES = 1 << 8;
        /// EPT structures may be write-back.
        const WRITE_BACK_STRUCTURES = 1 << 14;
        /// EPT pages of 2 MiB.
        const PAGE_2M = 1 << 16;
        /// EPT pages of 1 GiB.
        const PAGE_1G = 1 << 17;
        /// INVEPT.
        const INVEPT = 1 << 20;
        /// EPT accessed and dirty flags.
        const ACCESSED_AND_DIRTY = 1 << 21;
        /// EPT violations report how the linear address is mapped.
        const ADVANCED_EXIT_INFORMATION = 1 << 22;
        /// EPT pointer bit 7, supervisor-shadow-stack control.
        const SUPERVISOR_SHADOW_STACK = 1 << 23;
        /// INVEPT type 1, single context.
        const INVEPT_SINGLE_CONTEXT = 1 << 25;
        /// INVEPT type 2, all contexts.
        const INVEPT_ALL_CONTEXTS = 1 << 26;
        /// INVVPID.
        const INVVPID = 1 << 32;
        /// INVVPID type 0, individual address.
        const INVVPID_INDIVIDUAL_ADDRESS = 1 << 40;
        /// INVVPID type 1, single context.
        const INVVPID_SINGLE_CONTEXT = 1 << 41;
        /// INVVPID type 2, all contexts.
        const INVVPID_ALL_CONTEXTS = 1 << 42;
        /// INVVPID type 3, single context but for globals.
        const INVVPID_SINGLE_CONTEXT_RETAINING_GLOBALS = 1 << 43;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

impl EptVpidCapabilities {
    /// Bits 53:48: the largest HLAT prefix size.
    pub const fn largest_hlat_prefix(self) -> u32 {
        (self.bits() >> 48) as u32 & 0x3F
    }
}
