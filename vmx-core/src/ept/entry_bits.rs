//! The bits of an entry of the EPT paging structures.

use bitflags::bitflags;

use super::address::{ADDRESS, Level, PageSize};
use super::memory_type::MemoryType;

bitflags! {
    /// All bits of an entry but its address, its memory type and bit 7.
    ///
    /// An entry with none of [`READ`](Self::READ), [`WRITE`](Self::WRITE) and
    /// [`EXECUTE`](Self::EXECUTE) is not present. Source: SDM, "EPT Translation
    /// Mechanism", the tables of formats.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
    pub struct EntryFlags: u64 {
        /// Data reads are allowed.
        const READ = 1 << 0;
        /// Data writes are allowed.
        const WRITE = 1 << 1;
        /// Instruction fetches are allowed; with mode-based execute control, those
        /// from supervisor-mode linear addresses.
        const EXECUTE = 1 << 2;
        /// The guest's PAT has no influence on the memory type. Pages only.
        const IGNORE_PAT = 1 << 6;
        /// The CPU has used the entry. Set by it where EPTP\[6\] is 1.
        const ACCESSED = 1 << 8;
        /// The guest has written to the page. Set by the CPU where EPTP\[6\] is 1.
        /// Pages only.
        const DIRTY = 1 << 9;
        /// Instruction fetches from user-mode linear addresses are allowed. Ignored
        /// without mode-based execute control, with it a present entry has one of
        /// bits 0, 1, 2 and this.
        const USER_EXECUTE = 1 << 10;
        /// The guest paging structures that lead to the page are verified. Pages
        /// only; needs "guest-paging verification".
        const VERIFY_GUEST_PAGING = 1 << 57;
        /// The CPU may write to the page when it sets accessed and dirty flags of
        /// guest paging, even if the guest may not. Pages only; needs "EPT
        /// paging-write control".
        const PAGING_WRITE = 1 << 58;
        /// Supervisor shadow-stack accesses to the page are allowed. Pages only;
        /// needs EPTP\[7\].
        const SUPERVISOR_SHADOW_STACK = 1 << 60;
        /// Writes are allowed per 128 bytes. 4-KiB pages only; needs "sub-page write
        /// permissions for EPT".
        const SUB_PAGE_WRITE = 1 << 61;
        /// An EPT violation here exits instead of raising #VE in the guest. Counts in
        /// an entry that is not present too; needs "EPT-violation #VE".
        const SUPPRESS_VE = 1 << 63;

        /// Every ordinary access.
        const ALL_ACCESS = Self::READ.bits() | Self::WRITE.bits() | Self::EXECUTE.bits();
        /// Bits that the CPU never looks at: 11, 56:52, 59 and 62. Yours.
        const IGNORED = 1 << 11 | 0b1_1111 << 52 | 1 << 59 | 1 << 62;
        /// Unknown bits are kept.
        const _ = !0;
    }
}

/// Flags that the CPU owns where EPTP\[6\] is 1.
pub(super) const BY_CPU: EntryFlags = EntryFlags::ACCESSED.union(EntryFlags::DIRTY);

/// Bits 5:3.
pub(super) const MEMORY_TYPE: u64 = 0b111 << 3;
/// Bit 7 above the page table: the entry maps a page.
pub(super) const MAPS_PAGE: u64 = 1 << 7;

/// Whether a raw, present entry maps a page. Bit 7 of a PML4E or PML5E is reserved
/// and never does; an EPT PTE always does, and ignores it.
pub(super) const fn maps_page(raw: u64, level: Level) -> bool {
    matches!(level, Level::PageTable) || level.page_size().is_some() && raw & MAPS_PAGE != 0
}

/// Bits 5:3 of an entry that maps a page, or the number there that is reserved.
pub(super) const fn memory_type(raw: u64) -> Result<MemoryType, u8> {
    let number = (raw & MEMORY_TYPE) >> 3;
    match MemoryType::from_number(number) {
        Some(memory_type) => Ok(memory_type),
        None => Err(number as u8),
    }
}

/// The bits of an entry for a page of this size that are no flags.
pub(super) const fn fields(size: PageSize) -> u64 {
    match size {
        PageSize::Size4KiB => ADDRESS | MEMORY_TYPE,
        _ => ADDRESS | MEMORY_TYPE | MAPS_PAGE,
    }
}
