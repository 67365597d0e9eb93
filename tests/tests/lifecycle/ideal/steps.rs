//! What each step should come to.

use std::collections::BTreeSet;

use vmx_tests::vmx_cpu::Instruction;

use super::{Ended, Ideal, Mailbox, Outcome, Place, Root, Serial, Slot, Token, Vmcs};
use crate::step::Step;

impl Ideal {
    /// What the step comes to; `None` if it cannot be taken now.
    pub(crate) fn step(&mut self, step: Step) -> Option<Outcome> {
        Some(match step {
            Step::Enter { cpu } => self.enter(cpu)?,
            Step::Leave { cpu } => self.leave(cpu),
            Step::LeaveByForce { cpu } => self.leave_by_force(cpu)?,
            Step::Reset { cpu } => self.reset(cpu)?,
            Step::DropOperation { cpu } => {
                self.cpus[cpu].account.take()?;
                self.leaked += 1;
                Outcome::Done
            }
            Step::Fail { cpu, instruction } => {
                let is_new = self.cpus[cpu].failing.insert(instruction);
                is_new.then_some(Outcome::Done)?
            }
            Step::Release { ended, vmcs } => self.release(ended, vmcs)?,
            Step::TakePage { ended } => {
                let ended = self.ended.get_mut(ended)?;
                if ended.outstanding != 0 || !ended.has_page {
                    return Some(Outcome::Back);
                }
                ended.has_page = false;
                Outcome::Done
            }
            Step::DropEnded { ended } => {
                self.ended.get(ended)?;
                let ended = self.ended.remove(ended);
                self.leaked += usize::from(ended.outstanding != 0);
                Outcome::Done
            }
            Step::Make { vmcs } => {
                if self.slots[vmcs].is_some() || self.free() == 0 {
                    return None;
                }
                self.make(vmcs);
                Outcome::Done
            }
            Step::Build { cpu, vmcs, succeeds } => self.build(cpu, vmcs, succeeds)?,
            Step::Load { cpu, vmcs } => self.load(cpu, vmcs)?,
            Step::Run { cpu, vmcs } => {
                let (_, state) = self.live(vmcs)?;
                if state.launched && state.is_swept {
                    return None;
                }
                let outcome = self.load(cpu, vmcs)?;
                if outcome == Outcome::Done {
                    let (_, state) = self.live(vmcs)?;
                    (state.launched, state.is_swept) = (true, false);
                }
                outcome
            }
            Step::Clear { cpu, vmcs } => self.clear(cpu, vmcs)?,
            Step::ClearAll { cpu } => self.clear_all(cpu),
            Step::IntoOwner { vmcs } => {
                if self.live(vmcs)?.1.place != Place::Nowhere {
                    return Some(Outcome::Back);
                }
                self.slots[vmcs] = None;
                Outcome::Done
            }
            Step::Drop { vmcs } => {
                self.leaked += usize::from(self.live(vmcs)?.1.place != Place::Nowhere);
                self.slots[vmcs] = None;
                Outcome::Done
            }
            Step::Forget { vmcs } => {
                self.live(vmcs)?;
                self.slots[vmcs] = None;
                self.leaked += 1;
                Outcome::Done
            }
            Step::Request { vmcs } => {
                let has_room = self.has_room_for_token();
                let (serial, state) = self.live(vmcs)?;
                let Place::On(epoch) = state.place else { return Some(Outcome::Back) };
                if !has_room {
                    return None;
                }
                state.place = Place::Asked(epoch);
                self.tokens.push(Token { epoch, serial, is_receipt: false });
                Outcome::Done
            }
            Step::Serve { cpu, token } => {
                let asked = *self.tokens.get(token)?;
                if asked.is_receipt {
                    return None;
                }
                let outcome = self.serve(cpu, asked);
                self.tokens[token].is_receipt = outcome == Outcome::Done;
                outcome
            }
            Step::Accept { vmcs, token } => self.come_back(vmcs, token, true)?,
            Step::Cancel { vmcs, token } => self.come_back(vmcs, token, false)?,
            Step::ForgetToken { token } => {
                self.tokens.get(token)?;
                self.tokens.remove(token);
                Outcome::Done
            }
            Step::Post { cpu, token } => {
                let posted = *self.tokens.get(token)?;
                if posted.is_receipt {
                    return None;
                }
                let mailbox = &mut self.cpus[cpu].mailbox;
                if mailbox.slot != Slot::Empty {
                    return Some(Outcome::Back);
                }
                mailbox.slot = Slot::Posted(posted);
                self.tokens.remove(token);
                Outcome::Done
            }
            Step::ServeMailbox { cpu } => {
                let Slot::Posted(token) = self.cpus[cpu].mailbox.slot else {
                    return Some(Outcome::Served(false));
                };
                let outcome = self.serve(cpu, token);
                self.cpus[cpu].mailbox.slot = Slot::Answered(token, outcome);
                Outcome::Served(true)
            }
            Step::Poll { cpu } => match self.posted(cpu)? {
                Slot::Answered(token, outcome) => {
                    self.answer(cpu, token, outcome);
                    outcome
                }
                _ => Outcome::Pending,
            },
            Step::Withdraw { cpu } => match self.posted(cpu)? {
                Slot::Answered(token, Outcome::Done) => {
                    self.answer(cpu, token, Outcome::Done);
                    Outcome::Done
                }
                Slot::Answered(token, _) | Slot::Posted(token) => {
                    self.answer(cpu, token, Outcome::Back);
                    Outcome::Back
                }
                Slot::Empty => return None,
            },
            Step::DropPosted { cpu } => {
                self.posted(cpu)?;
                self.cpus[cpu].mailbox.slot = Slot::Empty;
                Outcome::Done
            }
            Step::ForgetPosted { cpu } => {
                self.posted(cpu)?;
                self.cpus[cpu].mailbox.is_forgotten = true;
                Outcome::Done
            }
        })
    }

