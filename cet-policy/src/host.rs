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

/// A machine on which guests may have shadow stacks: every precondition holds.
///
/// Make one for all vCPUs. It is small and `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCet {
    pub(crate) cpu: CpuCet,
    pub(crate) mode: HostMode,
    pub(crate) xss: u64,
}

impl HostCet {
    /// Checks what every policy needs. `host_xss` is the value that IA32_XSS has
    /// whenever the host runs; it must not change as long as vCPUs live.
    ///
    /// # Errors
    /// [`Refused`] names what the CPU lacks.
    pub fn new(
        cpu: CpuCet,
        capabilities: &Capabilities,
        mode: HostMode,
        host_xss: u64,
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
        if host_xss & !cpu.supported_xss != 0 {
            return Err(Refused::UnsupportedXss { bits: host_xss & !cpu.supported_xss });
        }
        Ok(Self { cpu, mode, xss: host_xss })
    }

    /// What XSAVES and XRSTORS of component 12 need, for policies that use them.
    ///
    /// # Errors
    /// [`Refused`] names what is missing.
    pub fn require_cet_s_xstate(&self) -> Result<(), Refused> {
        if !self.cpu.xsaves {
            Err(Refused::NoXsaves)
        } else if !self.cpu.os_xsave {
            Err(Refused::NoOsXsave)
        } else if self.cpu.supported_xss & CET_S == 0 || self.cpu.cet_s_size != 24 {
            Err(Refused::NoCetSComponent)
        } else if self.xss & CET_S == 0 {
            Err(Refused::HostXssLacksCetS)
        } else {
            Ok(())
        }
    }

    /// Checks that a guest is offered only what the CPU has.
    ///
    /// # Errors
    /// [`Refused`] names what it lacks.
    pub fn check_guest(&self, guest: &GuestCet) -> Result<(), Refused> {
        if guest.indirect_branch_tracking && !self.cpu.indirect_branch_tracking {
            return Err(Refused::NoIndirectBranchTracking);
        }
        let unsupported = guest.xss & !self.cpu.supported_xss;
        if unsupported != 0 {
            return Err(Refused::UnsupportedXss { bits: unsupported });
        }
        if guest.xss & CET_S != 0 && !guest.shadow_stacks {
            return Err(Refused::CetSWithoutShadowStacks);
        }
        Ok(())
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
    /// The host's IA32_XSS has bit 12 clear, and the policy needs it set.
    HostXssLacksCetS,
    /// IA32_XSS bits that the CPU does not take.
    UnsupportedXss {
        /// The bits.
        bits: u64,
    },
    /// IA32_XSS\[12\] offered to a guest without shadow stacks.
    CetSWithoutShadowStacks,
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
            Self::HostXssLacksCetS => {
                "the host's IA32_XSS has bit 12 clear: set it at boot to use this policy"
            }
            Self::UnsupportedXss { bits } => {
                return write!(f, "IA32_XSS of this CPU does not take bits {bits:#x}");
            }
            Self::CetSWithoutShadowStacks => {
                "IA32_XSS[12] is offered to a guest that is not offered shadow stacks"
            }
        })
    }
}

impl core::error::Error for Refused {}
