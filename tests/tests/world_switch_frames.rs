//! A debugger or unwinder finds its way from every instruction of the world switch.
//!
//! The switch is executed on a model of a CPU, on every way through it. Before each
//! instruction the call-frame information in this program's `.eh_frame` must give the
//! caller's stack, return address and registers, which the model knows. And each
//! directive is left out in turn, which must show.

#![cfg(target_arch = "x86_64")]
// Helpers of tests, which the lints do not take for tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use gimli::{
    BaseAddresses, CallFrameInstruction as Directive, CfaRule, EhFrame, EndianSlice, LittleEndian,
    Register, RegisterRule, UnwindContext, UnwindSection,
};
use iced_x86::Mnemonic;
use object::{Object, ObjectSection};
use vmx_tests::world_switch::{
    Answer, Code, Cpu, HOST_RIP, HOST_RSP, HOST_SSP, Variant, place, variants,
};

/// DWARF's number of RSP.
const RSP: u16 = 7;
/// RBX, RBP, R12 to R15: DWARF's numbers, and the CPU's.
const PRESERVED: [(u16, usize); 6] = [(3, 3), (6, 5), (12, 12), (13, 13), (14, 14), (15, 15)];

/// Where the caller's frame is, for the addresses from `start` on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    start: u64,
    /// The frame's address is RSP and this.
    cfa: u64,
    /// Where registers are saved, from that address.
    saved: BTreeMap<u16, i64>,
}

/// What `.eh_frame` says of one function.
struct Frames {
    start: u64,
    end: u64,
    /// The directives with the addresses at which they begin to hold.
    directives: Vec<(u64, Directive<usize>)>,
    data_alignment: i64,
    /// The rows as `gimli` evaluates them.
    rows: Vec<Row>,
}

impl Frames {
    fn of(code: &Code, variant: &Variant) -> Self {
        let elf = object::File::parse(code.file()).unwrap();
        let section = elf.section_by_name(".eh_frame").expect("no unwind information at all");
        let data = section.data().unwrap();
        let eh_frame = EhFrame::new(data, LittleEndian);
        let bases = BaseAddresses::default()
            .set_eh_frame(section.address())
            .set_text(elf.section_by_name(".text").unwrap().address());
        let start = code.in_file(variant.address);
        let fde = eh_frame
            .fde_for_address(&bases, start, EhFrame::cie_from_offset)
            .expect("the switch has no unwind information");
        assert_eq!(fde.initial_address(), start, "another function's");
        let (mut directives, mut at) = (Vec::new(), start);
        for mut some in
            [fde.cie().instructions(&eh_frame, &bases), fde.instructions(&eh_frame, &bases)]
        {
            while let Some(directive) = some.next().unwrap() {
                match directive {
                    Directive::AdvanceLoc { delta } => {
                        at += u64::from(delta) * fde.cie().code_alignment_factor();
                    }
                    Directive::Nop => {}
                    other => directives.push((at, other)),
                }
            }
        }
        let data_alignment = fde.cie().data_alignment_factor();
        let rows = gimli_rows(&eh_frame, &bases, &fde);
        Self { start, end: fde.end_address(), directives, data_alignment, rows }
    }

    /// The rows, with one directive left out.
    fn rows_without(&self, left_out: Option<usize>) -> Vec<Row> {
        let mut row = Row { start: self.start, cfa: 0, saved: BTreeMap::new() };
        let (mut rows, mut remembered) = (Vec::new(), Vec::new());
        for (index, (at, directive)) in self.directives.iter().enumerate() {
            if *at != row.start {
                rows.push(row.clone());
                row.start = *at;
            }
            if Some(index) == left_out {
                continue;
            }
            match *directive {
                Directive::DefCfa { register: Register(RSP), offset }
                | Directive::DefCfaOffset { offset } => row.cfa = offset,
                Directive::Offset { register, factored_offset } => {
                    let offset = factored_offset as i64 * self.data_alignment;
                    row.saved.insert(register.0, offset);
                }
                Directive::Restore { register } => {
                    row.saved.remove(&register.0);
                }
                Directive::RememberState => remembered.push(row.clone()),
                Directive::RestoreState => {
                    if let Some(Row { cfa, saved, .. }) = remembered.pop() {
                        row = Row { start: row.start, cfa, saved };
                    }
                }
                ref other => panic!("a directive that the switch does not need: {other:?}"),
            }
        }
        rows.push(row);
        rows
    }
}

type Slice<'a> = EndianSlice<'a, LittleEndian>;

