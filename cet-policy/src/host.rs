//! What a policy needs of the machine, checked once.

use core::fmt;

use vmx_core::Capabilities;
use vmx_core::cet::CET_S;
use vmx_core::control::{EntryControls, ExitControls};
use vmx_core::memory::LinearAddressWidth;

use crate::features::{CpuCet, GuestCet};

/// Whether the host has use for IA32_PL0_SSP to IA32_PL2_SSP itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostMode {
    /// It has: its values are back in the registers after every put, and stay in
    /// them while a lazy policy is inactive.
    UsesShadowStacks,
    /// It has not: after put the registers hold what the guest left there, which
    /// no one may take for meaningful.
    DoesNot,
}

/// What IA32_XSS holds while the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostXss {
    /// This value, whenever the host runs: the hypervisor writes the guest's
    /// ([`VcpuCet::xss`](crate::VcpuCet::xss)) before VM entry and this one after VM
    /// exit, where they differ. The guest's WRMSR exits. On a CPU without the register
    /// it is 0.
    Fixed(u64),
    /// Whatever the guest that ran here wrote last: its RDMSR and WRMSR do not exit, and
    /// the hypervisor writes nothing back. It saves and loads the register itself when
    /// another vCPU comes, and tells [`VcpuCet`](crate::VcpuCet::guest_writes_xss) where
    /// it matters.
    ///
    /// The guest can set every bit that the CPU takes, so it must be
    /// [offered](GuestCet::xss) all of them. Policies that use XSAVES are refused, since
    /// bit 12 may be 0 when they work, and [`LazyIntercept`](crate::LazyIntercept) is
    /// active from the start, since XRSTORS may come at any time.
    PassedThrough,
}

/// A machine on which guests may have shadow stacks, every precondition checked, or one
/// that [offers none](Self::offering_nothing).
///
/// Make one for all vCPUs. It is small and `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCet {
    /// What guests can be offered: without shadow stacks and branch tracking for a
    /// machine that offers nothing.
    pub(crate) cpu: CpuCet,
    pub(crate) mode: HostMode,
    /// IA32_XSS\[12\] is 1 whenever the host runs.
    xss_has_cet_s: bool,
    pub(crate) passes_xss: bool,
}

impl HostCet {
    /// Checks what every policy needs. `mode` and `xss` must stay true as long as vCPUs
    /// live.
    ///
    /// # Errors
    /// [`Refused`] names what the CPU lacks.
    pub fn new(
        cpu: CpuCet,
        capabilities: &Capabilities,
        mode: HostMode,
        xss: HostXss,
    ) -> Result<Self, Refused> {
        if !cpu.shadow_stacks {
            return Err(Refused::NoShadowStacks);
        }
        if !capabilities.entry.allows(EntryControls::LOAD_CET_STATE) {
            return Err(Refused::NoLoadCetStateOnEntry);
        }
        if !capabilities.exit.allows(ExitControls::LOAD_CET_STATE) {
            return Err(Refused::NoLoadCetStateOnExit);
        }
        Self::with_xss(cpu, mode, xss)
    }

    /// A machine whose guests have no CET, for whatever reason: the CPU lacks it, or its
    /// VMX does, or nobody wants it. Every type works as elsewhere: a `VcpuCet` of it, of
    /// any policy, answers CET MSRs with #GP(0), touches no register and no CET field of
    /// the VMCS, and still keeps the guest's IA32_XSS.
    ///
    /// ```
    /// use cet_policy::{CpuCet, GuestCet, HostCet, HostMode, HostXss, Refused};
    /// use vmx_core::Capabilities;
    ///
    /// /// Shadow stacks for guests where the machine has what it takes.
    /// fn host(cpu: CpuCet, capabilities: &Capabilities) -> Result<HostCet, Refused> {
    ///     let xss = HostXss::Fixed(0);
    ///     HostCet::new(cpu, capabilities, HostMode::DoesNot, xss)
    ///         .or_else(|_reason| HostCet::offering_nothing(cpu, xss))
    /// }
    ///
    /// /// What its guests get.
    /// fn guest(host: &HostCet) -> GuestCet {
    ///     GuestCet { shadow_stacks: host.offers_shadow_stacks(), ..GuestCet::default() }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Refused::UnsupportedXss`].
    pub fn offering_nothing(cpu: CpuCet, xss: HostXss) -> Result<Self, Refused> {
        let cpu = CpuCet { shadow_stacks: false, indirect_branch_tracking: false, ..cpu };
        Self::with_xss(cpu, HostMode::DoesNot, xss)
    }

    const fn with_xss(cpu: CpuCet, mode: HostMode, xss: HostXss) -> Result<Self, Refused> {
        let (value, passes_xss) = match xss {
            HostXss::Fixed(value) => (value, false),
            HostXss::PassedThrough => (0, true),
        };
        let unsupported = value & !cpu.supported_xss;
        if unsupported != 0 {
            return Err(Refused::UnsupportedXss { bits: unsupported });
        }
        Ok(Self { cpu, mode, xss_has_cet_s: value & CET_S != 0, passes_xss })
    }

    /// What XSAVES and XRSTORS of component 12 need, for policies that use them. Where
    /// guests are [offered nothing](Self::offering_nothing) a policy never does.
    ///
    /// # Errors
    /// [`Refused`] names what is missing.
    pub fn require_cet_s_xstate(&self) -> Result<(), Refused> {
        if !self.offers_shadow_stacks() {
            Ok(())
        } else if !self.cpu.xsaves {
            Err(Refused::NoXsaves)
        } else if !self.cpu.os_xsave {
            Err(Refused::NoOsXsave)
        } else if self.cpu.supported_xss & CET_S == 0 || self.cpu.cet_s_size != 24 {
            Err(Refused::NoCetSComponent)
        } else if self.cpu.task_switched {
            Err(Refused::TaskSwitched)
        } else if self.passes_xss {
            Err(Refused::HostXssPassedThrough)
        } else if !self.xss_has_cet_s {
            Err(Refused::HostXssLacksCetS)
        } else {
            Ok(())
        }
    }

