//! What the checker drives: a vCPU's CET state, ours or a broken one.

use core::fmt::Debug;

use cet_policy::{
    Exits, GuestCet, HostCet, LoadError, OfferError, Policy, ReadAnswer, Refused, Reset, SCetError,
    SupervisorState, VcpuCet, WriteAnswer,
};
use vmx_core::cet::CetControl;
use vmx_core::cet::{Ssp, SspRegister};
use vmx_core::{MsrBitmap, MsrIndex, VmxError};

use crate::machine::Cpu;

/// The operations of [`VcpuCet`], as a trait, so that flawed drivers can stand in
/// its place. `Debug` must show the whole state: equal states are told by it.
#[allow(missing_docs)] // Each method is that of `VcpuCet` of the same name.
pub trait Driver: Sized + Debug {
    /// For tables.
    const NAME: &'static str;

    fn new(host: &HostCet, guest: GuestCet) -> Result<Self, Refused>;
    /// What the policy wants to exit now.
    fn exits(&self) -> Exits;
    fn xss(&self) -> u64;
    fn attach(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>) -> Result<(), VmxError>;
    fn load(&mut self, cpu: &mut Cpu) -> Result<(), LoadError>;
    fn put(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>);
    fn guest_reads_msr(&mut self, cpu: &mut Cpu, msr: MsrIndex) -> Result<ReadAnswer, VmxError>;
    fn guest_writes_msr(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        msr: MsrIndex,
        value: u64,
    ) -> Result<WriteAnswer, VmxError>;
    fn host_write_s_cet(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        value: u64,
    ) -> Result<(), SCetError>;
    fn host_read(&mut self, cpu: &mut Cpu, register: SspRegister) -> Ssp;
    /// `false`: refused.
    fn host_write(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        register: SspRegister,
        value: u64,
    ) -> bool;
    fn state(&mut self, cpu: &mut Cpu) -> SupervisorState;
    /// `false`: refused.
    fn restore(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>, state: &SupervisorState) -> bool;
    fn reset(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>, kind: Reset)
    -> Result<(), VmxError>;
    fn set_guest(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        guest: GuestCet,
    ) -> Result<(), OfferError>;
}

impl<P: Policy + Debug> Driver for VcpuCet<P> {
    const NAME: &'static str = P::NAME;

    fn new(host: &HostCet, guest: GuestCet) -> Result<Self, Refused> {
        Self::new(host, guest)
    }
    fn exits(&self) -> Exits {
        self.policy().exits()
    }
    fn xss(&self) -> u64 {
        self.xss()
    }
    fn attach(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>) -> Result<(), VmxError> {
        self.attach(cpu, bitmap)
    }
    fn load(&mut self, cpu: &mut Cpu) -> Result<(), LoadError> {
        self.load(cpu)
    }
    fn put(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>) {
        self.put(cpu, bitmap);
    }
    fn guest_reads_msr(&mut self, cpu: &mut Cpu, msr: MsrIndex) -> Result<ReadAnswer, VmxError> {
        self.guest_reads_msr(cpu, msr)
    }
    fn guest_writes_msr(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        msr: MsrIndex,
        value: u64,
    ) -> Result<WriteAnswer, VmxError> {
        self.guest_writes_msr(cpu, bitmap, msr, value)
    }
    fn host_write_s_cet(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        value: u64,
    ) -> Result<(), SCetError> {
        self.host_write_s_cet(cpu, bitmap, CetControl::from_bits_retain(value))
    }
    fn host_read(&mut self, cpu: &mut Cpu, register: SspRegister) -> Ssp {
        self.host_read(cpu, register)
    }
    fn host_write(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        register: SspRegister,
        value: u64,
    ) -> bool {
        self.host_write(cpu, bitmap, register, value).is_ok()
    }
    fn state(&mut self, cpu: &mut Cpu) -> SupervisorState {
        self.state(cpu)
    }
    fn restore(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>, state: &SupervisorState) -> bool {
        self.restore(cpu, bitmap, state).is_ok()
    }
    fn reset(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        kind: Reset,
    ) -> Result<(), VmxError> {
        self.reset(cpu, bitmap, kind)
    }
    fn set_guest(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        guest: GuestCet,
    ) -> Result<(), OfferError> {
        self.set_guest(cpu, bitmap, guest)
    }
}
