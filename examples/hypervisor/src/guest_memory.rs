//! A guest's memory: EPT, page tables, descriptor tables, code and stacks.
//!
//! Every guest sees the same guest-physical addresses, 0 and up, and the same linear
//! ones, [`BASE`] and up. EPT maps the guest's own pages to the former and nothing
//! else; the guest's page tables map those to the latter.

use vmx_core::Page;
use vmx_core::cpu::InveptScope;
use vmx_core::ept::{
    EntryFlags, Ept, EptError, EptPointer, EptPointerFlags, EptRules, GuestPhysicalAddress, Level,
    MemoryType, PageSize, TablePages,
};
use vmx_core::memory::{PAGE_SIZE, Physical};

use crate::guest_program;
use crate::page_pool::PagePool;

/// Linear address of a guest's first page.
pub const BASE: u64 = 0x40_0000;
/// Linear address of the page with the counters, see [`guest_program`].
pub const DATA: u64 = BASE + 2 * PAGE_SIZE as u64;
/// Linear address of the page with the guest's XSAVE areas.
pub const XSAVE_AREAS: u64 = BASE + 3 * PAGE_SIZE as u64;
/// Linear address just above the stack.
pub const STACK_TOP: u64 = BASE + 5 * PAGE_SIZE as u64;
/// Linear address of the supervisor shadow-stack token, the page's last word.
pub const TOKEN: u64 = BASE + 6 * PAGE_SIZE as u64 - 8;
/// Linear address of the page with GDT, IDT and TSS.
pub const TABLES: u64 = BASE + 6 * PAGE_SIZE as u64;

const CODE_PAGES: usize = 2;
const DATA_PAGE: usize = 2;
const SHADOW_STACK_PAGE: usize = 5;
const TABLES_PAGE: usize = 6;
/// Pages that the guest's tables map; the four tables follow.
const MAPPED_PAGES: usize = 7;
/// Pages of one guest.
const PAGES: usize = MAPPED_PAGES + 4;
/// Tables of its EPT: one of each level.
const EPT_TABLES: usize = 4;

/// Guest-physical address of the page with the supervisor shadow stack.
pub const SHADOW_STACK: GuestPhysicalAddress =
    GuestPhysicalAddress((SHADOW_STACK_PAGE * PAGE_SIZE) as u64);

const GDT_OFFSET: usize = 0;
const IDT_OFFSET: usize = 0x100;
const TSS_OFFSET: usize = 0x400;

/// Base and limit of the guest's GDT.
pub const GDT: (u64, u32) = (TABLES + GDT_OFFSET as u64, 5 * 8 - 1);
/// Base and limit of its IDT: 32 gates.
pub const IDT: (u64, u32) = (TABLES + IDT_OFFSET as u64, 32 * 16 - 1);
/// Base and limit of its TSS.
pub const TSS: (u64, u32) = (TABLES + TSS_OFFSET as u64, 0x67);

/// Why a guest has no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestMemoryError {
    /// The program does not fit into the guest's code pages, or the pool is empty.
    OutOfMemory,
    /// The CPU lacks what its EPT needs, or a page cannot be mapped.
    Ept(EptError),
}

impl From<EptError> for GuestMemoryError {
    fn from(error: EptError) -> Self {
        Self::Ept(error)
    }
}

/// One guest's memory.
#[derive(Debug)]
pub struct GuestMemory {
    pages: Physical<'static, [Page]>,
    ept: Ept<TablePages<'static>>,
}

impl GuestMemory {
    /// Takes pages from the pool and fills them: EPT, page tables, descriptors,
    /// program. `flags` are those of the EPT pointer.
    ///
    /// # Errors
    /// [`GuestMemoryError`].
    pub fn new(
        pool: &PagePool,
        rules: EptRules,
        flags: EptPointerFlags,
    ) -> Result<Self, GuestMemoryError> {
        let take = |count| pool.take(count).ok_or(GuestMemoryError::OutOfMemory);
        let (pages, tables) = (take(PAGES)?, TablePages::new(take(EPT_TABLES)?));
        let memory_type = MemoryType::WriteBack;
        let mut ept = Ept::new(tables, Level::Pml4, memory_type, flags, rules)?;
        ept.map_range(
            GuestPhysicalAddress(0),
            pages.address(),
            (PAGES * PAGE_SIZE) as u64,
            memory_type,
            EntryFlags::ALL_ACCESS,
        )?;
        let memory = Self { pages, ept };
        memory.build_page_tables();
        memory.build_descriptor_tables();
        memory.load(guest_program::code())?;
        Ok(memory)
    }

