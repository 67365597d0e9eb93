//! One CPU's mailbox for requests to clear a VMCS.

use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU32, AtomicU64};

use super::clear_request::{ClearReceipt, ClearRequest};
use super::error::{InstructionError, VmxError};
use super::operation_error::{ClearRefused, LoadError};
use crate::memory::address::PhysicalAddress;

/// Where other CPUs ask one CPU to VMCLEAR a VMCS. It has room for one request; keep it
/// beside the CPU's [`VmxOperation`](super::VmxOperation), where other CPUs reach it.
///
/// The CPU looks into it in its critical sections
/// ([`CriticalSection::serve_mailbox`](super::CriticalSection::serve_mailbox)): in the
/// handler of an IPI that the asking CPU sends, or from time to time. Who asks waits
/// outside of critical sections, and lets this CPU's own mailbox be served meanwhile, or
/// two CPUs that ask each other would wait for ever.
///
/// ```
/// use vmx_core::memory::PageOwner;
/// use vmx_core::vmcs::{ClearMailbox, Vmcs};
///
/// /// Makes a VMCS loadable here. `mailbox` is of the CPU that it is active on; interrupts
/// /// are on, and no critical section of this CPU is open.
/// fn fetch<P: PageOwner>(vmcs: &mut Vmcs<P>, mailbox: &ClearMailbox, send_ipi: impl Fn()) {
///     let Some(mut request) = vmcs.request_clear() else { return };
///     let posted = loop {
///         match mailbox.post(request) {
///             Ok(posted) => break posted,
///             Err(busy) => request = busy,
///         }
///         core::hint::spin_loop();
///     };
///     send_ipi();
///     match posted.wait(core::hint::spin_loop) {
///         Ok(receipt) => assert!(vmcs.accept_clear(receipt).is_ok()),
///         Err(failed) => assert!(vmcs.cancel_clear(failed.request).is_ok()),
///     }
/// }
/// ```
pub struct ClearMailbox {
    state: AtomicU32,
    /// The VMCS pointer; after a failure the number of the instruction error.
    word: AtomicU64,
    /// The VMXON pointer of the operation that is asked.
    vmxon: AtomicU64,
}

/// The mailbox is empty.
const EMPTY: u32 = 0;
/// Somebody writes a request into it.
const WRITING: u32 = 1;
/// A request waits.
const POSTED: u32 = 2;
/// The CPU executes VMCLEAR.
const SERVING: u32 = 3;
/// VMCLEAR succeeded.
const CLEARED: u32 = 4;
/// The CPU is not in the operation that was asked.
const NOT_ENTERED: u32 = 5;
/// VMfailInvalid.
const FAILED_INVALID: u32 = 6;
/// VMfailValid; the error's number is in the word.
const FAILED_VALID: u32 = 7;

impl ClearMailbox {
    /// An empty mailbox.
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), word: AtomicU64::new(0), vmxon: AtomicU64::new(0) }
    }

    /// Puts a request in.
    ///
    /// # Errors
    /// The request, while another one is in the mailbox: try again.
    pub fn post(&self, request: ClearRequest) -> Result<PostedClear<'_>, ClearRequest> {
        // Acquire: what the last owner of the slot read, it read before.
        if self.state.compare_exchange(EMPTY, WRITING, Acquire, Relaxed).is_err() {
            return Err(request);
        }
        self.word.store(request.vmcs.0, Relaxed);
        self.vmxon.store(request.operation.vmxon().0, Relaxed);
        // Release: whoever sees the state sees the two words.
        self.state.store(POSTED, Release);
        Ok(PostedClear { mailbox: self, request })
    }

    /// Takes the request out to serve it: the VMXON and VMCS pointers in it.
    pub(super) fn begin(&self) -> Option<(PhysicalAddress, PhysicalAddress)> {
        self.state.compare_exchange(POSTED, SERVING, Acquire, Relaxed).ok()?;
        let vmcs = PhysicalAddress(self.word.load(Relaxed));
        Some((PhysicalAddress(self.vmxon.load(Relaxed)), vmcs))
    }

    /// Answers the request that [`begin`](Self::begin) took out.
    pub(super) fn end(&self, result: Result<(), LoadError>) {
        let state = match result {
            Ok(()) => CLEARED,
            Err(LoadError::Vmx(VmxError::FailInvalid)) => FAILED_INVALID,
            Err(LoadError::Vmx(VmxError::FailValid(InstructionError(number)))) => {
                self.word.store(number.into(), Relaxed);
                FAILED_VALID
            }
            Err(_) => NOT_ENTERED,
        };
        // Release: VMCLEAR has written the VMCS to memory before.
        self.state.store(state, Release);
    }

    /// The answer, once there is one.
    fn answer(&self) -> Option<Result<(), LoadError>> {
        // Acquire: pairs with the Release of whoever answered.
        Some(match self.state.load(Acquire) {
            CLEARED => Ok(()),
            NOT_ENTERED => Err(LoadError::NotEntered),
            FAILED_INVALID => Err(VmxError::FailInvalid.into()),
            FAILED_VALID => {
                let number = self.word.load(Relaxed) as u32;
                Err(VmxError::FailValid(InstructionError(number)).into())
            }
            _ => return None,
        })
    }

    /// Takes a request out that nobody has begun to serve; `false` if somebody has.
    fn withdraw(&self) -> bool {
        self.state.compare_exchange(POSTED, EMPTY, Relaxed, Relaxed).is_ok()
    }

    /// Makes room after the answer was read. Release: whoever posts next has read it.
    fn empty(&self) {
        self.state.store(EMPTY, Release);
    }
}

