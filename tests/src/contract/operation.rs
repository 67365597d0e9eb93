//! What can happen to two vCPUs on two CPUs.

use cet_policy::{GuestCet, Reset};
use vmx_core::cet::SspRegister;

use crate::contract::machine::XSS_CET_S;

/// One step of a history. The first number is the vCPU.
///
/// Guest operations happen only while the vCPU is loaded. Reading is not among
/// them: after every step the checker looks through all eyes of every guest
/// (RDMSR, XSAVES, a ring change) and of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The scheduler runs the vCPU on a CPU: puts it elsewhere and whoever is there
    /// first, then loads. Where it is loaded already, it is loaded again.
    Run(usize, usize),
    /// Put, also if the vCPU is parked.
    Put(usize),
    /// Put and load on the same CPU, often enough for an idle guest to be noticed.
    Churn(usize),
    /// Guest: WRMSR of one of the three.
    Write(usize, SspRegister, u64),
    /// Guest: WRMSR of IA32_XSS.
    WriteXss(usize, u64),
    /// Guest: WRMSR of IA32_S_CET.
    WriteSCet(usize, u64),
    /// Guest: XRSTORS of component 12.
    Xrstors(usize, [u64; 3]),
    /// Host: changes one register of the vCPU.
    HostWrite(usize, SspRegister, u64),
    /// Host: writes IA32_S_CET, as when a snapshot is restored.
    HostSCet(usize, u64),
    /// Host: restores a snapshot.
    Restore(usize, [u64; 3]),
    /// Power-up or INIT.
    Reset(usize, Reset),
    /// The guest is offered something else: its CPUID is rewritten.
    SetGuest(usize, GuestCet),
    /// Guest: WRMSR of one of the three that exits, and the handler is torn away at
    /// its access of this number; put and load follow.
    InterruptedWrite(usize, SspRegister, u64, u32),
}

/// A guest that is offered shadow stacks with component 12.
pub const OFFERED: GuestCet =
    GuestCet { shadow_stacks: true, indirect_branch_tracking: true, xss: XSS_CET_S };
/// A guest that is offered nothing.
pub const NOT_OFFERED: GuestCet =
    GuestCet { shadow_stacks: false, indirect_branch_tracking: false, xss: 0 };
/// A guest with shadow stacks, without branch tracking and without component 12.
pub const SHADOW_STACKS_ONLY: GuestCet =
    GuestCet { shadow_stacks: true, indirect_branch_tracking: false, xss: 0 };

const SH_STK_EN: u64 = 1;

/// The steps of the exhaustive search: vCPU 0 does everything, on two CPUs; vCPU 1
/// comes and goes, and looks for what is left.
pub fn alphabet() -> Vec<Op> {
    use SspRegister::{Pl0, Pl1, Pl2};
    vec![
        Op::Run(0, 0),
        Op::Run(0, 1),
        Op::Run(1, 0),
        Op::Put(0),
        Op::Put(1),
        Op::Write(0, Pl0, 0x1000),
        Op::Write(0, Pl2, 0x1020),
        Op::Write(0, Pl0, 0),
        Op::WriteXss(0, XSS_CET_S),
        Op::WriteXss(0, 0),
        Op::Xrstors(0, [0x1100, 0x1110, 0x1120]),
        Op::WriteSCet(0, SH_STK_EN),
        Op::WriteSCet(0, 0),
        Op::HostWrite(0, Pl1, 0x1210),
        Op::Restore(0, [0, 0, 0x1320]),
        Op::Reset(0, Reset::Init),
        Op::Reset(0, Reset::PowerUp),
        Op::SetGuest(0, NOT_OFFERED),
        Op::SetGuest(0, OFFERED),
        Op::Churn(0),
        Op::Write(1, Pl1, 0x2010),
        Op::WriteXss(1, XSS_CET_S),
        Op::WriteSCet(1, SH_STK_EN),
    ]
}

