//! What should happen, told without addresses: every operation and every VMCS has a
//! number that nobody had before.

use std::collections::{BTreeMap, BTreeSet};

use vmx_tests::vmx_cpu::Instruction;

use crate::step::Size;

mod steps;

/// A VMX operation, from VMXON to VMXOFF.
pub(crate) type Epoch = usize;
/// A VMCS, from `new` to drop.
pub(crate) type Serial = usize;

/// What a step comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// So many were cleared.
    Count(usize),
    /// What was given comes back.
    Back,
    /// There was a request in the mailbox.
    Served(bool),
    /// No answer yet.
    Pending,
    NotEntered,
    AlreadyEntered,
    InUse,
    StillActive(usize),
    ActiveElsewhere(Epoch),
    ClearRequested(Epoch),
    /// An instruction failed.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    On(Epoch),
    Asked(Epoch),
}

impl Place {
    pub(crate) fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Nowhere => None,
            Self::On(epoch) | Self::Asked(epoch) => Some(epoch),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Vmcs {
    pub(crate) place: Place,
    /// What the VMCS says of itself.
    pub(crate) launched: bool,
    /// Whether its fields are what was written.
    pub(crate) has_data: bool,
    /// It was never VMCLEARed.
    pub(crate) is_fresh: bool,
    /// A forced leave has VMCLEARed it, though the VMCS does not know.
    pub(crate) is_swept: bool,
}

impl Vmcs {
    fn cleared(&mut self) {
        self.place = Place::Nowhere;
        (self.launched, self.is_swept) = (false, false);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Cpu {
    /// What the kernel keeps: the operation and what counts as active in it.
    pub(crate) account: Option<(Epoch, BTreeSet<Serial>)>,
    /// What the CPU does.
    pub(crate) root: Option<Root>,
    pub(crate) mailbox: Mailbox,
    pub(crate) failing: BTreeSet<Instruction>,
}

#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) epoch: Epoch,
    pub(crate) current: Option<Serial>,
    pub(crate) active: BTreeSet<Serial>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Slot {
    #[default]
    Empty,
    Posted(Token),
    Answered(Token, Outcome),
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mailbox {
    pub(crate) slot: Slot,
    /// Whoever posted has forgotten it.
    pub(crate) is_forgotten: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) epoch: Epoch,
    pub(crate) serial: Serial,
    pub(crate) is_receipt: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) epoch: Epoch,
    pub(crate) outstanding: usize,
    pub(crate) is_lost: bool,
    pub(crate) has_page: bool,
}

pub(crate) struct Ideal {
    size: Size,
    pub(crate) cpus: Vec<Cpu>,
    pub(crate) slots: Vec<Option<Serial>>,
    pub(crate) vmcss: BTreeMap<Serial, Vmcs>,
    pub(crate) ended: Vec<Ended>,
    pub(crate) tokens: Vec<Token>,
    /// Pages whose owners were forgotten.
    pub(crate) leaked: usize,
    pub(crate) next_epoch: Epoch,
    pub(crate) next_serial: Serial,
}

impl Ideal {
    pub(crate) fn new(size: Size) -> Self {
        Self {
            size,
            cpus: vec![Cpu::default(); size.cpus],
            slots: vec![None; size.vmcss],
            vmcss: BTreeMap::new(),
            ended: Vec::new(),
            tokens: Vec::new(),
            leaked: 0,
            next_epoch: 0,
            next_serial: 0,
        }
    }

    /// Pages without an owner.
    pub(crate) fn free(&self) -> usize {
        let vmcss = self.slots.iter().flatten().count();
        let vmxon = self.cpus.iter().filter(|cpu| cpu.account.is_some()).count();
        let ended = self.ended.iter().filter(|ended| ended.has_page).count();
        self.size.pages - vmcss - vmxon - ended - self.leaked
    }

    fn has_room_for_token(&self) -> bool {
        let posted = self
            .cpus
            .iter()
            .filter(|cpu| cpu.mailbox.slot != Slot::Empty && !cpu.mailbox.is_forgotten);
        self.tokens.len() + posted.count() < self.size.tokens
    }

    fn has_room_for_ended(&self) -> bool {
        self.ended.len() < self.size.ended
    }

    fn live(&mut self, slot: usize) -> Option<(Serial, &mut Vmcs)> {
        let serial = self.slots[slot]?;
        Some((serial, self.vmcss.get_mut(&serial)?))
    }

    fn make(&mut self, slot: usize) -> Serial {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.slots[slot] = Some(serial);
        let vmcs = Vmcs {
            place: Place::Nowhere,
            launched: false,
            has_data: false,
            is_fresh: true,
            is_swept: false,
        };
        self.vmcss.insert(serial, vmcs);
        serial
    }

    /// Takes a failing instruction.
    fn fails(&mut self, cpu: usize, instruction: Instruction) -> bool {
        self.cpus[cpu].failing.remove(&instruction)
    }
}
