//! EPT violations and what else extended page tables exit for. Source: SDM, "Exit
//! Qualification for EPT Violations", "Page-Modification Logging", "Sub-Page Write
//! Permissions".

use bitflags::bitflags;

bitflags! {
    /// The exit qualification of an EPT violation, and of a virtualisation
    /// exception.
    ///
    /// ```
    /// use vmx_core::exit::qualification::EptViolation;
    /// // A shadow-stack write to a page that only lets reads through.
    /// let violation = EptViolation::from_bits_retain(0x218A);
    /// assert!(violation.contains(EptViolation::SHADOW_STACK_ACCESS | EptViolation::WRITE));
    /// assert_eq!(violation.permissions(), 0b001);
    /// assert!(violation.is_final_translation());
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct EptViolation: u64 {
        /// Bit 0: the access was a data read. With accessed and dirty flags in use,
        /// a CPU's access to guest paging structures is a write.
        const READ = 1 << 0;
        /// Bit 1: the access was a data write. A read-modify-write sets it; whether
        /// it sets [`READ`](Self::READ) too depends on the CPU.
        const WRITE = 1 << 1;
        /// Bit 2: the access was an instruction fetch.
        const FETCH = 1 << 2;
        /// Bit 3: all EPT entries used allow reads.
        const READABLE = 1 << 3;
        /// Bit 4: all EPT entries used allow writes.
        const WRITABLE = 1 << 4;
        /// Bit 5: all EPT entries used allow fetches; with mode-based execute
        /// control, fetches from supervisor-mode linear addresses.
        const EXECUTABLE = 1 << 5;
        /// Bit 6: all EPT entries used allow fetches from user-mode linear
        /// addresses. Undefined without mode-based execute control.
        const USER_EXECUTABLE = 1 << 6;
        /// Bit 7: the guest linear address is valid. It is not while MOV CR loads
        /// PDPTEs, nor for some accesses that are asynchronous.
        const LINEAR_ADDRESS_VALID = 1 << 7;
        /// Bit 8, where bit 7 is 1: the access was to the translation of the linear
        /// address; else to a guest paging structure, or to update its accessed
        /// and dirty flags.
        const LINEAR_TRANSLATION = 1 << 8;
        /// Bit 9, where bits 7 and 8 are 1 and the CPU has advanced information: the
        /// linear address is a user-mode one.
        const USER_LINEAR_ADDRESS = 1 << 9;
        /// Bit 10, as bit 9: guest paging lets writes through.
        const WRITABLE_LINEAR_ADDRESS = 1 << 10;
        /// Bit 11, as bit 9: guest paging refuses fetches.
        const EXECUTE_DISABLED_LINEAR_ADDRESS = 1 << 11;
        /// Bit 12: IRET had ended blocking by NMI before the violation. Undefined
        /// if IDT-vectoring information is valid, or with NMI exiting but without
        /// virtual NMIs.
        const NMI_UNBLOCKING = 1 << 12;
        /// Bit 13: the access was a shadow-stack access.
        const SHADOW_STACK_ACCESS = 1 << 13;
        /// Bit 14: bit 60 of the EPT entry that maps the page: supervisor shadow
        /// stacks may use it. Undefined unless EPTP bit 7 is 1.
        const SUPERVISOR_SHADOW_STACK_PAGE = 1 << 14;
        /// Bit 15: guest-paging verification failed.
        const GUEST_PAGING_VERIFICATION = 1 << 15;
        /// Bit 16: the access was asynchronous to instruction execution and not
        /// part of event delivery: trace output, PEBS, user-interrupt delivery.
        const ASYNCHRONOUS = 1 << 16;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

impl EptViolation {
    /// Bits 5:3 as bits 2:0: what the EPT entries allow. 0 if one is not present.
    #[inline]
    pub const fn permissions(self) -> u64 {
        (self.bits() >> 3) & 0b111
    }

    /// The access was to the translation of the guest linear address, not to a
    /// guest paging structure on the way (bits 7 and 8).
    #[inline]
    pub const fn is_final_translation(self) -> bool {
        self.contains(Self::LINEAR_ADDRESS_VALID.union(Self::LINEAR_TRANSLATION))
    }
}

/// The exit qualification of a full page-modification log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct PageModificationLogFull(pub u64);

impl PageModificationLogFull {
    /// Bit 12, as [`EptViolation::NMI_UNBLOCKING`].
    pub const fn nmi_unblocking(self) -> bool {
        self.0 & (1 << 12) != 0
    }
}

/// The exit qualification of an event related to sub-page write permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct SppRelatedEvent(pub u64);

impl SppRelatedEvent {
    /// Bit 11: an entry of the sub-page permission table is not present (an SPP
    /// miss); else one is misconfigured.
    pub const fn is_miss(self) -> bool {
        self.0 & (1 << 11) != 0
    }

    /// Bit 12, as [`EptViolation::NMI_UNBLOCKING`].
    pub const fn nmi_unblocking(self) -> bool {
        self.0 & (1 << 12) != 0
    }
}
