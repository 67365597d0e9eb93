//! The MSR bitmap: which RDMSR and WRMSR of the guest exit.
//!
//! Source: SDM, "MSR-Bitmap Address", and "Instructions That Cause VM Exits
//! Conditionally", RDMSR and WRMSR.
//!
//! ```
//! use vmx_core::{MsrBitmap, MsrIndex, Page, PhysicalAddress};
//! use vmx_core::intercept::{MsrAccess, MsrGroup};
//! use vmx_core::memory::PhysicalPage;
//!
//! // The three registers' bits share a word: one atomic step for all of them.
//! const SSPS: MsrGroup = MsrGroup::from_pattern(MsrIndex::IA32_PL0_SSP, 0b111).unwrap();
//!
//! let page = Page::new();
//! let bitmap = MsrBitmap::all_exit(PhysicalPage::new(&page, PhysicalAddress(0x5000)));
//! bitmap.set_group(SSPS, MsrAccess::Read, false);
//! assert!(!bitmap.exits(MsrIndex::IA32_PL2_SSP, MsrAccess::Read));
//! assert!(bitmap.exits(MsrIndex::IA32_PL2_SSP, MsrAccess::Write));
//! assert!(bitmap.passing(MsrAccess::Read).eq([0x6A4, 0x6A5, 0x6A6].map(MsrIndex)));
//! assert_eq!(bitmap.address(), PhysicalAddress(0x5000)); // for `field::MSR_BITMAP`
//! ```

use core::fmt;
use core::ops::RangeInclusive;

use crate::intercept::page_bits;
use crate::memory::address::PhysicalAddress;
use crate::memory::physical::PhysicalPage;
use crate::msr::index::MsrIndex;

/// MSRs in each of the bitmap's two ranges, which start at 0 and C0000000h.
const RANGE: u32 = 0x2000;
/// The first MSR of the high range.
const HIGH: u32 = 0xC000_0000;
/// Words that hold the bits of all MSRs for one kind of access.
const WORDS: usize = 2 * RANGE as usize / 64;

/// RDMSR or WRMSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MsrAccess {
    /// RDMSR.
    Read,
    /// WRMSR.
    Write,
}

impl MsrAccess {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Read, Self::Write];

    /// The first word of the page that has bits for this access.
    const fn first_word(self) -> usize {
        match self {
            Self::Read => 0,
            Self::Write => WORDS,
        }
    }
}

/// A view of a page as an MSR bitmap. A 1 bit means that the access exits.
///
/// Four parts of 1 KiB: reads of MSRs 0 to 1FFFh at byte 0, reads of C0000000h to
/// C0001FFFh at 400h, writes of the same at 800h and C00h. An MSR outside both
/// ranges always exits and has no bit.
///
/// Words are atomic, so several vCPUs may share a bitmap; but then what one of
/// them lets through, all do. A CPU may use a bit that it read earlier until its
/// next VM entry.
///
/// ```
/// use vmx_core::{MsrBitmap, MsrIndex, Page, PhysicalAddress};
/// use vmx_core::intercept::MsrAccess;
/// use vmx_core::memory::PhysicalPage;
/// let page = Page::new();
/// let bitmap = MsrBitmap::all_exit(PhysicalPage::new(&page, PhysicalAddress(0x5000)));
/// bitmap.pass(MsrIndex::IA32_PL0_SSP, MsrAccess::Read)?;
/// assert!(!bitmap.exits(MsrIndex::IA32_PL0_SSP, MsrAccess::Read));
/// assert!(bitmap.exits(MsrIndex::IA32_PL0_SSP, MsrAccess::Write));
/// assert!(bitmap.pass(MsrIndex(0x4000_0000), MsrAccess::Read).is_err()); // always exits
/// # Ok::<(), vmx_core::intercept::OutsideMsrBitmap>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct MsrBitmap<'m> {
    page: PhysicalPage<'m>,
}

impl<'m> MsrBitmap<'m> {
    /// A bitmap in `page`, which is overwritten: every access exits.
    pub fn all_exit(page: PhysicalPage<'m>) -> Self {
        page.fill(u64::MAX);
        Self { page }
    }

