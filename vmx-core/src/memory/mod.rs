//! Pages that the CPU also touches, who owns them, and addresses.
//!
//! VMX regions, bitmaps and guest memory are read and written by the processor,
//! or by another vCPU of the same VM, at any time. Such a page is therefore a
//! page of relaxed atomics ([`Page`]). One that is given to VMX is given with its
//! [`PageOwner`], which comes back when the CPU no longer knows the page. What is
//! reached by physical address is reached through [`Memory`].
//!
//! Not here: who allocates pages.
//!
//! ```
//! use vmx_core::{Page, PhysicalAddress};
//! let page = Page::new();
//! page.write(2, 0x1234);
//! assert_eq!(page.read(2), 0x1234);
//! assert_eq!(PhysicalAddress(0x5123).page_offset(), 0x123);
//! ```

pub(crate) mod access;
pub(crate) mod address;
pub(crate) mod frame;
pub(crate) mod held;
pub(crate) mod linear_address;
pub(crate) mod owner;
pub(crate) mod page;
pub(crate) mod physical;

pub use access::Memory;
pub use address::PhysicalAddress;
pub use frame::Frame;
pub use linear_address::LinearAddressWidth;
pub use owner::PageOwner;
pub use page::{OutsidePage, PAGE_SIZE, PAGE_WORDS, Page};
pub use physical::{Physical, PhysicalPage};
