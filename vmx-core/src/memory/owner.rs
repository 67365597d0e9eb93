//! Who owns a page.

use super::address::PhysicalAddress;
use super::page::Page;
use super::physical::PhysicalPage;

/// The owner of one page: an allocator's box, a kernel's frame, a `'static` borrow.
///
/// What is given to VMX is given with its owner, which comes back when the CPU no
/// longer knows the page. Meanwhile the CPU writes to it outside Rust's sight.
///
/// A kernel implements it for its own type of frames, once. For everything that
/// points to a [`Page`] there is [`Frame`](super::Frame), with an unsafe constructor.
///
/// # Safety
///
/// For as long as the value exists, and for ever if it is forgotten instead of dropped:
///
/// 1. [`page`](Self::page) is always the same page, wherever the value is moved to.
/// 2. [`address`](Self::address) is that page's physical address, a multiple of 4 KiB,
///    in memory that the CPU may cache as write-back.
/// 3. Nobody reaches the page but through this value, so there is no second owner.
/// 4. The memory is used for nothing else: to forget the value is to leak the page.
///    Whatever ends by itself, as a borrow shorter than `'static` does, is no owner.
///
/// ```
/// use vmx_core::{Page, PhysicalAddress};
/// use vmx_core::memory::PageOwner;
///
/// /// A kernel's page frame; its `Drop` gives it back to the kernel's allocator.
/// struct KernelFrame {
///     page: &'static Page, // in the kernel's direct map
///     number: u64,
/// }
///
/// // SAFETY: (1, 2) the frame's number fixes both. (3, 4) The allocator hands out each
/// // number once, until `Drop`, and the direct map reaches it through this type alone.
/// unsafe impl PageOwner for KernelFrame {
///     fn page(&self) -> &Page {
///         self.page
///     }
///     fn address(&self) -> PhysicalAddress {
///         PhysicalAddress(self.number << 12)
///     }
/// }
/// # static PAGE: Page = Page::new();
/// # assert_eq!(KernelFrame { page: &PAGE, number: 5 }.physical_page().address().0, 0x5000);
/// ```
///
/// A reference into the page does not outlive its owner, which is given to VMX:
///
/// ```compile_fail,E0505
/// # use vmx_core::{Capabilities, memory::PageOwner, vmcs::Vmcs};
/// # fn example<P: PageOwner>(owner: P) {
/// let page = owner.page();
/// let vmcs = Vmcs::new(owner, &Capabilities::NOTHING);
/// page.write(0, 0); // into a VMCS that may be active
/// # }
/// ```
pub unsafe trait PageOwner {
    /// The page, to read and write as long as the CPU does not have it.
    fn page(&self) -> &Page;

    /// The page's physical address.
    fn address(&self) -> PhysicalAddress;

    /// Both at once, for a bitmap or another structure that the VMCS points to.
    fn physical_page(&self) -> PhysicalPage<'_> {
        PhysicalPage::new(self.page(), self.address())
    }
}

static_assertions::assert_obj_safe!(PageOwner);
