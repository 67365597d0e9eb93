//! The identity mapping of the machine's memory, and single pages in it that
//! are mapped otherwise.
//!
//! The start-up code maps the first [`MAPPED`] bytes to themselves with 2-MiB
//! pages, writable and supervisor. A page that needs other rights makes its
//! 2-MiB page fall apart into 4-KiB pages, by a page table from a small pool.
//!
//! All CPUs use the same paging structures. One at a time changes them, and the change is
//! made when no CPU uses the translations of before any more.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::Release};

use crate::processors::call::wake;
use crate::processors::lock::Lock;
use crate::processors::number::Number;
use crate::processors::translations;

/// Bytes in a small page.
pub(crate) const PAGE_SIZE: usize = 4096;
/// Bytes in a large page.
pub(crate) const LARGE_PAGE_SIZE: usize = 2 << 20;
/// Number of 2-MiB pages that the start-up code maps.
pub(crate) const LARGE_PAGES: usize = 32;
/// Bytes of memory that are mapped, from physical address 0.
pub(crate) const MAPPED: usize = LARGE_PAGES * LARGE_PAGE_SIZE;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// A page of memory, for its address and alignment.
#[repr(C, align(4096))]
pub(crate) struct Page([u8; PAGE_SIZE]);

impl Page {
    /// A page of zeros.
    pub(crate) const fn new() -> Self {
        Self([0; PAGE_SIZE])
    }
}

/// A paging structure; the processor writes accessed and dirty bits into it.
#[repr(C, align(4096))]
pub(crate) struct Table([AtomicU64; 512]);

impl Table {
    const fn empty() -> Self {
        Self([const { AtomicU64::new(0) }; 512])
    }

    fn address(&self) -> u64 {
        (self as *const Self).addr() as u64
    }
}

/// The root; filled by the start-up code.
pub(crate) static PML4: Table = Table::empty();
/// Page-directory pointers of the first 512 GiB; filled by the start-up code.
pub(crate) static PDPT: Table = Table::empty();
/// The page directory of the first GiB; filled by the start-up code.
pub(crate) static PD: Table = Table::empty();

/// Page tables for 2-MiB pages that fall apart.
static POOL: [Table; 8] = [const { Table::empty() }; 8];
/// How many of them are in use. Its lock is that of all changes.
static POOL_USED: Lock<usize> = Lock::new(0);

/// Why a page's mapping could not be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MappingError {
    /// The address is beyond the mapped memory.
    NotMapped,
    /// Pages in more 2-MiB ranges were split than the pool has tables.
    PoolEmpty,
    /// The change was made, but this CPU may go on using what was mapped before.
    StillInUse(Number),
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMapped => f.write_str("the page is outside the identity-mapped memory"),
            Self::PoolEmpty => f.write_str("no page table left: make the pool in paging.rs larger"),
            Self::StillInUse(number) => write!(
                f,
                "{number} did not drop its translations within {} ms: it neither idles nor \
                 waits for anything",
                translations::PATIENCE.as_millis()
            ),
        }
    }
}

impl core::error::Error for MappingError {}

/// Turns an ordinary page into a supervisor shadow-stack page: read-only and
/// dirty, the combination that only shadow-stack accesses may write to.
///
/// A page that is one already stays as it is. The token of a new shadow stack
/// is written before the call: ordinary stores fault afterwards.
///
/// # Errors
///
/// See [`MappingError`]; nothing was changed, but for [`MappingError::StillInUse`].
///
/// # Safety
///
/// 1. Nothing but shadow-stack accesses writes to the page from now on, on any CPU.
/// 2. CR0.WP is 1, as CR4.CET demands: otherwise ring 0 could write to the page.
pub(crate) unsafe fn make_shadow_stack(page: *const Page) -> Result<(), MappingError> {
    change(page, page.addr() as u64 | PRESENT | DIRTY)
}

/// Whether this page is mapped as a shadow-stack page.
pub(crate) fn is_shadow_stack(page: *const Page) -> bool {
    let Some(directory) = PD.0.get(page.addr() / LARGE_PAGE_SIZE) else {
        return false;
    };
    let directory = directory.load(Relaxed);
    if directory & LARGE != 0 {
        return false;
    }
    let index = page.addr() / PAGE_SIZE % 512;
    POOL.iter().find(|table| table.address() == directory & ADDRESS).is_some_and(|table| {
        let entry = table.0[index].load(Relaxed);
        entry & (PRESENT | WRITABLE | DIRTY) == PRESENT | DIRTY
    })
}

/// Removes a page from the mapping, so that any access to it faults.
///
/// # Errors
///
/// See [`MappingError`]; nothing was changed, but for [`MappingError::StillInUse`].
///
/// # Safety
///
/// 1. Nothing accesses the page's memory from now on, on any CPU.
pub(crate) unsafe fn unmap(page: *const Page) -> Result<(), MappingError> {
    change(page, 0)
}

/// Gives a page this entry, and sees to it that every CPU goes by it.
fn change(page: *const Page, value: u64) -> Result<(), MappingError> {
    let mut pool_used = POOL_USED.lock();
    small_page_entry(page.addr(), &mut pool_used)?.store(value, Relaxed);
    translations::drop_everywhere(wake).map_err(|missing| {
        // There is at least one, or this would be no error.
        MappingError::StillInUse(missing.iter().next().unwrap_or(Number::BOOT))
    })
}

/// The 4-KiB entry that maps an address, after splitting its 2-MiB page if
/// that is still whole.
fn small_page_entry(
    address: usize,
    pool_used: &mut usize,
) -> Result<&'static AtomicU64, MappingError> {
    if address >= MAPPED {
        return Err(MappingError::NotMapped);
    }
    let directory = &PD.0[address / LARGE_PAGE_SIZE];
    let old = directory.load(Relaxed);
    let table = if old & LARGE == 0 {
        POOL.iter().find(|table| table.address() == old & ADDRESS).ok_or(MappingError::NotMapped)?
    } else {
        let table = POOL.get(*pool_used).ok_or(MappingError::PoolEmpty)?;
        *pool_used += 1;
        let base = (address / LARGE_PAGE_SIZE * LARGE_PAGE_SIZE) as u64;
        for (page, entry) in (0u64..).zip(&table.0) {
            let frame = base + page * PAGE_SIZE as u64;
            entry.store(frame | PRESENT | WRITABLE, Relaxed);
        }
        // After the table: another CPU may follow the new entry at once. Until it drops the
        // old one it uses either, which mean the same.
        directory.store(table.address() | PRESENT | WRITABLE, Release);
        table
    };
    Ok(&table.0[address / PAGE_SIZE % 512])
}
