extern crate std;

use core::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

use super::*;
use crate::capability::capabilities::Capabilities;
use crate::cpu::vmx_instructions::VmxInstructions;
use crate::memory::frame::Frame;
use crate::memory::page::{PAGE_SIZE, Page};
use crate::vmcs::operation::VmxOperation;
use crate::vmcs::operation_error::EnterError;
use crate::vmcs::pointer::{VmcsPointer, VmxonPointer};
use crate::vmcs::vmcs_states::Vmcs;

/// A CPU whose VMCLEAR does what a test says, with the number of the page.
struct Cpu<F>(F);

// SAFETY: it touches no memory by address.
unsafe impl<F: FnMut(u64) -> Result<(), VmxError>> VmxInstructions for Cpu<F> {
    fn enter_vmx_operation(
        &mut self,
        _: &VmxonPointer,
        _: &Capabilities,
    ) -> Result<(), EnterError> {
        Ok(())
    }
    fn leave_vmx_operation(&mut self, _: &VmxonPointer) -> Result<(), VmxError> {
        Ok(())
    }
    fn vmclear(&mut self, region: &VmcsPointer) -> Result<(), VmxError> {
        (self.0)(region.address().0 / PAGE_SIZE as u64)
    }
    fn vmptrld(&mut self, _: &VmcsPointer) -> Result<(), VmxError> {
        Ok(())
    }
}

type Owner = Frame<&'static Page>;

/// Pages of one test, which may leak their owners.
type Pages = [Page; 7];
const fn pages() -> Pages {
    [const { Page::new() }; 7]
}

/// The owner of a page whose number in `pages` is also that of its address.
fn frame(pages: &'static Pages, number: usize) -> Owner {
    // SAFETY: a static, of which each test takes each number once. No CPU uses the address.
    unsafe { Frame::new(&pages[number], PhysicalAddress((number * PAGE_SIZE) as u64)) }
}

/// The operation of a CPU, with page 0, and VMCSs that are active there, from page 1.
fn active<const N: usize>(pages: &'static Pages) -> (VmxOperation<Owner>, [Vmcs<Owner>; N]) {
    let mut operation = VmxOperation::new();
    let mut number = 0;
    let mut vmcss = [(); N].map(|()| {
        number += 1;
        Vmcs::new(frame(pages, number), &Capabilities::NOTHING)
    });
    // SAFETY: no CPU is behind it. So below.
    let mut section = unsafe { operation.section(Cpu(|_| Ok(()))) };
    section.enter(frame(pages, 0), &Capabilities::NOTHING).unwrap();
    for vmcs in &mut vmcss {
        section.load(vmcs).unwrap();
    }
    (operation, vmcss)
}

/// One who asks has finished, or has failed: the server must not wait for ever.
struct Finished<'a>(&'a AtomicUsize);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Release);
    }
}

/// Serves the mailbox until `finished` are finished.
fn serve<F: FnMut(u64) -> Result<(), VmxError>>(
    mut operation: VmxOperation<Owner>,
    mailbox: &ClearMailbox,
    (finished, all): (&AtomicUsize, usize),
    vmclear: F,
) -> VmxOperation<Owner> {
    let mut cpu = Cpu(vmclear);
    while finished.load(Acquire) < all {
        // SAFETY: as above.
        unsafe { operation.section(&mut cpu) }.serve_mailbox(mailbox);
        thread::yield_now();
    }
    operation
}

fn post<'m>(mailbox: &'m ClearMailbox, vmcs: &mut Vmcs<Owner>) -> PostedClear<'m> {
    let mut request = vmcs.request_clear().unwrap();
    loop {
        match mailbox.post(request) {
            Ok(posted) => return posted,
            Err(busy) => request = busy,
        }
        thread::yield_now();
    }
}

/// The VMCS's data, which VMCLEAR writes to its region, is there for whoever has asked.
#[test]
fn weak_memory_what_vmclear_wrote_is_seen() {
    static OWN: Pages = pages();
    let (operation, [mut vmcs]) = active(&OWN);
    let (mailbox, finished, region) = (ClearMailbox::new(), AtomicUsize::new(0), Page::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            serve(operation, &mailbox, (&finished, 1), |_| {
                region.write(2, 7);
                Ok(())
            })
        });
        let _finished = Finished(&finished);
        let receipt = post(&mailbox, &mut vmcs).wait(thread::yield_now).unwrap();
        assert_eq!(region.read(2), 7);
        vmcs.accept_clear(receipt).unwrap();
    });
    assert!(vmcs.into_owner().is_ok());
}