impl Default for ClearMailbox {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ClearMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.state.load(Relaxed) {
            EMPTY => "empty",
            WRITING | POSTED => "a request waits",
            SERVING => "a request is being served",
            _ => "an answer waits",
        };
        write!(f, "ClearMailbox({text})")
    }
}

/// A request that is in a mailbox.
///
/// Dropped, the request is withdrawn if nobody has begun to serve it; either way its VMCS
/// counts as active for good. [`withdraw`](Self::withdraw) gives it back. Forgotten, it
/// stays in the mailbox, and there is no room for another one any more.
#[derive(Debug)]
#[must_use = "wait for the answer"]
pub struct PostedClear<'m> {
    mailbox: &'m ClearMailbox,
    request: ClearRequest,
}

impl PostedClear<'_> {
    /// Looks for the answer. The outer result tells whether there is one, the inner one
    /// what it is.
    ///
    /// # Errors
    /// What is still waiting.
    pub fn poll(self) -> Result<Result<ClearReceipt, ClearRefused>, Self> {
        let Some(answer) = self.mailbox.answer() else { return Err(self) };
        self.mailbox.empty();
        let request = self.take();
        Ok(match answer {
            Ok(()) => Ok(ClearReceipt { operation: request.operation, vmcs: request.vmcs }),
            Err(error) => Err(ClearRefused { error, request }),
        })
    }

    /// Waits for the answer; `pause` is called between two looks. It may yield the CPU, and
    /// serve the mailbox of the CPU on which it runs. Not inside a critical section.
    ///
    /// # Errors
    /// [`ClearRefused`]: the VMCS is still active there.
    pub fn wait(mut self, mut pause: impl FnMut()) -> Result<ClearReceipt, ClearRefused> {
        loop {
            match self.poll() {
                Ok(answer) => return answer,
                Err(waiting) => self = waiting,
            }
            pause();
        }
    }

    /// Waits no longer, as when the CPU that was asked is offline. While that CPU executes
    /// VMCLEAR, this waits for it.
    ///
    /// # Errors
    /// The request: it was not served, for whatever reason, and the VMCS is still active
    /// there.
    pub fn withdraw(mut self) -> Result<ClearReceipt, ClearRequest> {
        loop {
            if self.mailbox.withdraw() {
                return Err(self.take());
            }
            match self.poll() {
                Ok(answer) => return answer.map_err(|refused| refused.request),
                Err(waiting) => self = waiting,
            }
            core::hint::spin_loop();
        }
    }

    /// The request, which is not in the mailbox any more.
    fn take(self) -> ClearRequest {
        let ClearRequest { operation, vmcs } = self.request;
        core::mem::forget(self);
        ClearRequest { operation, vmcs }
    }
}

impl Drop for PostedClear<'_> {
    fn drop(&mut self) {
        // While it is being served, which takes one VMCLEAR, wait.
        while !self.mailbox.withdraw() {
            if self.mailbox.answer().is_some() {
                self.mailbox.empty();
                return;
            }
            core::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests;
