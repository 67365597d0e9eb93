//! The memory types that the MTRRs give to physical memory.

use core::fmt;

use super::address::PageSize;
use super::memory_type::MemoryType;
use crate::cpu::cpuid::Cpuid;
use crate::cpu::msr::Msr;
use crate::memory::address::PhysicalAddress;
use crate::msr::named::{NamedMsr, VariableMtrr};

/// Pairs of variable-range MTRRs that there are numbers for.
const MAX_RANGES: usize = VariableMtrr::COUNT as usize;
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
/// // Write-back by default, the GiB below 4 GiB uncacheable: a usual PC. On a real CPU:
/// // `Mtrrs::from_cpu`.
/// let mtrrs = Mtrrs::read(|msr| match msr.index().0 {
///     0xFE => 1,                   // IA32_MTRRCAP: one pair, no fixed ranges
///     0x2FF => 0xC06,              // IA32_MTRR_DEF_TYPE
///     0x200 => 0xC000_0000,        // IA32_MTRR_PHYSBASE0: uncacheable
///     0x201 => 0x3F_C000_0800,     // IA32_MTRR_PHYSMASK0: 1 GiB
///     _ => 0,
/// })?;
/// let type_of = |address, size| mtrrs.memory_type(PhysicalAddress(address), size);
/// assert_eq!(type_of(0, PageSize::Size1GiB), Some(MemoryType::WriteBack));
/// assert_eq!(type_of(0xC000_0000, PageSize::Size1GiB), Some(MemoryType::Uncacheable));
/// # Ok::<(), vmx_core::ept::MtrrError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtrrs {
    default: u64,
    has_fixed: bool,
    fixed: [u64; NamedMsr::FIXED_MTRRS.len()],
    /// IA32_MTRR_PHYSBASEn and IA32_MTRR_PHYSMASKn.
    variable: [(u64, u64); MAX_RANGES],
}

impl Mtrrs {
    /// Reads the registers of the running CPU.
    ///
    /// # Errors
    /// [`MtrrError::NoMtrrs`], before any of them is touched, and as
    /// [`read`](Self::read).
    pub fn from_cpu<C: Cpuid + Msr + ?Sized>(cpu: &mut C) -> Result<Self, MtrrError> {
        if cpu.cpuid(1, 0).edx & 1 << 12 == 0 {
            return Err(MtrrError::NoMtrrs);
        }
        Self::read(|msr| cpu.read_named(msr))
    }

    /// Reads the registers through `read`: IA32_MTRRCAP, IA32_MTRR_DEF_TYPE, and of
    /// the fixed and variable ranges those that the CPU has.
    ///
    /// # Errors
    /// [`MtrrError::TooManyRanges`]: IA32_MTRRCAP claims more pairs than there are
    /// numbers for.
    pub fn read(mut read: impl FnMut(NamedMsr) -> u64) -> Result<Self, MtrrError> {
        let capabilities = read(NamedMsr::MtrrCap);
        let count = capabilities as u8;
        if count > VariableMtrr::COUNT {
            return Err(MtrrError::TooManyRanges { count });
        }
        let has_fixed = capabilities & (1 << 8) != 0;
        let mut mtrrs = Self {
            default: read(NamedMsr::MtrrDefType),
            has_fixed,
            fixed: [0; NamedMsr::FIXED_MTRRS.len()],
            variable: [(0, 0); MAX_RANGES],
        };
        if has_fixed {
            mtrrs.fixed = NamedMsr::FIXED_MTRRS.map(&mut read);
        }
        let ranges = (0..count).filter_map(VariableMtrr::new);
        for (pair, range) in mtrrs.variable.iter_mut().zip(ranges) {
            *pair = (read(NamedMsr::MtrrPhysBase(range)), read(NamedMsr::MtrrPhysMask(range)));
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

/// Why the MTRRs were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MtrrError {
    /// The CPU has none, or a hypervisor hides them: CPUID.1:EDX\[12\] is 0.
    NoMtrrs,
    /// IA32_MTRRCAP claims more variable ranges than there are numbers for.
    TooManyRanges {
        /// The claim.
        count: u8,
    },
}

impl fmt::Display for MtrrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMtrrs => f.write_str("this CPU shows no MTRRs (CPUID.1:EDX[12] is 0)"),
            Self::TooManyRanges { count } => write!(
                f,
                "IA32_MTRRCAP claims {count} variable ranges; there are numbers for {MAX_RANGES}"
            ),
        }
    }
}

impl core::error::Error for MtrrError {}

#[cfg(test)]
mod tests;
