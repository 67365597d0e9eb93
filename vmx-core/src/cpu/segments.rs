//! Segment and descriptor-table registers.

/// Where the segments and descriptor tables of the running CPU are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Selectors and linear addresses of the registers named.
pub struct SegmentState {
    pub es: u16,
    pub cs: u16,
    pub ss: u16,
    pub ds: u16,
    pub fs: u16,
    pub gs: u16,
    pub tr: u16,
    pub tr_base: u64,
    pub gdtr_base: u64,
    pub idtr_base: u64,
}

/// Segment and descriptor-table registers.
pub trait Segments {
    /// Reads them all. The base of TR comes from its descriptor in the GDT.
    fn segments(&mut self) -> SegmentState;
}