    /// A bitmap in `page`, which is overwritten: only accesses to MSRs outside
    /// both ranges exit.
    pub fn none_exits(page: PhysicalPage<'m>) -> Self {
        page.fill(0);
        Self { page }
    }

    /// The bitmap that `page` holds already.
    pub const fn from_page(page: PhysicalPage<'m>) -> Self {
        Self { page }
    }

    /// A bitmap in `page`, which is overwritten: an access exits if it exits by
    /// `a` or by `b`. This is the bitmap of a nested guest, whose accesses exit
    /// if either hypervisor wants it. What changes meanwhile may be missed.
    pub fn exits_by_either(page: PhysicalPage<'m>, a: &MsrBitmap<'_>, b: &MsrBitmap<'_>) -> Self {
        page_bits::write_or(&page, &a.page, &b.page);
        Self { page }
    }

    /// The value of the field [`MSR_BITMAP`](crate::vmcs::field::MSR_BITMAP).
    pub const fn address(&self) -> PhysicalAddress {
        self.page.address()
    }

    /// Whether the access exits; always for an MSR outside both ranges.
    #[inline]
    pub fn exits(&self, msr: MsrIndex, access: MsrAccess) -> bool {
        match bit_of(msr) {
            Some(bit) => self.page.read(access.first_word() + bit / 64) & (1 << (bit % 64)) != 0,
            None => true,
        }
    }

    /// Makes the access exit. An MSR outside both ranges always does.
    #[inline]
    pub fn intercept(&self, msr: MsrIndex, access: MsrAccess) {
        if let Some(group) = MsrGroup::one(msr) {
            self.set_group(group, access, true);
        }
    }

    /// Lets the access pass through to the CPU.
    ///
    /// # Errors
    /// [`OutsideMsrBitmap`] if the MSR has no bit: the architecture has no way to
    /// let it.
    #[inline]
    pub fn pass(&self, msr: MsrIndex, access: MsrAccess) -> Result<(), OutsideMsrBitmap> {
        let group = MsrGroup::one(msr).ok_or(OutsideMsrBitmap(msr))?;
        self.set_group(group, access, false);
        Ok(())
    }

    /// Makes the access to each MSR of the group exit, or pass through to the
    /// CPU, in one atomic step.
    #[inline]
    pub fn set_group(&self, group: MsrGroup, access: MsrAccess, exits: bool) {
        let word = access.first_word() + usize::from(group.word);
        if exits {
            self.page.set_bits(word, group.mask);
        } else {
            self.page.clear_bits(word, group.mask);
        }
    }

    /// Makes the access to every MSR from the first to the last exit. A range that
    /// ends before it starts is empty.
    pub fn intercept_range(&self, msrs: RangeInclusive<MsrIndex>, access: MsrAccess) {
        self.set_range(msrs.start().0, msrs.end().0, access, true);
    }

    /// Lets the access to every MSR from the first to the last pass through to the
    /// CPU. A range that ends before it starts is empty.
    ///
    /// # Errors
    /// [`OutsideMsrBitmap`] with the first MSR of the range that has no bit; nothing
    /// has changed then.
    ///
    /// ```
    /// # use vmx_core::{MsrBitmap, MsrIndex, Page, PhysicalAddress};
    /// # use vmx_core::intercept::MsrAccess;
    /// # use vmx_core::memory::PhysicalPage;
    /// # let page = Page::new();
    /// # let bitmap = MsrBitmap::all_exit(PhysicalPage::new(&page, PhysicalAddress(0x5000)));
    /// bitmap.pass_range(MsrIndex::X2APIC, MsrAccess::Read)?;
    /// let too_far = MsrIndex(0x1FF0)..=MsrIndex(0x2010);
    /// let error = bitmap.pass_range(too_far, MsrAccess::Read).unwrap_err();
    /// assert_eq!(error.0, MsrIndex(0x2000));
    /// # Ok::<(), vmx_core::intercept::OutsideMsrBitmap>(())
    /// ```
    pub fn pass_range(
        &self,
        msrs: RangeInclusive<MsrIndex>,
        access: MsrAccess,
    ) -> Result<(), OutsideMsrBitmap> {
        let (first, last) = (msrs.start().0, msrs.end().0);
        if first <= last
            && let Some(msr) = first_outside(first, last)
        {
            return Err(OutsideMsrBitmap(msr));
        }
        self.set_range(first, last, access, false);
        Ok(())
    }

