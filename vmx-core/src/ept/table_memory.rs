//! Where tables come from and go to.

use crate::memory::access::Memory;
use crate::memory::address::PhysicalAddress;

/// The memory of an EPT's tables: it finds them by address, has pages for new ones, and
/// takes back those that nobody uses any more.
///
/// The pages may lie anywhere in physical memory. A table is one page, 4-KiB aligned.
/// Implement it for what your hypervisor takes pages from; for a row of pages there is
/// [`TablePages`](super::TablePages). With the standard library, and each table a page
/// of the heap:
///
/// ```
/// use std::collections::BTreeMap;
/// use vmx_core::ept::*;
/// use vmx_core::memory::{Memory, PageOwner};
/// use vmx_core::{Frame, Page, PhysicalAddress};
///
/// #[derive(Default)]
/// struct HeapTables(BTreeMap<PhysicalAddress, Frame<Box<Page>>>);
///
/// impl Memory for HeapTables {
///     fn page(&self, address: PhysicalAddress) -> Option<&Page> {
///         self.0.get(&PhysicalAddress(address.0 & !0xFFF)).map(PageOwner::page)
///     }
/// }
///
/// impl TableMemory for HeapTables {
///     fn allocate(&mut self) -> Option<PhysicalAddress> {
///         let page = Box::new(Page::new());
///         let address = PhysicalAddress(&raw const *page as u64); // or as a kernel maps it
///         // SAFETY: (1) memory is mapped to its own address here. (2) A box's page stays
///         // where it is and has no other user. (3) A forgotten box is leaked.
///         let frame = unsafe { Frame::new(page, address) };
///         self.0.insert(address, frame);
///         Some(address)
///     }
///
///     fn release(&mut self, table: PhysicalAddress) {
///         self.0.remove(&table); // no CPU knows it any more
///     }
/// }
///
/// /// Stored without a lifetime, as it would be beside a VM's other state.
/// struct VirtualMachine {
///     ept: Ept<HeapTables>,
/// }
///
/// let rules = EptRules::new(EptVpidCapabilities::from_bits_retain(0x0673_4141), 48);
/// let (top, memory_type) = (Level::Pml4, MemoryType::WriteBack);
/// let flags = EptPointerFlags::default();
/// let ept = Ept::new(HeapTables::default(), top, memory_type, flags, rules)?;
/// let mut vm = VirtualMachine { ept };
/// let (at, address) = (GuestPhysicalAddress(0), PhysicalAddress(1 << 30));
/// vm.ept.map_range(at, address, 5 << 12, memory_type, EntryFlags::ALL_ACCESS)?;
/// assert_eq!(vm.ept.memory().0.len(), 4); // one table of each level
/// # Ok::<(), EptError>(())
/// ```
pub trait TableMemory: Memory {
    /// A page for a table, used for nothing else from now on; its contents are
    /// overwritten. `None` if there is none left.
    fn allocate(&mut self) -> Option<PhysicalAddress>;

    /// Takes back a page that [`allocate`](Self::allocate) gave. It is called when
    /// neither the tables nor, as far as the caller of
    /// [`Ept::invalidated`](super::Ept::invalidated) says, any CPU refers to the page:
    /// it can be used for anything.
    fn release(&mut self, table: PhysicalAddress);
}

impl<M: TableMemory + ?Sized> TableMemory for &mut M {
    fn allocate(&mut self) -> Option<PhysicalAddress> {
        (**self).allocate()
    }

    fn release(&mut self, table: PhysicalAddress) {
        (**self).release(table);
    }
}

static_assertions::assert_obj_safe!(TableMemory);
