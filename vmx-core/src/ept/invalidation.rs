//! What the CPU may still have cached after a change.

use super::entry_bits::EntryFlags;
use super::pointer::EptPointer;

/// What has to be invalidated after a change of EPT before it is in force.
///
/// CPUs cache what they read from present entries, and neither VM entry nor VM exit
/// has to drop it. The instructions are not interchangeable:
///
/// | after | execute |
/// |---|---|
/// | a change of an EPT entry that yields [`Required`](Self::Required) | INVEPT of [`Ept::scope`](super::Ept::scope) |
/// | the flags or walk length of EPTP changed but not the root ([`EptPointer::invalidation_after`]) | INVEPT of [`invept_of`](super::EptVpidCapabilities::invept_of) the pointer, before VM entry |
/// | before a page that was mapped is used for something else | the INVEPT that its removal asked for |
/// | before a table is used for something else | the same, then [`Ept::invalidated`](super::Ept::invalidated) |
/// | VMXON, where older mappings may survive from before VMXOFF | INVEPT, all contexts |
/// | a change of the guest's own paging that the hypervisor makes or emulates, with VPIDs in use | INVVPID of the guest's VPID |
/// | a VPID that another guest had before | INVVPID, single context |
///
/// INVVPID need not drop guest-physical mappings, so it never replaces INVEPT after
/// a change here; INVEPT drops the combined mappings of every VPID, so no INVVPID
/// has to follow it. Both act on the executing CPU alone: every CPU that may have
/// run a guest with this EPT has to execute it.
/// Source: SDM, "Caching Translation Information", "Guidelines for Use of the
/// INVEPT Instruction", "Guidelines for Use of the INVVPID Instruction".
///
/// Several are one by `max`: what asks for more comes later in the order, and of two
/// that are required the later one covers the earlier.
///
/// ```
/// use vmx_core::ept::Invalidation;
/// let of_two_changes = Invalidation::NotNeeded.max(Invalidation::Optional);
/// assert!(!of_two_changes.is_required());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "a CPU may go on using what it has cached"]
pub enum Invalidation {
    /// Nothing of the old state can be cached.
    NotNeeded,
    /// Rights were only added. A CPU that has cached the old ones causes one EPT
    /// violation more, which itself drops what it had cached.
    Optional,
    /// Invalidate before relying on the change.
    Required(Covered),
}

/// What an [`Invalidation`] covers once it is executed: the changes of its EPT up to
/// the one that asked for it, with the tables that they took out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Covered {
    /// How many changes there have been that must be invalidated.
    pub(super) changes: u64,
    /// How many tables had been taken out.
    pub(super) tables: u64,
}

impl Invalidation {
    /// Whether INVEPT must be executed.
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Required(_))
    }
}

impl EptPointer {
    /// What has to be invalidated before VM entry if this pointer takes the place
    /// of `previous`. Mappings are cached by root, so a pointer to the same tables
    /// with other flags would use what was cached under the old ones.
    pub const fn invalidation_after(self, previous: Self) -> Invalidation {
        if self.root().0 == previous.root().0 && self.bits() != previous.bits() {
            Invalidation::Required(Covered { changes: 0, tables: 0 })
        } else {
            Invalidation::NotNeeded
        }
    }
}

/// What a change asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Optional,
    Required,
}

impl Need {
    /// What a change of a present, well-formed entry from `old` to `new` asks for.
    pub(super) const fn of_change(old: u64, new: u64) -> Self {
        /// Bits that only ever allow more.
        const RIGHTS: u64 = EntryFlags::READ
            .union(EntryFlags::WRITE)
            .union(EntryFlags::EXECUTE)
            .union(EntryFlags::USER_EXECUTE)
            .union(EntryFlags::PAGING_WRITE)
            .union(EntryFlags::SUPERVISOR_SHADOW_STACK)
            .bits();
        let changed = (old ^ new) & !EntryFlags::IGNORED.bits();
        if changed == 0 {
            Self::Nothing
        } else if changed & !RIGHTS == 0 && changed & old == 0 {
            Self::Optional
        } else {
            Self::Required
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_root_needs_no_invalidation() {
        let pointer = EptPointer::from_bits;
        let after = |new, old| pointer(new).invalidation_after(pointer(old));
        assert_eq!(after(0x1001E, 0x1001E), Invalidation::NotNeeded);
        assert_eq!(after(0x2001E, 0x1001E), Invalidation::NotNeeded);
        assert!(after(0x1005E, 0x1001E).is_required());
    }

    #[test]
    fn the_later_of_two_covers_both() {
        let required = |changes, tables| Invalidation::Required(Covered { changes, tables });
        assert_eq!(required(3, 1).max(Invalidation::Optional), required(3, 1));
        assert_eq!(required(3, 1).max(required(4, 1)), required(4, 1));
        assert_eq!(required(5, 2).max(required(4, 1)), required(5, 2));
    }
}
