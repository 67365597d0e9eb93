//! Accesses to the virtual APIC. Source: SDM, "Exit Qualification for APIC-Access
//! VM Exits from Linear Accesses and Guest-Physical Accesses", "EOI
//! Virtualization", "APIC-Write VM Exits".

/// The exit qualification of an access to the APIC-access page. Undefined for one
/// by physical address.
///
/// ```
/// use vmx_core::exit::qualification::{ApicAccess, ApicAccessType};
/// let access = ApicAccess(0x10B0); // a write of the EOI register
/// assert_eq!((access.offset(), access.access_type()), (0xB0, ApicAccessType::LinearWrite));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ApicAccess(pub u64);

/// Bits 15:12 of an APIC access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApicAccessType {
    /// 0: an instruction read data at a linear address.
    LinearRead,
    /// 1: an instruction wrote data at a linear address.
    LinearWrite,
    /// 2: an instruction fetch at a linear address.
    LinearFetch,
    /// 3: event delivery accessed a linear address.
    LinearEventDelivery,
    /// 4: monitoring of a linear address.
    LinearMonitoring,
    /// 10: event delivery accessed a guest-physical address.
    PhysicalEventDelivery,
    /// 11: monitoring of a guest-physical address, or trace output.
    PhysicalMonitoringOrTrace,
    /// 15: an instruction, or its fetch, accessed a guest-physical address.
    PhysicalInstruction,
    /// A number that the manual does not use.
    Unknown(u8),
}

impl ApicAccess {
    /// Bits 11:0, of an access by linear address: its offset in the page.
    pub const fn offset(self) -> u16 {
        (self.0 & 0xFFF) as u16
    }

    /// Bits 15:12.
    pub const fn access_type(self) -> ApicAccessType {
        match (self.0 >> 12) & 0xF {
            0 => ApicAccessType::LinearRead,
            1 => ApicAccessType::LinearWrite,
            2 => ApicAccessType::LinearFetch,
            3 => ApicAccessType::LinearEventDelivery,
            4 => ApicAccessType::LinearMonitoring,
            10 => ApicAccessType::PhysicalEventDelivery,
            11 => ApicAccessType::PhysicalMonitoringOrTrace,
            15 => ApicAccessType::PhysicalInstruction,
            other => ApicAccessType::Unknown(other as u8),
        }
    }

    /// Bit 16: the access was asynchronous to instruction execution and not part of
    /// event delivery.
    pub const fn is_asynchronous(self) -> bool {
        self.0 & (1 << 16) != 0
    }
}

/// The exit qualification of a virtualised EOI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct VirtualizedEoi(pub u64);

impl VirtualizedEoi {
    /// Bits 7:0: the vector that the EOI dismissed.
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }
}

/// The exit qualification of an APIC write, which the virtual-APIC page has taken
/// already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ApicWrite(pub u64);

impl ApicWrite {
    /// Bits 11:0: the offset of the write in the page.
    pub const fn offset(self) -> u16 {
        (self.0 & 0xFFF) as u16
    }
}
