//! The virtualization-exception information area: what a guest's #VE handler reads
//! about an EPT violation that did not exit. Source: SDM, "Virtualization
//! Exceptions", "Virtualization-Exception Information".
//!
//! ```
//! use vmx_core::{Page, PhysicalAddress};
//! use vmx_core::ept::VirtualizationExceptionArea;
//! use vmx_core::memory::PhysicalPage;
//! let page = Page::new();
//! let placed = PhysicalPage::new(&page, PhysicalAddress(0x5000));
//! let area = VirtualizationExceptionArea::new(placed);
//! assert_eq!(area.address(), placed.address()); // for `field::VE_INFORMATION_ADDRESS`
//! assert!(area.read().is_none()); // no exception is being handled
//! area.release(); // the CPU may deliver the next one
//! ```

use super::address::GuestPhysicalAddress;
use crate::exit::qualification::EptViolation;
use crate::exit::reason::ExitReason;
use crate::memory::address::PhysicalAddress;
use crate::memory::physical::PhysicalPage;

/// What the CPU says about a virtualisation exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualizationException {
    /// Bytes 3:0: what the exit reason would have been: 48, an EPT violation.
    pub reason: ExitReason,
    /// Bytes 15:8: what the exit qualification would have been.
    pub qualification: EptViolation,
    /// Bytes 23:16: the guest linear address.
    pub linear_address: u64,
    /// Bytes 31:24: the guest-physical address.
    pub guest_physical_address: GuestPhysicalAddress,
    /// Bytes 33:32: the EPTP index.
    pub eptp_index: u16,
}

/// A view of a page as virtualization-exception information area.
#[derive(Clone, Copy, Debug)]
pub struct VirtualizationExceptionArea<'m> {
    page: PhysicalPage<'m>,
}

impl<'m> VirtualizationExceptionArea<'m> {
    /// The upper half of word 0, bytes 7:4: FFFFFFFFh while an exception is being
    /// handled. The CPU delivers none, and exits instead, unless it is 0.
    const BUSY: u64 = 0xFFFF_FFFF << 32;

    /// The area that `page` holds.
    pub const fn new(page: PhysicalPage<'m>) -> Self {
        Self { page }
    }

    /// The value of the field
    /// [`VE_INFORMATION_ADDRESS`](crate::vmcs::field::VE_INFORMATION_ADDRESS).
    pub const fn address(&self) -> PhysicalAddress {
        self.page.address()
    }

    /// The exception that is being handled; `None` after it was released.
    pub fn read(&self) -> Option<VirtualizationException> {
        let first = self.page.read(0);
        if first & Self::BUSY == 0 {
            return None;
        }
        Some(VirtualizationException {
            reason: ExitReason(first as u32),
            qualification: EptViolation::from_bits_retain(self.page.read(1)),
            linear_address: self.page.read(2),
            guest_physical_address: GuestPhysicalAddress(self.page.read(3)),
            eptp_index: self.page.read(4) as u16,
        })
    }

    /// Writes an exception, as the CPU does: for a hypervisor that delivers #VE
    /// itself. The area is busy then.
    pub fn write(&self, exception: &VirtualizationException) {
        self.page.write(1, exception.qualification.bits());
        self.page.write(2, exception.linear_address);
        self.page.write(3, exception.guest_physical_address.0);
        self.page.write(4, exception.eptp_index.into());
        self.page.write(0, Self::BUSY | u64::from(exception.reason.0));
    }

    /// Lets the CPU deliver the next exception.
    pub fn release(&self) {
        self.page.clear_bits(0, Self::BUSY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::page::Page;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            qualification: u64, linear_address: u64, guest_physical_address: u64, eptp_index: u16,
        ) {
            let exception = VirtualizationException {
                reason: ExitReason(48),
                qualification: EptViolation::from_bits_retain(qualification),
                linear_address,
                guest_physical_address: GuestPhysicalAddress(guest_physical_address),
                eptp_index,
            };
            let page = Page::new();
            let area = VirtualizationExceptionArea::new(PhysicalPage::unplaced(&page));
            area.write(&exception);
            prop_assert_eq!(page.read(0), 0xFFFF_FFFF_0000_0030);
            prop_assert_eq!(area.read(), Some(exception));
            area.release();
            prop_assert_eq!(page.read(0), 48);
            prop_assert_eq!(area.read(), None);
        }

        #[test]
        fn any_page_reads(words: [u64; 5]) {
            let page = Page::new();
            for (index, word) in words.iter().enumerate() {
                page.write(index, *word);
            }
            let busy = words[0] >> 32 != 0;
            prop_assert_eq!(VirtualizationExceptionArea::new(PhysicalPage::unplaced(&page)).read().is_some(), busy);
        }
    }
}
