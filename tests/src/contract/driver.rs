//! What the checker drives: a vCPU's CET state, ours or a broken one.

use core::fmt::Debug;

use cet_policy::{
    Exits, GuestCet, HostCet, LoadError, OfferError, Policy, ReadAnswer, Refused, Reset, SCetError,
    SupervisorState, VcpuCet, WriteAnswer,
};
use vmx_core::cet::CetControl;
use vmx_core::cet::{Ssp, SspRegister};
use vmx_core::{MsrBitmap, MsrIndex, VmxError};

use crate::contract::machine::Cpu;

/// The operations of [`VcpuCet`], as a trait, so that flawed drivers can stand in
/// its place: each does what the [`VcpuCet`] inside does, unless the driver says
/// otherwise. `Debug` must show the whole state: equal states are told by it.
#[allow(missing_docs)] // Each method is that of `VcpuCet` of the same name.
pub trait Driver: Sized + Debug {
    /// For tables.
    const NAME: &'static str;
    /// What the vCPU inside is switched by.
    type Policy: Policy;

    fn new(host: &HostCet, guest: GuestCet) -> Result<Self, Refused>;
    /// The vCPU inside.
    fn inner(&self) -> &VcpuCet<Self::Policy>;
    fn inner_mut(&mut self) -> &mut VcpuCet<Self::Policy>;

    /// What the policy wants to exit now.
    fn exits(&self) -> Exits {
        self.inner().policy().exits()
    }
    fn xss(&self) -> u64 {
        self.inner().xss()
    }
    fn attach(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>) -> Result<(), VmxError> {
        self.inner_mut().attach(cpu, bitmap)
    }
    fn load(&mut self, cpu: &mut Cpu) -> Result<(), LoadError> {
        self.inner_mut().load(cpu)
    }
    fn put(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>) {
        self.inner_mut().put(cpu, bitmap);
    }
    fn guest_reads_msr(&mut self, cpu: &mut Cpu, msr: MsrIndex) -> Result<ReadAnswer, VmxError> {
        self.inner_mut().guest_reads_msr(cpu, msr)
    }
    fn guest_writes_msr(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        msr: MsrIndex,
        value: u64,
    ) -> Result<WriteAnswer, VmxError> {
        self.inner_mut().guest_writes_msr(cpu, bitmap, msr, value)
    }
    fn host_write_s_cet(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        value: u64,
    ) -> Result<(), SCetError> {
        self.inner_mut().host_write_s_cet(cpu, bitmap, CetControl::from_bits_retain(value))
    }
    fn host_read(&mut self, cpu: &mut Cpu, register: SspRegister) -> Ssp {
        self.inner_mut().host_read(cpu, register)
    }
    /// `false`: refused.
    fn host_write(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        register: SspRegister,
        value: u64,
    ) -> bool {
        self.inner_mut().host_write(cpu, bitmap, register, value).is_ok()
    }
    fn state(&mut self, cpu: &mut Cpu) -> SupervisorState {
        self.inner_mut().state(cpu)
    }
    /// `false`: refused.
    fn restore(&mut self, cpu: &mut Cpu, bitmap: &MsrBitmap<'_>, state: &SupervisorState) -> bool {
        self.inner_mut().restore(cpu, bitmap, state).is_ok()
    }
    fn reset(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        kind: Reset,
    ) -> Result<(), VmxError> {
        self.inner_mut().reset(cpu, bitmap, kind)
    }
    fn set_guest(
        &mut self,
        cpu: &mut Cpu,
        bitmap: &MsrBitmap<'_>,
        guest: GuestCet,
    ) -> Result<(), OfferError> {
        self.inner_mut().set_guest(cpu, bitmap, guest)
    }
}

impl<P: Policy + Debug> Driver for VcpuCet<P> {
    const NAME: &'static str = P::NAME;
    type Policy = P;

    fn new(host: &HostCet, guest: GuestCet) -> Result<Self, Refused> {
        Self::new(host, guest)
    }
    fn inner(&self) -> &Self {
        self
    }
    fn inner_mut(&mut self) -> &mut Self {
        self
    }
}
