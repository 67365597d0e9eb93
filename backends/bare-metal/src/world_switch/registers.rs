//! The registers that the world switch moves, beyond the general ones.
//!
//! The choice of the type is the choice of the code: what is not in the type is not
//! moved, and costs nothing.

use memoffset::offset_of;
use vmx_core::GuestRegisters;

/// A type of registers that the world switch can move: [`GuestRegisters`],
/// [`WithVectors`], and [`WithSpecCtrl`] around one of the two.
///
/// Nobody else can implement it: the switch is assembly that goes by the layouts. For a
/// layout of your own write a switch of your own, which
/// [`WorldSwitch`](vmx_core::cpu::WorldSwitch) takes as well.
pub trait RegisterFile: Sealed {
    /// The general registers and CR2.
    fn general(&self) -> &GuestRegisters;
    /// The general registers and CR2, to change them.
    fn general_mut(&mut self) -> &mut GuestRegisters;
}

/// Layouts that the assembly knows: [`GuestRegisters`] at the start, the rest at these
/// offsets in bytes, or not there.
#[allow(unnameable_types)] // That is the purpose.
pub trait Sealed {
    /// Where [`VectorRegisters`] are.
    const VECTORS: Option<usize>;
    /// Where [`SpecCtrl`] is.
    const SPEC_CTRL: Option<usize>;
}

/// General registers, XMM0 to XMM15 and MXCSR: for a host whose code uses these registers
/// between any two entries, because it is compiled with SSE, or because it calls code that
/// is, such as firmware.
///
/// Costs 53 instructions in an entry with its exit. After the exit the XMM registers are
/// zero and MXCSR is the host's; a caller that goes by the convention of Windows, where
/// XMM6 to XMM15 are to be preserved, gets them back
/// ([`KEEP_XMM6_TO_XMM15`](crate::SwitchOptions::KEEP_XMM6_TO_XMM15)). Entering needs CR4.OSFXSR = 1, CR0.EM = 0 and CR0.TS = 0;
/// otherwise #UD or #NM is raised in the host, before the entry.
///
/// The upper halves that AVX and AVX-512 add, ZMM16 to ZMM31, the opmask registers and
/// the x87 state are **not** moved, and not cleared. A host compiled with AVX moves all
/// extended state by XSAVE and XRSTOR around the entry, from code without AVX, or keeps
/// the guest from AVX by XCR0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WithVectors {
    /// The general registers and CR2.
    pub general: GuestRegisters,
    /// The vector registers.
    pub vectors: VectorRegisters,
}

/// XMM0 to XMM15 and MXCSR. `Default` is what reset leaves.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VectorRegisters {
    /// XMM0 to XMM15, the lowest byte of the register in the lowest bits.
    pub xmm: [u128; 16],
    /// MXCSR.
    pub mxcsr: Mxcsr,
}

/// A value of MXCSR that LDMXCSR accepts: bits 31:16 are reserved and raise #GP(0).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mxcsr(u32);

impl Mxcsr {
    /// What reset leaves: all exceptions masked, rounding to nearest.
    pub const RESET: Self = Self(0x1F80);

    /// The value, or `None` if a reserved bit is 1.
    pub const fn new(bits: u32) -> Option<Self> {
        if bits >> 16 == 0 { Some(Self(bits)) } else { None }
    }

    /// All bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl Default for Mxcsr {
    fn default() -> Self {
        Self::RESET
    }
}

/// The registers `R` and IA32_SPEC_CTRL, which holds the guest's value while the guest
/// runs and the host's at all other times.
///
/// For a guest that may access the MSR while the "load IA32_SPEC_CTRL" controls are not
/// there or not used. Costs 11 instructions in an entry with its exit while both values
/// are the same (one of them RDMSR, since the guest may have changed its own; one
/// LFENCE), and a WRMSR in either direction where they differ. Right after the exit only
/// registers are stored before the host's value is back.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WithSpecCtrl<R> {
    /// The other registers.
    pub registers: R,
    /// IA32_SPEC_CTRL of both.
    pub spec_ctrl: SpecCtrl,
}

