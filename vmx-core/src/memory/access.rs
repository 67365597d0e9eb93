//! Memory reached by physical address.

use super::address::PhysicalAddress;
use super::page::Page;

/// Memory reached by physical address.
///
/// Implement it for what your hypervisor maps: bare metal has an offset mapping,
/// a software CPU its own memory.
pub trait Memory {
    /// The page that contains `address`; `None` where there is no memory.
    fn page(&self, address: PhysicalAddress) -> Option<&Page>;

    /// The 64-bit word at `address`; `None` outside memory or across words.
    fn read_word(&self, address: PhysicalAddress) -> Option<u64> {
        let offset = address.page_offset();
        offset.is_multiple_of(8).then(|| self.page(address).map(|page| page.read(offset / 8)))?
    }
}

impl<M: Memory + ?Sized> Memory for &M {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        (**self).page(address)
    }
}

impl<M: Memory + ?Sized> Memory for &mut M {
    fn page(&self, address: PhysicalAddress) -> Option<&Page> {
        (**self).page(address)
    }
}

static_assertions::assert_obj_safe!(Memory);
