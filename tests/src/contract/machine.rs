//! A small stateful model of one physical CPU, for testing policies.
//!
//! Not an emulator: it holds what a policy can touch (the three registers, IA32_XSS,
//! what XSAVES remembers, the current VMCS's CET fields) and answers as the manual
//! says. What is legal is decided in [`legality`](crate::contract::legality), written without
//! looking at `cet-policy`.
//!
//! A fault that would hit the host unwinds with a [`HostFault`]; so does an access
//! after which the test wants the running function to be torn away
//! ([`Cpu::interrupt_after`]).

use std::panic::resume_unwind;

use vmx_core::VmxError;
use vmx_core::cet::{CetSupervisorArea, Ssp, SspRegister};
use vmx_core::cpu::{CetSupervisorXstate, SupervisorSsp, VmcsAccess};
use vmx_core::memory::LinearAddressWidth;
use vmx_core::vmcs::InstructionError;
use vmx_core::vmcs::field::Encoding;

use crate::contract::legality::ssp_is_legal;

/// Bit 12 of IA32_XSS: component 12, CET_S.
pub const XSS_CET_S: u64 = 1 << 12;

/// In what CPUs differ: freedoms that the manual gives to XSAVES, and which addresses
/// they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// A component in its initial state is not written (SDM, "XSAVES", init
    /// optimisation). Off: XINUSE is 1 though all registers are zero.
    pub init_optimisation: bool,
    /// A component not modified since the XRSTORS from the same address may be left
    /// unwritten (modified optimisation).
    pub modified_optimisation: bool,
    /// Linear addresses, as CPUID reports them.
    pub width: LinearAddressWidth,
    /// By how many bits the CPU judges the host's WRMSR and XRSTORS: by those of CPUID,
    /// or by fewer, where it goes by CR4.LA57.
    pub host_judges: LinearAddressWidth,
    /// By how many it judges the guest's, whose CR4 may be another.
    pub guest_judges: LinearAddressWidth,
    /// Asked about a value, the CPU says yes without trying it: what a policy comes to
    /// that does not ask.
    pub says_yes: bool,
}

impl Hardware {
    /// A CPU that takes every freedom.
    pub const FREE: Self = Self {
        init_optimisation: true,
        modified_optimisation: true,
        width: LinearAddressWidth::Bits48,
        host_judges: LinearAddressWidth::Bits48,
        guest_judges: LinearAddressWidth::Bits48,
        says_yes: false,
    };
    /// A CPU that always writes everything.
    pub const PLAIN: Self =
        Self { init_optimisation: false, modified_optimisation: false, ..Self::FREE };
    /// A CPU with five-level paging, as the manual has it.
    pub const WIDE: Self = Self {
        width: LinearAddressWidth::Bits57,
        host_judges: LinearAddressWidth::Bits57,
        guest_judges: LinearAddressWidth::Bits57,
        ..Self::FREE
    };
    /// One that goes by CR4.LA57, which is 0.
    pub const WIDE_BY_CPUID: Self = Self { width: LinearAddressWidth::Bits57, ..Self::FREE };
    /// The same under a guest that has set CR4.LA57.
    pub const WIDE_IN_THE_GUEST: Self =
        Self { guest_judges: LinearAddressWidth::Bits57, ..Self::WIDE_BY_CPUID };
}

/// Why the host's code was torn away: the payload of the unwinding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFault {
    /// XRSTORS of component 12 with IA32_XSS\[12\] = 0.
    XrstorsWithoutXss,
    /// WRMSR or XRSTORS of a value that the register does not take.
    IllegalSsp,
    /// No fault: the test asked for it.
    Interrupted,
}

/// The CET fields of one VMCS, by encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fields([u64; Self::ENCODINGS.len()]);

impl Fields {
    /// Guest S_CET, SSP and table address; then the host's.
    pub const ENCODINGS: [u32; 6] = [0x6828, 0x682A, 0x682C, 0x6C18, 0x6C1A, 0x6C1C];

    /// What a VMCS holds that nobody has written.
    pub const UNWRITTEN: Self = Self([0x0BAD_0BAD_0BAD_0BAD; Self::ENCODINGS.len()]);

    /// Guest IA32_S_CET, as non-root operation sees it.
    pub const fn guest_s_cet(&self) -> u64 {
        self.0[0]
    }

    /// What WRMSR of IA32_S_CET in non-root operation changes.
    pub const fn set_guest_s_cet(&mut self, value: u64) {
        self.0[0] = value;
    }

