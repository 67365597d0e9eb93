//! What software can do with VMX operation, VMCSs and requests.

use vmx_tests::vmx_cpu::Instruction;

/// One step of a history. `cpu`, `vmcs`, `ended` and `token` are places: the CPU of this
/// number, the VMCS in this slot, and so on. A token is a request or a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub(crate) enum Step {
    Enter {
        cpu: usize,
    },
    Leave {
        cpu: usize,
    },
    LeaveByForce {
        cpu: usize,
    },
    /// The CPU is reset, and software notices.
    Reset {
        cpu: usize,
    },
    /// The value that a kernel keeps for the CPU is dropped; there is a new one then.
    DropOperation {
        cpu: usize,
    },
    /// The next of these instructions fails.
    Fail {
        cpu: usize,
        instruction: Instruction,
    },

    Release {
        ended: usize,
        vmcs: usize,
    },
    TakePage {
        ended: usize,
    },
    DropEnded {
        ended: usize,
    },

    /// A new VMCS in an empty slot.
    Make {
        vmcs: usize,
    },
    /// The same by `build`, whose closure succeeds or not.
    Build {
        cpu: usize,
        vmcs: usize,
        succeeds: bool,
    },
    Load {
        cpu: usize,
        vmcs: usize,
    },
    /// Load, and enter the guest.
    Run {
        cpu: usize,
        vmcs: usize,
    },
    Clear {
        cpu: usize,
        vmcs: usize,
    },
    ClearAll {
        cpu: usize,
    },
    IntoOwner {
        vmcs: usize,
    },
    Drop {
        vmcs: usize,
    },
    Forget {
        vmcs: usize,
    },

    Request {
        vmcs: usize,
    },
    Serve {
        cpu: usize,
        token: usize,
    },
    Accept {
        vmcs: usize,
        token: usize,
    },
    Cancel {
        vmcs: usize,
        token: usize,
    },
    ForgetToken {
        token: usize,
    },

    Post {
        cpu: usize,
        token: usize,
    },
    ServeMailbox {
        cpu: usize,
    },
    Poll {
        cpu: usize,
    },
    Withdraw {
        cpu: usize,
    },
    DropPosted {
        cpu: usize,
    },
    ForgetPosted {
        cpu: usize,
    },
}

/// How many there may be at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) cpus: usize,
    pub(crate) vmcss: usize,
    pub(crate) ended: usize,
    /// Requests and receipts, with those in mailboxes.
    pub(crate) tokens: usize,
    pub(crate) pages: usize,
}

impl Step {
    /// Whether what it drops or forgets may leak a page.
    pub(crate) fn may_leak(self) -> bool {
        matches!(
            self,
            Self::DropOperation { .. }
                | Self::DropEnded { .. }
                | Self::Drop { .. }
                | Self::Forget { .. }
                | Self::ForgetToken { .. }
                | Self::DropPosted { .. }
                | Self::ForgetPosted { .. }
        )
    }
}

/// Every step that there is in a world of this size, but for failing instructions.
pub(crate) fn alphabet(size: Size) -> Vec<Step> {
    let mut steps = Vec::new();
    for cpu in 0..size.cpus {
        steps.extend([
            Step::Enter { cpu },
            Step::Leave { cpu },
            Step::LeaveByForce { cpu },
            Step::Reset { cpu },
            Step::DropOperation { cpu },
            Step::ClearAll { cpu },
            Step::ServeMailbox { cpu },
            Step::Poll { cpu },
            Step::Withdraw { cpu },
            Step::DropPosted { cpu },
            Step::ForgetPosted { cpu },
        ]);
        for vmcs in 0..size.vmcss {
            steps.extend([
                Step::Build { cpu, vmcs, succeeds: true },
                Step::Build { cpu, vmcs, succeeds: false },
                Step::Load { cpu, vmcs },
                Step::Run { cpu, vmcs },
                Step::Clear { cpu, vmcs },
            ]);
        }
        for token in 0..size.tokens {
            steps.extend([Step::Serve { cpu, token }, Step::Post { cpu, token }]);
        }
    }
    for vmcs in 0..size.vmcss {
        steps.extend([
            Step::Make { vmcs },
            Step::IntoOwner { vmcs },
            Step::Drop { vmcs },
            Step::Forget { vmcs },
            Step::Request { vmcs },
        ]);
        for token in 0..size.tokens {
            steps.extend([Step::Accept { vmcs, token }, Step::Cancel { vmcs, token }]);
        }
        for ended in 0..size.ended {
            steps.push(Step::Release { ended, vmcs });
        }
    }
    for ended in 0..size.ended {
        steps.extend([Step::TakePage { ended }, Step::DropEnded { ended }]);
    }
    steps.extend((0..size.tokens).map(|token| Step::ForgetToken { token }));
    steps
}

/// Every failing instruction, for [`alphabet`].
pub(crate) fn failures(size: Size) -> Vec<Step> {
    use Instruction::{Vmclear, Vmptrld, Vmxoff, Vmxon};
    let all = [Vmxon, Vmxoff, Vmclear, Vmptrld];
    let on = |cpu| all.map(|instruction| Step::Fail { cpu, instruction });
    (0..size.cpus).flat_map(on).collect()
}
