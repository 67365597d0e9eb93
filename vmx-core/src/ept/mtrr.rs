//! The memory types that the MTRRs give to physical memory.

use core::fmt;

use super::address::PageSize;
use super::memory_type::MemoryType;
use crate::memory::address::PhysicalAddress;
use crate::msr::index::MsrIndex;

/// Pairs of variable-range MTRRs that their numbers, 200h to 24Fh, leave room for.
const MAX_RANGES: usize = 40;
/// Fixed-range MTRRs: one for 512 KiB, two for 256 KiB, eight for 256 KiB.
const FIXED: [MsrIndex; 11] = [
    MsrIndex(0x250),
    MsrIndex(0x258),
    MsrIndex(0x259),
    MsrIndex(0x268),
    MsrIndex(0x269),
    MsrIndex(0x26A),
    MsrIndex(0x26B),
    MsrIndex(0x26C),
    MsrIndex(0x26D),
    MsrIndex(0x26E),
    MsrIndex(0x26F),
];
/// What the fixed ranges cover.
const FIXED_END: u64 = 1 << 20;
/// IA32_MTRR_DEF_TYPE: the MTRRs are on.
const ENABLE: u64 = 1 << 11;
/// IA32_MTRR_DEF_TYPE: the fixed ranges are on too.
const FIXED_ENABLE: u64 = 1 << 10;
/// IA32_MTRR_PHYSMASKn: the pair counts.
const VALID: u64 = 1 << 11;

/// The memory-type range registers of a CPU, as a value. All CPUs of a system have
/// the same. Source: SDM, "Memory Type Range Registers (MTRRs)".
///
/// ```
/// use vmx_core::PhysicalAddress;
/// use vmx_core::ept::{MemoryType, Mtrrs, PageSize};
/// // Write-back by default, the GiB below 4 GiB uncacheable: a usual PC.
/// let mtrrs = Mtrrs::read(|msr| match msr.0 {
///     0xFE => 1,                   // IA32_MTRRCAP: one pair, no fixed ranges
///     0x2FF => 0xC06,              // IA32_MTRR_DEF_TYPE
///     0x200 => 0xC000_0000,        // IA32_MTRR_PHYSBASE0: uncacheable
///     0x201 => 0x3F_C000_0800,     // IA32_MTRR_PHYSMASK0: 1 GiB
///     _ => 0,
/// })?;
/// let type_of = |address, size| mtrrs.memory_type(PhysicalAddress(address), size);
/// assert_eq!(type_of(0, PageSize::Size1GiB), Some(MemoryType::WriteBack));
/// assert_eq!(type_of(0xC000_0000, PageSize::Size1GiB), Some(MemoryType::Uncacheable));
/// # Ok::<(), vmx_core::ept::TooManyRanges>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtrrs {
    default: u64,
    has_fixed: bool,
    fixed: [u64; FIXED.len()],
    /// IA32_MTRR_PHYSBASEn and IA32_MTRR_PHYSMASKn.
    variable: [(u64, u64); MAX_RANGES],
}

impl Mtrrs {
    /// Reads the registers through `read`: IA32_MTRRCAP, IA32_MTRR_DEF_TYPE, and of
    /// the fixed and variable ranges those that the CPU has. On a CPU without MTRRs
    /// (CPUID.1:EDX\[12\] is 0) the closure has to invent them.
    ///
    /// # Errors
    /// [`TooManyRanges`]: IA32_MTRRCAP claims more pairs than there are numbers for.
    pub fn read(mut read: impl FnMut(MsrIndex) -> u64) -> Result<Self, TooManyRanges> {
        let capabilities = read(MsrIndex(0xFE));
        let count = (capabilities & 0xFF) as usize;
        if count > MAX_RANGES {
            return Err(TooManyRanges { count });
        }
        let has_fixed = capabilities & (1 << 8) != 0;
        let mut mtrrs = Self {
            default: read(MsrIndex(0x2FF)),
            has_fixed,
            fixed: [0; FIXED.len()],
            variable: [(0, 0); MAX_RANGES],
        };
        if has_fixed {
            mtrrs.fixed = FIXED.map(&mut read);
        }
        for (pair, number) in mtrrs.variable.iter_mut().take(count).zip((0x200..).step_by(2)) {
            *pair = (read(MsrIndex(number)), read(MsrIndex(number + 1)));
        }
        Ok(mtrrs)
    }

