//! A critical section: VMX instructions on one CPU, with nobody in between.

use core::fmt;
use core::marker::PhantomData;

use super::active::ActiveVmcss;
use super::clear_mailbox::ClearMailbox;
use super::clear_request::{ClearReceipt, ClearRequest};
use super::current::CurrentVmcs;
use super::ended::EndedOperation;
use super::error::VmxError;
use super::operation::{Entered, VmxOperation};
use super::operation_error::{ClearRefused, EnterError, EnterRefused, LeaveError, LoadError};
use super::operation_id::OperationId;
use super::pointer::{VmcsPointer, VmxonPointer};
use super::vmcs_states::{Activity, Vmcs, write_region};
use crate::capability::capabilities::Capabilities;
use crate::cpu::vmx_instructions::VmxInstructions;
use crate::forward_cpu_traits;
use crate::memory::address::PhysicalAddress;
use crate::memory::held::Held;
use crate::memory::owner::PageOwner;

/// VMX instructions on the running CPU, while nobody else on it executes any: opened by
/// [`VmxOperation::section`], closed when it is dropped. It cannot be sent to another
/// thread.
///
/// It also passes on the CPU's other traits, but for VMREAD, VMWRITE and VM entry, which
/// need a [current VMCS](Self::load).
///
/// ```no_run
/// use vmx_core::cpu::{VmcsAccess, VmxInstructions};
/// use vmx_core::memory::PageOwner;
/// use vmx_core::vmcs::{Vmcs, VmxOperation, field};
/// use vmx_core::{Capabilities, Error};
///
/// /// # Safety
/// /// 1. As for [`VmxOperation::section`].
/// unsafe fn example<C: VmxInstructions + VmcsAccess, P: PageOwner>(
///     operation: &mut VmxOperation<P>, // this CPU's
///     cpu: &mut C,
///     [vmxon, region]: [P; 2],
///     capabilities: &Capabilities,
/// ) -> Result<P, Error> {
///     // SAFETY: the caller's contract.
///     let mut section = unsafe { operation.section(cpu) };
///     section.enter(vmxon, capabilities)?;
///     let mut vmcs = Vmcs::new(region, capabilities);
///     let mut current = section.load(&mut vmcs)?;
///     current.write(field::GUEST_RIP, 0x1000)?;
///     section.clear(&mut vmcs)?; // now it may be loaded on another CPU, or dropped
///     Ok(section.leave()?)
/// }
/// ```
///
/// What is in the wrong order does not compile. A VMCS that is no longer current:
///
/// ```compile_fail,E0499
/// # use vmx_core::{cpu::*, memory::PageOwner, vmcs::*};
/// # fn example<C: VmxInstructions + VmcsAccess, P: PageOwner>(
/// #     section: &mut CriticalSection<'_, C, P>, a: &mut Vmcs<P>, b: &mut Vmcs<P>) {
/// let mut first = section.load(a).unwrap();
/// let mut second = section.load(b).unwrap();
/// first.write(field::GUEST_RIP, 0); // would write to `b`
/// # }
/// ```
///
/// Leaving VMX operation, or clearing the VMCS, while it is in use:
///
/// ```compile_fail,E0499
/// # use vmx_core::{cpu::*, memory::PageOwner, vmcs::*};
/// # fn example<C: VmxInstructions + VmcsAccess, P: PageOwner>(
/// #     section: &mut CriticalSection<'_, C, P>, vmcs: &mut Vmcs<P>) {
/// let mut current = section.load(vmcs).unwrap();
/// let _ = section.leave();
/// current.write(field::GUEST_RIP, 0);
/// # }
/// ```
///
/// A critical section inside another one of the same CPU, or taken to another thread:
///
/// ```compile_fail,E0499
/// # use vmx_core::{cpu::*, memory::PageOwner, vmcs::*};
/// # fn example<C: VmxInstructions, P: PageOwner>(operation: &mut VmxOperation<P>, [a, b]: [C; 2]) {
/// let first = unsafe { operation.section(a) };
/// let second = unsafe { operation.section(b) };
/// drop(first);
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # use vmx_core::{cpu::*, memory::PageOwner, vmcs::*};
/// # fn example<C: VmxInstructions + Send, P: PageOwner + Send>(section: CriticalSection<'_, C, P>) {
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(section));
/// });
/// # }
/// ```
///
/// Swapping the CPUs of two sections:
///
/// ```compile_fail,E0308
/// # use vmx_core::{cpu::*, memory::PageOwner, vmcs::*};
/// # fn example<C: VmxInstructions, P: PageOwner>(
/// #     a: &mut CriticalSection<'_, C, P>, b: &mut CriticalSection<'_, C, P>) {
/// core::mem::swap(a.cpu(), b.cpu());
/// # }
/// ```
///
/// Taking the page of a VMCS and going on with the VMCS, and giving a page twice:
///
/// ```compile_fail,E0382
/// # use vmx_core::{memory::PageOwner, vmcs::*};
/// # fn example<P: PageOwner>(vmcs: Vmcs<P>) {
/// let page = vmcs.into_owner();
/// let _ = vmcs.is_launched();
/// # }
/// ```
///
/// ```compile_fail,E0382
/// # use vmx_core::{Capabilities, memory::PageOwner, vmcs::*};
/// # fn example<P: PageOwner>(page: P, capabilities: &Capabilities) {
/// let first = Vmcs::new(page, capabilities);
/// let second = Vmcs::new(page, capabilities);
/// # }
/// ```
pub struct CriticalSection<'a, C, P> {
    operation: &'a mut VmxOperation<P>,
    cpu: C,
    // A raw pointer is neither Send nor Sync.
    stays_here: PhantomData<*const ()>,
}

