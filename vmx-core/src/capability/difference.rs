//! Whether two CPUs can do the same.

use super::capabilities::Capabilities;

impl Capabilities {
    /// The name of the first capability in which two CPUs differ. The CPUs of one machine
    /// need not be equal; controls that are settled for one may be refused by another.
    ///
    /// ```
    /// use vmx_core::Capabilities;
    /// let other = Capabilities { physical_address_width: 46, ..Capabilities::NOTHING };
    /// assert_eq!(
    ///     Capabilities::NOTHING.first_difference(&other),
    ///     Some("physical-address width (CPUID.80000008H)")
    /// );
    /// assert_eq!(other.first_difference(&other), None);
    /// ```
    pub fn first_difference(&self, other: &Self) -> Option<&'static str> {
        let differs = [
            ("IA32_VMX_BASIC", self.basic != other.basic),
            ("IA32_VMX_PINBASED_CTLS", self.pin_based != other.pin_based),
            ("IA32_VMX_PROCBASED_CTLS", self.primary != other.primary),
            ("IA32_VMX_PROCBASED_CTLS2", self.secondary != other.secondary),
            ("IA32_VMX_PROCBASED_CTLS3", self.tertiary != other.tertiary),
            ("IA32_VMX_EXIT_CTLS", self.exit != other.exit),
            ("IA32_VMX_EXIT_CTLS2", self.secondary_exit != other.secondary_exit),
            ("IA32_VMX_ENTRY_CTLS", self.entry != other.entry),
            ("IA32_VMX_MISC", self.misc != other.misc),
            ("IA32_VMX_CR0_FIXED0 or FIXED1", self.cr0_fixed != other.cr0_fixed),
            ("IA32_VMX_CR4_FIXED0 or FIXED1", self.cr4_fixed != other.cr4_fixed),
            ("IA32_VMX_VMCS_ENUM", self.vmcs_enum != other.vmcs_enum),
            ("IA32_VMX_EPT_VPID_CAP", self.ept_vpid != other.ept_vpid),
            ("IA32_VMX_VMFUNC", self.vm_functions != other.vm_functions),
            (
                "linear-address width (CPUID.80000008H)",
                self.linear_address_width != other.linear_address_width,
            ),
            (
                "physical-address width (CPUID.80000008H)",
                self.physical_address_width != other.physical_address_width,
            ),
            ("shadow stacks (CPUID.7.0)", self.has_shadow_stacks != other.has_shadow_stacks),
            (
                "indirect-branch tracking (CPUID.7.0)",
                self.has_indirect_branch_tracking != other.has_indirect_branch_tracking,
            ),
        ];
        let named = differs.iter().find(|(_, differs)| *differs).map(|(name, _)| *name);
        // A capability that has no row above does not go unnoticed.
        named.or((self != other).then_some("capability without a name"))
    }
}
