//! The world switch.

use crate::vmcs::error::VmxError;
use crate::vmcs::field;
use crate::vmcs::field::encoding::Encoding;

/// Which instruction enters the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryInstruction {
    /// VMLAUNCH, for a clear VMCS.
    Launch,
    /// VMRESUME, for a launched one.
    Resume,
}

/// What the host-state fields hold that a world switch writes itself: where its stack is,
/// where VM exit continues, and its shadow stack. 0 where that is not known.
///
/// Writing them only when they change saves VMWRITEs, each of which exits under another
/// hypervisor. A [`Vmcs`](crate::vmcs::Vmcs) keeps one, and forgets what is written
/// through [`VmcsAccess`](super::VmcsAccess) of its
/// [`CurrentVmcs`](crate::vmcs::CurrentVmcs).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct HostPointers {
    /// HOST_RSP.
    pub rsp: u64,
    /// HOST_RIP.
    pub rip: u64,
    /// HOST_SSP.
    pub ssp: u64,
}

impl HostPointers {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { rsp: 0, rip: 0, ssp: 0 };

    /// Forgets a field that somebody writes; nothing for all others.
    #[inline]
    pub(crate) const fn forget(&mut self, encoding: Encoding) {
        const RSP: Encoding = field::HOST_RSP.encoding();
        const RIP: Encoding = field::HOST_RIP.encoding();
        const SSP: Encoding = field::HOST_SSP.encoding();
        match encoding.0 {
            raw if raw == RSP.0 => self.rsp = 0,
            raw if raw == RIP.0 => self.rip = 0,
            raw if raw == SSP.0 => self.ssp = 0,
            _ => {}
        }
    }
}

/// The world switch: VM entry, and everything up to the return after VM exit.
pub trait WorldSwitch {
    /// The registers that this switch moves.
    type Registers;

    /// Enters the guest with the current VMCS and returns after the VM exit, or
    /// when VM entry failed with a VM-instruction error.
    ///
    /// The switch writes the host's RSP, RIP and SSP fields itself, where `host` says that
    /// they hold something else, and tells `host`. `Ok` also
    /// covers an entry failure of the kind that exits (bit 31 of the reason).
    ///
    /// # Errors
    /// [`VmxError`] when the instruction failed; the guest did not run.
    ///
    /// # Safety
    ///
    /// 1. The other host-state fields restore the running environment: CR0, CR3,
    ///    CR4, segments, descriptor tables, MSRs.
    /// 2. Everything that the guest can reach is the guest's: its page tables or
    ///    EPT, I/O bitmaps, MSR bitmap, MSR lists, APIC pages and every other
    ///    structure whose address the VMCS holds, for as long as it can be entered.
    /// 3. What the world switch does not move (the backend lists it) and the guest
    ///    can change is not relied on afterwards, or the caller moves it.
    /// 4. Interrupts are disabled (RFLAGS.IF = 0) and the thread stays on this CPU.
    /// 5. Each word of `host` is 0 or what its field of the current VMCS holds.
    /// 6. Where the host uses CET, the VMCS loads the host's CET state on exit.
    unsafe fn enter(
        &mut self,
        instruction: EntryInstruction,
        host: &mut HostPointers,
        registers: &mut Self::Registers,
    ) -> Result<(), VmxError>;
}
