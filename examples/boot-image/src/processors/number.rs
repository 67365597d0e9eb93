//! The CPUs' numbers, which CPU this is, and what each has of its own.
//!
//! Which CPU executes is found by its APIC ID as CPUID tells it. CPUID always works and
//! nothing can change its answer, whereas every VM exit loads the bases of GS and TR from the
//! VMCS, with whatever a trial wrote there.

use core::arch::x86_64::{__cpuid, __cpuid_count};
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};

use crate::registers::halt::halt;

/// How many CPUs the image can use.
pub(crate) const MOST: usize = 4;

/// A CPU's number: 0 is the one that came from reset, the others follow in the order in which
/// they started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u8);

impl Number {
    /// The CPU that came from reset.
    pub(crate) const BOOT: Self = Self(0);

    /// The number of this index; `None` from [`MOST`] on.
    pub(crate) fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|&number| usize::from(number) < MOST).map(Self)
    }

    /// As an index: below [`MOST`].
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    const fn bit(self) -> u32 {
        1 << self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CPU {}", self.0)
    }
}

/// A set of CPUs: bit `n` is the one with number `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Set(pub(crate) u32);

impl Set {
    /// This one CPU.
    pub(crate) const fn of(number: Number) -> Self {
        Self(number.bit())
    }

    /// Its CPUs in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = Number> {
        (0..MOST).filter_map(Number::new).filter(move |&number| self.contains(number))
    }

    /// Whether this CPU is in it.
    pub(crate) const fn contains(self, number: Number) -> bool {
        self.0 & number.bit() != 0
    }

    /// How many it has.
    pub(crate) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// It without this CPU.
    pub(crate) const fn without(self, number: Number) -> Self {
        Self(self.0 & !number.bit())
    }
}

/// No APIC ID: it stands for "all" in messages.
const NOBODY: u32 = u32::MAX;

static APIC_IDS: [AtomicU32; MOST] = [const { AtomicU32::new(NOBODY) }; MOST];

/// CPUs that have all their tables and answer calls; a [`Set`].
static ONLINE: AtomicU32 = AtomicU32::new(0);

/// This CPU's APIC ID as CPUID tells it.
pub(crate) fn own_apic_id() -> u32 {
    if __cpuid(0).eax >= 0xB {
        let topology = __cpuid_count(0xB, 0);
        // Otherwise the leaf exists without a meaning.
        if topology.ebx != 0 {
            return topology.edx;
        }
    }
    __cpuid(1).ebx >> 24
}

/// Which CPU executes this.
///
/// Stops a CPU that has not said who it is by [`register`]: there is none beyond its first
/// instructions.
pub(crate) fn this() -> Number {
    let own = own_apic_id();
    with_apic_id(own).unwrap_or_else(|| halt())
}

/// The CPU with this APIC ID.
pub(crate) fn with_apic_id(id: u32) -> Option<Number> {
    APIC_IDS.iter().position(|known| known.load(Relaxed) == id).and_then(Number::new)
}

/// The APIC ID of a CPU that has registered.
pub(crate) fn apic_id(number: Number) -> Option<u32> {
    Some(APIC_IDS[number.index()].load(Relaxed)).filter(|&id| id != NOBODY)
}

/// Makes this CPU known by its number. Each CPU does it once, before anything else in Rust;
/// no other CPU has the number.
pub(crate) fn register(number: Number) {
    APIC_IDS[number.index()].store(own_apic_id(), Relaxed);
}

/// Says that this CPU has its tables and answers.
///
/// The caller drops its translations afterwards: those from before may be stale (see
/// `translations`).
pub(crate) fn set_online(number: Number) {
    ONLINE.fetch_or(number.bit(), SeqCst);
}

/// The CPUs that answer.
pub(crate) fn online() -> Set {
    Set(ONLINE.load(SeqCst))
}

/// The CPUs that answer, without this one.
pub(crate) fn others() -> Set {
    online().without(this())
}

/// A value for each CPU.
///
/// Any CPU can reach any of them: what is not to be shared is a matter of `T`.
#[derive(Debug)]
pub(crate) struct PerProcessor<T>([T; MOST]);

impl<T> PerProcessor<T> {
    /// The values in the order of the numbers.
    pub(crate) const fn new(values: [T; MOST]) -> Self {
        Self(values)
    }

    /// That of one CPU.
    pub(crate) const fn of(&self, number: Number) -> &T {
        &self.0[number.index()]
    }

    /// That of the CPU which executes this.
    pub(crate) fn own(&self) -> &T {
        self.of(this())
    }
}
