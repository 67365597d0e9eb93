//! What keeps events from the guest: blocking, activity, pending debug
//! exceptions, and whether an interrupt or NMI can be injected now.
//!
//! Source: SDM, "Guest Non-Register State", "Checks on Guest Non-Register State",
//! "Interrupt-Window Exiting and Virtual-Interrupt Delivery", "NMI-Window Exiting".
//!
//! ```
//! use vmx_core::control::PrimaryControls;
//! use vmx_core::cpu::Rflags;
//! use vmx_core::event::{ActivityState, GuestEventState, InterruptibilityState};
//!
//! // An interrupt is pending, but the guest has just executed STI.
//! let guest = GuestEventState {
//!     rflags: Rflags::IF | Rflags::ALWAYS_ONE,
//!     interruptibility: InterruptibilityState::BLOCKING_BY_STI,
//!     activity: ActivityState::ACTIVE,
//!     injecting: false,
//! };
//! let blocked = guest.interrupt_blocked_by().unwrap();
//! assert_eq!(blocked.to_string(), "interrupts are blocked by STI");
//! // So let the guest exit as soon as it can take the interrupt.
//! let controls = PrimaryControls::INTERRUPT_WINDOW_EXITING;
//! assert_eq!(guest.window_exiting(true, false), controls);
//! ```

use core::fmt;

use crate::event::non_register_state::{ActivityState, InterruptibilityState};

use crate::control::execution::PrimaryControls;
use crate::cpu::register_bits::Rflags;
use crate::cpu::vmcs_access::VmcsAccess;
use crate::vmcs::error::VmxError;
use crate::vmcs::field;

/// What decides whether the next VM entry can deliver an interrupt or an NMI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestEventState {
    /// Guest RFLAGS.
    pub rflags: Rflags,
    /// Guest interruptibility state.
    pub interruptibility: InterruptibilityState,
    /// Guest activity state.
    pub activity: ActivityState,
    /// The VM-entry interruption information is valid: the next entry injects
    /// another event already, and there is room for one only.
    pub injecting: bool,
}

/// Why an event cannot be injected now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockedBy {
    /// RFLAGS.IF is 0; of no concern to NMIs.
    InterruptFlag,
    /// Blocking by STI. A CPU may refuse to inject an NMI then, so it counts for
    /// NMIs too.
    Sti,
    /// Blocking by MOV SS.
    MovSs,
    /// Blocking by NMI; of no concern to interrupts.
    Nmi,
    /// The guest does not take the event in this activity state.
    Activity(ActivityState),
    /// The next VM entry injects another event already.
    OtherEvent,
}

impl fmt::Display for BlockedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterruptFlag => f.write_str("RFLAGS.IF is 0"),
            Self::Sti => f.write_str("interrupts are blocked by STI"),
            Self::MovSs => f.write_str("events are blocked by MOV SS"),
            Self::Nmi => f.write_str("NMIs are blocked by an earlier NMI"),
            Self::Activity(state) => write!(f, "the guest is in activity state {state:?}"),
            Self::OtherEvent => f.write_str("the next VM entry injects another event already"),
        }
    }
}

impl core::error::Error for BlockedBy {}

impl GuestEventState {
    /// Reads the state from the current VMCS: four fields, each once.
    ///
    /// # Errors
    /// [`VmxError`] of the VMREAD that failed.
    pub fn read<V: VmcsAccess>(vmcs: &V) -> Result<Self, VmxError> {
        Ok(Self {
            rflags: vmcs.read(field::GUEST_RFLAGS)?,
            interruptibility: vmcs.read(field::GUEST_INTERRUPTIBILITY_STATE)?,
            activity: vmcs.read(field::GUEST_ACTIVITY_STATE)?,
            injecting: vmcs.read(field::VM_ENTRY_INTERRUPTION_INFORMATION)?.is_valid(),
        })
    }

    /// Why an external interrupt cannot be injected now; `None` if it can.
    pub const fn interrupt_blocked_by(&self) -> Option<BlockedBy> {
        if self.injecting {
            return Some(BlockedBy::OtherEvent);
        }
        if !matches!(self.activity, ActivityState::ACTIVE | ActivityState::HLT) {
            return Some(BlockedBy::Activity(self.activity));
        }
        if !self.rflags.contains(Rflags::IF) {
            return Some(BlockedBy::InterruptFlag);
        }
        self.blocked_by_instruction()
    }

    /// Why an NMI cannot be injected now; `None` if it can.
    ///
    /// Without "virtual NMIs", blocking by NMI is of physical NMIs; an injected one
    /// waits for it here all the same, as a guest expects.
    pub const fn nmi_blocked_by(&self) -> Option<BlockedBy> {
        use ActivityState as State;
        if self.injecting {
            return Some(BlockedBy::OtherEvent);
        }
        if !matches!(self.activity, State::ACTIVE | State::HLT | State::SHUTDOWN) {
            return Some(BlockedBy::Activity(self.activity));
        }
        if self.interruptibility.contains(InterruptibilityState::BLOCKING_BY_NMI) {
            return Some(BlockedBy::Nmi);
        }
        self.blocked_by_instruction()
    }

