//! VMX operation and VMCSs: what has been entered, cleared, loaded and launched.
//!
//! A [`Vmcs`] remembers its launch state and the CPU on which it is active, so
//! VMLAUNCH and VMRESUME are chosen right, and moving a VMCS to another CPU
//! without VMCLEAR is refused. Loading one gives a [`CurrentVmcs`], the only way
//! to the guest, and the borrow checker keeps it the current one.
//! Source: SDM, "Software Use of Virtual-Machine Control Structures".
//!
//! ```no_run
//! # use vmx_core::{*, cpu::*};
//! # fn example<C>(cpu: C, pages: [Frame<'static>; 2], capabilities: &Capabilities)
//! # -> Result<(), Box<dyn core::error::Error>>
//! # where C: VmxInstructions + VmcsAccess + core::fmt::Debug {
//! let [vmxon, region] = pages;
//! let mut operation = VmxOperation::enter(cpu, vmxon, capabilities, CpuId(0))
//!     .map_err(|refused| refused.error)?;
//! let mut vmcs = Vmcs::new(region, capabilities);
//! let mut current = operation.load(&mut vmcs)?;
//! current.write(field::GUEST_RIP, 0x1000)?;
//! operation.clear(&mut vmcs)?; // now it may be loaded on another CPU
//! # Ok(()) }
//! ```

use core::fmt;

use crate::capability::Capabilities;
use crate::cpu::{
    CetSupervisorXstate, Cpuid, CpuidResult, EntryInstruction, Msr, SupervisorSsp, VmcsAccess,
    VmxInstructions, WorldSwitch,
};
use crate::error::VmxError;
use crate::exit_reason::ExitReason;
use crate::field::{self, Encoding};
use crate::frame::{Frame, PhysicalAddress};
use crate::guest_registers::GuestRegisters;
use crate::msr::{MsrIndex, NamedMsr};
use crate::ssp::{Ssp, SspRegister};
use crate::xsave_area::CetSupervisorArea;

/// The caller's number for a logical processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuId(pub u32);

/// A frame that starts with the revision identifier and is a VMXON region.
#[derive(Debug)]
pub struct VmxonRegion<'m>(Frame<'m>);

/// A frame that starts with the revision identifier and is a VMCS region.
#[derive(Debug)]
pub struct VmcsRegion<'m>(Frame<'m>);

fn with_revision<'m>(frame: Frame<'m>, capabilities: &Capabilities) -> Frame<'m> {
    frame.page().fill(0);
    frame.page().write(0, capabilities.basic.revision().into());
    frame
}

impl<'m> VmxonRegion<'m> {
    /// Zeroes the frame and writes the revision identifier.
    pub fn new(frame: Frame<'m>, capabilities: &Capabilities) -> Self {
        Self(with_revision(frame, capabilities))
    }

    /// The operand of VMXON.
    pub const fn address(&self) -> PhysicalAddress {
        self.0.address()
    }

    /// The revision identifier in the region.
    pub fn revision(&self) -> u32 {
        self.0.page().read(0) as u32
    }
}

impl<'m> VmcsRegion<'m> {
    /// Zeroes the frame and writes the revision identifier.
    pub fn new(frame: Frame<'m>, capabilities: &Capabilities) -> Self {
        Self(with_revision(frame, capabilities))
    }

    /// The operand of VMCLEAR and VMPTRLD.
    pub const fn address(&self) -> PhysicalAddress {
        self.0.address()
    }
}