    fn position(encoding: Encoding) -> Result<usize, VmxError> {
        Self::ENCODINGS
            .iter()
            .position(|known| *known == encoding.0)
            .ok_or(VmxError::FailValid(InstructionError::UNSUPPORTED_COMPONENT))
    }
}

/// How often the host touched something, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Accesses {
    /// RDMSR of the three registers.
    pub reads: u32,
    /// WRMSR of the three registers.
    pub writes: u32,
    /// Values that were tried in one of them.
    pub trials: u32,
    /// XSAVES.
    pub xsaves: u32,
    /// XRSTORS.
    pub xrstors: u32,
}

impl Accesses {
    /// All kinds together.
    pub const fn total(&self) -> u32 {
        self.reads + self.writes + self.trials + self.xsaves + self.xrstors
    }
}

/// What the last XRSTORS left behind for the modified optimisation (XRSTOR_INFO).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LastXrstors {
    None,
    /// By the host, from the area at this address.
    Root(usize),
    NonRoot,
}

/// A #GP(0) in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneralProtection;

/// One physical CPU.
#[derive(Debug)]
pub struct Cpu {
    /// IA32_PL0_SSP to IA32_PL2_SSP.
    pub ssp: [u64; 3],
    /// IA32_XSS.
    pub xss: u64,
    /// The current VMCS.
    pub vmcs: Option<Fields>,
    /// What the host touched so far; guests' own accesses are not counted.
    pub accesses: Accesses,
    hardware: Hardware,
    pub(crate) last_xrstors: LastXrstors,
    pub(crate) modified: bool,
    interrupt_in: Option<u32>,
}

impl Cpu {
    /// A CPU on which the host runs with these values.
    pub const fn new(hardware: Hardware, ssp: [u64; 3], xss: u64) -> Self {
        Self {
            ssp,
            xss,
            vmcs: None,
            accesses: Accesses { reads: 0, writes: 0, trials: 0, xsaves: 0, xrstors: 0 },
            hardware,
            last_xrstors: LastXrstors::None,
            modified: true,
            interrupt_in: None,
        }
    }

    /// Tears the host's code away at its access number `count` from now (0: the next
    /// one), before it has an effect. `None`: never.
    pub const fn interrupt_after(&mut self, count: Option<u32>) {
        self.interrupt_in = count;
    }

    fn host_access(&mut self) {
        if let Some(left) = &mut self.interrupt_in {
            if *left == 0 {
                self.interrupt_in = None;
                host_fault(HostFault::Interrupted);
            }
            *left -= 1;
        }
    }

    /// WRMSR of one of the three in non-root operation, let through by the bitmap.
    ///
    /// # Errors
    /// [`GeneralProtection`] as the CPU would raise it.
    pub fn guest_wrmsr(
        &mut self,
        register: SspRegister,
        value: u64,
    ) -> Result<(), GeneralProtection> {
        if !ssp_is_legal(value, self.hardware.guest_judges) {
            return Err(GeneralProtection);
        }
        self.ssp[register.index()] = value;
        self.modified = true;
        Ok(())
    }

    /// XRSTORS of component 12 in non-root operation, from an image in guest memory.
    ///
    /// # Errors
    /// [`GeneralProtection`] if IA32_XSS\[12\] is 0 or a value is illegal.
    pub fn guest_xrstors(&mut self, image: [u64; 3]) -> Result<(), GeneralProtection> {
        let legal = image.iter().all(|value| ssp_is_legal(*value, self.hardware.guest_judges));
        if self.xss & XSS_CET_S == 0 || !legal {
            return Err(GeneralProtection);
        }
        self.ssp = image;
        self.last_xrstors = LastXrstors::NonRoot;
        self.modified = false;
        Ok(())
    }

    /// XSAVES of component 12 in non-root operation: what lands in guest memory, and
    /// `None` where IA32_XSS\[12\] is 0 and nothing is saved.
    pub const fn guest_xsaves(&self) -> Option<[u64; 3]> {
        if self.xss & XSS_CET_S == 0 { None } else { Some(self.ssp) }
    }
}

fn host_fault(fault: HostFault) -> ! {
    // Not `panic!`: no message, and the checker tells it from a failed assertion.
    resume_unwind(Box::new(fault))
}

impl SupervisorSsp for Cpu {
    fn read_ssp(&mut self, register: SspRegister) -> Ssp {
        self.host_access();
        self.accesses.reads += 1;
        Ssp::from_register(self.ssp[register.index()])
    }

