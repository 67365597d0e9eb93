//! CPUs, memory and what software keeps, beside what should be so.

use std::collections::BTreeMap;

use vmx_core::cpu::VmcsAccess;
use vmx_core::vmcs::{
    ClearMailbox, ClearReceipt, ClearRequest, EndedOperation, EnterError, LeaveError, LoadError,
    OperationId, PostedClear, Vmcs, VmxOperation, field,
};
use vmx_core::{GuestRegisters, PhysicalAddress};
use vmx_tests::vmx_cpu::{CAPABILITIES, OwnedPage, PhysicalMemory, VmxCpu};

use crate::ideal::{Epoch, Ideal, Outcome, Serial};
use crate::step::{Size, Step};

/// What all replays of a history run on.
pub(crate) struct Board {
    size: Size,
    memory: PhysicalMemory,
    mailboxes: Vec<ClearMailbox>,
}

impl Board {
    pub(crate) fn new(size: Size) -> Self {
        let mailboxes = (0..size.cpus).map(|_| ClearMailbox::new()).collect();
        Self { size, memory: PhysicalMemory::new(size.pages), mailboxes }
    }
}

/// A request or a receipt.
enum Token {
    Request(ClearRequest),
    Receipt(ClearReceipt),
}

/// A CPU, and what a kernel keeps for it.
struct PerCpu<'b> {
    cpu: VmxCpu<'b>,
    operation: VmxOperation<OwnedPage<'b>>,
    mailbox: &'b ClearMailbox,
    posted: Option<PostedClear<'b>>,
}

pub(crate) struct World<'b> {
    board: &'b Board,
    cpus: Vec<PerCpu<'b>>,
    slots: Vec<Option<Vmcs<OwnedPage<'b>>>>,
    ended: Vec<EndedOperation<OwnedPage<'b>>>,
    tokens: Vec<Token>,
    pub(crate) ideal: Ideal,
    /// By number, what cannot be known before.
    ids: BTreeMap<Epoch, OperationId>,
    regions: BTreeMap<Epoch, PhysicalAddress>,
    pub(crate) addresses: BTreeMap<Serial, PhysicalAddress>,
    /// Whether the VMCS in each slot had its data before the step.
    had_data: Vec<bool>,
    history: Vec<Step>,
}

/// A section on a CPU.
macro_rules! section {
    ($world:expr, $cpu:expr) => {{
        let per_cpu = &mut $world.cpus[$cpu];
        // SAFETY: no CPU is behind it; the model is always this operation's.
        unsafe { per_cpu.operation.section(&mut per_cpu.cpu) }
    }};
}

/// What a closure of `build` ends with.
#[derive(Debug)]
enum NotBuilt {
    AsAsked,
    Load(LoadError),
}

impl From<LoadError> for NotBuilt {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl<'b> World<'b> {
    pub(crate) fn new(board: &'b Board) -> Self {
        let size = board.size;
        let cpus = board.mailboxes.iter().zip(0..).map(|(mailbox, apic_id)| PerCpu {
            cpu: VmxCpu::new(&board.memory, apic_id),
            operation: VmxOperation::new(),
            mailbox,
            posted: None,
        });
        Self {
            board,
            cpus: cpus.collect(),
            slots: (0..size.vmcss).map(|_| None).collect(),
            ended: Vec::new(),
            tokens: Vec::new(),
            ideal: Ideal::new(size),
            ids: BTreeMap::new(),
            regions: BTreeMap::new(),
            addresses: BTreeMap::new(),
            had_data: vec![false; size.vmcss],
            history: Vec::new(),
        }
    }

    /// Takes a step and compares everything; `false` if it cannot be taken now.
    pub(crate) fn step(&mut self, step: Step) -> bool {
        let (epoch, serial) = (self.ideal.next_epoch, self.ideal.next_serial);
        for (slot, had_data) in self.ideal.slots.iter().zip(&mut self.had_data) {
            *had_data = slot.is_some_and(|serial| self.ideal.vmcss[&serial].has_data);
        }
        let Some(expected) = self.ideal.step(step) else { return false };
        self.history.push(step);
        let found = self.carry_out(step, epoch, serial);
        assert_eq!(self.named(found), self.named(expected), "the outcome of {step:?}");
        self.compare();
        true
    }

    fn page(&self) -> OwnedPage<'b> {
        self.board.memory.allocate().expect("the ideal has seen to that")
    }