    /// What is in the CPU's mailbox, while somebody waits for it.
    fn posted(&self, cpu: usize) -> Option<Slot> {
        let Mailbox { slot, is_forgotten } = self.cpus[cpu].mailbox;
        (slot != Slot::Empty && !is_forgotten).then_some(slot)
    }

    fn answer(&mut self, cpu: usize, token: Token, outcome: Outcome) {
        self.cpus[cpu].mailbox.slot = Slot::Empty;
        self.tokens.push(Token { is_receipt: outcome == Outcome::Done, ..token });
    }

    fn enter(&mut self, cpu: usize) -> Option<Outcome> {
        if self.free() == 0 {
            return None;
        }
        if self.cpus[cpu].account.is_some() {
            return Some(Outcome::AlreadyEntered);
        }
        if self.cpus[cpu].root.is_some() {
            return Some(Outcome::InUse);
        }
        if self.fails(cpu, Instruction::Vmxon) {
            return Some(Outcome::Failed);
        }
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        self.cpus[cpu].account = Some((epoch, BTreeSet::new()));
        self.cpus[cpu].root = Some(Root { epoch, current: None, active: BTreeSet::new() });
        Some(Outcome::Done)
    }

    fn leave(&mut self, cpu: usize) -> Outcome {
        let Some((_, counted)) = &self.cpus[cpu].account else { return Outcome::NotEntered };
        if !counted.is_empty() {
            return Outcome::StillActive(counted.len());
        }
        if self.fails(cpu, Instruction::Vmxoff) {
            return Outcome::Failed;
        }
        (self.cpus[cpu].account, self.cpus[cpu].root) = (None, None);
        Outcome::Done
    }

    fn leave_by_force(&mut self, cpu: usize) -> Option<Outcome> {
        if self.cpus[cpu].account.is_none() {
            return Some(Outcome::NotEntered);
        }
        // Which of several VMCSs it would be is not told.
        if self.cpus[cpu].failing.contains(&Instruction::Vmclear) {
            return None;
        }
        if !self.has_room_for_ended() {
            return None;
        }
        let root = self.cpus[cpu].root.as_mut()?;
        root.active.clear();
        root.current = None;
        let fails = self.fails(cpu, Instruction::Vmxoff);
        for serial in self.cpus[cpu].account.iter().flat_map(|(_, counted)| counted) {
            if let Some(vmcs) = self.vmcss.get_mut(serial) {
                vmcs.is_swept = true;
            }
        }
        if fails {
            return Some(Outcome::Failed);
        }
        self.cpus[cpu].root = None;
        self.end(cpu, false);
        Some(Outcome::Done)
    }

    fn reset(&mut self, cpu: usize) -> Option<Outcome> {
        self.cpus[cpu].root.as_ref()?;
        if self.cpus[cpu].account.is_some() {
            self.has_room_for_ended().then_some(())?;
            self.end(cpu, true);
        }
        self.cpus[cpu].failing.clear();
        self.cpus[cpu].root = None;
        Some(Outcome::Done)
    }

    fn end(&mut self, cpu: usize, is_lost: bool) {
        if let Some((epoch, counted)) = self.cpus[cpu].account.take() {
            let outstanding = counted.len();
            self.ended.push(Ended { epoch, outstanding, is_lost, has_page: true });
        }
    }

    fn release(&mut self, ended: usize, vmcs: usize) -> Option<Outcome> {
        let Ended { epoch, is_lost, .. } = *self.ended.get(ended)?;
        let (_, state) = self.live(vmcs)?;
        if state.place != Place::On(epoch) {
            return Some(Outcome::Back);
        }
        state.cleared();
        if is_lost {
            state.has_data = false;
            state.is_fresh = true;
        }
        self.ended[ended].outstanding -= 1;
        Some(Outcome::Done)
    }