/// Why a CPU does not enter VMX operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnterError {
    /// CPUID.1:ECX\[5\] is 0.
    NoVmx,
    /// Firmware locked IA32_FEATURE_CONTROL without VMXON outside SMX.
    LockedByFirmware {
        /// IA32_FEATURE_CONTROL.
        feature_control: u64,
    },
    /// CR0 has bits that VMX operation does not allow.
    Cr0 {
        /// Bits that must be 1 and are 0.
        missing: u64,
        /// Bits that must be 0 and are 1.
        excess: u64,
    },
    /// CR4, apart from VMXE, has bits that VMX operation does not allow.
    Cr4 {
        /// Bits that must be 1 and are 0.
        missing: u64,
        /// Bits that must be 0 and are 1.
        excess: u64,
    },
    /// The region has another revision identifier than the CPU.
    Revision {
        /// In the region.
        region: u32,
        /// In IA32_VMX_BASIC.
        cpu: u32,
    },
    /// CR4.VMXE is 1 already: somebody else uses VMX on this CPU.
    VmxeAlreadySet,
    /// VMXON failed although all preconditions hold.
    Vmxon(VmxError),
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVmx => f.write_str("this CPU has no VMX (CPUID.1:ECX[5] is 0)"),
            Self::LockedByFirmware { feature_control } => write!(
                f,
                "firmware locked VMX off (IA32_FEATURE_CONTROL is {feature_control:#x}); \
                 enable VT-x in the firmware's set-up"
            ),
            Self::Cr0 { missing, excess } => {
                write!(f, "CR0: VMX operation needs {missing:#x} set and {excess:#x} clear")
            }
            Self::Cr4 { missing, excess } => {
                write!(f, "CR4: VMX operation needs {missing:#x} set and {excess:#x} clear")
            }
            Self::Revision { region, cpu } => {
                write!(f, "the VMXON region has revision {region:#x}, the CPU wants {cpu:#x}")
            }
            Self::VmxeAlreadySet => {
                f.write_str("CR4.VMXE is set already: somebody else uses VMX on this CPU")
            }
            Self::Vmxon(error) => write!(f, "VMXON failed: {error}"),
        }
    }
}

impl core::error::Error for EnterError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Vmxon(error) => Some(error),
            _ => None,
        }
    }
}

/// The CPU did not enter VMX operation; it and the frame come back.
#[derive(Debug)]
pub struct EnterRefused<'m, C> {
    /// Why.
    pub error: EnterError,
    /// The CPU, as it was.
    pub cpu: C,
    /// The frame meant for the VMXON region.
    pub frame: Frame<'m>,
}

/// One CPU in VMX operation.
///
/// Dropping it leaves the CPU in VMX operation and the region with the CPU;
/// [`leave`](Self::leave) ends both.
#[derive(Debug)]
pub struct VmxOperation<'m, C> {
    cpu: C,
    region: VmxonRegion<'m>,
    id: CpuId,
    current: Option<PhysicalAddress>,
    active: usize,
}