/// Addresses that are canonical for 57 bits only, by every way into the registers.
pub fn wide_address_alphabet() -> Vec<Op> {
    use SspRegister::{Pl0, Pl1, Pl2};
    const WIDE: u64 = 1 << 55;
    const WIDE_BITMAP_BASE: u64 = 1 << 54;
    vec![
        Op::Run(0, 0),
        Op::Run(0, 1),
        Op::Run(1, 0),
        Op::Put(0),
        Op::Churn(0),
        Op::Write(0, Pl0, WIDE),
        Op::Write(0, Pl2, 0x1020),
        Op::Write(0, Pl0, 1 << 60),
        Op::WriteXss(0, XSS_CET_S),
        Op::Xrstors(0, [0x1100, WIDE + 0x10, 0x1120]),
        Op::WriteSCet(0, SH_STK_EN),
        Op::WriteSCet(0, WIDE_BITMAP_BASE),
        Op::HostSCet(0, WIDE_BITMAP_BASE),
        Op::HostWrite(0, Pl1, WIDE + 0x20),
        Op::HostWrite(0, Pl1, 1 << 60),
        Op::Restore(0, [0, 0x1310, WIDE + 0x30]),
        Op::Reset(0, Reset::Init),
        Op::SetGuest(0, NOT_OFFERED),
        Op::SetGuest(0, OFFERED),
        Op::Write(1, Pl1, 0x2010),
    ]
}

/// Writes whose handler is torn away, and what may come around them.
pub fn interrupting_alphabet() -> Vec<Op> {
    let mut ops = vec![
        Op::Run(0, 0),
        Op::Run(0, 1),
        Op::Run(1, 0),
        Op::Put(0),
        Op::Write(0, SspRegister::Pl0, 0x1000),
        Op::Write(1, SspRegister::Pl1, 0x2010),
        Op::Restore(0, [0, 0x1310, 0x1320]),
        Op::Reset(0, Reset::Init),
    ];
    // Saving the host's values and loading the guest's takes six accesses at most.
    ops.extend((0..6).map(|access| Op::InterruptedWrite(0, SspRegister::Pl0, 0x1400, access)));
    ops
}

/// More steps, for random histories: every register, illegal values, both vCPUs.
pub fn wide_alphabet() -> Vec<Op> {
    const NON_CANONICAL: u64 = 0x4000_0000_0000_0000;
    let mut ops = alphabet();
    for vcpu in 0..2 {
        let own = 0x1_0000 * (vcpu as u64 + 1);
        ops.extend([Op::Run(vcpu, 0), Op::Run(vcpu, 1), Op::Put(vcpu), Op::Churn(vcpu)]);
        for (number, register) in (0u64..).zip(SspRegister::ALL) {
            ops.extend([
                Op::Write(vcpu, register, own + 8 * number),
                Op::Write(vcpu, register, 0),
                Op::Write(vcpu, register, own + 2),
                Op::Write(vcpu, register, NON_CANONICAL),
                Op::HostWrite(vcpu, register, own + 0x100 + 8 * number),
                Op::HostWrite(vcpu, register, 0),
            ]);
        }
        ops.extend([
            Op::WriteXss(vcpu, XSS_CET_S),
            Op::WriteXss(vcpu, 0),
            Op::WriteXss(vcpu, 1 << 11),
            Op::Xrstors(vcpu, [own + 0x200, own + 0x210, own + 0x220]),
            Op::Xrstors(vcpu, [0; 3]),
            Op::Xrstors(vcpu, [1, 0, 0]),
            Op::WriteSCet(vcpu, SH_STK_EN),
            Op::WriteSCet(vcpu, 0),
            Op::WriteSCet(vcpu, 0b111),
            Op::WriteSCet(vcpu, 1 << 6),
            Op::WriteSCet(vcpu, 3 << 10),
            Op::WriteSCet(vcpu, NON_CANONICAL),
            Op::HostSCet(vcpu, SH_STK_EN),
            Op::HostSCet(vcpu, 0),
            Op::Restore(vcpu, [own + 0x300, 0, own + 0x320]),
            Op::Restore(vcpu, [0; 3]),
            Op::Restore(vcpu, [8, 2, 8]),
            Op::Reset(vcpu, Reset::Init),
            Op::Reset(vcpu, Reset::PowerUp),
            Op::SetGuest(vcpu, OFFERED),
            Op::SetGuest(vcpu, NOT_OFFERED),
            Op::SetGuest(vcpu, SHADOW_STACKS_ONLY),
        ]);
    }
    ops
}