impl<P: PageOwner> VmxOperation<P> {
    /// Opens a critical section on the running CPU. `cpu` is a value of the backend, or
    /// `&mut` one.
    ///
    /// # Safety
    ///
    /// 1. The code runs on the very CPU on which this operation was entered; if it was
    ///    not entered, on any CPU, whose operation it is from now on.
    /// 2. Until the section is dropped, the code stays on that CPU, and nothing else on it
    ///    executes a VMX instruction: interrupts are off, or no handler does and the
    ///    thread is not preempted.
    /// 3. `cpu` is that CPU, and so is every value of its type that safe code can come by
    ///    meanwhile: nothing is swapped.
    /// 4. No other `VmxOperation` of this CPU is entered.
    /// 5. Since the operation was entered, the CPU was neither reset nor asleep: else call
    ///    [`lost`](Self::lost) first. Outside of the operation's sections nobody has
    ///    executed VMXOFF, VMPTRLD or VMCLEAR on it, or VMWRITE of what a section wrote.
    ///
    /// Debug builds compare the local APIC ID with that at the entry, and the current VMCS
    /// with that of the last section, where the backend tells them.
    pub unsafe fn section<C: VmxInstructions>(&mut self, cpu: C) -> CriticalSection<'_, C, P> {
        #[cfg_attr(not(debug_assertions), allow(unused_mut))]
        let mut section = CriticalSection { operation: self, cpu, stays_here: PhantomData };
        #[cfg(debug_assertions)]
        if let Some(entered_on) = section.operation.id().and_then(OperationId::apic_id) {
            let here = section.cpu.local_apic_id();
            debug_assert!(
                here.is_none_or(|here| here == entered_on),
                "VMX operation was entered on the CPU with APIC ID {entered_on}, not here ({here:?})"
            );
        }
        section
    }
}

impl<'a, C: VmxInstructions, P: PageOwner> CriticalSection<'a, C, P> {
    /// Brings the CPU into VMX operation, with `page` as the VMXON region.
    ///
    /// # Errors
    /// [`EnterRefused`] with the precondition that failed, and the page.
    pub fn enter(&mut self, page: P, capabilities: &Capabilities) -> Result<(), EnterRefused<P>> {
        if self.operation.is_entered() {
            return Err(EnterRefused { error: EnterError::AlreadyEntered, page });
        }
        let revision = capabilities.basic.revision();
        write_region(&page, revision);
        // Held before the CPU has it, and not moved as an owner from then on.
        let vmxon = Held::new(page);
        let pointer = VmxonPointer::new(vmxon.owner().address(), revision);
        match self.cpu.enter_vmx_operation(&pointer, capabilities) {
            Ok(()) => {
                let id = OperationId::new(pointer.address(), self.cpu.local_apic_id());
                let (current, active) = (None, ActiveVmcss::new());
                self.operation.entered = Some(Entered { vmxon, pointer, id, current, active });
                Ok(())
            }
            Err(error) => Err(EnterRefused { error, page: vmxon.into_owner() }),
        }
    }

    /// Leaves VMX operation and gives the page of the VMXON region back.
    ///
    /// # Errors
    /// [`LeaveError`] while a VMCS is active here, or when VMXOFF fails: VMX operation
    /// goes on.
    pub fn leave(&mut self) -> Result<P, LeaveError> {
        let entered = self.operation.entered.as_ref().ok_or(LeaveError::NotEntered)?;
        let vmcs = entered.active.count();
        if vmcs != 0 {
            return Err(LeaveError::StillActive { vmcs });
        }
        Ok(self.vmxoff()?.vmxon.into_owner())
    }