    /// The window-exiting controls that the next VM entry needs so that the guest
    /// exits once a pending event can be injected. Neither bit is set for an event
    /// that [`interrupt_blocked_by`](Self::interrupt_blocked_by) or
    /// [`nmi_blocked_by`](Self::nmi_blocked_by) lets through: inject it instead, and
    /// ask again for the other, with [`injecting`](Self::injecting) set.
    ///
    /// "NMI-window exiting" needs "virtual NMIs"; without it leave `nmi_pending`
    /// false, and retry at the next exit.
    pub const fn window_exiting(
        &self,
        interrupt_pending: bool,
        nmi_pending: bool,
    ) -> PrimaryControls {
        let mut controls = PrimaryControls::empty();
        if interrupt_pending && self.interrupt_blocked_by().is_some() {
            controls = controls.union(PrimaryControls::INTERRUPT_WINDOW_EXITING);
        }
        if nmi_pending && self.nmi_blocked_by().is_some() {
            controls = controls.union(PrimaryControls::NMI_WINDOW_EXITING);
        }
        controls
    }

    /// Blocking by STI and by MOV SS, which both last for one instruction.
    const fn blocked_by_instruction(&self) -> Option<BlockedBy> {
        if self.interruptibility.contains(InterruptibilityState::BLOCKING_BY_MOV_SS) {
            Some(BlockedBy::MovSs)
        } else if self.interruptibility.contains(InterruptibilityState::BLOCKING_BY_STI) {
            Some(BlockedBy::Sti)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::non_register_state::PendingDebugExceptions;
    use crate::vmcs::field::value::FieldValue;
    use proptest::prelude::*;

    fn any_state() -> impl Strategy<Value = GuestEventState> {
        (any::<u64>(), 0u32..32, 0u32..6, any::<bool>()).prop_map(
            |(rflags, interruptibility, activity, injecting)| GuestEventState {
                rflags: Rflags::from_bits_retain(rflags),
                interruptibility: InterruptibilityState::from_bits_retain(interruptibility),
                activity: ActivityState(activity),
                injecting,
            },
        )
    }

    proptest! {
        /// Each pending event is injected now or has its window, never both.
        #[test]
        fn an_event_is_injected_or_waits(state in any_state()) {
            let windows = state.window_exiting(true, true);
            prop_assert_eq!(
                windows.contains(PrimaryControls::INTERRUPT_WINDOW_EXITING),
                state.interrupt_blocked_by().is_some()
            );
            prop_assert_eq!(
                windows.contains(PrimaryControls::NMI_WINDOW_EXITING),
                state.nmi_blocked_by().is_some()
            );
            prop_assert!(state.window_exiting(false, false).is_empty());
        }

        #[test]
        fn field_values_keep_every_bit(raw: u64) {
            let low = raw & 0xFFFF_FFFF;
            prop_assert_eq!(InterruptibilityState::from_field(raw).into_field(), low);
            prop_assert_eq!(ActivityState::from_field(raw).into_field(), low);
            prop_assert_eq!(PendingDebugExceptions::from_field(raw).into_field(), raw);
        }
    }

    #[test]
    fn what_blocks_which_event() {
        let open = GuestEventState { rflags: Rflags::IF, ..GuestEventState::default() };
        let blocked =
            |state: GuestEventState| (state.interrupt_blocked_by(), state.nmi_blocked_by());
        let by = |bits| blocked(GuestEventState { interruptibility: bits, ..open });
        let in_activity = |activity| blocked(GuestEventState { activity, ..open });
        assert_eq!(blocked(open), (None, None));
        assert_eq!(
            blocked(GuestEventState { rflags: Rflags::empty(), ..open }),
            (Some(BlockedBy::InterruptFlag), None)
        );
        use InterruptibilityState as State;
        assert_eq!(by(State::BLOCKING_BY_STI), (Some(BlockedBy::Sti), Some(BlockedBy::Sti)));
        assert_eq!(by(State::BLOCKING_BY_MOV_SS), (Some(BlockedBy::MovSs), Some(BlockedBy::MovSs)));
        assert_eq!(by(State::BLOCKING_BY_NMI), (None, Some(BlockedBy::Nmi)));
        assert_eq!(by(State::BLOCKING_BY_SMI | State::ENCLAVE_INTERRUPTION), (None, None));
        assert_eq!(in_activity(ActivityState::HLT), (None, None));
        let shutdown = Some(BlockedBy::Activity(ActivityState::SHUTDOWN));
        assert_eq!(in_activity(ActivityState::SHUTDOWN), (shutdown, None));
        let waiting = Some(BlockedBy::Activity(ActivityState::WAIT_FOR_SIPI));
        assert_eq!(in_activity(ActivityState::WAIT_FOR_SIPI), (waiting, waiting));
    }
}
