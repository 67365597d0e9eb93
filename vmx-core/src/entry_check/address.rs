//! What an address in a field has to be, as many rules ask.

use super::state::EntryState;
use crate::memory::address::PhysicalAddress;

/// Whether bits 11:0 are zero.
#[inline]
pub(super) const fn is_page_aligned(address: PhysicalAddress) -> bool {
    address.0 & 0xFFF == 0
}

/// Whether the address has no bit beyond what the CPU takes in a VMCS.
#[inline]
pub(super) const fn is_physical(state: &EntryState<'_>, address: PhysicalAddress) -> bool {
    state.capabilities().is_physical_address(address)
}

/// Whether an array of `count` items of `size` bytes may lie there: its first and its
/// last byte.
#[inline]
pub(super) fn is_physical_array(
    state: &EntryState<'_>,
    address: PhysicalAddress,
    count: u32,
    size: u64,
) -> bool {
    let last = (u64::from(count) * size).saturating_sub(1);
    is_physical(state, address)
        && is_physical(state, PhysicalAddress(address.0.saturating_add(last)))
}

/// Whether the address is canonical for the widest linear address of the CPU.
#[inline]
pub(super) fn is_canonical(state: &EntryState<'_>, address: u64) -> bool {
    state.capabilities().linear_address_width.is_canonical(address)
}