    /// VMXOFF: the operation is over.
    fn vmxoff(&mut self) -> Result<Entered<P>, LeaveError> {
        let entered = self.operation.entered.as_ref().ok_or(LeaveError::NotEntered)?;
        self.cpu.leave_vmx_operation(&entered.pointer)?;
        self.operation.entered.take().ok_or(LeaveError::NotEntered)
    }

    /// Leaves VMX operation though VMCSs are active here, as for a crash dump, a reboot,
    /// or after one was dropped without VMCLEAR: VMCLEARs those whose addresses are
    /// known, 64 at most, then VMXOFF. The value returned settles the VMCSs that still
    /// exist and gives the page back; pages of those that were dropped are leaked.
    ///
    /// # Errors
    /// [`LeaveError`] when VMXOFF fails, as it does under the dual-monitor treatment of
    /// SMIs: VMX operation goes on. What was VMCLEARed still counts as active and
    /// launched; [`clear`](Self::clear) it before it is entered again.
    pub fn leave_by_force(&mut self) -> Result<EndedOperation<P>, LeaveError> {
        let entered = self.operation.entered.as_mut().ok_or(LeaveError::NotEntered)?;
        let mut cleared = ActiveVmcss::new();
        for vmcs in entered.active.known() {
            if self.cpu.vmclear(&VmcsPointer::new(*vmcs)).is_ok() {
                cleared.add(*vmcs);
            }
        }
        entered.current = None;
        let Entered { vmxon, id, active, .. } = self.vmxoff()?;
        Ok(EndedOperation::by_force(vmxon, id, active.count(), cleared))
    }

    /// Makes `vmcs` current; VMCLEAR first if it is new, VMPTRLD only if another one is
    /// current.
    ///
    /// # Errors
    /// [`LoadError`]: it is active elsewhere, it is being cleared for another CPU, this
    /// CPU is outside VMX operation, or an instruction failed.
    pub fn load<'s, Q: PageOwner>(
        &'s mut self,
        vmcs: &'s mut Vmcs<Q>,
    ) -> Result<CurrentVmcs<'s, C>, LoadError> {
        let entered = self.operation.entered.as_mut().ok_or(LoadError::NotEntered)?;
        check_activity(vmcs.activity, entered.id)?;
        let pointer = VmcsPointer::new(vmcs.address());
        if vmcs.is_new {
            self.cpu.vmclear(&pointer)?;
            vmcs.is_new = false;
        }
        if entered.current == Some(vmcs.address()) {
            debug_assert!(
                self.cpu.current_vmcs().is_none_or(|current| current == vmcs.address()),
                "another VMCS was loaded between two sections"
            );
        } else {
            self.cpu.vmptrld(&pointer)?;
            entered.current = Some(vmcs.address());
        }
        if vmcs.activity == Activity::Nowhere {
            vmcs.activity = Activity::On(entered.id);
            entered.active.add(vmcs.address());
        }
        let address = vmcs.address();
        Ok(CurrentVmcs::new(&mut self.cpu, address, &mut vmcs.launched, &mut vmcs.host))
    }

    /// Makes a VMCS and has `fill` write it. If that fails, the VMCS is cleared and its
    /// page dropped, so that an error in the middle leaves nothing behind.
    ///
    /// # Errors
    /// That of `fill`, or a [`LoadError`] if the VMCS was not loaded. If VMCLEAR fails after
    /// `fill` did, which it should not, that error: the page is leaked, and counts among
    /// [`VmxOperation::active`].
    pub fn build<Q: PageOwner, E: From<LoadError>>(
        &mut self,
        page: Q,
        capabilities: &Capabilities,
        fill: impl FnOnce(&mut CurrentVmcs<'_, C>) -> Result<(), E>,
    ) -> Result<Vmcs<Q>, E> {
        let mut vmcs = Vmcs::new(page, capabilities);
        let filled = match self.load(&mut vmcs) {
            Ok(mut current) => fill(&mut current),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = filled {
            self.clear(&mut vmcs)?;
            return Err(error);
        }
        Ok(vmcs)
    }

    /// VMCLEARs `vmcs`: its data goes to memory, its launch state becomes clear, and any
    /// CPU may load it. Nothing happens to one that is active nowhere, unless it is a
    /// shadow VMCS, which a CPU also uses without its being loaded.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn clear<Q: PageOwner>(&mut self, vmcs: &mut Vmcs<Q>) -> Result<(), LoadError> {
        if vmcs.activity == Activity::Nowhere && !vmcs.is_shadow {
            return Ok(());
        }
        let entered = self.operation.entered.as_mut().ok_or(LoadError::NotEntered)?;
        if vmcs.activity == Activity::Nowhere {
            self.cpu.vmclear(&VmcsPointer::new(vmcs.address()))?;
            vmcs.is_new = false;
            return Ok(());
        }
        check_activity(vmcs.activity, entered.id)?;
        clear_here(&mut self.cpu, entered, vmcs.address())?;
        vmcs.cleared();
        Ok(())
    }

    /// VMCLEARs every one of `vmcss` that is active on this CPU, as before a reboot or
    /// before the CPU goes offline; [`leave`](Self::leave) comes next. Returns how
    /// many there were. Those active elsewhere are left to their CPUs, and those that
    /// another CPU has asked for to [`serve`](Self::serve).
    ///
    /// # Errors
    /// The [`LoadError`] of the first VMCLEAR that failed; all others were executed.
    pub fn clear_all<'v, Q: PageOwner + 'v>(
        &mut self,
        vmcss: impl IntoIterator<Item = &'v mut Vmcs<Q>>,
    ) -> Result<usize, LoadError> {
        let Some(here) = self.operation.id() else { return Ok(0) };
        let (mut cleared, mut result) = (0, Ok(()));
        for vmcs in vmcss {
            if vmcs.activity == Activity::On(here) {
                match self.clear(vmcs) {
                    Ok(()) => cleared += 1,
                    Err(error) => result = result.and(Err(error)),
                }
            }
        }
        result.map(|()| cleared)
    }

    /// VMCLEARs a VMCS for another CPU; see [`ClearRequest`].
    ///
    /// # Errors
    /// [`ClearRefused`] with the request, to be cancelled or sent to the right CPU.
    pub fn serve(&mut self, request: ClearRequest) -> Result<ClearReceipt, ClearRefused> {
        let ClearRequest { operation, vmcs } = request;
        match self.clear_for(operation.vmxon(), vmcs) {
            Ok(()) => Ok(ClearReceipt { operation, vmcs }),
            Err(error) => Err(ClearRefused { error, request: ClearRequest { operation, vmcs } }),
        }
    }

    /// Serves the request in this CPU's mailbox; returns whether there was one. The
    /// answer, good or bad, goes to whoever posted it.
    pub fn serve_mailbox(&mut self, mailbox: &ClearMailbox) -> bool {
        let Some((vmxon, vmcs)) = mailbox.begin() else { return false };
        mailbox.end(self.clear_for(vmxon, vmcs));
        true
    }

    /// VMCLEARs a VMCS that another CPU holds.
    fn clear_for(
        &mut self,
        vmxon: PhysicalAddress,
        vmcs: PhysicalAddress,
    ) -> Result<(), LoadError> {
        let entered = self.operation.entered.as_mut().ok_or(LoadError::NotEntered)?;
        if entered.id.vmxon() != vmxon {
            return Err(LoadError::NotEntered);
        }
        Ok(clear_here(&mut self.cpu, entered, vmcs)?)
    }
}

