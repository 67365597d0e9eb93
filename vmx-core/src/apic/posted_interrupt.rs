//! The posted-interrupt descriptor. Source: SDM, "Posted-Interrupt Processing".
//!
//! ```
//! use vmx_core::apic::PostedInterruptDescriptor;
//! let descriptor = PostedInterruptDescriptor::new();
//! descriptor.set_notification(0xF2, 3);
//! // Any CPU: post, and send the notification to the CPU on which the vCPU runs.
//! assert!(descriptor.post(0x30));
//! assert!(!descriptor.post(0x31)); // one notification is under way already
//! // Without the CPU's own processing: what is to be put into the virtual IRR.
//! assert_eq!(descriptor.take(), [3 << 0x30, 0, 0, 0]);
//!
//! // With its physical address, which goes into the VMCS.
//! use vmx_core::PhysicalAddress;
//! use vmx_core::memory::Physical;
//! let placed = Physical::new(&descriptor, PhysicalAddress(0x5040));
//! placed.post(0x32);
//! assert_eq!(placed.address().0, 0x5040); // `field::POSTED_INTERRUPT_DESCRIPTOR_ADDRESS`
//! ```

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A posted-interrupt descriptor, 64 bytes and aligned so. It may stand anywhere in
/// memory; the VMCS field has its physical address, which
/// [`Physical`](crate::memory::Physical) keeps beside it.
///
/// The CPU, other CPUs and interrupt remapping change it at any time, so every
/// change here is one atomic step, sequentially consistent: whoever posts sees ON
/// set only if the one who clears it has yet to look at the requests.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct PostedInterruptDescriptor {
    /// Bits 255:0, PIR: a bit per vector.
    requests: [AtomicU64; 4],
    /// Bits 319:256: ON, SN, NV and NDST.
    control: AtomicU64,
    /// Bits 511:320.
    reserved: [AtomicU64; 3],
}

static_assertions::const_assert_eq!(core::mem::size_of::<PostedInterruptDescriptor>(), 64);
static_assertions::const_assert_eq!(core::mem::align_of::<PostedInterruptDescriptor>(), 64);

impl PostedInterruptDescriptor {
    /// ON, bit 256: a notification is outstanding.
    const OUTSTANDING: u64 = 1 << 0;
    /// SN, bit 257: notifications are suppressed.
    const SUPPRESSED: u64 = 1 << 1;
    /// NV, bits 279:272: the notification vector.
    const VECTOR_SHIFT: u32 = 16;
    /// NDST, bits 319:288: the notification destination.
    const DESTINATION_SHIFT: u32 = 32;

    /// A descriptor of zeros.
    pub const fn new() -> Self {
        Self {
            requests: [const { AtomicU64::new(0) }; 4],
            control: AtomicU64::new(0),
            reserved: [const { AtomicU64::new(0) }; 3],
        }
    }

    /// Requests an interrupt, and answers whether the caller must now send the
    /// notification: no other is outstanding, and notifications are not suppressed.
    /// While they are, the vCPU does not run, and the caller wakes it in its own way.
    pub fn post(&self, vector: u8) -> bool {
        if let Some(word) = self.requests.get(usize::from(vector / 64)) {
            word.fetch_or(1 << (vector % 64), SeqCst);
        }
        self.control
            .fetch_update(SeqCst, SeqCst, |control| {
                let quiet = control & (Self::OUTSTANDING | Self::SUPPRESSED) == 0;
                quiet.then_some(control | Self::OUTSTANDING)
            })
            .is_ok()
    }

    /// Takes all requests, as the CPU's posted-interrupt processing does: ON is
    /// cleared first. Bit n of word m is vector 64 * m + n.
    pub fn take(&self) -> [u64; 4] {
        self.control.fetch_and(!Self::OUTSTANDING, SeqCst);
        self.requests.each_ref().map(|word| word.swap(0, SeqCst))
    }

    /// The requests, untouched.
    pub fn requests(&self) -> [u64; 4] {
        self.requests.each_ref().map(|word| word.load(SeqCst))
    }

    /// ON: a notification is outstanding.
    pub fn is_outstanding(&self) -> bool {
        self.control.load(SeqCst) & Self::OUTSTANDING != 0
    }

    /// SN: notifications are suppressed.
    pub fn is_suppressed(&self) -> bool {
        self.control.load(SeqCst) & Self::SUPPRESSED != 0
    }

    /// Sets SN. After clearing it, look at [`requests`](Self::requests): what was
    /// posted meanwhile has sent no notification.
    pub fn set_suppressed(&self, suppressed: bool) {
        if suppressed {
            self.control.fetch_or(Self::SUPPRESSED, SeqCst);
        } else {
            self.control.fetch_and(!Self::SUPPRESSED, SeqCst);
        }
    }

    /// Sets NV and NDST: the vector of notifications, the same as in the VMCS field,
    /// and the CPU that gets them. In x2APIC mode that is its 32-bit APIC ID; in
    /// xAPIC mode bits 15:8 are its 8-bit APIC ID. The other bits stay.
    pub fn set_notification(&self, vector: u8, destination: u32) {
        const OTHERS: u64 = 0xFF00_FFFF;
        let value = u64::from(vector) << Self::VECTOR_SHIFT
            | u64::from(destination) << Self::DESTINATION_SHIFT;
        // Never refused: the closure always has a new value.
        let _ = self.control.fetch_update(SeqCst, SeqCst, |control| Some(control & OTHERS | value));
    }

    /// NV.
    pub fn notification_vector(&self) -> u8 {
        (self.control.load(SeqCst) >> Self::VECTOR_SHIFT) as u8
    }

    /// NDST.
    pub fn notification_destination(&self) -> u32 {
        (self.control.load(SeqCst) >> Self::DESTINATION_SHIFT) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn posted_vectors_are_taken_once(vectors in proptest::collection::vec(any::<u8>(), 1..20)) {
            let descriptor = PostedInterruptDescriptor::new();
            descriptor.set_notification(0xF2, 0x1234_5678);
            let mut expected = [0u64; 4];
            for (position, vector) in vectors.iter().enumerate() {
                prop_assert_eq!(descriptor.post(*vector), position == 0);
                expected[usize::from(vector / 64)] |= 1 << (vector % 64);
            }
            prop_assert!(descriptor.is_outstanding());
            prop_assert_eq!(descriptor.requests(), expected);
            prop_assert_eq!(descriptor.take(), expected);
            prop_assert!(!descriptor.is_outstanding());
            prop_assert_eq!(descriptor.take(), [0; 4]);
            prop_assert_eq!(descriptor.notification_vector(), 0xF2);
            prop_assert_eq!(descriptor.notification_destination(), 0x1234_5678);
        }
    }

    #[test]
    fn the_parts_are_where_the_manual_has_them() {
        let descriptor = PostedInterruptDescriptor::new();
        descriptor.set_suppressed(true);
        assert_eq!(descriptor.control.load(SeqCst), 1 << (257 - 256));
        assert!(!descriptor.post(1));
        descriptor.set_notification(0xFF, u32::MAX);
        let (vector, destination) = (0xFF << (272 - 256), 0xFFFF_FFFF << (288 - 256));
        assert_eq!(descriptor.control.load(SeqCst), 2 | vector | destination);
        descriptor.set_notification(0, 0);
        assert!(descriptor.is_suppressed());
        descriptor.set_suppressed(false);
        assert!(descriptor.post(1));
        assert_eq!(descriptor.control.load(SeqCst), 1);
        assert_eq!(descriptor.requests[0].load(SeqCst), 2);
    }
}