    /// Carries a step out; `epoch` and `serial` are what an operation or a VMCS is called
    /// that it makes.
    fn carry_out(&mut self, step: Step, epoch: Epoch, serial: Serial) -> Outcome {
        match step {
            Step::Enter { cpu } => {
                let page = self.page();
                self.regions.insert(epoch, vmx_core::memory::PageOwner::address(&page));
                match section!(self, cpu).enter(page, &CAPABILITIES) {
                    Ok(()) => {
                        let id = self.cpus[cpu].operation.id().expect("it was entered");
                        self.ids.insert(epoch, id);
                        Outcome::Done
                    }
                    Err(refused) => match refused.error {
                        EnterError::AlreadyEntered => Outcome::AlreadyEntered,
                        EnterError::InUse(_) => Outcome::InUse,
                        EnterError::Vmxon(_) => Outcome::Failed,
                        other => panic!("{other}"),
                    },
                }
            }
            Step::Leave { cpu } => match section!(self, cpu).leave() {
                Ok(_page) => Outcome::Done,
                Err(error) => left(error),
            },
            Step::LeaveByForce { cpu } => match section!(self, cpu).leave_by_force() {
                Ok(ended) => {
                    self.ended.push(ended);
                    Outcome::Done
                }
                Err(error) => left(error),
            },
            Step::Reset { cpu } => {
                let per_cpu = &mut self.cpus[cpu];
                per_cpu.cpu.reset();
                // SAFETY: it was reset.
                self.ended.extend(unsafe { per_cpu.operation.lost() });
                Outcome::Done
            }
            Step::DropOperation { cpu } => {
                self.cpus[cpu].operation = VmxOperation::new();
                Outcome::Done
            }
            Step::Fail { cpu, instruction } => {
                self.cpus[cpu].cpu.fail_next(instruction);
                Outcome::Done
            }
            Step::Release { ended, vmcs } => {
                let vmcs = self.slots[vmcs].as_mut().expect("a VMCS");
                done_or_back(self.ended[ended].release(vmcs).is_ok())
            }
            Step::TakePage { ended } => {
                let page = self.ended[ended].take_page();
                done_or_back(page.is_some())
            }
            Step::DropEnded { ended } => {
                drop(self.ended.remove(ended));
                Outcome::Done
            }
            Step::Make { vmcs } => {
                let made = Vmcs::new(self.page(), &CAPABILITIES);
                self.addresses.insert(serial, made.address());
                self.slots[vmcs] = Some(made);
                Outcome::Done
            }
            Step::Build { cpu, vmcs, succeeds } => self.build(cpu, vmcs, succeeds, serial),
            Step::Load { cpu, vmcs } => self.load(cpu, vmcs, false),
            Step::Run { cpu, vmcs } => self.load(cpu, vmcs, true),
            Step::Clear { cpu, vmcs } => {
                let vmcs = self.slots[vmcs].as_mut().expect("a VMCS");
                match section!(self, cpu).clear(vmcs) {
                    Ok(()) => Outcome::Done,
                    Err(error) => loaded(&self.ids, error),
                }
            }
            Step::ClearAll { cpu } => {
                match section!(self, cpu).clear_all(self.slots.iter_mut().flatten()) {
                    Ok(count) => Outcome::Count(count),
                    Err(error) => loaded(&self.ids, error),
                }
            }
            Step::IntoOwner { vmcs } => match self.slots[vmcs].take().map(Vmcs::into_owner) {
                Some(Err(active)) => {
                    self.slots[vmcs] = Some(active);
                    Outcome::Back
                }
                _ => Outcome::Done,
            },
            Step::Drop { vmcs } => {
                self.slots[vmcs] = None;
                Outcome::Done
            }
            Step::Forget { vmcs } => {
                core::mem::forget(self.slots[vmcs].take());
                Outcome::Done
            }
            Step::Request { vmcs } => {
                let request = self.slots[vmcs].as_mut().and_then(Vmcs::request_clear);
                let is_there = request.is_some();
                self.tokens.extend(request.map(Token::Request));
                done_or_back(is_there)
            }
            Step::Serve { cpu, token } => {
                let Token::Request(request) = self.tokens.remove(token) else { panic!() };
                let (token_now, outcome) = match section!(self, cpu).serve(request) {
                    Ok(receipt) => (Token::Receipt(receipt), Outcome::Done),
                    Err(refused) => {
                        (Token::Request(refused.request), loaded(&self.ids, refused.error))
                    }
                };
                self.tokens.insert(token, token_now);
                outcome
            }
            Step::Accept { vmcs, token } => {
                let Token::Receipt(receipt) = self.tokens.remove(token) else { panic!() };
                let vmcs = self.slots[vmcs].as_mut().expect("a VMCS");
                let back = vmcs.accept_clear(receipt).err();
                self.back(token, back.map(Token::Receipt))
            }
            Step::Cancel { vmcs, token } => {
                let Token::Request(request) = self.tokens.remove(token) else { panic!() };
                let vmcs = self.slots[vmcs].as_mut().expect("a VMCS");
                let back = vmcs.cancel_clear(request).err();
                self.back(token, back.map(Token::Request))
            }
            Step::ForgetToken { token } => {
                let _ = self.tokens.remove(token);
                Outcome::Done
            }
            Step::Post { cpu, token } => {
                let Token::Request(request) = self.tokens.remove(token) else { panic!() };
                match self.cpus[cpu].mailbox.post(request) {
                    Ok(posted) => {
                        self.cpus[cpu].posted = Some(posted);
                        Outcome::Done
                    }
                    Err(busy) => self.back(token, Some(Token::Request(busy))),
                }
            }
            Step::ServeMailbox { cpu } => {
                let mailbox = self.cpus[cpu].mailbox;
                Outcome::Served(section!(self, cpu).serve_mailbox(mailbox))
            }
            Step::Poll { cpu } => match self.cpus[cpu].posted.take().expect("posted").poll() {
                Ok(Ok(receipt)) => {
                    self.tokens.push(Token::Receipt(receipt));
                    Outcome::Done
                }
                Ok(Err(refused)) => {
                    self.tokens.push(Token::Request(refused.request));
                    loaded(&self.ids, refused.error)
                }
                Err(waiting) => {
                    self.cpus[cpu].posted = Some(waiting);
                    Outcome::Pending
                }
            },
            Step::Withdraw { cpu } => {
                let answer = self.cpus[cpu].posted.take().expect("posted").withdraw();
                let is_served = answer.is_ok();
                self.tokens.push(answer.map_or_else(Token::Request, Token::Receipt));
                done_or_back(is_served)
            }
            Step::DropPosted { cpu } => {
                self.cpus[cpu].posted = None;
                Outcome::Done
            }
            Step::ForgetPosted { cpu } => {
                core::mem::forget(self.cpus[cpu].posted.take());
                Outcome::Done
            }
        }
    }