/// Whether a VMCS may be loaded or cleared in the operation `here`.
fn check_activity(activity: Activity, here: OperationId) -> Result<(), LoadError> {
    match activity {
        Activity::On(other) if other != here => Err(LoadError::ActiveElsewhere(other)),
        Activity::ClearRequested(other) => Err(LoadError::ClearRequested(other)),
        _ => Ok(()),
    }
}

/// VMCLEARs one that is active here.
fn clear_here<C: VmxInstructions, P>(
    cpu: &mut C,
    entered: &mut Entered<P>,
    vmcs: PhysicalAddress,
) -> Result<(), VmxError> {
    cpu.vmclear(&VmcsPointer::new(vmcs))?;
    if entered.current == Some(vmcs) {
        entered.current = None;
    }
    entered.active.remove(vmcs);
    Ok(())
}

impl<C, P> CriticalSection<'_, C, P> {
    /// The operation.
    pub const fn operation(&self) -> &VmxOperation<P> {
        self.operation
    }

    /// The CPU, to look at.
    pub const fn cpu(&self) -> &C {
        &self.cpu
    }

    /// The CPU, for what no trait passes on.
    ///
    /// # Safety
    ///
    /// 1. It stays the same CPU: nothing is put in its place.
    /// 2. VMX operation, the current VMCS and which VMCSs are active stay as they are.
    pub const unsafe fn cpu_mut(&mut self) -> &mut C {
        &mut self.cpu
    }
}

forward_cpu_traits! {
    impl<'a, C, P>
        Cpuid, Msr, SupervisorSsp, CetSupervisorXstate, ControlRegisters, Segments,
        InvalidateTranslations
    for CriticalSection<'a, C, P> {
        |section| -> &mut C { &mut section.cpu }
    }
}

impl<C, P> fmt::Debug for CriticalSection<'_, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CriticalSection").field(&self.operation).finish()
    }
}

#[cfg(test)]
mod tests;