impl<'m, C: VmxInstructions> VmxOperation<'m, C> {
    /// Brings `cpu` into VMX operation. `id` is your number for it, to tell the
    /// CPUs apart on which a VMCS can be active.
    ///
    /// # Errors
    /// [`EnterRefused`] with the precondition that failed.
    pub fn enter(
        mut cpu: C,
        frame: Frame<'m>,
        capabilities: &Capabilities,
        id: CpuId,
    ) -> Result<Self, EnterRefused<'m, C>> {
        let region = VmxonRegion::new(frame, capabilities);
        match cpu.enter_vmx_operation(&region) {
            Ok(()) => Ok(Self { cpu, region, id, current: None, active: 0 }),
            Err(error) => Err(EnterRefused { error, cpu, frame: region.0 }),
        }
    }

    /// Leaves VMX operation and gives the CPU and the region's frame back.
    ///
    /// # Errors
    /// [`LeaveRefused`] while a VMCS is active here, or when VMXOFF fails; the
    /// operation goes on.
    pub fn leave(mut self) -> Result<(C, Frame<'m>), LeaveRefused<'m, C>> {
        if self.active != 0 {
            let error = LeaveError::StillActive { vmcs: self.active };
            return Err(LeaveRefused { error, operation: self });
        }
        match self.cpu.leave_vmx_operation() {
            Ok(()) => Ok((self.cpu, self.region.0)),
            Err(error) => Err(LeaveRefused { error: LeaveError::Vmxoff(error), operation: self }),
        }
    }

    /// The CPU, for everything that needs no current VMCS.
    pub const fn cpu(&mut self) -> &mut C {
        &mut self.cpu
    }

    /// Your number of this CPU.
    pub const fn id(&self) -> CpuId {
        self.id
    }

    /// Makes `vmcs` current; VMCLEAR first if it is new, VMPTRLD only if another
    /// one is current.
    ///
    /// # Errors
    /// [`LoadError::ActiveElsewhere`]: clear it on that CPU first.
    /// [`LoadError::Vmx`] when an instruction fails.
    pub fn load<'a>(&'a mut self, vmcs: &'a mut Vmcs<'_>) -> Result<CurrentVmcs<'a, C>, LoadError> {
        if let Some(other) = vmcs.active_on.filter(|id| *id != self.id) {
            return Err(LoadError::ActiveElsewhere(other));
        }
        if vmcs.is_new {
            self.cpu.vmclear(&vmcs.region)?;
            vmcs.is_new = false;
        }
        if self.current != Some(vmcs.region.address()) {
            self.cpu.vmptrld(&vmcs.region)?;
            self.current = Some(vmcs.region.address());
        }
        if vmcs.active_on.is_none() {
            vmcs.active_on = Some(self.id);
            self.active += 1;
        }
        Ok(CurrentVmcs { cpu: &mut self.cpu, launched: &mut vmcs.launched })
    }

    /// VMCLEARs `vmcs`: its data goes to memory, its launch state becomes clear,
    /// and any CPU may load it. Nothing happens to one that is active nowhere.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn clear(&mut self, vmcs: &mut Vmcs<'_>) -> Result<(), LoadError> {
        match vmcs.active_on {
            None => return Ok(()),
            Some(other) if other != self.id => return Err(LoadError::ActiveElsewhere(other)),
            Some(_) => {}
        }
        self.cpu.vmclear(&vmcs.region)?;
        if self.current == Some(vmcs.region.address()) {
            self.current = None;
        }
        vmcs.active_on = None;
        vmcs.launched = false;
        self.active = self.active.saturating_sub(1);
        Ok(())
    }
}

/// Why VMX operation is not left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveError {
    /// VMCSs are active on this CPU: clear them first.
    StillActive {
        /// How many.
        vmcs: usize,
    },
    /// VMXOFF failed.
    Vmxoff(VmxError),
}

impl fmt::Display for LeaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StillActive { vmcs } => {
                write!(f, "{vmcs} VMCS still active on this CPU: clear them before VMXOFF")
            }
            Self::Vmxoff(error) => write!(f, "VMXOFF failed: {error}"),
        }
    }
}

impl core::error::Error for LeaveError {}

/// VMX operation goes on.
#[derive(Debug)]
pub struct LeaveRefused<'m, C> {
    /// Why.
    pub error: LeaveError,
    /// The operation, unchanged.
    pub operation: VmxOperation<'m, C>,
}

/// Why a VMCS is not loaded or cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// It is active on this other CPU, and only that one can clear it.
    ActiveElsewhere(CpuId),
    /// VMCLEAR or VMPTRLD failed.
    Vmx(VmxError),
}

impl From<VmxError> for LoadError {
    fn from(error: VmxError) -> Self {
        Self::Vmx(error)
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActiveElsewhere(CpuId(id)) => {
                write!(f, "the VMCS is active on CPU {id}: clear it there first")
            }
            Self::Vmx(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for LoadError {}

/// A virtual-machine control structure: one vCPU's.
///
/// Clear it ([`VmxOperation::clear`]) before you drop it: an active one that is
/// dropped stays with its CPU, which then cannot leave VMX operation.
#[derive(Debug)]
pub struct Vmcs<'m> {
    region: VmcsRegion<'m>,
    launched: bool,
    is_new: bool,
    active_on: Option<CpuId>,
}

impl<'m> Vmcs<'m> {
    /// Makes a VMCS in `frame`, which is overwritten.
    pub fn new(frame: Frame<'m>, capabilities: &Capabilities) -> Self {
        let region = VmcsRegion::new(frame, capabilities);
        Self { region, launched: false, is_new: true, active_on: None }
    }

    /// The CPU on which it is active.
    pub const fn active_on(&self) -> Option<CpuId> {
        self.active_on
    }

    /// Whether it has been launched since it was last cleared.
    pub const fn is_launched(&self) -> bool {
        self.launched
    }

    /// Takes the frame back, or the VMCS itself while it is active somewhere.
    pub fn into_frame(self) -> Result<Frame<'m>, Self> {
        match self.active_on {
            None => Ok(self.region.0),
            Some(_) => Err(self),
        }
    }
}

/// The current VMCS of a CPU.
///
/// It is also the CPU's [`VmcsAccess`], [`SupervisorSsp`], [`CetSupervisorXstate`],
/// [`Cpuid`] and [`Msr`], so it can be handed to whatever needs both.
#[derive(Debug)]
pub struct CurrentVmcs<'a, C> {
    cpu: &'a mut C,
    launched: &'a mut bool,
}

