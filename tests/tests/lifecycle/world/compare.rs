//! After each step: what is kept, and what the CPUs do, are what should be.

use std::collections::BTreeSet;
use std::thread;

use vmx_core::PhysicalAddress;
use vmx_tests::vmx_cpu::Use;

use super::World;
use crate::ideal::{Epoch, Outcome, Place, Serial, Slot, Token};
use crate::step::Step;

impl World<'_> {
    /// The outcome, with the first number of an operation that has the same name.
    pub(super) fn named(&self, outcome: Outcome) -> Outcome {
        let first = |epoch| {
            let id = self.ids[&epoch];
            self.ids.iter().find(|(_, known)| **known == id).map_or(epoch, |(first, _)| *first)
        };
        match outcome {
            Outcome::ActiveElsewhere(epoch) => Outcome::ActiveElsewhere(first(epoch)),
            Outcome::ClearRequested(epoch) => Outcome::ClearRequested(first(epoch)),
            other => other,
        }
    }

    pub(super) fn compare(&self) {
        self.compare_cpus();
        self.compare_vmcss();
        let outstanding: Vec<_> = self.ended.iter().map(|ended| ended.outstanding()).collect();
        let ideal: Vec<_> = self.ideal.ended.iter().map(|ended| ended.outstanding).collect();
        assert_eq!(outstanding, ideal, "what ended operations have not settled");
        assert_eq!(self.board.memory.free(), self.ideal.free(), "pages that came back");
    }

    fn compare_cpus(&self) {
        for (per_cpu, ideal) in self.cpus.iter().zip(&self.ideal.cpus) {
            let (cpu, operation) = (&per_cpu.cpu, &per_cpu.operation);
            let active: BTreeSet<_> = cpu.active().collect();
            match &ideal.root {
                None => assert!(!cpu.in_vmx_operation() && active.is_empty()),
                Some(root) => {
                    let address = |serial: &Serial| self.addresses[serial];
                    assert!(cpu.in_vmx_operation());
                    let ideal: BTreeSet<_> = root.active.iter().map(address).collect();
                    assert_eq!(active, ideal, "active on CPU {}", cpu.apic_id());
                    assert_eq!(cpu.vmptrst(), root.current.as_ref().map(address));
                    let uses = self.board.memory.used(self.regions[&root.epoch]);
                    assert_eq!(uses, Some(Use::VmxonRegion(cpu.apic_id())));
                }
            }
            let account = ideal.account.as_ref();
            assert_eq!(operation.is_entered(), account.is_some());
            assert_eq!(operation.id(), account.map(|(epoch, _)| self.ids[epoch]));
            assert_eq!(operation.active(), account.map_or(0, |(_, counted)| counted.len()));
        }
    }

    fn compare_vmcss(&self) {
        for (vmcs, serial) in self.slots.iter().zip(&self.ideal.slots) {
            let (Some(vmcs), Some(serial)) = (vmcs, serial) else {
                assert!(vmcs.is_none() && serial.is_none());
                continue;
            };
            let ideal = self.ideal.vmcss[serial];
            assert_eq!(vmcs.active_on(), ideal.place.epoch().map(|epoch| self.ids[&epoch]));
            assert_eq!(vmcs.is_launched(), ideal.launched);
            for (per_cpu, cpu) in self.cpus.iter().zip(&self.ideal.cpus) {
                let root = cpu.root.as_ref();
                if !ideal.is_swept && root.is_some_and(|root| root.active.contains(serial)) {
                    assert_eq!(per_cpu.cpu.is_launched(vmcs.address()), ideal.launched);
                }
            }
        }
    }

    /// Undoes everything that can be: afterwards all pages are back, but for those that
    /// were leaked by dropping or forgetting.
    pub(crate) fn finish(mut self) {
        self.bring_tokens_home();
        for slot in 0..self.slots.len() {
            if let Some(serial) = self.ideal.slots[slot] {
                self.settle(slot, self.ideal.vmcss[&serial].place);
            }
        }
        for cpu in 0..self.cpus.len() {
            self.step(Step::Leave { cpu });
            if self.ideal.cpus[cpu].account.is_some() {
                // A VMCS was dropped while it was active.
                while self.step(Step::DropEnded { ended: 0 }) {}
                self.step(Step::LeaveByForce { cpu });
            }
        }
        while self.step(Step::DropEnded { ended: 0 }) {}
        for vmcs in 0..self.slots.len() {
            self.step(Step::IntoOwner { vmcs });
        }
        let unsettled = self.slots.iter().flatten().count();
        let leaked = self.ideal.leaked + unsettled;
        assert_eq!(self.board.memory.free(), self.board.size.pages - leaked);
        if !self.history.iter().any(|step| step.may_leak()) {
            assert_eq!(leaked, 0, "nothing was dropped or forgotten");
        }
    }

    /// Takes every request back and accepts every receipt, where the VMCS still exists.
    fn bring_tokens_home(&mut self) {
        for cpu in 0..self.cpus.len() {
            for instruction in core::mem::take(&mut self.ideal.cpus[cpu].failing) {
                self.cpus[cpu].cpu.fail_not(instruction);
            }
            self.step(Step::Withdraw { cpu });
        }
        while let Some(Token { serial, .. }) = self.ideal.tokens.first().copied() {
            let slot = self.ideal.slots.iter().position(|slot| *slot == Some(serial));
            match slot {
                Some(vmcs) => {
                    let accepted = self.step(Step::Accept { vmcs, token: 0 });
                    assert!(accepted || self.step(Step::Cancel { vmcs, token: 0 }));
                }
                None => {
                    self.step(Step::ForgetToken { token: 0 });
                }
            }
        }
    }

    fn settle(&mut self, vmcs: usize, place: Place) {
        let Place::On(epoch) = place else { return };
        let is_here =
            |cpu: &crate::ideal::Cpu| cpu.account.as_ref().is_some_and(|(here, _)| *here == epoch);
        if let Some(cpu) = self.ideal.cpus.iter().position(is_here) {
            self.step(Step::Clear { cpu, vmcs });
        } else if let Some(ended) = self.ideal.ended.iter().position(|e| e.epoch == epoch) {
            self.step(Step::Release { ended, vmcs });
        }
    }

    /// What matters for all that can happen from here, with numbers and addresses in the
    /// order in which they are met.
    pub(crate) fn fingerprint(&self) -> Vec<u16> {
        let mut print = Fingerprint { world: self, met: Vec::new(), words: Vec::new() };
        let ideal = &self.ideal;
        for cpu in &ideal.cpus {
            print.word(cpu.failing.len());
            match &cpu.account {
                None => print.word(0),
                Some((epoch, counted)) => {
                    print.epoch(*epoch);
                    counted.iter().for_each(|serial| print.serial(*serial));
                }
            }
            match &cpu.root {
                None => print.word(0),
                Some(root) => {
                    print.epoch(root.epoch);
                    root.current.iter().for_each(|serial| print.serial(*serial));
                    print.word(1);
                    root.active.iter().for_each(|serial| print.serial(*serial));
                }
            }
            print.word(2 + usize::from(cpu.mailbox.is_forgotten));
            match cpu.mailbox.slot {
                Slot::Empty => print.word(0),
                Slot::Posted(token) => print.token(token),
                Slot::Answered(token, outcome) => {
                    print.word(4 + usize::from(outcome == Outcome::Done));
                    print.token(token);
                }
            }
        }
        for serial in &ideal.slots {
            let Some(serial) = serial else {
                print.word(0);
                continue;
            };
            print.serial(*serial);
            let vmcs = ideal.vmcss[serial];
            let flags = [vmcs.launched, vmcs.has_data, vmcs.is_fresh, vmcs.is_swept];
            flags.iter().for_each(|flag| print.word(usize::from(*flag)));
            match vmcs.place {
                Place::Nowhere => print.word(0),
                Place::On(epoch) => print.epoch(epoch),
                Place::Asked(epoch) => {
                    print.word(1);
                    print.epoch(epoch);
                }
            }
        }
        for ended in &ideal.ended {
            print.epoch(ended.epoch);
            print.word(4 * ended.outstanding + 2 * usize::from(ended.has_page));
            print.word(usize::from(ended.is_lost));
        }
        print.word(usize::MAX);
        ideal.tokens.iter().for_each(|token| print.token(*token));
        print.word(ideal.leaked);
        print.words
    }
}

struct Fingerprint<'w, 'b> {
    world: &'w World<'b>,
    met: Vec<Named>,
    words: Vec<u16>,
}

#[derive(PartialEq)]
enum Named {
    Epoch(Epoch),
    Serial(Serial),
    Page(PhysicalAddress),
}

impl Fingerprint<'_, '_> {
    fn word(&mut self, word: usize) {
        self.words.push(word as u16);
    }

    fn named(&mut self, named: Named) {
        let place = self.met.iter().position(|met| *met == named).unwrap_or_else(|| {
            self.met.push(named);
            self.met.len() - 1
        });
        self.word(0x100 + place);
    }

    fn epoch(&mut self, epoch: Epoch) {
        self.named(Named::Epoch(epoch));
        self.named(Named::Page(self.world.regions[&epoch]));
    }

    fn serial(&mut self, serial: Serial) {
        self.named(Named::Serial(serial));
        self.named(Named::Page(self.world.addresses[&serial]));
    }

    fn token(&mut self, token: Token) {
        self.word(10 + usize::from(token.is_receipt));
        self.epoch(token.epoch);
        self.serial(token.serial);
    }
}

/// A test that fails tells by which steps.
impl Drop for World<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("history: {:#?}", self.history);
        }
    }
}
