//! VMX operation and VMCSs: what has been entered, cleared, loaded and launched.
//!
//! A [`Vmcs`] remembers its launch state and the CPU on which it is active, so
//! VMLAUNCH and VMRESUME are chosen right, and moving a VMCS to another CPU
//! without VMCLEAR is refused. Loading one gives a [`CurrentVmcs`], the only way
//! to the guest, and the borrow checker keeps it the current one.
//! Source: SDM, "Software Use of Virtual-Machine Control Structures".
//!
//! ```no_run
//! # use vmx_core::*;
//! # use vmx_core::{cpu::*, vmcs::field};
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
//!
//! What is in the wrong order does not compile. A VMCS that is no longer current:
//!
//! ```compile_fail,E0499
//! # use vmx_core::*;
//! # use vmx_core::{cpu::*, vmcs::field};
//! # fn example<C: VmxInstructions + VmcsAccess>(
//! #     operation: &mut VmxOperation<'static, C>, a: &mut Vmcs<'static>, b: &mut Vmcs<'static>) {
//! let mut first = operation.load(a).unwrap();
//! let mut second = operation.load(b).unwrap();
//! first.write(field::GUEST_RIP, 0); // would write to `b`
//! # }
//! ```
//!
//! Leaving VMX operation while a VMCS is in use, or using it afterwards:
//!
//! ```compile_fail,E0505
//! # use vmx_core::*;
//! # use vmx_core::{cpu::*, vmcs::field};
//! # fn example<C: VmxInstructions + VmcsAccess>(
//! #     mut operation: VmxOperation<'static, C>, vmcs: &mut Vmcs<'static>) {
//! let mut current = operation.load(vmcs).unwrap();
//! let _ = operation.leave();
//! current.write(field::GUEST_RIP, 0);
//! # }
//! ```
//!
//! ```compile_fail,E0382
//! # use vmx_core::*;
//! # use vmx_core::{cpu::*, vmcs::field};
//! # fn example<C: VmxInstructions>(operation: VmxOperation<'static, C>, vmcs: &mut Vmcs<'static>) {
//! let _ = operation.leave();
//! let _ = operation.cpu();
//! # }
//! ```
//!
//! Taking the frame of a VMCS and going on with the VMCS:
//!
//! ```compile_fail,E0382
//! # use vmx_core::*;
//! # fn example(vmcs: Vmcs<'static>) {
//! let frame = vmcs.into_frame();
//! let _ = vmcs.is_launched();
//! # }
//! ```

use crate::capability::capabilities::Capabilities;
use crate::cet::ssp::{Ssp, SspRegister};
use crate::cet::xsave_area::CetSupervisorArea;
use crate::cpu::cpu_id::CpuId;
use crate::cpu::cpuid::{Cpuid, CpuidResult};
use crate::cpu::guest_registers::GuestRegisters;
use crate::cpu::msr::Msr;
use crate::cpu::shadow_stack::{CetSupervisorXstate, SupervisorSsp};
use crate::cpu::vmcs_access::VmcsAccess;
use crate::cpu::vmx_instructions::VmxInstructions;
use crate::cpu::world_switch::{EntryInstruction, WorldSwitch};
use crate::entry_check::Circumstances;
use crate::exit::reason::ExitReason;
use crate::memory::address::PhysicalAddress;
use crate::memory::frame::Frame;
use crate::msr::index::MsrIndex;
use crate::msr::named::NamedMsr;
use crate::vmcs::error::VmxError;
use crate::vmcs::field;
use crate::vmcs::field::encoding::Encoding;
use crate::vmcs::operation_error::{EnterError, LeaveError, LoadError};
use crate::vmcs::region::{VmcsRegion, VmxonRegion};

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
        let region = VmxonRegion::new(frame, capabilities.basic);
        match cpu.enter_vmx_operation(&region) {
            Ok(()) => Ok(Self { cpu, region, id, current: None, active: 0 }),
            Err(error) => Err(EnterRefused { error, cpu, frame: region.into_frame() }),
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
            Ok(()) => Ok((self.cpu, self.region.into_frame())),
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

    /// VMCLEARs every one of `vmcss` that is active on this CPU, as before a reboot or
    /// before the CPU goes offline; [`leave`](Self::leave) comes next. Returns how
    /// many there were. Those active elsewhere are left to their CPUs.
    ///
    /// # Errors
    /// [`VmxError`] of the VMCLEAR that failed; the ones before it are clear.
    pub fn clear_all<'v, 'r: 'v>(
        &mut self,
        vmcss: impl IntoIterator<Item = &'v mut Vmcs<'r>>,
    ) -> Result<usize, VmxError> {
        let mut cleared = 0;
        for vmcs in vmcss {
            if vmcs.active_on == Some(self.id) {
                self.clear_here(vmcs)?;
                cleared += 1;
            }
        }
        Ok(cleared)
    }

    /// VMCLEARs `vmcs`: its data goes to memory, its launch state becomes clear,
    /// and any CPU may load it. Nothing happens to one that is active nowhere.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn clear(&mut self, vmcs: &mut Vmcs<'_>) -> Result<(), LoadError> {
        match vmcs.active_on {
            None => Ok(()),
            Some(other) if other != self.id => Err(LoadError::ActiveElsewhere(other)),
            Some(_) => Ok(self.clear_here(vmcs)?),
        }
    }

    fn clear_here(&mut self, vmcs: &mut Vmcs<'_>) -> Result<(), VmxError> {
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

/// VMX operation goes on.
#[derive(Debug)]
pub struct LeaveRefused<'m, C> {
    /// Why.
    pub error: LeaveError,
    /// The operation, unchanged.
    pub operation: VmxOperation<'m, C>,
}

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
        let region = VmcsRegion::new(frame, capabilities.basic);
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
            None => Ok(self.region.into_frame()),
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
    /// What the next entry depends on besides the fields, for the checks of
    /// [`entry_check`](crate::entry_check), in a 64-bit host.
    pub fn circumstances(&self) -> Circumstances {
        let instruction =
            if *self.launched { EntryInstruction::Resume } else { EntryInstruction::Launch };
        Circumstances { instruction, is_launched: *self.launched, ..Circumstances::LAUNCH }
    }

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
