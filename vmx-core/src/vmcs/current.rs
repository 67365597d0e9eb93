//! The current VMCS of a CPU.

use core::fmt;
use core::marker::PhantomData;

use super::entry_failure::EntryFailure;
use super::error::VmxError;
use super::field::encoding::Encoding;
use crate::cpu::vmcs_access::VmcsAccess;
use crate::cpu::vmx_instructions::VmxInstructions;
use crate::cpu::world_switch::{EntryInstruction, HostPointers, WorldSwitch};
use crate::exit::reason::ExitReason;
use crate::forward_cpu_traits;
use crate::memory::address::PhysicalAddress;

/// The current VMCS of a CPU: the only way to the guest.
///
/// It borrows the critical section and the VMCS, so another one cannot become current
/// meanwhile. It is also the CPU for everything but VMX operation itself, so it can be
/// handed to whatever needs both, a policy or a host state.
///
/// It is not to be kept: a vCPU keeps the [`Vmcs`](super::Vmcs), a CPU its
/// [`VmxOperation`](super::VmxOperation), and the two meet here for the time between a
/// load and the next thing that sleeps.
///
/// Nor does it go to another thread, which may run on another CPU:
///
/// ```compile_fail,E0277
/// # use vmx_core::vmcs::*;
/// # fn example<C: Send>(current: CurrentVmcs<'_, C>) {
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(current));
/// });
/// # }
/// ```
pub struct CurrentVmcs<'a, C> {
    cpu: &'a mut C,
    address: PhysicalAddress,
    launched: &'a mut bool,
    host: &'a mut HostPointers,
    // It is of the CPU on which it was loaded, whatever `C` says of threads.
    stays_here: PhantomData<*const ()>,
}

impl<'a, C> CurrentVmcs<'a, C> {
    pub(super) const fn new(
        cpu: &'a mut C,
        address: PhysicalAddress,
        launched: &'a mut bool,
        host: &'a mut HostPointers,
    ) -> Self {
        Self { cpu, address, launched, host, stays_here: PhantomData }
    }

    /// The VMCS pointer.
    pub const fn address(&self) -> PhysicalAddress {
        self.address
    }

    /// Whether it has been launched since it was last cleared.
    pub const fn is_launched(&self) -> bool {
        *self.launched
    }

    /// The instruction that the next entry executes.
    pub const fn entry_instruction(&self) -> EntryInstruction {
        if *self.launched { EntryInstruction::Resume } else { EntryInstruction::Launch }
    }

    /// The CPU, to look at.
    pub const fn cpu(&self) -> &C {
        self.cpu
    }

    /// The CPU, for what no trait passes on.
    ///
    /// # Safety
    ///
    /// 1. It stays the same CPU: nothing is put in its place.
    /// 2. This VMCS stays the current one, and HOST_RSP, HOST_RIP and HOST_SSP are written
    ///    through [`VmcsAccess`] of this value only.
    pub const unsafe fn cpu_mut(&mut self) -> &mut C {
        self.cpu
    }
}