    fn write_ssp(&mut self, register: SspRegister, value: Ssp) {
        self.host_access();
        self.accesses.writes += 1;
        if !ssp_is_legal(value.get(), self.hardware.host_judges) {
            host_fault(HostFault::IllegalSsp);
        }
        self.ssp[register.index()] = value.get();
        self.modified = true;
    }

    fn accepts_ssp(&mut self, _: SspRegister, value: Ssp) -> bool {
        self.host_access();
        self.accesses.trials += 1;
        // WRMSR of the value, or of the old one, counts as a modification.
        self.modified = true;
        self.hardware.says_yes || ssp_is_legal(value.get(), self.hardware.host_judges)
    }
}

impl CetSupervisorXstate for Cpu {
    fn xsaves_cet_s(&mut self, area: &mut CetSupervisorArea) -> bool {
        self.host_access();
        self.accesses.xsaves += 1;
        if self.xss & XSS_CET_S == 0 {
            return false;
        }
        let values = self.ssp.map(Ssp::from_register);
        let initial = values == [Ssp::ZERO; 3];
        if initial && self.hardware.init_optimisation {
            return area.save(|area| area.store(values));
        }
        let unmodified = !self.modified && self.last_xrstors == LastXrstors::Root(address_of(area));
        let skip = self.hardware.modified_optimisation && unmodified;
        for register in SspRegister::ALL {
            // Skipped: XSTATE_BV is written, the component is not.
            let value = if skip { area.get(register) } else { values[register.index()] };
            area.set(register, value);
        }
        true
    }

    fn xrstors_cet_s(&mut self, area: &CetSupervisorArea) {
        self.host_access();
        self.accesses.xrstors += 1;
        if self.xss & XSS_CET_S == 0 {
            host_fault(HostFault::XrstorsWithoutXss);
        }
        let values = area.values().map(Ssp::get);
        if !values.iter().all(|value| ssp_is_legal(*value, self.hardware.host_judges)) {
            host_fault(HostFault::IllegalSsp);
        }
        self.ssp = values;
        self.last_xrstors = LastXrstors::Root(address_of(area));
        self.modified = false;
    }
}

fn address_of(area: &CetSupervisorArea) -> usize {
    core::ptr::from_ref(area).addr()
}

impl VmcsAccess for Cpu {
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        let fields = self.vmcs.as_ref().ok_or(VmxError::FailInvalid)?;
        Ok(fields.0[Fields::position(encoding)?])
    }

    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        let fields = self.vmcs.as_mut().ok_or(VmxError::FailInvalid)?;
        fields.0[Fields::position(encoding)?] = value;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmx_core::memory::LinearAddressWidth::Bits48;

    fn ssp(value: u64) -> Ssp {
        Ssp::new(value, Bits48).unwrap()
    }

    #[test]
    fn the_modified_optimisation_keeps_an_edit() {
        let mut cpu = Cpu::new(Hardware::FREE, [0; 3], XSS_CET_S);
        let mut area = CetSupervisorArea::new();
        area.set(SspRegister::Pl0, ssp(8));
        cpu.xrstors_cet_s(&area);
        area.set(SspRegister::Pl0, ssp(16));
        assert!(cpu.xsaves_cet_s(&mut area));
        assert_eq!(area.get(SspRegister::Pl0), ssp(16), "unmodified: not written");
        cpu.write_ssp(SspRegister::Pl1, ssp(24));
        assert!(cpu.xsaves_cet_s(&mut area));
        assert_eq!(area.get(SspRegister::Pl0), ssp(8), "modified: written as a whole");
    }

    #[test]
    fn without_xss_nothing_is_saved_and_xrstors_faults() {
        let mut cpu = Cpu::new(Hardware::FREE, [8; 3], 0);
        let mut area = CetSupervisorArea::new();
        area.set(SspRegister::Pl2, ssp(16));
        assert!(!cpu.xsaves_cet_s(&mut area));
        assert_eq!(area.values(), [Ssp::ZERO, Ssp::ZERO, ssp(16)], "as before");
        let fault = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            cpu.xrstors_cet_s(&area);
        }))
        .unwrap_err();
        assert_eq!(fault.downcast_ref(), Some(&HostFault::XrstorsWithoutXss));
        assert_eq!(cpu.guest_xrstors([0; 3]), Err(GeneralProtection));
        assert_eq!(cpu.guest_xsaves(), None);
    }
}
