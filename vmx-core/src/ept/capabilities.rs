//! What a CPU can do with EPT and VPIDs, asked in the words of this module.

use super::address::{Level, PageSize};
use super::pointer::EptPointer;
use crate::capability::ept_vpid::EptVpidCapabilities;
use crate::cpu::invalidation::{InveptScope, InvvpidScope};

impl EptVpidCapabilities {
    const fn bit(self, bit: u32) -> bool {
        self.bits() & (1 << bit) != 0
    }

    /// Bit 0: a page may be executable without being readable.
    pub const fn supports_execute_only(self) -> bool {
        self.bit(0)
    }

    /// Bits 6 and 7: a walk may begin at this level, [`Level::Pml4`] or
    /// [`Level::Pml5`]; never at another.
    pub const fn supports_top_level(self, level: Level) -> bool {
        match level {
            Level::Pml4 => self.bit(6),
            Level::Pml5 => self.bit(7),
            _ => false,
        }
    }

    /// Bit 8: the tables may be read as uncacheable memory.
    pub const fn supports_uncacheable_tables(self) -> bool {
        self.bit(8)
    }

    /// Bit 14: the tables may be read as write-back memory.
    pub const fn supports_write_back_tables(self) -> bool {
        self.bit(14)
    }

    /// Bits 16 and 17: an entry may map a page of this size; 4 KiB always.
    pub const fn supports_page_size(self, size: PageSize) -> bool {
        match size {
            PageSize::Size4KiB => true,
            PageSize::Size2MiB => self.bit(16),
            PageSize::Size1GiB => self.bit(17),
        }
    }

    /// Bit 20, and 25 or 26 for the type: INVEPT of this scope.
    pub const fn supports_invept(self, scope: InveptScope) -> bool {
        let scope = match scope {
            InveptScope::SingleContext { .. } => 25,
            InveptScope::AllContexts => 26,
        };
        self.bit(20) && self.bit(scope)
    }

    /// The INVEPT that drops what a CPU has cached under this pointer: single context,
    /// or all contexts on a CPU that has no other. `None`: the CPU has neither, and must
    /// not use EPT, since nothing could ever be changed.
    ///
    /// ```
    /// use vmx_core::cpu::InveptScope;
    /// use vmx_core::ept::{EptPointer, EptVpidCapabilities};
    /// let pointer = EptPointer::from_bits(0x1001E);
    /// let all_contexts_only =
    ///     EptVpidCapabilities::INVEPT | EptVpidCapabilities::INVEPT_ALL_CONTEXTS;
    /// assert_eq!(all_contexts_only.invept_of(pointer), Some(InveptScope::AllContexts));
    /// assert_eq!(EptVpidCapabilities::empty().invept_of(pointer), None);
    /// ```
    pub const fn invept_of(self, pointer: EptPointer) -> Option<InveptScope> {
        let single = InveptScope::SingleContext { ept_pointer: pointer.bits() };
        if self.supports_invept(single) { Some(single) } else { self.invept_of_all() }
    }

    /// The INVEPT that drops what a CPU has cached under any pointer: all contexts.
    /// `None` on a CPU that lacks it.
    pub const fn invept_of_all(self) -> Option<InveptScope> {
        if self.supports_invept(InveptScope::AllContexts) {
            Some(InveptScope::AllContexts)
        } else {
            None
        }
    }

    /// Bit 21: accessed and dirty flags.
    pub const fn supports_accessed_dirty(self) -> bool {
        self.bit(21)
    }

    /// Bit 22: the qualification of an EPT violation also says what the guest's
    /// own paging allows (bits 11:9).
    pub const fn supports_advanced_violation_information(self) -> bool {
        self.bit(22)
    }

    /// Bit 23: EPTP\[7\] makes the CPU enforce bit 60 of the entries that map pages.
    pub const fn supports_supervisor_shadow_stack_control(self) -> bool {
        self.bit(23)
    }

    /// Bit 32, and one of 43:40 for the type: INVVPID of this scope.
    pub const fn supports_invvpid(self, scope: InvvpidScope) -> bool {
        self.bit(32) && self.bit(40 + scope.instruction_type() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every accessor reads its own bit and no other one alone satisfies it.
    #[test]
    fn each_bit_answers_for_itself() {
        let single = InveptScope::SingleContext { ept_pointer: 0 };
        let address = InvvpidScope::IndividualAddress { vpid: 1, linear_address: 0 };
        type Question = fn(EptVpidCapabilities) -> bool;
        let questions: [(u64, Question); 11] = [
            (1 << 0, |c| c.supports_execute_only()),
            (1 << 6, |c| c.supports_top_level(Level::Pml4)),
            (1 << 7, |c| c.supports_top_level(Level::Pml5)),
            (1 << 8, |c| c.supports_uncacheable_tables()),
            (1 << 14, |c| c.supports_write_back_tables()),
            (1 << 16, |c| c.supports_page_size(PageSize::Size2MiB)),
            (1 << 17, |c| c.supports_page_size(PageSize::Size1GiB)),
            (1 << 21, |c| c.supports_accessed_dirty()),
            (1 << 22, |c| c.supports_advanced_violation_information()),
            (1 << 23, |c| c.supports_supervisor_shadow_stack_control()),
            (1 << 20 | 1 << 26, |c| c.supports_invept(InveptScope::AllContexts)),
        ];
        for (bits, question) in questions {
            assert!(question(EptVpidCapabilities::from_bits_retain(bits)), "{bits:#x}");
            assert!(!question(EptVpidCapabilities::from_bits_retain(!bits)), "{bits:#x}");
        }
        assert!(EptVpidCapabilities::from_bits_retain(1 << 20 | 1 << 25).supports_invept(single));
        assert!(!EptVpidCapabilities::from_bits_retain(!(1 << 25)).supports_invept(single));
        assert!(EptVpidCapabilities::from_bits_retain(1 << 32 | 1 << 40).supports_invvpid(address));
        assert!(!EptVpidCapabilities::from_bits_retain(!(1 << 40)).supports_invvpid(address));
        assert!(EptVpidCapabilities::from_bits_retain(0).supports_page_size(PageSize::Size4KiB));
        assert!(
            !EptVpidCapabilities::from_bits_retain(!0).supports_top_level(Level::PageDirectory)
        );
    }
}
