//! CPUs on threads of their own, which fetch VMCSs from each other.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use vmx_core::GuestRegisters;
use vmx_core::cpu::VmcsAccess;
use vmx_core::vmcs::field::GUEST_RIP;
use vmx_core::vmcs::{ClearMailbox, OperationId, Vmcs, VmxOperation};
use vmx_tests::vmx_cpu::{CAPABILITIES, OwnedPage, PhysicalMemory, VmxCpu};

const CPUS: usize = 3;
const VMCSS: usize = 4;
const TURNS: usize = 200;

/// What the CPUs share.
struct Kernel<'m> {
    memory: &'m PhysicalMemory,
    mailboxes: [ClearMailbox; CPUS],
    /// Each with how often it ran.
    run_queue: Mutex<Vec<(Vmcs<OwnedPage<'m>>, u64)>>,
    /// CPUs that have nothing to fetch any more.
    finished: AtomicUsize,
}

/// One CPU, and what is kept for it.
struct PerCpu<'k, 'm> {
    kernel: &'k Kernel<'m>,
    number: usize,
    cpu: VmxCpu<'m>,
    operation: VmxOperation<OwnedPage<'m>>,
}

impl<'m> PerCpu<'_, 'm> {
    fn serve(&mut self) {
        let mailbox = &self.kernel.mailboxes[self.number];
        // SAFETY: no CPU is behind it, and one thread has both. So below.
        unsafe { self.operation.section(&mut self.cpu) }.serve_mailbox(mailbox);
        thread::yield_now();
    }

    /// Makes a VMCS loadable here, as the documentation of a mailbox has it.
    fn fetch(&mut self, vmcs: &mut Vmcs<OwnedPage<'m>>) {
        let here = self.operation.id();
        if vmcs.active_on() == here {
            return;
        }
        let Some(mut request) = vmcs.request_clear() else { return };
        let kernel = self.kernel;
        let apic_id = request.operation().apic_id().expect("the model tells it");
        let posted = loop {
            match kernel.mailboxes[apic_id as usize].post(request) {
                Ok(posted) => break posted,
                Err(busy) => request = busy,
            }
            self.serve();
        };
        let receipt = posted.wait(|| self.serve()).expect("that CPU is in VMX operation");
        vmcs.accept_clear(receipt).expect("it was asked for");
    }

    fn run(&mut self, vmcs: &mut Vmcs<OwnedPage<'m>>, ran: &mut u64) {
        // SAFETY: as above.
        let mut section = unsafe { self.operation.section(&mut self.cpu) };
        let mut current = section.load(vmcs).expect("it was fetched");
        assert_eq!(current.read(GUEST_RIP), Ok(*ran));
        *ran += 1;
        current.write(GUEST_RIP, *ran).expect("a field that is always there");
        // SAFETY: there is no guest.
        unsafe { current.enter(&mut GuestRegisters::default()) }.expect("the guest exits");
    }

    fn all(mut self) -> OperationId {
        let page = self.kernel.memory.allocate().expect("memory");
        // SAFETY: as above.
        unsafe { self.operation.section(&mut self.cpu) }.enter(page, &CAPABILITIES).unwrap();
        let id = self.operation.id().expect("it was entered");
        for _ in 0..TURNS {
            let taken = self.kernel.run_queue.lock().unwrap().pop();
            if let Some((mut vmcs, mut ran)) = taken {
                self.fetch(&mut vmcs);
                self.run(&mut vmcs, &mut ran);
                self.kernel.run_queue.lock().unwrap().insert(0, (vmcs, ran));
            }
            self.serve();
        }
        self.kernel.finished.fetch_add(1, Ordering::AcqRel);
        while self.kernel.finished.load(Ordering::Acquire) < CPUS {
            self.serve();
        }
        let mut queue = self.kernel.run_queue.lock().unwrap();
        // SAFETY: as above.
        let mut section = unsafe { self.operation.section(&mut self.cpu) };
        section.clear_all(queue.iter_mut().map(|(vmcs, _)| vmcs)).unwrap();
        section.leave().unwrap();
        id
    }
}

#[test]
fn vmcss_move_between_threads_and_lose_nothing() {
    let memory = PhysicalMemory::new(CPUS + VMCSS);
    let kernel = Kernel {
        memory: &memory,
        mailboxes: [const { ClearMailbox::new() }; CPUS],
        run_queue: Mutex::new(
            (0..VMCSS)
                .map(|_| (Vmcs::new(memory.allocate().expect("memory"), &CAPABILITIES), 0))
                .collect(),
        ),
        finished: AtomicUsize::new(0),
    };
    thread::scope(|scope| {
        for (number, apic_id) in (0..CPUS).zip(0..) {
            let cpu = VmxCpu::new(&memory, apic_id);
            let per_cpu = PerCpu { kernel: &kernel, number, cpu, operation: VmxOperation::new() };
            scope.spawn(|| per_cpu.all());
        }
    });
    let queue = kernel.run_queue.into_inner().unwrap();
    assert!(queue.iter().all(|(vmcs, _)| vmcs.active_on().is_none()));
    let ran: u64 = queue.iter().map(|(_, ran)| ran).sum();
    println!("{ran} runs");
    drop(queue);
    assert_eq!(memory.free(), CPUS + VMCSS);
}