    fn build(&mut self, cpu: usize, slot: usize, succeeds: bool) -> Option<Outcome> {
        if self.slots[slot].is_some() || self.free() == 0 {
            return None;
        }
        let serial = self.make(slot);
        let outcome = self.load(cpu, slot)?;
        let is_loaded = outcome == Outcome::Done;
        if is_loaded && !succeeds {
            // Nobody was told to make this VMCLEAR fail: the one in `load` took that.
            self.clear(cpu, slot)?;
        }
        if !is_loaded || !succeeds {
            self.slots[slot] = None;
            self.vmcss.remove(&serial);
            return Some(if is_loaded { Outcome::Back } else { outcome });
        }
        Some(Outcome::Done)
    }

    fn load(&mut self, cpu: usize, slot: usize) -> Option<Outcome> {
        let (serial, vmcs) = self.live(slot)?;
        let Vmcs { place, is_fresh, .. } = *vmcs;
        if let Some(refused) = self.refuses(cpu, place) {
            return Some(refused);
        }
        if is_fresh {
            if self.fails(cpu, Instruction::Vmclear) {
                return Some(Outcome::Failed);
            }
            self.live(slot)?.1.is_fresh = false;
        }
        let current = self.cpus[cpu].root.as_ref()?.current;
        if current != Some(serial) && self.fails(cpu, Instruction::Vmptrld) {
            return Some(Outcome::Failed);
        }
        let root = self.cpus[cpu].root.as_mut()?;
        root.current = Some(serial);
        root.active.insert(serial);
        let (epoch, counted) = self.cpus[cpu].account.as_mut()?;
        counted.insert(serial);
        let epoch = *epoch;
        let (_, vmcs) = self.live(slot)?;
        vmcs.place = Place::On(epoch);
        vmcs.has_data = true;
        Some(Outcome::Done)
    }

    /// Why a VMCS that is at `place` is not loaded or cleared on `cpu`.
    fn refuses(&self, cpu: usize, place: Place) -> Option<Outcome> {
        let Some((here, _)) = self.cpus[cpu].account else { return Some(Outcome::NotEntered) };
        match place {
            Place::On(other) if other != here => Some(Outcome::ActiveElsewhere(other)),
            Place::Asked(other) => Some(Outcome::ClearRequested(other)),
            _ => None,
        }
    }

    fn clear(&mut self, cpu: usize, slot: usize) -> Option<Outcome> {
        let (serial, vmcs) = self.live(slot)?;
        let place = vmcs.place;
        if place == Place::Nowhere {
            return Some(Outcome::Done);
        }
        if let Some(refused) = self.refuses(cpu, place) {
            return Some(refused);
        }
        if self.fails(cpu, Instruction::Vmclear) {
            return Some(Outcome::Failed);
        }
        self.cleared(cpu, serial);
        let (_, vmcs) = self.live(slot)?;
        vmcs.cleared();
        Some(Outcome::Done)
    }

    /// The CPU has VMCLEARed it.
    fn cleared(&mut self, cpu: usize, serial: Serial) {
        if let Some(root) = &mut self.cpus[cpu].root {
            root.active.remove(&serial);
            root.current = root.current.filter(|current| *current != serial);
        }
        if let Some((_, counted)) = &mut self.cpus[cpu].account {
            counted.remove(&serial);
        }
    }

    fn clear_all(&mut self, cpu: usize) -> Outcome {
        let Some((here, _)) = self.cpus[cpu].account else { return Outcome::Count(0) };
        let (mut count, mut error) = (0, None);
        for slot in 0..self.slots.len() {
            let place = self.live(slot).map(|(_, vmcs)| vmcs.place);
            if place != Some(Place::On(here)) {
                continue;
            }
            match self.clear(cpu, slot) {
                Some(Outcome::Done) => count += 1,
                refused => error = error.or(refused),
            }
        }
        error.unwrap_or(Outcome::Count(count))
    }

    fn serve(&mut self, cpu: usize, token: Token) -> Outcome {
        match self.cpus[cpu].account {
            Some((here, _)) if here == token.epoch => {}
            _ => return Outcome::NotEntered,
        }
        if self.fails(cpu, Instruction::Vmclear) {
            return Outcome::Failed;
        }
        self.cleared(cpu, token.serial);
        Outcome::Done
    }

    /// A VMCS takes a receipt, or a request back.
    fn come_back(&mut self, slot: usize, token: usize, is_receipt: bool) -> Option<Outcome> {
        let given = *self.tokens.get(token)?;
        if given.is_receipt != is_receipt {
            return None;
        }
        let (serial, vmcs) = self.live(slot)?;
        if vmcs.place != Place::Asked(given.epoch) || serial != given.serial {
            return Some(Outcome::Back);
        }
        if is_receipt {
            vmcs.cleared();
        } else {
            vmcs.place = Place::On(given.epoch);
        }
        self.tokens.remove(token);
        Some(Outcome::Done)
    }
}
