//! Broken drivers: what goes wrong around a policy that is right.

use cet_policy::{
    Eager, GuestCet, HostCet, LazyIntercept, OfferError, ReadAnswer, Refused, Reset, VcpuCet,
    WriteAnswer,
};
use vmx_core::cet::{CetControl, SspRegister};
use vmx_core::intercept::MsrAccess;
use vmx_core::{MsrBitmap, MsrIndex, VmxError};

use crate::contract::driver::Driver;
use crate::contract::machine::Cpu;

/// Asks at put, not at load, whether the guest is offered shadow stacks (H13).
#[derive(Debug)]
pub struct FeaturesAtPut {
    inner: VcpuCet<Eager>,
    offered: GuestCet,
}

impl Driver for FeaturesAtPut {
    const NAME: &'static str = "features read again at put";
    type Policy = Eager;

    fn new(host: &HostCet, offered: GuestCet) -> Result<Self, Refused> {
        Ok(Self { inner: VcpuCet::new(host, offered)?, offered })
    }
    fn inner(&self) -> &VcpuCet<Eager> {
        &self.inner
    }
    fn inner_mut(&mut self) -> &mut VcpuCet<Eager> {
        &mut self.inner
    }
    fn xss(&self) -> u64 {
        self.inner.xss() & self.offered.xss
    }
    fn put(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>) {
        if self.offered.shadow_stacks {
            self.inner.put(cpu, bitmap);
        }
    }
    fn guest_reads_msr(&mut self, cpu: &mut Cpu, msr: MsrIndex) -> Result<ReadAnswer, VmxError> {
        if self.offered.shadow_stacks {
            return self.inner.guest_reads_msr(cpu, msr);
        }
        Ok(ReadAnswer::GeneralProtection)
    }
    fn guest_writes_msr(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        msr: MsrIndex,
        value: u64,
    ) -> Result<WriteAnswer, VmxError> {
        if self.offered.shadow_stacks {
            return self.inner.guest_writes_msr(cpu, bitmap, msr, value);
        }
        Ok(WriteAnswer::GeneralProtection)
    }
    fn set_guest(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        guest: GuestCet,
    ) -> Result<(), OfferError> {
        // The values are dropped and the accesses exit, as they should; only what is
        // in the registers is left to the put that will not come.
        if !guest.shadow_stacks {
            for register in SspRegister::ALL {
                let _ = self.inner.host_write(cpu, bitmap, register, 0);
            }
            // Zero is always legal.
            let _ = self.inner.host_write_s_cet(cpu, bitmap, CetControl::empty());
            let registers = SspRegister::ALL.map(SspRegister::msr);
            for msr in registers.into_iter().chain([MsrIndex::IA32_S_CET]) {
                for access in [MsrAccess::Read, MsrAccess::Write] {
                    bitmap.intercept(msr, access);
                }
            }
        } else {
            self.inner.set_guest(cpu, bitmap, guest)?;
        }
        self.offered = guest;
        Ok(())
    }
}

/// At INIT intercepts again as if the guest's IA32_XSS were 0 (H32).
#[derive(Debug)]
pub struct RearmsAtInit {
    inner: VcpuCet<LazyIntercept>,
    /// The guest's IA32_XSS, which INIT leaves alone.
    xss: u64,
}

impl Driver for RearmsAtInit {
    const NAME: &'static str = "intercepts again at INIT";
    type Policy = LazyIntercept;

    fn new(host: &HostCet, offered: GuestCet) -> Result<Self, Refused> {
        Ok(Self { inner: VcpuCet::new(host, offered)?, xss: 0 })
    }
    fn inner(&self) -> &VcpuCet<LazyIntercept> {
        &self.inner
    }
    fn inner_mut(&mut self) -> &mut VcpuCet<LazyIntercept> {
        &mut self.inner
    }
    fn xss(&self) -> u64 {
        self.xss
    }
    fn guest_writes_msr(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        msr: MsrIndex,
        value: u64,
    ) -> Result<WriteAnswer, VmxError> {
        let answer = self.inner.guest_writes_msr(cpu, bitmap, msr, value)?;
        if msr == MsrIndex::IA32_XSS && answer == WriteAnswer::Done {
            self.xss = value;
        }
        Ok(answer)
    }
    fn reset(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        kind: Reset,
    ) -> Result<(), VmxError> {
        if kind == Reset::PowerUp {
            self.xss = 0;
        }
        self.inner.reset(cpu, bitmap, Reset::PowerUp)
    }
    fn set_guest(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        guest: GuestCet,
    ) -> Result<(), OfferError> {
        self.xss &= guest.xss;
        self.inner.set_guest(cpu, bitmap, guest)
    }
}
