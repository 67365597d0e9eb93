//! Memory types.

/// A memory type, with the number that EPT entries, EPTP and the MTRRs have for it.
/// Sources: SDM, "EPT and Memory Typing", and "Memory Cache Control".
///
/// ```
/// use vmx_core::ept::MemoryType;
/// assert_eq!(MemoryType::from_number(6), Some(MemoryType::WriteBack));
/// assert_eq!(MemoryType::from_number(2), None, "reserved");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MemoryType {
    /// UC: not cached, strongly ordered. For devices.
    Uncacheable = 0,
    /// WC: not cached, writes are combined. For frame buffers.
    WriteCombining = 1,
    /// WT: cached; every write also goes to memory.
    WriteThrough = 4,
    /// WP: reads are cached, writes go to memory.
    WriteProtected = 5,
    /// WB: cached. For ordinary memory.
    WriteBack = 6,
}

impl MemoryType {
    /// The type with this number; `None` for the reserved ones.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Uncacheable),
            1 => Some(Self::WriteCombining),
            4 => Some(Self::WriteThrough),
            5 => Some(Self::WriteProtected),
            6 => Some(Self::WriteBack),
            _ => None,
        }
    }

    /// The number, below 8.
    pub const fn number(self) -> u64 {
        self as u64
    }
}