impl<C> CurrentVmcs<'_, C> {
    /// The CPU.
    pub const fn cpu(&mut self) -> &mut C {
        self.cpu
    }
}

impl<C: WorldSwitch + VmcsAccess> CurrentVmcs<'_, C> {
    /// Enters the guest by VMLAUNCH or VMRESUME, as the launch state asks, and
    /// returns the exit reason. Look at [`ExitReason::is_entry_failure`] first.
    ///
    /// # Errors
    /// [`VmxError`] when the instruction failed; the guest did not run.
    ///
    /// # Safety
    ///
    /// 1. The contract of [`WorldSwitch::enter`], for the fields as they are now.
    /// 2. This VMCS is still the current one: nobody executed VMPTRLD or VMCLEAR
    ///    behind its back, as code that has [`cpu`](Self::cpu) can.
    pub unsafe fn enter(&mut self, registers: &mut GuestRegisters) -> Result<ExitReason, VmxError> {
        let instruction =
            if *self.launched { EntryInstruction::Resume } else { EntryInstruction::Launch };
        // SAFETY: the caller keeps the same contract.
        unsafe { self.cpu.enter(instruction, registers)? };
        let reason = self.cpu.read(field::EXIT_REASON)?;
        if !reason.is_entry_failure() {
            *self.launched = true;
        }
        Ok(reason)
    }
}

impl<C: VmcsAccess> VmcsAccess for CurrentVmcs<'_, C> {
    #[inline]
    fn vmread(&mut self, encoding: Encoding) -> Result<u64, VmxError> {
        self.cpu.vmread(encoding)
    }
    #[inline]
    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        self.cpu.vmwrite(encoding, value)
    }
}

impl<C: Cpuid> Cpuid for CurrentVmcs<'_, C> {
    #[inline]
    fn cpuid(&mut self, leaf: u32, subleaf: u32) -> CpuidResult {
        self.cpu.cpuid(leaf, subleaf)
    }
}

impl<C: SupervisorSsp> SupervisorSsp for CurrentVmcs<'_, C> {
    #[inline]
    fn read_ssp(&mut self, register: SspRegister) -> Ssp {
        self.cpu.read_ssp(register)
    }
    #[inline]
    fn write_ssp(&mut self, register: SspRegister, value: Ssp) {
        self.cpu.write_ssp(register, value);
    }
}

impl<C: CetSupervisorXstate> CetSupervisorXstate for CurrentVmcs<'_, C> {
    #[inline]
    fn xsaves_cet_s(&mut self, area: &mut CetSupervisorArea) {
        self.cpu.xsaves_cet_s(area);
    }
    #[inline]
    fn xrstors_cet_s(&mut self, area: &CetSupervisorArea) {
        self.cpu.xrstors_cet_s(area);
    }
}

impl<C: Msr> Msr for CurrentVmcs<'_, C> {
    #[inline]
    fn read_named(&mut self, msr: NamedMsr) -> u64 {
        self.cpu.read_named(msr)
    }
    #[inline]
    unsafe fn read_msr(&mut self, msr: MsrIndex) -> u64 {
        // SAFETY: the caller keeps the same contract.
        unsafe { self.cpu.read_msr(msr) }
    }
    #[inline]
    unsafe fn write_msr(&mut self, msr: MsrIndex, value: u64) {
        // SAFETY: the caller keeps the same contract.
        unsafe { self.cpu.write_msr(msr, value) }
    }
}