    /// The memory type of the page of this size that `address` lies in; `None` if its
    /// parts have, or may have, different ones. A 4-KiB page always has one.
    ///
    /// Where the manual leaves a combination undefined (types other than WT and WB
    /// that overlap) or a register holds a reserved number, it is UC, which is always
    /// right but slow. The SMRRs do not count: they are for SMM alone.
    pub fn memory_type(&self, address: PhysicalAddress, size: PageSize) -> Option<MemoryType> {
        if self.default & ENABLE == 0 {
            return Some(MemoryType::Uncacheable);
        }
        let start = address.0 - size.offset(address.0);
        if self.has_fixed && self.default & FIXED_ENABLE != 0 && start < FIXED_END {
            // A large page there also contains what the fixed ranges do not cover.
            return (size == PageSize::Size4KiB).then(|| self.fixed_type(start));
        }
        let offset = size.bytes() - 1;
        let (mut certain, mut possible) = (Types::NONE, Types::NONE);
        for (base, mask) in self.variable.iter().filter(|(_, mask)| mask & VALID != 0) {
            let mask = mask & !0xFFF;
            if (start ^ base) & mask & !offset == 0 {
                // All of the page, unless the mask also looks within it.
                possible.add(base & 0xFF);
                if mask & offset == 0 {
                    certain.add(base & 0xFF);
                }
            }
        }
        let default = self.default & 0xFF;
        if possible == certain || certain.contains(MemoryType::Uncacheable) {
            Some(certain.resolve(default))
        } else if certain == Types::NONE && possible == Types::NONE.with(default) {
            // In the range or outside: it is the same type.
            Some(type_of_number(default))
        } else {
            None
        }
    }

    /// The type of a 4-KiB page below 1 MiB.
    fn fixed_type(&self, start: u64) -> MemoryType {
        // Eight ranges per register.
        let (register, range) = match start {
            0..0x8_0000 => (0, start >> 16),
            0x8_0000..0xC_0000 => (1 + ((start - 0x8_0000) >> 17), start >> 14),
            _ => (3 + ((start - 0xC_0000) >> 15), start >> 12),
        };
        let types = self.fixed.get(register as usize).copied().unwrap_or(0);
        type_of_number(types >> (range % 8 * 8) & 0xFF)
    }
}

/// A set of memory types by number, reserved ones included.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Types(u8);

impl Types {
    const NONE: Self = Self(0);

    fn add(&mut self, number: u64) {
        *self = self.with(number);
    }

    /// A reserved number counts as UC.
    const fn with(self, number: u64) -> Self {
        Self(self.0 | 1 << type_of_number(number).number())
    }

    const fn contains(self, memory_type: MemoryType) -> bool {
        self.0 & 1 << memory_type.number() != 0
    }

    /// What applies where all of them overlap.
    /// Source: SDM, "MTRR Precedences".
    const fn resolve(self, default: u64) -> MemoryType {
        const WRITE_THROUGH_AND_BACK: u8 = 1 << 4 | 1 << 6;
        match self.0 {
            0 => type_of_number(default),
            WRITE_THROUGH_AND_BACK => MemoryType::WriteThrough,
            one if one.is_power_of_two() => type_of_number(one.trailing_zeros() as u64),
            _ => MemoryType::Uncacheable,
        }
    }
}

/// The type with this number; UC for a reserved one, which WRMSR would not take.
const fn type_of_number(number: u64) -> MemoryType {
    match MemoryType::from_number(number) {
        Some(memory_type) => memory_type,
        None => MemoryType::Uncacheable,
    }
}

/// IA32_MTRRCAP claims more variable ranges than there are numbers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRanges {
    /// The claim.
    pub count: usize,
}

impl fmt::Display for TooManyRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "IA32_MTRRCAP claims {} variable ranges; there are numbers for {MAX_RANGES}",
            self.count
        )
    }
}

impl core::error::Error for TooManyRanges {}

#[cfg(test)]
mod tests;