    /// EPTP.
    pub const fn ept_pointer(&self) -> EptPointer {
        self.ept.pointer()
    }

    /// Gives the page of the supervisor shadow stack other flags in EPT, and returns the
    /// INVEPT that has to follow, if any.
    ///
    /// # Errors
    /// [`EptError`] of the change.
    pub fn protect_shadow_stack(
        &mut self,
        flags: EntryFlags,
    ) -> Result<Option<InveptScope>, EptError> {
        let invalidation = self.ept.protect(SHADOW_STACK, PageSize::Size4KiB, flags)?;
        Ok(self.ept.scope(invalidation))
    }

    fn page(&self, index: usize) -> Option<&'static Page> {
        self.pages.contents().get(index)
    }

    fn write(&self, page: usize, word: usize, value: u64) {
        if let Some(page) = self.page(page) {
            page.write(word, value);
        }
    }

    /// Guest-physical address of the top-level page table.
    pub const fn cr3(&self) -> GuestPhysicalAddress {
        GuestPhysicalAddress(guest_physical(MAPPED_PAGES))
    }

    /// The word at byte offset `offset` of the counters' page.
    pub fn data(&self, offset: usize) -> u64 {
        self.page(DATA_PAGE).map_or(0, |page| page.read(offset / 8))
    }

    /// Four levels with one table each. The shadow-stack page is what makes it one:
    /// not writable, but dirty, under writable upper levels.
    fn build_page_tables(&self) {
        const PRESENT: u64 = 1;
        const WRITABLE: u64 = 1 << 1;
        const DIRTY: u64 = 1 << 6;
        let index = |level: u32| (BASE >> (12 + 9 * level)) as usize % 512;
        for level in 0..3 {
            let (table, next) = (MAPPED_PAGES + level as usize, MAPPED_PAGES + level as usize + 1);
            self.write(table, index(3 - level), guest_physical(next) | PRESENT | WRITABLE);
        }
        for page in 0..MAPPED_PAGES {
            let rights = match page {
                0..CODE_PAGES => PRESENT,
                SHADOW_STACK_PAGE => PRESENT | DIRTY,
                _ => PRESENT | WRITABLE | DIRTY,
            };
            self.write(MAPPED_PAGES + 3, index(0) + page, guest_physical(page) | rights);
        }
    }

    /// A GDT with 64-bit code at 8, data at 16 and the busy TSS at 24, and an IDT
    /// whose gates lead to the program's stubs.
    fn build_descriptor_tables(&self) {
        const CODE: u64 = 0x00AF_9B00_0000_FFFF;
        const DATA: u64 = 0x00CF_9300_0000_FFFF;
        const BUSY_TSS: u64 = 0x8B << 40;
        let (tss, limit) = (TSS.0, u64::from(TSS.1));
        let tss_low = limit | (tss & 0xFF_FFFF) << 16 | BUSY_TSS | (tss >> 24 & 0xFF) << 56;
        for (word, descriptor) in [0, CODE, DATA, tss_low, tss >> 32].into_iter().enumerate() {
            self.write(TABLES_PAGE, GDT_OFFSET / 8 + word, descriptor);
        }
        const INTERRUPT_GATE: u64 = 0x8E << 40;
        const CODE_SELECTOR: u64 = 8 << 16;
        for vector in 0..32 {
            let stub = BASE + vector * guest_program::STUB_SIZE;
            let low = stub & 0xFFFF | CODE_SELECTOR | INTERRUPT_GATE | (stub >> 16 & 0xFFFF) << 48;
            let word = IDT_OFFSET / 8 + 2 * vector as usize;
            self.write(TABLES_PAGE, word, low);
            self.write(TABLES_PAGE, word + 1, stub >> 32);
        }
    }

    fn load(&self, code: &[u8]) -> Result<(), GuestMemoryError> {
        const TOO_LONG: GuestMemoryError = GuestMemoryError::OutOfMemory;
        if code.len() > CODE_PAGES * PAGE_SIZE {
            return Err(TOO_LONG);
        }
        for (index, chunk) in code.chunks(PAGE_SIZE).enumerate() {
            let page = self.page(index).ok_or(TOO_LONG)?;
            page.write_bytes(0, chunk).map_err(|_| TOO_LONG)?;
        }
        Ok(())
    }
}

/// Guest-physical address of one of the guest's pages.
const fn guest_physical(page: usize) -> u64 {
    (page * PAGE_SIZE) as u64
}
