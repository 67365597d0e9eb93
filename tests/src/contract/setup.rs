//! The machine on which a policy is checked.

use cet_policy::{CpuCet, GuestCet, HostCet, HostMode, HostXss, Refused};
use vmx_core::Capabilities;
use vmx_core::capability::FixedBits;
use vmx_core::capability::VmxBasic;
use vmx_core::control::AllowedSettings;
use vmx_core::memory::LinearAddressWidth;

use crate::contract::machine::{Hardware, XSS_CET_S};
use crate::contract::operation::OFFERED;

/// What a search runs on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whether the host uses shadow stacks itself.
    pub mode: HostMode,
    /// The CPUs.
    pub hardware: Hardware,
    /// IA32_XSS while the host runs. A guest to which it is passed through can set the
    /// bit of component 12 and no other.
    pub host_xss: HostXss,
    /// The hypervisor forgets to write its IA32_XSS back before a put.
    pub forgets_host_xss: bool,
    /// What the two guests are offered at the start.
    pub offered: [GuestCet; 2],
    /// Whether a put of a parked and a load of a loaded vCPU must touch nothing. Off:
    /// to find what else is wrong with a policy that breaks this.
    pub count_accesses: bool,
    /// The longest history of the exhaustive search, in steps.
    pub depth: usize,
}

impl Setup {
    /// Two guests with shadow stacks on CPUs that take every freedom.
    pub const fn new(mode: HostMode) -> Self {
        Self {
            mode,
            hardware: Hardware::FREE,
            host_xss: HostXss::Fixed(XSS_CET_S),
            forgets_host_xss: false,
            offered: [OFFERED, OFFERED],
            count_accesses: true,
            depth: 4,
        }
    }

    /// The host, as the policies see it.
    ///
    /// # Errors
    /// [`Refused`] if this machine cannot have guests with shadow stacks.
    pub fn host(&self) -> Result<HostCet, Refused> {
        let all = cpu_cet(self.hardware.width);
        let cpu = match self.host_xss {
            HostXss::Fixed(_) => all,
            HostXss::PassedThrough => CpuCet { supported_xss: XSS_CET_S, ..all },
        };
        HostCet::new(cpu, &capabilities(), self.mode, self.host_xss)
    }
}

/// A CPU that has everything.
pub const fn cpu_cet(linear_address_width: LinearAddressWidth) -> CpuCet {
    CpuCet {
        shadow_stacks: true,
        indirect_branch_tracking: true,
        os_xsave: true,
        task_switched: false,
        xsaves: true,
        supported_xss: 3 << 11,
        cet_s_size: 24,
        linear_address_width,
    }
}

/// A VMX that allows every control.
pub const fn capabilities() -> Capabilities {
    const ANY: AllowedSettings = AllowedSettings::from_msr(0xFFFF_FFFF_0000_0000);
    const FIXED: FixedBits = FixedBits { must_be_one: 0, may_be_one: u64::MAX };
    Capabilities {
        basic: VmxBasic(0x01D8_1000_0000_0004),
        pin_based: ANY,
        primary: ANY,
        secondary: ANY,
        exit: ANY,
        entry: ANY,
        cr0_fixed: FIXED,
        cr4_fixed: FIXED,
        linear_address_width: LinearAddressWidth::Bits48,
        ..Capabilities::NOTHING
    }
}