impl<C: VmcsAccess + VmxInstructions> CurrentVmcs<'_, C> {
    /// Enters the guest by VMLAUNCH or VMRESUME, as the launch state asks, with the world
    /// switch of the backend, and returns why it exited.
    ///
    /// # Errors
    /// [`EntryFailure`]: the guest did not run, but for
    /// [`EntryFailure::ExitInformation`], which leaves that open.
    ///
    /// # Safety
    ///
    /// 1. The contract of [`WorldSwitch::enter`], for the fields as they are now.
    pub unsafe fn enter(&mut self, registers: &mut C::Registers) -> Result<ExitReason, EntryFailure>
    where
        C: WorldSwitch,
    {
        let switch = |cpu: &mut C, instruction, host: &mut HostPointers| {
            // SAFETY: the caller keeps the contract; `host` is kept true.
            unsafe { cpu.enter(instruction, host, registers) }
        };
        // SAFETY: the caller keeps the contract, and `WorldSwitch` that of the closure.
        unsafe { self.enter_with(switch) }
    }

    /// As [`enter`](Self::enter), with a world switch of your own: your registers, in your
    /// layout, are what the closure captures. It executes the instruction that it is told,
    /// and returns after the VM exit, or [`VmxError`] when the instruction failed.
    ///
    /// [`HostPointers`] says what the three host fields hold that only the switch can
    /// write. One that always writes them sets it to [`HostPointers::UNKNOWN`].
    ///
    /// # Errors
    /// [`EntryFailure`]: the guest did not run, but for
    /// [`EntryFailure::ExitInformation`], which leaves that open.
    ///
    /// # Safety
    ///
    /// 1. The contract of [`WorldSwitch::enter`], for the fields as they are now.
    /// 2. `switch` does what `WorldSwitch::enter` is documented to do, and leaves the
    ///    `HostPointers` true: each holds what its field holds, or 0.
    /// 3. It puts nothing in the place of the CPU, and this VMCS stays the current one.
    ///
    /// ```
    /// use vmx_core::cpu::{EntryInstruction, HostPointers, VmcsAccess, VmxInstructions};
    /// use vmx_core::exit::ExitReason;
    /// use vmx_core::vmcs::{CurrentVmcs, EntryFailure, VmxError};
    ///
    /// /// Your layout: a stack frame, a trap frame, with vector registers or without.
    /// struct MyRegisters([u64; 32]);
    ///
    /// /// Your assembly.
    /// unsafe fn my_switch(registers: &mut MyRegisters, resume: bool) -> Result<(), VmxError> {
    /// #   let _ = (registers, resume);
    ///     // … VMWRITE of HOST_RSP and HOST_RIP, VMLAUNCH or VMRESUME …
    /// #   Ok(())
    /// }
    ///
    /// /// # Safety
    /// /// 1. As for `CurrentVmcs::enter_with`.
    /// unsafe fn run<C: VmcsAccess + VmxInstructions>(
    ///     current: &mut CurrentVmcs<'_, C>,
    ///     registers: &mut MyRegisters,
    /// ) -> Result<ExitReason, EntryFailure> {
    ///     // SAFETY: the caller's contract; my switch writes the host pointers each time.
    ///     unsafe {
    ///         current.enter_with(|_cpu, instruction, host| {
    ///             *host = HostPointers::UNKNOWN;
    ///             my_switch(registers, instruction == EntryInstruction::Resume)
    ///         })
    ///     }
    /// }
    /// ```
    pub unsafe fn enter_with(
        &mut self,
        switch: impl FnOnce(&mut C, EntryInstruction, &mut HostPointers) -> Result<(), VmxError>,
    ) -> Result<ExitReason, EntryFailure> {
        #[cfg(debug_assertions)]
        if let Some(current) = self.cpu.current_vmcs() {
            debug_assert_eq!(
                current, self.address,
                "another VMCS was loaded behind this one's back"
            );
        }
        let instruction = self.entry_instruction();
        let entered = switch(self.cpu, instruction, self.host);
        let reason = EntryFailure::rule_out(self.cpu, entered)?;
        *self.launched = true;
        Ok(reason)
    }
}

impl<C: VmcsAccess> VmcsAccess for CurrentVmcs<'_, C> {
    #[inline]
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        self.cpu.vmread(encoding)
    }

    #[inline]
    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        // The switch writes these itself, and must do so again.
        self.host.forget(encoding);
        self.cpu.vmwrite(encoding, value)
    }
}

forward_cpu_traits! {
    impl<'a, C>
        Cpuid, Msr, SupervisorSsp, CetSupervisorXstate, ControlRegisters, Segments,
        InvalidateTranslations
    for CurrentVmcs<'a, C> {
        |current| -> &mut C { current.cpu }
    }
}

impl<C> fmt::Debug for CurrentVmcs<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CurrentVmcs")
            .field("address", &self.address)
            .field("launched", &self.launched)
            .field("host", &self.host)
            .finish()
    }
}
