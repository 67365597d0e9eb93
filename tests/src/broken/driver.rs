//! Broken drivers: what goes wrong around a policy that is right.

use cet_policy::{
    Eager, Exits, GuestCet, HostCet, LazyIntercept, LoadError, OfferError, ReadAnswer, Refused,
    Reset, SCetError, SupervisorState, VcpuCet, WriteAnswer,
};
use vmx_core::cet::{Ssp, SspRegister};
use vmx_core::intercept::MsrAccess;
use vmx_core::{MsrBitmap, MsrIndex, VmxError};

use crate::driver::Driver;
use crate::machine::Cpu;

/// Lets a driver do what its inner one does, except for the methods in braces.
macro_rules! wrap_driver {
    ($name:ident, $text:literal, { $($overridden:item)* }) => {
        impl Driver for $name {
            const NAME: &'static str = $text;
            fn exits(&self) -> Exits {
                Driver::exits(&self.inner)
            }
            fn attach(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>) -> Result<(), VmxError> {
                Driver::attach(&mut self.inner, cpu, bitmap)
            }
            fn load(&mut self, cpu: &mut Cpu) -> Result<(), LoadError> {
                Driver::load(&mut self.inner, cpu)
            }
            fn host_write_s_cet(
                &mut self,
                cpu: &mut Cpu,
                bitmap: &MsrBitmap<'_>,
                value: u64,
            ) -> Result<(), SCetError> {
                Driver::host_write_s_cet(&mut self.inner, cpu, bitmap, value)
            }
            fn host_read(&mut self, cpu: &mut Cpu, register: SspRegister) -> Ssp {
                Driver::host_read(&mut self.inner, cpu, register)
            }
            fn host_write(
                &mut self,
                cpu: &mut Cpu,
                bitmap: &MsrBitmap<'_>,
                register: SspRegister,
                value: u64,
            ) -> bool {
                Driver::host_write(&mut self.inner, cpu, bitmap, register, value)
            }
            fn restore(
                &mut self,
                cpu: &mut Cpu,
                bitmap: &MsrBitmap<'_>,
                state: &SupervisorState,
            ) -> bool {
                Driver::restore(&mut self.inner, cpu, bitmap, state)
            }
            fn state(&mut self, cpu: &mut Cpu) -> SupervisorState {
                Driver::state(&mut self.inner, cpu)
            }
            $($overridden)*
        }
    };
}

/// Asks at put, not at load, whether the guest is offered shadow stacks (H13).
#[derive(Debug)]
pub struct FeaturesAtPut {
    inner: VcpuCet<Eager>,
    offered: GuestCet,
}

wrap_driver!(FeaturesAtPut, "features read again at put", {
    fn new(host: &HostCet, offered: GuestCet) -> Result<Self, Refused> {
        Ok(Self { inner: Driver::new(host, offered)?, offered })
    }
    fn xss(&self) -> u64 {
        self.inner.xss() & self.offered.xss
    }
    fn put(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>) {
        if self.offered.shadow_stacks {
            Driver::put(&mut self.inner, cpu, bitmap);
        }
    }
    fn guest_reads_msr(&mut self, cpu: &mut Cpu, msr: MsrIndex) -> Result<ReadAnswer, VmxError> {
        if self.offered.shadow_stacks {
            return Driver::guest_reads_msr(&mut self.inner, cpu, msr);
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
            return Driver::guest_writes_msr(&mut self.inner, cpu, bitmap, msr, value);
        }
        Ok(WriteAnswer::GeneralProtection)
    }
    fn reset(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        kind: Reset,
    ) -> Result<(), VmxError> {
        Driver::reset(&mut self.inner, cpu, bitmap, kind)
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
                Driver::host_write(&mut self.inner, cpu, bitmap, register, 0);
            }
            // Zero is always legal.
            let _ = Driver::host_write_s_cet(&mut self.inner, cpu, bitmap, 0);
            let registers = SspRegister::ALL.map(SspRegister::msr);
            for msr in registers.into_iter().chain([MsrIndex::IA32_S_CET]) {
                for access in [MsrAccess::Read, MsrAccess::Write] {
                    // The bitmap has a bit for each: this cannot fail.
                    let _ = bitmap.set_exits(msr, access, true);
                }
            }
        } else {
            Driver::set_guest(&mut self.inner, cpu, bitmap, guest)?;
        }
        self.offered = guest;
        Ok(())
    }
});

/// At INIT intercepts again as if the guest's IA32_XSS were 0 (H32).
#[derive(Debug)]
pub struct RearmsAtInit {
    inner: VcpuCet<LazyIntercept>,
    /// The guest's IA32_XSS, which INIT leaves alone.
    xss: u64,
}

wrap_driver!(RearmsAtInit, "intercepts again at INIT", {
    fn new(host: &HostCet, offered: GuestCet) -> Result<Self, Refused> {
        Ok(Self { inner: Driver::new(host, offered)?, xss: 0 })
    }
    fn xss(&self) -> u64 {
        self.xss
    }
    fn put(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>) {
        Driver::put(&mut self.inner, cpu, bitmap);
    }
    fn guest_reads_msr(&mut self, cpu: &mut Cpu, msr: MsrIndex) -> Result<ReadAnswer, VmxError> {
        Driver::guest_reads_msr(&mut self.inner, cpu, msr)
    }
    fn guest_writes_msr(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        msr: MsrIndex,
        value: u64,
    ) -> Result<WriteAnswer, VmxError> {
        let answer = Driver::guest_writes_msr(&mut self.inner, cpu, bitmap, msr, value)?;
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
        Driver::reset(&mut self.inner, cpu, bitmap, Reset::PowerUp)
    }
    fn set_guest(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        guest: GuestCet,
    ) -> Result<(), OfferError> {
        self.xss &= guest.xss;
        Driver::set_guest(&mut self.inner, cpu, bitmap, guest)
    }
});
