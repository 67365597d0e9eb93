//! What the CPUs of a run share: the vCPUs, and how they ask each other for one.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use cet_policy::{HostCet, HostXss, Policy};
use spin::{Mutex, MutexGuard};
use vmx_core::ept::EptPointerFlags;
use vmx_core::vmcs::{ClearMailbox, Rollout};

use crate::error::RunError;
use crate::machine::Machine;
use crate::page_pool::PagePool;
use crate::report::GuestReport;
use crate::scenario::{MAX_CPUS, Scenario};
use crate::vcpu::Vcpu;

/// A run of a scenario: plain data that every CPU of it borrows.
#[derive(Debug)]
pub struct Shared<P> {
    /// The CPUs, which are equal.
    pub machine: Machine,
    /// What to run.
    pub scenario: Scenario,
    /// Where each CPU is asked to clear a VMCS.
    pub mailboxes: [ClearMailbox; MAX_CPUS],
    /// VMX operation on all CPUs or on none.
    pub rollout: Rollout,
    vcpus: [Mutex<Vcpu<P>>; 3],
    /// Slices that have been run.
    slices: AtomicU64,
    /// A CPU met an error, and nobody goes on.
    stopped: AtomicBool,
}

impl<P: Policy> Shared<P> {
    /// Makes the vCPUs, whose VMCSs are still empty.
    ///
    /// # Errors
    /// [`RunError`] if memory is short or the policy is refused.
    pub fn new(machine: &Machine, pool: &PagePool, scenario: &Scenario) -> Result<Self, RunError> {
        let host_xss = HostXss::Fixed(scenario.host_xss);
        let host = HostCet::new(machine.cet, &machine.capabilities, scenario.mode, host_xss)?;
        let ept = EptPointerFlags::empty();
        let new = |role| Vcpu::new(machine, &host, pool, role, scenario.rounds, ept);
        let [a, b, c] = scenario.roles;
        let cpus = scenario.cpus.clamp(1, MAX_CPUS);
        Ok(Self {
            machine: *machine,
            scenario: Scenario { cpus, ..*scenario },
            mailboxes: [const { ClearMailbox::new() }; MAX_CPUS],
            rollout: Rollout::new(cpus as u32),
            vcpus: [Mutex::new(new(a)?), Mutex::new(new(b)?), Mutex::new(new(c)?)],
            slices: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        })
    }

    /// The reports of the guests, in the order of the scenario's roles.
    pub fn into_reports(self) -> [GuestReport; 3] {
        self.vcpus.map(|vcpu| vcpu.into_inner().report)
    }

    /// A vCPU for the CPU with this number, from the place `from` in the round robin on,
    /// with its place: one that has not finished and whose turn it is here. Each vCPU
    /// goes to the next CPU after every slice.
    pub fn take(&self, number: usize, from: usize) -> Option<(usize, MutexGuard<'_, Vcpu<P>>)> {
        let places = self.vcpus.iter().enumerate().cycle().skip(from).take(self.vcpus.len());
        for (place, vcpu) in places {
            let Some(vcpu) = vcpu.try_lock() else { continue };
            let turn = (place as u64 + vcpu.report.switches) % self.scenario.cpus as u64;
            if !vcpu.finished && turn == number as u64 {
                return Some((place, vcpu));
            }
        }
        None
    }

    /// Whether every guest has ended.
    pub fn all_finished(&self) -> bool {
        self.vcpus.iter().all(|vcpu| vcpu.try_lock().is_some_and(|vcpu| vcpu.finished))
    }

    /// Counts a slice; how many there were, and will be.
    pub fn count_slice(&self) -> (u64, u64) {
        let planned = self.vcpus.len() as u64 * (self.scenario.rounds + 1);
        (self.slices.fetch_add(1, Relaxed) + 1, planned)
    }

    /// Nobody goes on.
    pub fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Whether another CPU met an error.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }
}