fn gimli_rows(
    eh_frame: &EhFrame<Slice<'_>>,
    bases: &BaseAddresses,
    fde: &gimli::FrameDescriptionEntry<Slice<'_>>,
) -> Vec<Row> {
    let mut context = UnwindContext::new();
    let mut table = fde.rows(eh_frame, bases, &mut context).unwrap();
    let mut rows = Vec::new();
    while let Some(row) = table.next_row().unwrap() {
        let CfaRule::RegisterAndOffset { register: Register(RSP), offset } = *row.cfa() else {
            panic!("the frame is not found from RSP: {:?}", row.cfa());
        };
        let saved = row.registers().map(|(register, rule)| match rule {
            RegisterRule::Offset(offset) => (register.0, *offset),
            other => panic!("{register:?}: {other:?}"),
        });
        rows.push(Row {
            start: row.start_address(),
            cfa: u64::try_from(offset).unwrap(),
            saved: saved.collect(),
        });
    }
    rows
}

/// What a debugger sees before an instruction, and what it should find.
struct State {
    rip: u64,
    general: [u64; 16],
    /// The words of the stack that are in use.
    stack: BTreeMap<u64, u64>,
    /// The caller's registers.
    caller: [u64; 16],
}

impl State {
    fn of(cpu: &Cpu, caller: [u64; 16]) -> Self {
        let general = cpu.registers.general;
        let words = (general[4]..=place::STACK).step_by(8);
        let stack = words.filter_map(|at| Some((at, cpu.read(at, 8).ok()?))).collect();
        Self { rip: cpu.rip, general, stack, caller }
    }
}

/// What a debugger finds; the error says what is wrong.
fn check(rows: &[Row], state: &State) -> Result<(), String> {
    let row = rows.iter().rev().find(|row| row.start <= state.rip).ok_or("no row")?;
    let frame = state.general[4] + row.cfa;
    if frame != place::STACK + 8 {
        return Err(format!("the frame is at {frame:#x}"));
    }
    let saved = |register: u16| {
        let offset = *row.saved.get(&register)?;
        Some(state.stack.get(&frame.wrapping_add_signed(offset)).copied())
    };
    // DWARF's number of the return address is 16.
    if saved(16) != Some(Some(place::CALLER)) {
        return Err("the return address is elsewhere".to_owned());
    }
    for (register, number) in PRESERVED {
        let found = saved(register).unwrap_or(Some(state.general[number]));
        if found != Some(state.caller[number]) {
            return Err(format!("register {number} is found as {found:x?}"));
        }
    }
    Ok(())
}

/// The state before every instruction, on every way through the switch.
fn states(code: &Code, variant: &Variant) -> Vec<State> {
    let mut states = Vec::new();
    let mut run = |mut cpu: Cpu| {
        let caller = cpu.registers.general;
        loop {
            states.push(State::of(&cpu, caller));
            if !cpu.step(code).unwrap() {
                return cpu;
            }
        }
    };
    for shadow_stack in [false, true] {
        for launch in [false, true] {
            for answer in [Answer::Exit, Answer::FailInvalid, Answer::FailValid] {
                let cpu = variant.called(code, launch, shadow_stack);
                run(Cpu { answer, ..cpu });
            }
            let mut cpu = run(variant.called(code, launch, shadow_stack));
            cpu.call_again(code, variant, false);
            run(cpu.clone());
            // HOST_SSP is known, and the host is on no shadow stack now.
            cpu.ssp = None;
            run(cpu);
        }
        for field in [HOST_RSP, HOST_RIP, HOST_SSP] {
            let refused = BTreeSet::from([field]);
            run(Cpu { refused, ..variant.called(code, true, shadow_stack) });
        }
    }
    states
}

#[test]
fn every_instruction_leads_back_to_the_caller() {
    let code = Code::of_this_program().unwrap();
    for variant in variants() {
        let frames = Frames::of(&code, &variant);
        let rows = frames.rows_without(None);
        assert_eq!(rows, frames.rows, "{}: evaluated otherwise than by gimli", variant.what);
        let mut executed = BTreeSet::new();
        for state in states(&code, &variant) {
            executed.insert(state.rip);
            if let Err(reason) = check(&rows, &state) {
                let instruction = code.decode(state.rip).unwrap();
                panic!("{}, at {:#x} {instruction:?}: {reason}", variant.what, state.rip);
            }
        }
        // No instruction was forgotten but the traps, which are not reached.
        let mut address = frames.start;
        while address < frames.end {
            let instruction = code.decode(address).unwrap();
            let is_trap = instruction.mnemonic() == Mnemonic::Int3;
            assert!(is_trap || executed.contains(&address), "{:#x} was not executed", address);
            address = instruction.next_ip();
        }
    }
}

#[test]
fn a_directive_that_is_missing_shows() {
    let code = Code::of_this_program().unwrap();
    for variant in variants() {
        let frames = Frames::of(&code, &variant);
        let states = states(&code, &variant);
        for (index, directive) in frames.directives.iter().enumerate() {
            let rows = frames.rows_without(Some(index));
            let shows = states.iter().any(|state| check(&rows, state).is_err());
            assert!(shows, "{}: {directive:x?} is of no use", variant.what);
        }
    }
}
