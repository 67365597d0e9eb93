//! The one external format of the state, whatever the policy.

/// A guest's supervisor shadow-stack state, for inspection, snapshots and
/// migration: the values of IA32_PL0_SSP, IA32_PL1_SSP and IA32_PL2_SSP.
///
/// Plain numbers: they are checked when they come in, since another machine may
/// have wider addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct SupervisorState {
    /// By ring.
    pub ssp: [u64; 3],
}
