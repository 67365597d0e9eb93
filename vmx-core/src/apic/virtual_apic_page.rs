//! The virtual-APIC page and the guest interrupt status. Source: SDM, "Virtual APIC
//! State", "Virtualized APIC Registers", "Guest Interrupt Status".
//!
//! ```
//! use vmx_core::{Page, PhysicalAddress};
//! use vmx_core::apic::{ApicRegister, GuestInterruptStatus, VirtualApicPage};
//! use vmx_core::memory::PhysicalPage;
//! let page = Page::new();
//! let apic = VirtualApicPage::new(PhysicalPage::new(&page, PhysicalAddress(0x5000)));
//! assert_eq!(apic.address(), PhysicalAddress(0x5000)); // for `field::VIRTUAL_APIC_ADDRESS`
//! apic.write(ApicRegister::TASK_PRIORITY, 0x20);
//! apic.request(0x31);
//! apic.request(0x45);
//! // With virtual-interrupt delivery, RVI is the highest requested vector.
//! let rvi = apic.highest_requested().unwrap_or(0);
//! assert_eq!(GuestInterruptStatus(0).with_requesting(rvi).requesting(), 0x45);
//! ```

use core::fmt;

use crate::memory::address::PhysicalAddress;
use crate::memory::physical::PhysicalPage;
use crate::msr::index::MsrIndex;

/// A register of the virtual APIC, by its offset in bytes: 32 bits at a multiple of
/// 16. Any other such offset is reached with [`at`](Self::at).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApicRegister(u16);

impl ApicRegister {
    /// The local APIC ID.
    pub const ID: Self = Self(0x020);
    /// The local APIC version.
    pub const VERSION: Self = Self(0x030);
    /// VTPR, the virtual task-priority register.
    pub const TASK_PRIORITY: Self = Self(0x080);
    /// VPPR, the virtual processor-priority register.
    pub const PROCESSOR_PRIORITY: Self = Self(0x0A0);
    /// VEOI, the virtual end-of-interrupt register.
    pub const END_OF_INTERRUPT: Self = Self(0x0B0);
    /// The logical destination register.
    pub const LOGICAL_DESTINATION: Self = Self(0x0D0);
    /// The destination format register.
    pub const DESTINATION_FORMAT: Self = Self(0x0E0);
    /// The spurious-interrupt vector register.
    pub const SPURIOUS_INTERRUPT: Self = Self(0x0F0);
    /// VISR, vectors 0 to 31 of 256; seven more registers follow.
    pub const IN_SERVICE: Self = Self(0x100);
    /// The trigger-mode register, vectors 0 to 31 of 256; seven more follow.
    pub const TRIGGER_MODE: Self = Self(0x180);
    /// VIRR, vectors 0 to 31 of 256; seven more registers follow.
    pub const INTERRUPT_REQUEST: Self = Self(0x200);
    /// The error status register.
    pub const ERROR_STATUS: Self = Self(0x280);
    /// VICR_LO, the low half of the virtual interrupt-command register.
    pub const INTERRUPT_COMMAND_LOW: Self = Self(0x300);
    /// VICR_HI, its high half.
    pub const INTERRUPT_COMMAND_HIGH: Self = Self(0x310);

    /// The register at an offset; `None` if it is not a multiple of 16 or beyond
    /// the APIC's 1 KiB.
    pub const fn at(offset: u16) -> Option<Self> {
        if offset.is_multiple_of(16) && offset < 0x400 { Some(Self(offset)) } else { None }
    }

    /// The offset in bytes.
    pub const fn offset(self) -> u16 {
        self.0
    }

    /// The register's MSR in x2APIC mode. That mode has a single MSR for both halves of
    /// the interrupt-command register, and none for the destination format register.
    ///
    /// ```
    /// use vmx_core::MsrIndex;
    /// use vmx_core::apic::ApicRegister;
    /// assert_eq!(ApicRegister::TASK_PRIORITY.x2apic_msr(), Some(MsrIndex(0x808)));
    /// assert_eq!(ApicRegister::INTERRUPT_COMMAND_HIGH.x2apic_msr(), None);
    /// ```
    pub const fn x2apic_msr(self) -> Option<MsrIndex> {
        match self {
            Self::INTERRUPT_COMMAND_HIGH | Self::DESTINATION_FORMAT => None,
            Self(offset) => Some(MsrIndex(MsrIndex::X2APIC.start().0 + offset as u32 / 16)),
        }
    }

