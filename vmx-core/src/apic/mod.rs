//! The virtual APIC: its page, the guest interrupt status, posted interrupts.
//!
//! Not here: the controls that turn it on ([`control`](crate::control)).

pub(crate) mod guest_interrupt_status;
pub(crate) mod posted_interrupt;
pub(crate) mod virtual_apic_page;

pub use guest_interrupt_status::GuestInterruptStatus;
pub use posted_interrupt::PostedInterruptDescriptor;
pub use virtual_apic_page::{ApicRegister, VirtualApicPage};
