//! The XSAVE area of state component 12, CET_S.

use crate::cet::ssp::{Ssp, SspRegister};

/// The bit of CET_S in XSTATE_BV, XCOMP_BV, RFBM and IA32_XSS: component 12.
pub const CET_S: u64 = 1 << 12;
/// The bit of CET_U: component 11, IA32_U_CET and IA32_PL3_SSP.
pub const CET_U: u64 = 1 << 11;
/// XCOMP_BV bit 63: the area has the compacted format.
const COMPACTED: u64 = 1 << 63;

/// A compacted XSAVE area that holds component 12 alone: IA32_PL0_SSP,
/// IA32_PL1_SSP and IA32_PL2_SSP.
///
/// Where IA32_XSS\[12\] is 1, XRSTORS always accepts the header, which is private,
/// and loads the values if the CPU takes each of them: see what [`Ssp`] does not
/// promise. Only XSAVES ([`save`](Self::save)), [`set`](Self::set) and
/// [`clear`](Self::clear) change the area.
///
/// Layout (SDM, "Managing State Using the XSAVE Feature Set", "XSAVE Area"):
/// bytes 0 to 511 legacy region, unused; 512 XSTATE_BV; 520 XCOMP_BV; 528 to 575
/// zero; 576 the component, 24 bytes.
///
/// ```
/// use vmx_core::cet::{CetSupervisorArea, Ssp, SspRegister};
/// use vmx_core::memory::LinearAddressWidth;
/// let mut area = CetSupervisorArea::new();
/// assert_eq!(area.get(SspRegister::Pl0), Ssp::ZERO);
/// area.set(SspRegister::Pl0, Ssp::new(0x8000, LinearAddressWidth::Bits48)?);
/// assert_eq!(area.get(SspRegister::Pl0).get(), 0x8000);
/// # Ok::<(), vmx_core::cet::IllegalSsp>(())
/// ```
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct CetSupervisorArea {
    legacy: [u8; 512],
    xstate_bv: u64,
    xcomp_bv: u64,
    reserved: [u64; 6],
    ssp: [u64; 3],
}

static_assertions::const_assert_eq!(core::mem::offset_of!(CetSupervisorArea, xstate_bv), 512);
static_assertions::const_assert_eq!(core::mem::offset_of!(CetSupervisorArea, ssp), 576);
static_assertions::const_assert_eq!(core::mem::align_of::<CetSupervisorArea>(), 64);

impl CetSupervisorArea {
    /// An area whose component is in its initial state: three zeros.
    pub const fn new() -> Self {
        Self {
            legacy: [0; 512],
            xstate_bv: 0,
            xcomp_bv: COMPACTED | CET_S,
            reserved: [0; 6],
            ssp: [0; 3],
        }
    }

    /// The value of one register in the area.
    ///
    /// XSAVES does not write a component that is in its initial state, it only
    /// clears its bit in XSTATE_BV (the init optimisation); what the memory held
    /// before is then stale and not returned.
    pub const fn get(&self, register: SspRegister) -> Ssp {
        if self.xstate_bv & CET_S == 0 {
            Ssp::ZERO
        } else {
            Ssp::from_register(self.ssp[register.index()])
        }
    }

    /// Changes one register in the area.
    ///
    /// Execute XRSTORS from the area before XSAVES writes it again: under the
    /// modified optimisation XSAVES may leave a component that it takes for
    /// unmodified, and the edit would stand for the register.
    pub const fn set(&mut self, register: SspRegister, value: Ssp) {
        if self.xstate_bv & CET_S == 0 {
            self.ssp = [0; 3];
            self.xstate_bv |= CET_S;
        }
        self.ssp[register.index()] = value.get();
    }

    /// Puts the component into its initial state: three zeros.
    pub const fn clear(&mut self) {
        self.xstate_bv = 0;
        self.ssp = [0; 3];
    }

    /// Lets `xsaves` execute XSAVES of component 12 on the area, for backends;
    /// whether the component was saved.
    ///
    /// Where IA32_XSS\[12\] is 0 it was not, and the instruction rewrote the header
    /// all the same: no component in XSTATE_BV, none in XCOMP_BV. The values would be
    /// lost, and XRSTORS would fault once one is [set](Self::set). So the header gets
    /// back what it held before; the area is then as if nothing had been executed.
    /// Source: SDM, "Operation of XSAVES".
    pub fn save(&mut self, xsaves: impl FnOnce(&mut Self)) -> bool {
        let xstate_bv = self.xstate_bv;
        xsaves(self);
        let saved = self.xcomp_bv & CET_S != 0;
        if !saved {
            self.xstate_bv = xstate_bv;
            self.xcomp_bv = COMPACTED | CET_S;
        }
        saved
    }

    /// What XSAVES of component 12 does to an area where IA32_XSS\[12\] is 1, for CPUs
    /// in software: the values of the registers, with the init optimisation when all
    /// are zero.
    pub fn store(&mut self, values: [Ssp; 3]) {
        if values == [Ssp::ZERO; 3] {
            self.xstate_bv = 0;
        } else {
            self.xstate_bv = CET_S;
            self.ssp = values.map(Ssp::get);
        }
    }

    /// What XRSTORS of component 12 loads from the area, for CPUs in software.
    pub fn values(&self) -> [Ssp; 3] {
        SspRegister::ALL.map(|register| self.get(register))
    }
}

impl Default for CetSupervisorArea {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::linear_address::LinearAddressWidth::Bits48;

    fn ssp(value: u64) -> Ssp {
        Ssp::new(value, Bits48).unwrap()
    }

    /// What XSAVES with IA32_XSS\[12\] = 0 does: it writes the header, and no component.
    fn xsaves_without_xss(area: &mut CetSupervisorArea) {
        area.xstate_bv = 0;
        area.xcomp_bv = COMPACTED;
    }

    #[test]
    fn an_xsaves_that_saves_nothing_loses_nothing() {
        for values in [[ssp(8), ssp(16), ssp(24)], [Ssp::ZERO; 3]] {
            let mut area = CetSupervisorArea::new();
            area.store(values);
            let before = area.clone();
            assert!(!area.save(xsaves_without_xss));
            assert_eq!(area.values(), values);
            assert_eq!((area.xstate_bv, area.xcomp_bv), (before.xstate_bv, before.xcomp_bv));
            // After an edit XRSTORS still finds the component in both masks.
            area.set(SspRegister::Pl0, ssp(32));
            assert_eq!((area.xstate_bv, area.xcomp_bv), (CET_S, COMPACTED | CET_S));
            assert!(area.save(|area| area.store([ssp(40); 3])));
            assert_eq!(area.values(), [ssp(40); 3]);
        }
    }

    #[test]
    fn stale_memory_does_not_come_back_after_the_init_optimisation() {
        let mut area = CetSupervisorArea::new();
        area.store([ssp(8), ssp(16), ssp(24)]);
        area.store([Ssp::ZERO; 3]);
        assert_ne!(area.ssp, [0; 3], "the init optimisation leaves the memory as it was");
        assert_eq!(area.values(), [Ssp::ZERO; 3]);
        area.set(SspRegister::Pl1, ssp(32));
        assert_eq!(area.values(), [Ssp::ZERO, ssp(32), Ssp::ZERO]);
    }
}