    /// A token that was taken, or comes back.
    fn back(&mut self, place: usize, token: Option<Token>) -> Outcome {
        match token {
            Some(token) => {
                self.tokens.insert(place, token);
                Outcome::Back
            }
            None => Outcome::Done,
        }
    }

    fn build(&mut self, cpu: usize, slot: usize, succeeds: bool, serial: Serial) -> Outcome {
        let page = self.page();
        let built = section!(self, cpu).build(page, &CAPABILITIES, |current| {
            current.write(field::GUEST_RIP, data(serial)).expect("the field is always there");
            if succeeds { Ok(()) } else { Err(NotBuilt::AsAsked) }
        });
        match built {
            Ok(vmcs) => {
                self.addresses.insert(serial, vmcs.address());
                self.slots[slot] = Some(vmcs);
                Outcome::Done
            }
            Err(NotBuilt::AsAsked) => Outcome::Back,
            Err(NotBuilt::Load(error)) => loaded(&self.ids, error),
        }
    }

    /// Loads a VMCS and looks whether it is the one; enters if wanted.
    fn load(&mut self, cpu: usize, slot: usize, enters: bool) -> Outcome {
        let serial = self.ideal.slots[slot].expect("a VMCS");
        let vmcs = self.slots[slot].as_mut().expect("a VMCS");
        let mut section = section!(self, cpu);
        let mut current = match section.load(vmcs) {
            Ok(current) => current,
            Err(error) => return loaded(&self.ids, error),
        };
        let found = current.read(field::GUEST_RIP).expect("the field is always there");
        if !self.had_data[slot] {
            assert_eq!(found, 0, "a new VMCS, or one whose data was lost, has something");
            current.write(field::GUEST_RIP, data(serial)).expect("the field is always there");
        } else {
            assert_eq!(found, data(serial), "another VMCS is current, or data was lost");
        }
        if enters {
            // SAFETY: there is no guest.
            let reason = unsafe { current.enter(&mut GuestRegisters::default()) };
            assert_eq!(reason.expect("VM entry").basic().0, 18, "the guest exits by VMCALL");
        }
        Outcome::Done
    }
}

mod compare;

/// What is in a VMCS of this number.
fn data(serial: Serial) -> u64 {
    0x1000 + serial as u64
}

fn done_or_back(done: bool) -> Outcome {
    if done { Outcome::Done } else { Outcome::Back }
}

fn left(error: LeaveError) -> Outcome {
    match error {
        LeaveError::NotEntered => Outcome::NotEntered,
        LeaveError::StillActive { vmcs } => Outcome::StillActive(vmcs),
        _ => Outcome::Failed,
    }
}

/// An operation is told by any number that has its name.
fn loaded(ids: &BTreeMap<Epoch, OperationId>, error: LoadError) -> Outcome {
    let epoch = |id| {
        let named = ids.iter().find(|(_, known)| **known == id);
        *named.expect("an operation that was entered").0
    };
    match error {
        LoadError::NotEntered => Outcome::NotEntered,
        LoadError::ActiveElsewhere(id) => Outcome::ActiveElsewhere(epoch(id)),
        LoadError::ClearRequested(id) => Outcome::ClearRequested(epoch(id)),
        _ => Outcome::Failed,
    }
}