    /// The word of the page that holds the register in its low half.
    const fn word(self) -> usize {
        self.0 as usize / 8
    }
}

impl fmt::Debug for ApicRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "APIC register {:#05x}", self.0)
    }
}

/// A view of a page as the virtual-APIC page. While the vCPU runs, the CPU changes
/// it.
#[derive(Clone, Copy, Debug)]
pub struct VirtualApicPage<'m> {
    page: PhysicalPage<'m>,
}

impl<'m> VirtualApicPage<'m> {
    /// The virtual APIC that `page` holds.
    pub const fn new(page: PhysicalPage<'m>) -> Self {
        Self { page }
    }

    /// The value of the field
    /// [`VIRTUAL_APIC_ADDRESS`](crate::vmcs::field::VIRTUAL_APIC_ADDRESS).
    pub const fn address(&self) -> PhysicalAddress {
        self.page.address()
    }

    /// A register's value.
    pub fn read(&self, register: ApicRegister) -> u32 {
        self.page.read(register.word()) as u32
    }

    /// Writes a register. The 12 bytes behind a register mean nothing; four of them
    /// become zero.
    pub fn write(&self, register: ApicRegister, value: u32) {
        self.page.write(register.word(), value.into());
    }

    /// Requests an interrupt: sets its bit in VIRR, as one atomic step.
    pub fn request(&self, vector: u8) {
        let (word, bit) = vector_bit(ApicRegister::INTERRUPT_REQUEST, vector);
        self.page.set_bits(word, bit);
    }

    /// The highest vector with a bit in VIRR: what RVI must be.
    pub fn highest_requested(&self) -> Option<u8> {
        self.highest(ApicRegister::INTERRUPT_REQUEST)
    }

    /// The highest vector with a bit in VISR: what SVI must be.
    pub fn highest_in_service(&self) -> Option<u8> {
        self.highest(ApicRegister::IN_SERVICE)
    }

    fn highest(&self, first: ApicRegister) -> Option<u8> {
        (0..=u8::MAX).rev().find(|vector| {
            let (word, bit) = vector_bit(first, *vector);
            self.page.read(word) & bit != 0
        })
    }
}

/// The word and the bit of a vector in a register of 256 bits.
const fn vector_bit(first: ApicRegister, vector: u8) -> (usize, u64) {
    (first.word() + vector as usize / 32 * 2, 1 << (vector % 32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apic::guest_interrupt_status::GuestInterruptStatus;
    use crate::memory::page::Page;
    use proptest::prelude::*;

    #[test]
    fn each_vector_has_its_bit_in_the_irr() {
        // Miri is slow, and looks at one in 37.
        for vector in (0..=u8::MAX).step_by(if cfg!(miri) { 37 } else { 1 }) {
            let page = Page::new();
            let apic = VirtualApicPage::new(PhysicalPage::unplaced(&page));
            apic.request(vector);
            let register = ApicRegister::at(0x200 + u16::from(vector / 32) * 16).unwrap();
            assert_eq!(apic.read(register), 1 << (vector % 32));
            assert_eq!(apic.highest_requested(), Some(vector));
            assert_eq!(apic.highest_in_service(), None);
        }
    }

    proptest! {
        #[test]
        fn a_register_is_32_bits_at_a_multiple_of_16(offset: u16, value: u32, status: u16) {
            match ApicRegister::at(offset) {
                Some(register) => {
                    let page = Page::new();
                    let apic = VirtualApicPage::new(PhysicalPage::unplaced(&page));
                    apic.write(register, value);
                    prop_assert_eq!(page.read(usize::from(offset) / 8), u64::from(value));
                    prop_assert_eq!(apic.read(register), value);
                }
                None => prop_assert!(offset % 16 != 0 || offset >= 0x400),
            }
            let status = GuestInterruptStatus(status);
            let again = GuestInterruptStatus(0)
                .with_servicing(status.servicing())
                .with_requesting(status.requesting());
            prop_assert_eq!(again, status);
        }
    }
}
