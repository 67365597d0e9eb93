//! Entering VMX operation on several CPUs: on all of them or on none.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Acquire};

/// What several CPUs come to about entering VMX operation: all stay, or all leave.
///
/// Each CPU enters, reports, and waits for the verdict outside of its critical section:
///
/// ```
/// use vmx_core::Capabilities;
/// use vmx_core::cpu::VmxInstructions;
/// use vmx_core::memory::PageOwner;
/// use vmx_core::vmcs::{EnterError, Rollout, Verdict, VmxOperation};
///
/// /// Runs on every CPU at about the same time. `Ok` tells whether all have entered.
/// ///
/// /// # Safety
/// /// 1. As for [`VmxOperation::section`], with preemption off from call to return.
/// unsafe fn enable<C: VmxInstructions, P: PageOwner>(
///     rollout: &Rollout,
///     operation: &mut VmxOperation<P>,
///     cpu: &mut C,
///     page: P,
///     capabilities: &Capabilities,
/// ) -> Result<bool, EnterError> {
///     // SAFETY: the caller's contract.
///     let entered = unsafe { operation.section(&mut *cpu) }.enter(page, capabilities);
///     rollout.report(entered.is_ok());
///     let verdict = loop {
///         match rollout.verdict() {
///             Some(verdict) => break verdict,
///             None => core::hint::spin_loop(),
///         }
///     };
///     entered.map_err(|refused| refused.error)?;
///     if verdict == Verdict::RollBack {
///         // SAFETY: the caller's contract; the page goes back to its allocator here.
///         drop(unsafe { operation.section(cpu) }.leave());
///     }
///     Ok(verdict == Verdict::AllEntered)
/// }
/// ```
#[derive(Debug)]
pub struct Rollout {
    /// How many CPUs have not reported, and [`REFUSED`].
    state: AtomicU64,
}

/// A CPU has refused.
const REFUSED: u64 = 1 << 32;

/// What all CPUs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every CPU is in VMX operation.
    AllEntered,
    /// At least one refused: those that entered leave.
    RollBack,
}

impl Rollout {
    /// So many CPUs will report.
    pub const fn new(cpus: u32) -> Self {
        Self { state: AtomicU64::new(cpus as u64) }
    }

    /// One CPU has entered VMX operation, or was refused. Once per CPU; what more CPUs
    /// than were announced report counts for nothing.
    pub fn report(&self, entered: bool) {
        let reported = |state: u64| {
            let refused = if entered { state & REFUSED } else { REFUSED };
            let missing = (state & !REFUSED).checked_sub(1)?;
            Some(missing | refused)
        };
        // An error is one report too many.
        let _ = self.state.fetch_update(AcqRel, Acquire, reported);
    }

    /// What to do, once every CPU has reported: the same for all of them.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.state.load(Acquire) {
            0 => Some(Verdict::AllEntered),
            REFUSED => Some(Verdict::RollBack),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// Every subset of refusing CPUs, each CPU on a thread of its own; Miri interleaves
    /// them by several seeds.
    #[test]
    fn weak_memory_all_cpus_come_to_the_same_verdict() {
        const CPUS: u32 = 3;
        for refusing in 0u32..1 << CPUS {
            let rollout = Rollout::new(CPUS);
            let verdict = |cpu: u32| {
                rollout.report(refusing & 1 << cpu == 0);
                loop {
                    match rollout.verdict() {
                        Some(verdict) => break verdict,
                        None => std::thread::yield_now(),
                    }
                }
            };
            let expected = if refusing == 0 { Verdict::AllEntered } else { Verdict::RollBack };
            std::thread::scope(|scope| {
                let verdict = &verdict;
                let threads: std::vec::Vec<_> =
                    (0..CPUS).map(|cpu| scope.spawn(move || verdict(cpu))).collect();
                for thread in threads {
                    assert_eq!(thread.join().unwrap(), expected, "{refusing:b}");
                }
            });
        }
    }

    #[test]
    fn one_report_too_many_changes_nothing() {
        let rollout = Rollout::new(1);
        assert_eq!(rollout.verdict(), None);
        rollout.report(true);
        rollout.report(false);
        assert_eq!(rollout.verdict(), Some(Verdict::AllEntered));
    }
}