/// IA32_SPEC_CTRL of the guest and of the host.
///
/// Both must be values that the CPU accepts, or #GP(0) is raised in the host in the
/// middle of the switch: judge what a guest writes at an intercepted WRMSR before you
/// put it here. A guest that writes the MSR directly cannot leave a wrong one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecCtrl {
    /// The guest's value: loaded before entry, stored after exit.
    pub guest: u64,
    /// The value that the host runs with **now**, on this CPU and in this thread: set it
    /// before each entry. The switch loads it after the exit and never stores it.
    pub host: u64,
}

impl RegisterFile for GuestRegisters {
    fn general(&self) -> &GuestRegisters {
        self
    }
    fn general_mut(&mut self) -> &mut GuestRegisters {
        self
    }
}

impl Sealed for GuestRegisters {
    const VECTORS: Option<usize> = None;
    const SPEC_CTRL: Option<usize> = None;
}

impl RegisterFile for WithVectors {
    fn general(&self) -> &GuestRegisters {
        &self.general
    }
    fn general_mut(&mut self) -> &mut GuestRegisters {
        &mut self.general
    }
}

impl Sealed for WithVectors {
    const VECTORS: Option<usize> = Some(offset_of!(WithVectors, vectors));
    const SPEC_CTRL: Option<usize> = None;
}

// One by one: `WithSpecCtrl<WithSpecCtrl<…>>` would be moved but once.

impl RegisterFile for WithSpecCtrl<GuestRegisters> {
    fn general(&self) -> &GuestRegisters {
        &self.registers
    }
    fn general_mut(&mut self) -> &mut GuestRegisters {
        &mut self.registers
    }
}

impl Sealed for WithSpecCtrl<GuestRegisters> {
    const VECTORS: Option<usize> = None;
    const SPEC_CTRL: Option<usize> = Some(offset_of!(Self, spec_ctrl));
}

impl RegisterFile for WithSpecCtrl<WithVectors> {
    fn general(&self) -> &GuestRegisters {
        &self.registers.general
    }
    fn general_mut(&mut self) -> &mut GuestRegisters {
        &mut self.registers.general
    }
}

impl Sealed for WithSpecCtrl<WithVectors> {
    const VECTORS: Option<usize> = WithVectors::VECTORS;
    const SPEC_CTRL: Option<usize> = Some(offset_of!(Self, spec_ctrl));
}

// The assembly moves 64-bit words at these offsets from the start, and 16-byte words,
// aligned, from the start of the vector registers; MXCSR follows them.
static_assertions::const_assert_eq!(size_of::<GuestRegisters>(), 16 * 8);
static_assertions::const_assert_eq!(offset_of!(GuestRegisters, rax), 0);
static_assertions::const_assert_eq!(offset_of!(GuestRegisters, cr2), 15 * 8);
static_assertions::const_assert_eq!(offset_of!(WithVectors, general), 0);
static_assertions::const_assert_eq!(offset_of!(WithVectors, vectors), 16 * 8);
static_assertions::const_assert_eq!(offset_of!(VectorRegisters, mxcsr), 16 * 16);
static_assertions::const_assert_eq!(align_of::<WithVectors>(), 16);
static_assertions::const_assert_eq!(offset_of!(SpecCtrl, guest), 0);
static_assertions::const_assert_eq!(offset_of!(SpecCtrl, host), 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mxcsr_takes_no_reserved_bit() {
        for bits in [0, 0x1F80, 0xFFFF] {
            assert_eq!(Mxcsr::new(bits).map(Mxcsr::bits), Some(bits));
        }
        for bits in [1 << 16, 1 << 31, 0xFFFF_FFFF] {
            assert_eq!(Mxcsr::new(bits), None);
        }
        assert_eq!(VectorRegisters::default().mxcsr.bits(), 0x1F80, "as after reset");
    }

    #[test]
    fn the_general_registers_are_found_in_each_type() {
        fn check<R: RegisterFile + Default>() {
            let mut registers = R::default();
            registers.general_mut().rbp = 7;
            assert_eq!(*registers.general(), GuestRegisters { rbp: 7, ..Default::default() });
        }
        check::<GuestRegisters>();
        check::<WithVectors>();
        check::<WithSpecCtrl<GuestRegisters>>();
        check::<WithSpecCtrl<WithVectors>>();
    }
}