    /// Sets or clears the bits of those MSRs from `first` to `last` that have one.
    fn set_range(&self, first: u32, last: u32, access: MsrAccess, exits: bool) {
        for (base, bit) in [(0, 0), (HIGH, RANGE)] {
            let low = first.max(base);
            let high = last.min(base + RANGE - 1);
            if low <= high {
                let position = |msr: u32| access.first_word() * 64 + (msr - base + bit) as usize;
                page_bits::set_range(&self.page, position(low), position(high), exits);
            }
        }
    }

    /// The MSRs whose access passes through, in ascending order.
    pub fn passing(&self, access: MsrAccess) -> impl Iterator<Item = MsrIndex> + 'm {
        page_bits::zeros(self.page.contents(), access.first_word(), WORDS).map(|bit| {
            let bit = bit as u32;
            MsrIndex(if bit < RANGE { bit } else { HIGH + (bit - RANGE) })
        })
    }
}

/// MSRs whose bits share one word of the bitmap, so that one atomic step changes
/// all of them: the MSRs whose numbers differ only in bits 5:0.
///
/// Made in a `const`, it costs nothing at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MsrGroup {
    /// The word, counted from the first one for the kind of access.
    word: u8,
    mask: u64,
}

impl MsrGroup {
    /// One MSR; `None` outside both ranges.
    #[inline]
    pub const fn one(msr: MsrIndex) -> Option<Self> {
        match bit_of(msr) {
            // A bit is below 4000h, so the word's number fits.
            Some(bit) => Some(Self { word: (bit / 64) as u8, mask: 1 << (bit % 64) }),
            None => None,
        }
    }

    /// The MSRs `first` + n for each bit n of `pattern`; `None` if they do not
    /// share a word or `first` is outside both ranges.
    ///
    /// ```
    /// use vmx_core::MsrIndex;
    /// use vmx_core::intercept::MsrGroup;
    /// assert!(MsrGroup::from_pattern(MsrIndex(0x6A4), 0b1).is_some());
    /// assert!(MsrGroup::from_pattern(MsrIndex(0x6BF), 0b11).is_none());
    /// ```
    #[inline]
    pub const fn from_pattern(first: MsrIndex, pattern: u64) -> Option<Self> {
        match Self::one(first) {
            Some(one) if pattern.leading_zeros() >= one.mask.trailing_zeros() => {
                Some(Self { word: one.word, mask: pattern << one.mask.trailing_zeros() })
            }
            _ => None,
        }
    }
}

/// The bit of an MSR among those for one kind of access; `None` outside both
/// ranges.
#[inline]
const fn bit_of(msr: MsrIndex) -> Option<usize> {
    // Compared in this order, the low range costs one comparison; the bit tells the
    // compiler that its word is within the page.
    if msr.0 < RANGE {
        return Some(msr.0 as usize);
    }
    let within = msr.0.wrapping_sub(HIGH);
    if within < RANGE { Some((within + RANGE) as usize) } else { None }
}

/// The first MSR without a bit from `first` to `last`.
const fn first_outside(first: u32, last: u32) -> Option<MsrIndex> {
    let outside = if first < RANGE {
        RANGE
    } else if first >= HIGH && first < HIGH + RANGE {
        HIGH + RANGE
    } else {
        first
    };
    if outside <= last { Some(MsrIndex(outside)) } else { None }
}

/// The MSR is outside both ranges of the bitmap: access to it always exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideMsrBitmap(pub MsrIndex);

impl fmt::Display for OutsideMsrBitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is outside both ranges of the MSR bitmap and always exits", self.0)
    }
}

impl core::error::Error for OutsideMsrBitmap {}

#[cfg(test)]
mod tests;
