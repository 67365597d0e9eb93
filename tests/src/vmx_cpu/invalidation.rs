//! INVEPT and INVVPID. This CPU keeps no translations: the operands are judged, and that
//! is all.

use vmx_core::VmxError;
use vmx_core::capability::EptVpidCapabilities;
use vmx_core::cpu::{InvalidateTranslations, InveptScope, InvvpidScope};

use super::instructions::VmxCpu;

impl InvalidateTranslations for VmxCpu<'_> {
    /// Error 28 for a type that the CPU does not list, and for an EPT pointer with
    /// reserved bits or another page-walk length than 4.
    fn invept(&mut self, scope: InveptScope) -> Result<(), VmxError> {
        let has = self.translation_instruction("INVEPT", EptVpidCapabilities::INVEPT);
        let is_valid = match scope {
            InveptScope::AllContexts => has(EptVpidCapabilities::INVEPT_ALL_CONTEXTS),
            InveptScope::SingleContext { ept_pointer } => {
                const RESERVED: u64 = 0xF00;
                const WALK_LENGTH_4: u64 = 3;
                has(EptVpidCapabilities::INVEPT_SINGLE_CONTEXT)
                    && ept_pointer & RESERVED == 0
                    && ept_pointer >> 3 & 0b111 == WALK_LENGTH_4
                    && ept_pointer >> self.capabilities.physical_address_width == 0
            }
        };
        if is_valid { Ok(()) } else { Err(self.fail(28)) }
    }

    /// Error 28 for a type that the CPU does not list, for VPID 0, and for a linear
    /// address that is not canonical.
    fn invvpid(&mut self, scope: InvvpidScope) -> Result<(), VmxError> {
        use EptVpidCapabilities as Has;
        let has = self.translation_instruction("INVVPID", Has::INVVPID);
        let is_valid = match scope {
            InvvpidScope::IndividualAddress { vpid, linear_address } => {
                let width = self.capabilities.linear_address_width;
                let is_canonical = width.is_canonical(linear_address);
                has(Has::INVVPID_INDIVIDUAL_ADDRESS) && vpid != 0 && is_canonical
            }
            InvvpidScope::SingleContext { vpid } => has(Has::INVVPID_SINGLE_CONTEXT) && vpid != 0,
            InvvpidScope::AllContexts => has(Has::INVVPID_ALL_CONTEXTS),
            InvvpidScope::SingleContextRetainingGlobals { vpid } => {
                has(Has::INVVPID_SINGLE_CONTEXT_RETAINING_GLOBALS) && vpid != 0
            }
        };
        if is_valid { Ok(()) } else { Err(self.fail(28)) }
    }
}

impl VmxCpu<'_> {
    /// Whether the CPU has a capability, once the instruction itself raises no #UD.
    fn translation_instruction(
        &self,
        name: &str,
        instruction: EptVpidCapabilities,
    ) -> impl Fn(EptVpidCapabilities) -> bool + use<> {
        let has = self.capabilities.ept_vpid;
        assert!(self.in_vmx_operation(), "#UD in the host: {name} outside VMX operation");
        assert!(has.contains(instruction), "#UD in the host: this CPU has no {name}");
        move |capability| has.contains(capability)
    }
}
