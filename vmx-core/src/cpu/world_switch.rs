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
    /// The switch writes the host's RSP, RIP and SSP fields itself, each only where
    /// `host` does not hold its value yet, and then records it there. `Ok` also
    /// covers an entry failure of the kind that exits (bit 31 of the reason).
    ///
    /// # Errors
    /// [`VmxError`] when the instruction failed; the guest did not run, and
    /// `registers` are as they were.
    ///
    /// # Safety
    ///
    /// Of this CPU and thread:
    ///
    /// 1. Interrupts are disabled (RFLAGS.IF = 0), and the thread stays on this CPU,
    ///    from before the VMCS was made current until the call returns.
    /// 2. This CPU is in VMX root operation. The VMCS meant is its current one, and
    ///    active on no other CPU: it was cleared there since it was last used there.
    /// 3. `host` tells the truth of this very VMCS: each of the three is 0 or what
    ///    the field holds.
    ///
    /// Of what the VMCS says about the host:
    ///
    /// 4. The other host-state fields restore the running environment: CR0, CR3,
    ///    CR4, the segments and descriptor tables, and each MSR that an exit control
    ///    loads. What the VM-exit MSR-load list loads on top is what the host runs
    ///    with, too. Exit controls say a 64-bit host.
    /// 5. Where the host uses CET, the exit loads the host's CET state.
    ///
    /// Of what the VMCS lets the guest reach:
    ///
    /// 6. Everything that the guest can reach, and every structure whose address the
    ///    VMCS holds, is the guest's, for as long as the VMCS can be entered (a shadow
    ///    VMCS: until it was VMCLEARed, too): the memory behind its page tables or EPT, the tables of EPT, I/O and MSR
    ///    bitmaps, MSR lists, APIC pages and the rest. Host code reaches this memory
    ///    only as the CPU does, by atomics or in assembly (shared views such as
    ///    [`Page`](crate::Page) and [`Memory`](crate::memory::Memory)), and writes nothing
    ///    there that would let the guest reach more.
    /// 7. No stale translation lets it reach more than that: wherever EPT or paging
    ///    structures took something away, INVEPT or INVVPID followed on this CPU, as
    ///    it did for tables that were given another use.
    /// 8. I/O ports and MSRs that pass through to the guest are such that nothing
    ///    that it does there breaks 4 to 6: no device's DMA, no MSR that the host
    ///    relies on.
    ///
    /// Of the registers:
    ///
    /// 9. What the world switch does not move (the backend lists it) and the guest
    ///    can change is not relied on afterwards, or the caller moves it.
    /// 10. `registers` hold what the CPU can load. The backend says where a type of
    ///     registers can hold something else.
    unsafe fn enter(
        &mut self,
        instruction: EntryInstruction,
        host: &mut HostPointers,
        registers: &mut Self::Registers,
    ) -> Result<(), VmxError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_field_that_is_written_is_forgotten() {
        let known = HostPointers { rsp: 1, rip: 2, ssp: 3 };
        // HOST_RSP, HOST_RIP, HOST_SSP (SDM, "Field Encoding in VMCS"), HOST_CR4.
        for (encoding, left) in [
            (0x6C14, HostPointers { rsp: 0, ..known }),
            (0x6C16, HostPointers { rip: 0, ..known }),
            (0x6C1A, HostPointers { ssp: 0, ..known }),
            (0x6C04, known),
        ] {
            let mut pointers = known;
            pointers.forget(Encoding(encoding));
            assert_eq!(pointers, left, "{encoding:#x}");
        }
    }
}
