//! What the CPU may still have cached after a change.

use crate::cpu::invalidation::InveptScope;
use crate::ept::{EntryFlags, EptPointer};

/// What has to be invalidated after a change of EPT before it is in force.
///
/// CPUs cache what they read from present entries, and neither VM entry nor VM exit
/// has to drop it. The instructions are not interchangeable:
///
/// | after | execute |
/// |---|---|
/// | a change of an EPT entry that yields [`Required`](Self::Required) | INVEPT, single context |
/// | the flags or walk length of EPTP changed but not the root ([`EptPointer::invalidation_after`]) | INVEPT, single context, before VM entry |
/// | before a table or page is used for something else | the INVEPT that its removal asked for |
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
/// ```
/// use vmx_core::ept::{EptPointer, Invalidation};
/// let pointer = EptPointer::from_bits(0x1001E);
/// assert!(Invalidation::Required.scope(pointer).is_some());
/// assert!(Invalidation::Optional.scope(pointer).is_none());
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
    Required,
}

impl Invalidation {
    /// The INVEPT to execute, on every CPU that may have used `pointer`; `None` if
    /// it can be left out.
    pub const fn scope(self, pointer: EptPointer) -> Option<InveptScope> {
        match self {
            Self::NotNeeded | Self::Optional => None,
            Self::Required => Some(InveptScope::SingleContext { ept_pointer: pointer.bits() }),
        }
    }

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
            Self::NotNeeded
        } else if changed & !RIGHTS == 0 && changed & old == 0 {
            Self::Optional
        } else {
            Self::Required
        }
    }
}
