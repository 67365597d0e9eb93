//! VM entries with random bits flipped: what the CPU answers must be what the rules
//! allow, for states that nobody thought of.

use vmx_core::Capabilities;
use vmx_core::entry_check::{EntryState, ExampleGuest, Outcome, Outcomes, check};
use vmx_core::vmcs::field;
use vmx_core::vmcs::field::{Encoding, FIELDS, Group, Width};
use vmx_tests::entry_cases::{NotShown, why_not_shown};

use crate::output::console::say;
use crate::output::exit::ExitKind;
use crate::trials::entry_trial::Bench;
use crate::trials::entry_trials::with_bench;

/// States to try.
const STATES: u64 = 5000;
/// Disagreements that are printed.
const PRINTED: u64 = 12;

/// Fields whose bits stay: what they hold decides where the guest reads, writes and
/// executes, or whether it exits, and the host state takes effect at the exit. Bochs
/// stops at a few values of CR4 that its own checks have let pass.
const LEFT_ALONE: [Encoding; 16] = [
    field::GUEST_CR3.encoding(),
    field::GUEST_CR4.encoding(),
    field::GUEST_RSP.encoding(),
    field::GUEST_RIP.encoding(),
    field::GUEST_SSP.encoding(),
    field::GUEST_ACTIVITY_STATE.encoding(),
    field::GUEST_IDTR_BASE.encoding(),
    field::GUEST_IDTR_LIMIT.encoding(),
    field::VMX_PREEMPTION_TIMER_VALUE.encoding(),
    field::VMCS_LINK_POINTER.encoding(),
    field::VM_ENTRY_INTERRUPTION_INFORMATION.encoding(),
    field::VM_ENTRY_MSR_LOAD_COUNT.encoding(),
    field::VM_EXIT_MSR_LOAD_COUNT.encoding(),
    field::VM_EXIT_MSR_STORE_COUNT.encoding(),
    field::VM_ENTRY_MSR_LOAD_ADDRESS.encoding(),
    field::EPT_POINTER.encoding(),
];

/// Bits of other fields that stay. The emulator stops at entry to SMM; without a timer
/// a guest could run on; the rules leave bit 11 of the pending debug exceptions to CPUs
/// with bus-lock detection, which Bochs has not; and the rest of the last two rows are
/// its departures `guest-s-cet-canonical` and `guest-pending-debug-32-bits`.
const BITS_LEFT_ALONE: [(Encoding, u64); 4] = [
    (field::VM_ENTRY_CONTROLS.encoding(), 1 << 10 | 1 << 11),
    (field::PIN_BASED_CONTROLS.encoding(), 1 << 6),
    (field::GUEST_S_CET.encoding(), !0xFFF),
    (field::GUEST_PENDING_DEBUG_EXCEPTIONS.encoding(), 0xFFFF_FFFF << 32 | 1 << 11),
];

/// Bits of an address that are judged by CR4.LA57 in Bochs, and by the width that the
/// CPU supports in the manual: departure `canonical-by-cr4-la57`.
const BETWEEN_THE_WIDTHS: core::ops::Range<u64> = 47..57;

/// Runs from the seed, and prints what does not fit together.
pub(crate) fn run(seed: u64) -> ExitKind {
    let mut failed = 0;
    let result = with_bench(|bench, capabilities| failed = try_all(bench, capabilities, seed));
    match result {
        Ok(()) if failed == 0 => ExitKind::Passed,
        Ok(()) => ExitKind::Failed,
        Err(reason) => {
            say(format_args!("error {reason}"));
            ExitKind::Failed
        }
    }
}

fn try_all(bench: &mut Bench<'_>, capabilities: &Capabilities, seed: u64) -> u64 {
    let Some((base, memory)) = bench.base(ExampleGuest::Guest64) else { return 1 };
    let mut random = Random(seed | 1);
    let (mut tried, mut entered, mut failed) = (0, 0, 0);
    while tried < STATES {
        let mut values = base.clone();
        let mut flipped = [None; 3];
        for place in flipped.iter_mut().take(1 + random.below(3) as usize) {
            let Some((encoding, bit)) = random.bit() else { continue };
            if let Some(value) = values.get_raw(encoding) {
                values.set_raw(encoding, value ^ 1 << bit);
                *place = Some((encoding, bit));
            }
        }
        let state = EntryState::new(&values, capabilities, bench.circumstances())
            .with_memory(memory.as_entry_memory());
        if check(&state).any(|violation| is_departure(violation.rule.name)) {
            continue;
        }
        tried += 1;
        let allowed = Outcomes::of(&state);
        match bench.enter(&values, &memory) {
            Ok(outcome) if allowed.allow(outcome) => {
                entered += u64::from(outcome == Outcome::Entered);
            }
            answer => {
                failed += 1;
                if failed <= PRINTED {
                    let first = check(&state).next().map(|violation| violation.rule.name);
                    say(format_args!("error {flipped:x?}: rule {first:?}, the CPU: {answer:?}"));
                }
            }
        }
    }
    say(format_args!(
        "summary {tried} random states, {entered} entered, {failed} disagreements (seed {seed})"
    ));
    say(format_args!("end passed={} failed={failed}", tried - failed));
    failed
}

/// Whether the emulator is known not to check the rule.
fn is_departure(rule: &str) -> bool {
    matches!(why_not_shown(rule), Some(NotShown::Departure(_)))
}

/// Marsaglia's xorshift with 64 bits of state.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    /// A bit of a field that may be flipped; `None` if the choice fell on another.
    fn bit(&mut self) -> Option<(Encoding, u64)> {
        let row = self.below(FIELDS.len() as u64) as usize;
        let encoding = FIELDS.get(row)?.encoding;
        let width = match encoding.width() {
            Width::Bits16 => 16,
            Width::Bits32 => 32,
            Width::Bits64 | Width::Natural => 64,
        };
        let bit = self.below(width);
        let stays = matches!(encoding.group(), Group::HostState | Group::ExitInformation)
            || LEFT_ALONE.contains(&encoding)
            || encoding.width() == Width::Natural && BETWEEN_THE_WIDTHS.contains(&bit)
            || BITS_LEFT_ALONE.iter().any(|(of, bits)| *of == encoding && bits >> bit & 1 == 1);
        (!stays).then_some((encoding, bit))
    }
}