    /// Checks that a guest is offered only what the machine has.
    ///
    /// # Errors
    /// [`Refused`] names what it lacks.
    pub fn check_guest(&self, guest: &GuestCet) -> Result<(), Refused> {
        if !self.offers_shadow_stacks() && (guest.shadow_stacks || guest.indirect_branch_tracking) {
            return Err(Refused::OffersNothing);
        }
        if guest.indirect_branch_tracking && !self.cpu.indirect_branch_tracking {
            return Err(Refused::NoIndirectBranchTracking);
        }
        let unsupported = guest.xss & !self.cpu.supported_xss;
        if unsupported != 0 {
            return Err(Refused::UnsupportedXss { bits: unsupported });
        }
        let hidden = self.cpu.supported_xss & !guest.xss;
        if self.passes_xss && hidden != 0 {
            return Err(Refused::XssPassedThrough { bits: hidden });
        }
        if guest.xss & CET_S != 0 && !guest.shadow_stacks {
            return Err(Refused::CetSWithoutShadowStacks);
        }
        Ok(())
    }

    /// Whether guests can have shadow stacks: `false` for a machine that
    /// [offers nothing](Self::offering_nothing). Then the CET fields of the VMCS may not
    /// exist either.
    pub const fn offers_shadow_stacks(&self) -> bool {
        self.cpu.shadow_stacks
    }

    /// Whether the host has use for the registers.
    pub const fn mode(&self) -> HostMode {
        self.mode
    }

    /// The width by which values are judged.
    pub const fn linear_address_width(&self) -> LinearAddressWidth {
        self.cpu.linear_address_width
    }
}

/// Why a machine, a guest or a policy is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// CPUID.(7,0):ECX\[7\] is 0.
    NoShadowStacks,
    /// CPUID.(7,0):EDX\[20\] is 0.
    NoIndirectBranchTracking,
    /// VM-entry control 20 cannot be 1.
    NoLoadCetStateOnEntry,
    /// VM-exit control 28 cannot be 1: the guest's IA32_S_CET would stay live in
    /// the host.
    NoLoadCetStateOnExit,
    /// CPUID.(D,1):EAX\[3\] is 0.
    NoXsaves,
    /// CR4.OSXSAVE is 0.
    NoOsXsave,
    /// Component 12 is missing, or is not 24 bytes long.
    NoCetSComponent,
    /// CR0.TS is 1: XSAVES and XRSTORS raise #NM.
    TaskSwitched,
    /// The host's IA32_XSS has bit 12 clear, and the policy needs it set.
    HostXssLacksCetS,
    /// The host's IA32_XSS is what a guest wrote, and the policy needs bit 12 set.
    HostXssPassedThrough,
    /// IA32_XSS bits that the CPU does not take.
    UnsupportedXss {
        /// The bits.
        bits: u64,
    },
    /// IA32_XSS is passed through, and the guest is not offered all its bits.
    XssPassedThrough {
        /// The bits that it could set all the same.
        bits: u64,
    },
    /// IA32_XSS\[12\] offered to a guest without shadow stacks.
    CetSWithoutShadowStacks,
    /// CET offered by a machine that [offers none](HostCet::offering_nothing).
    OffersNothing,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoShadowStacks => "this CPU has no CET shadow stacks (CPUID.(7,0):ECX[7] is 0)",
            Self::NoIndirectBranchTracking => {
                "this CPU has no indirect-branch tracking (CPUID.(7,0):EDX[20] is 0)"
            }
            Self::NoLoadCetStateOnEntry => {
                "this CPU's VMX cannot load the guest's CET state (VM-entry control 20)"
            }
            Self::NoLoadCetStateOnExit => {
                "this CPU's VMX cannot load the host's CET state (VM-exit control 28)"
            }
            Self::NoXsaves => "this CPU has no XSAVES (CPUID.(D,1):EAX[3] is 0)",
            Self::NoOsXsave => "the XSAVE feature set is not enabled (CR4.OSXSAVE is 0)",
            Self::NoCetSComponent => {
                "this CPU's XSAVES does not manage CET_S (component 12 of CPUID leaf D)"
            }
            Self::TaskSwitched => {
                "CR0.TS is 1, so that XSAVES raises #NM: clear it before this policy works, or use \
                 another policy"
            }
            Self::HostXssLacksCetS => {
                "the host's IA32_XSS has bit 12 clear: set it at boot to use this policy"
            }
            Self::HostXssPassedThrough => {
                "the host's IA32_XSS is the guest's, with bit 12 as the guest likes: fix the \
                 host's value to use this policy"
            }
            Self::UnsupportedXss { bits } => {
                return write!(f, "IA32_XSS of this CPU does not take bits {bits:#x}");
            }
            Self::XssPassedThrough { bits } => {
                return write!(
                    f,
                    "IA32_XSS is passed through, so the guest can set bits {bits:#x} too: offer \
                     them, or let WRMSR of it exit"
                );
            }
            Self::CetSWithoutShadowStacks => {
                "IA32_XSS[12] is offered to a guest that is not offered shadow stacks"
            }
            Self::OffersNothing => "CET is offered by a host that was made to offer none",
        })
    }
}

impl core::error::Error for Refused {}
