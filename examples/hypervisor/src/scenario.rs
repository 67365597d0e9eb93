//! What to run, and who hears of it.

use cet_policy::HostMode;
use vmx_core::entry_check::Explanation;

use crate::guest_dump::GuestDump;
use crate::guest_program::Role;

/// CPUs that a scenario can have.
pub const MAX_CPUS: usize = 2;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Whether the host has use for the registers.
    pub mode: HostMode,
    /// Whether the hypervisor runs on a shadow stack that IA32_PL0_SSP points to.
    pub on_shadow_stack: bool,
    /// The value that IA32_XSS has whenever the host runs.
    pub host_xss: u64,
    /// How many CPUs share the guests, up to [`MAX_CPUS`].
    pub cpus: usize,
    /// Rounds of each guest; each ends with a switch.
    pub rounds: u64,
    /// The guests, in the order of the round robin.
    pub roles: [Role; 3],
    /// Something to break on purpose, to see it reported.
    pub fault: Option<Fault>,
}

/// What can be broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host state of the VMCS: entry fails with VM-instruction error 8.
    HostState,
    /// The guest state: entry fails with exit reason 33.
    GuestState,
    /// A VMCS is not cleared where it comes from, so the next CPU does not load it.
    NoClear,
    /// The last CPU does not enter VMX operation, so the others leave it again.
    Enter,
}

/// Who hears of a run while it goes on.
pub trait Observer {
    /// So many switches are done, of so many. Said by the first CPU.
    fn progress(&mut self, done: u64, planned: u64);

    /// VM entry failed, for these reasons; the guest's state comes next.
    fn entry_failed(&mut self, explanation: &Explanation);

    /// A guest cannot go on; the run ends with the error that follows.
    fn guest_stopped(&mut self, dump: &GuestDump);
}
