//! The CPU behind `vmx-core`'s traits.

use vmx_core::cpu::{
    Cpuid, CpuidResult, EntryInstruction, HostPointers, VmcsAccess, VmxInstructions, WorldSwitch,
};
use vmx_core::vmcs::field::{self, Encoding};
use vmx_core::vmcs::{EnterError, VmcsPointer, VmxonPointer};
use vmx_core::{Capabilities, GuestRegisters, PhysicalAddress, VmxError};

use super::instructions::VmxCpu;

// SAFETY: (1, 2, 3) The instructions do what the manual says, and tell what failed.
unsafe impl VmxInstructions for VmxCpu<'_> {
    fn enter_vmx_operation(
        &mut self,
        region: &VmxonPointer,
        capabilities: &Capabilities,
    ) -> Result<(), EnterError> {
        if let Some(differs) = self.capabilities.first_difference(capabilities) {
            return Err(EnterError::OtherCapabilities { differs });
        }
        let was_enabled = core::mem::replace(&mut self.vmxe, true);
        self.vmxon(region.address()).map_err(|error| {
            self.vmxe = was_enabled;
            if was_enabled { EnterError::InUse(error) } else { EnterError::Vmxon(error) }
        })
    }

    fn leave_vmx_operation(&mut self, _region: &VmxonPointer) -> Result<(), VmxError> {
        self.vmxoff()?;
        self.vmxe = false;
        Ok(())
    }

    fn vmclear(&mut self, region: &VmcsPointer) -> Result<(), VmxError> {
        VmxCpu::vmclear(self, region.address())
    }

    fn vmptrld(&mut self, region: &VmcsPointer) -> Result<(), VmxError> {
        VmxCpu::vmptrld(self, region.address())
    }

    fn current_vmcs(&mut self) -> Option<PhysicalAddress> {
        self.vmptrst()
    }

    fn local_apic_id(&mut self) -> Option<u32> {
        Some(self.apic_id())
    }
}

impl VmcsAccess for VmxCpu<'_> {
    fn vmread(&self, encoding: Encoding) -> Result<u64, VmxError> {
        VmxCpu::vmread(self, encoding)
    }

    fn vmwrite(&mut self, encoding: Encoding, value: u64) -> Result<(), VmxError> {
        VmxCpu::vmwrite(self, encoding, value)
    }
}

impl VmxCpu<'_> {
    /// Where this CPU's world switch has its stack, and where it continues after an exit.
    pub fn host_pointers(&self) -> HostPointers {
        let rsp = 0xFFFF_8000_0000_0000 | u64::from(self.apic_id() + 1) << 12;
        HostPointers { rsp, rip: 0xFFFF_FFFF_8000_1000, ssp: 0 }
    }
}

impl WorldSwitch for VmxCpu<'_> {
    type Registers = GuestRegisters;

    /// # Panics
    /// If `host` tells of a field what it does not hold: a real exit would land there.
    unsafe fn enter(
        &mut self,
        instruction: EntryInstruction,
        host: &mut HostPointers,
        _registers: &mut GuestRegisters,
    ) -> Result<(), VmxError> {
        let here = self.host_pointers();
        if host.rsp != here.rsp {
            self.write(field::HOST_RSP, here.rsp)?;
            host.rsp = here.rsp;
        }
        if host.rip != here.rip {
            self.write(field::HOST_RIP, here.rip)?;
            host.rip = here.rip;
        }
        let fields = (self.read(field::HOST_RSP)?, self.read(field::HOST_RIP)?);
        assert_eq!(fields, (here.rsp, here.rip), "the exit would land elsewhere: {host:?}");
        self.vm_entry(instruction)
    }
}

impl Cpuid for VmxCpu<'_> {
    /// Leaf 1: VMX, and the initial APIC ID, 8 bits of it. Leaf 0Bh: the x2APIC ID.
    fn cpuid(&mut self, leaf: u32, _subleaf: u32) -> CpuidResult {
        const VMX: u32 = 1 << 5;
        match leaf {
            0 => CpuidResult { eax: 0xB, ..CpuidResult::default() },
            1 => CpuidResult { ebx: self.apic_id() << 24, ecx: VMX, ..CpuidResult::default() },
            0xB => CpuidResult { edx: self.apic_id(), ..CpuidResult::default() },
            _ => CpuidResult::default(),
        }
    }
}