/// Two ask at a time, and again after a failure; the error tells whose it is.
#[test]
fn weak_memory_each_gets_the_answer_to_its_own_request() {
    const TURNS: usize = 12;
    static OWN: Pages = pages();
    let (operation, vmcss) = active::<2>(&OWN);
    let (mailbox, finished) = (ClearMailbox::new(), AtomicUsize::new(0));
    let failure = |number| VmxError::FailValid(InstructionError(number as u32));
    thread::scope(|scope| {
        scope.spawn(|| serve(operation, &mailbox, (&finished, 2), |number| Err(failure(number))));
        for mut vmcs in vmcss {
            let (mailbox, finished) = (&mailbox, &finished);
            scope.spawn(move || {
                let _finished = Finished(finished);
                let number = vmcs.address().0 / PAGE_SIZE as u64;
                for _ in 0..TURNS {
                    let refused = post(mailbox, &mut vmcs).wait(thread::yield_now).unwrap_err();
                    assert_eq!(refused.error, LoadError::Vmx(failure(number)));
                    vmcs.cancel_clear(refused.request).unwrap();
                }
            });
        }
    });
}

/// Whoever waits no longer has either the request or a receipt for what was VMCLEARed.
#[test]
fn weak_memory_a_request_is_withdrawn_or_served() {
    static OWN: Pages = pages();
    let (operation, mut vmcss) = active::<6>(&OWN);
    let (mailbox, finished) = (ClearMailbox::new(), AtomicUsize::new(0));
    let cleared = [const { AtomicBool::new(false) }; 7];
    let operation = thread::scope(|scope| {
        let server = scope.spawn(|| {
            serve(operation, &mailbox, (&finished, 1), |number| {
                // Time for the other one to see that it is being served.
                thread::yield_now();
                cleared[number as usize].store(true, Relaxed);
                Ok(())
            })
        });
        let finished = Finished(&finished);
        for (patience, vmcs) in vmcss.iter_mut().enumerate() {
            let posted = post(&mailbox, vmcs);
            (0..patience).for_each(|_| thread::yield_now());
            match posted.withdraw() {
                Ok(receipt) => assert!(vmcs.accept_clear(receipt).is_ok()),
                Err(request) => assert!(vmcs.cancel_clear(request).is_ok()),
            }
        }
        drop(finished);
        server.join().unwrap()
    });
    for (cleared, vmcs) in cleared[1..].iter().zip(&vmcss) {
        assert_eq!(cleared.load(Relaxed), vmcs.active_on().is_none());
    }
    let active = vmcss.iter().filter(|vmcs| vmcs.active_on().is_some()).count();
    assert_eq!(operation.active(), active);
}

#[test]
fn a_cpu_that_is_not_in_the_operation_says_so() {
    static OWN: Pages = pages();
    let (_, [mut vmcs]) = active(&OWN);
    let mailbox = ClearMailbox::new();
    let mut other = VmxOperation::<Owner>::new();
    // SAFETY: as above.
    let mut section = unsafe { other.section(Cpu(|_| Ok(()))) };
    let waiting = post(&mailbox, &mut vmcs).poll().unwrap_err();
    assert!(section.serve_mailbox(&mailbox));
    assert!(!section.serve_mailbox(&mailbox));
    let refused = waiting.poll().unwrap().unwrap_err();
    assert_eq!(refused.error, LoadError::NotEntered);
    section.enter(frame(&OWN, 2), &Capabilities::NOTHING).unwrap();
    assert_eq!(section.serve(refused.request).unwrap_err().error, LoadError::NotEntered);
}

#[test]
fn there_is_room_again_after_each_answer_and_after_dropping() {
    static OWN: Pages = pages();
    let (mut operation, [mut first, mut second]) = active(&OWN);
    let mailbox = ClearMailbox::new();
    let posted = mailbox.post(first.request_clear().unwrap()).unwrap();
    let busy = mailbox.post(second.request_clear().unwrap()).unwrap_err();
    drop(posted);
    let posted = mailbox.post(busy).unwrap();
    // SAFETY: as above.
    assert!(unsafe { operation.section(Cpu(|_| Ok(()))) }.serve_mailbox(&mailbox));
    drop(posted);
    second.request_clear().ok_or(()).unwrap_err();
    assert_eq!(std::format!("{mailbox:?}"), "ClearMailbox(empty)");
    assert_eq!(operation.active(), 1, "the first was withdrawn, the second VMCLEARed");
}
