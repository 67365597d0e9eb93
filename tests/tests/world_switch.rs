//! The world switch, in every choice of options, executed on a model of a CPU.

#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used)] // Helpers of tests, which the lint does not take for tests.

use iced_x86::{Mnemonic, OpKind};
use vmx_bare_metal::{BareMetal, SwitchOptions, WithVectors};
use vmx_core::cpu::{EntryInstruction, HostPointers, WorldSwitch};
use vmx_tests::world_switch::{
    Answer, Code, Cpu, HOST_RIP, HOST_RSP, HOST_SSP, Variant, first_round_trip, general_in_order,
    place, round_trips, variants,
};

/// What the switch returns: that the guest ran, VMfailInvalid, VMfailValid.
const RESULTS: [(Answer, u64); 3] =
    [(Answer::Exit, 0), (Answer::FailInvalid, 1), (Answer::FailValid, 2)];

fn code() -> Code {
    Code::of_this_program().unwrap()
}

/// Every variant, by both instructions, without and with a shadow stack.
fn for_each(mut test: impl FnMut(&Code, &Variant, bool, Cpu)) {
    let code = code();
    for variant in variants() {
        for launch in [true, false] {
            for shadow_stack in [false, true] {
                let cpu = variant.called(&code, launch, shadow_stack);
                test(&code, &variant, launch, cpu);
            }
        }
    }
}

fn word(cpu: &Cpu, offset: u64) -> u64 {
    cpu.read(place::REGISTERS + offset, 8).unwrap()
}

/// The last ten instructions, for a message.
fn last(cpu: &Cpu) -> String {
    let from = cpu.trace.len().saturating_sub(10);
    cpu.trace[from..].iter().map(|i| format!("{:x} {:?}\n", i.ip(), i.mnemonic())).collect()
}

#[test]
fn the_guest_gets_its_registers_by_the_right_instruction() {
    for_each(|code, variant, launch, mut cpu| {
        let words: Vec<u64> = (0..16).map(|word| crate::word(&cpu, 8 * word)).collect();
        cpu.run(code).unwrap();
        let (instruction, entered) = cpu.entered.clone().unwrap();
        let expected = if launch { Mnemonic::Vmlaunch } else { Mnemonic::Vmresume };
        assert_eq!(instruction, expected, "{}", variant.what);
        assert_eq!(general_in_order(&entered).as_slice(), words, "{}", variant.what);
        if let Some(offset) = variant.vectors {
            let first = variant.called(code, launch, false);
            for (index, value) in entered.xmm.into_iter().enumerate() {
                let low = word(&first, offset + 16 * index as u64);
                let high = word(&first, offset + 16 * index as u64 + 8);
                assert_eq!(value, u128::from(high) << 64 | u128::from(low), "XMM{index}");
            }
            assert_eq!(entered.mxcsr, 0x1F82);
        }
    });
}

#[test]
fn the_registers_of_the_guest_are_stored() {
    for_each(|code, variant, _, mut cpu| {
        let before = cpu.memory.clone();
        cpu.run(code).unwrap();
        let stored: Vec<u64> = (0..16).map(|word| crate::word(&cpu, 8 * word)).collect();
        assert_eq!(stored, general_in_order(&cpu.guest), "{}", variant.what);
        if let Some(offset) = variant.vectors {
            for (index, value) in cpu.guest.xmm.into_iter().enumerate() {
                assert_eq!(word(&cpu, offset + 16 * index as u64), value as u64);
                assert_eq!(word(&cpu, offset + 16 * index as u64 + 8), (value >> 64) as u64);
            }
            let mxcsr = cpu.read(place::REGISTERS + offset + 256, 4).unwrap();
            assert_eq!(mxcsr, u64::from(cpu.guest.mxcsr));
        }
        if let Some(offset) = variant.spec_ctrl {
            assert_eq!(word(&cpu, offset), cpu.guest.spec_ctrl);
        }
        // Nothing else in the host's memory but the stack below the caller.
        for (address, byte) in before {
            let ours = place::REGISTERS..place::REGISTERS + 0x1000;
            let record = place::POINTERS..place::POINTERS + 24;
            if !ours.contains(&address) && !record.contains(&address) {
                assert_eq!(cpu.memory.get(&address), Some(&byte), "{address:#x}");
            }
        }
    });
}

#[test]
fn after_a_failure_the_registers_are_as_they_were() {
    for (answer, result) in RESULTS {
        for_each(|code, variant, _, mut cpu| {
            cpu.answer = answer;
            let before = cpu.memory.clone();
            cpu.run(code).unwrap();
            assert_eq!(cpu.registers.general[0], result, "{}", variant.what);
            if answer != Answer::Exit {
                let ours = place::REGISTERS..place::REGISTERS + 0x1000;
                assert!(before.range(ours.clone()).eq(cpu.memory.range(ours)), "{}", variant.what);
            }
        });
    }
}

#[test]
fn the_caller_gets_back_what_the_convention_says() {
    for (answer, _) in RESULTS {
        for_each(|code, variant, _, mut cpu| {
            let called = cpu.clone();
            cpu.answer = answer;
            cpu.run(code).unwrap();
            let (was, is) = (&called.registers, &cpu.registers);
            for preserved in [3, 5, 12, 13, 14, 15] {
                let what = variant.what;
                assert_eq!(is.general[preserved], was.general[preserved], "{what} {preserved}");
            }
            assert_eq!(is.general[4], place::STACK + 8, "{}", variant.what);
            assert_eq!(cpu.rip, place::CALLER);
            assert_eq!(cpu.ssp, called.ssp.map(|ssp| ssp + 8), "{}", variant.what);
            if variant.vectors.is_some() {
                assert_eq!(is.mxcsr, was.mxcsr, "the control bits are the caller's");
            }
            if variant.spec_ctrl.is_some() {
                assert_eq!(is.spec_ctrl, was.spec_ctrl, "{}", variant.what);
            }
        });
    }
}

/// What must not be found: anything that is neither zero nor the host's.
#[test]
fn no_register_holds_anything_of_the_guest_not_even_before_it_is_popped() {
    for (answer, result) in RESULTS {
        for_each(|code, variant, _, mut cpu| {
            cpu.answer = answer;
            let caller = cpu.registers.clone();
            let mut popping = false;
            while cpu.step(code).unwrap() {
                // The stack pointer is put right once everything of the guest is gone,
                // and then the host's registers are popped.
                let is_put_right = cpu.trace.last().unwrap().mnemonic() == Mnemonic::Add;
                if is_put_right && code.decode(cpu.rip).unwrap().mnemonic() == Mnemonic::Pop {
                    popping = true;
                    for (number, value) in cpu.registers.general.into_iter().enumerate() {
                        let allowed = match number {
                            0 => result,
                            4 => continue,
                            _ => 0,
                        };
                        assert_eq!(value, allowed, "{}: register {number}", variant.what);
                    }
                }
            }
            assert!(popping, "{}: the way out was not recognised:\n{}", variant.what, last(&cpu));
            for (number, value) in cpu.registers.general.into_iter().enumerate() {
                match number {
                    3 | 5 | 12..=15 => {} // the host's
                    4 => {}
                    0 => assert_eq!(value, result),
                    _ => assert_eq!(value, 0, "{}: register {number}", variant.what),
                }
            }
            if variant.vectors.is_some() {
                let mut expected = [0; 16];
                if variant.keep {
                    expected[6..].copy_from_slice(&caller.xmm[6..]);
                }
                assert_eq!(cpu.registers.xmm, expected, "{}", variant.what);
            }
        });
    }
}

#[test]
fn host_pointers_are_written_once_and_recorded() {
    for_each(|code, variant, launch, mut cpu| {
        let shadow_stack = cpu.ssp;
        cpu.run(code).unwrap();
        let fields: Vec<u32> = cpu.vmwrites.iter().map(|(field, _)| *field).collect();
        let expected: &[u32] = match shadow_stack {
            Some(_) => &[HOST_RSP, HOST_RIP, HOST_SSP],
            None => &[HOST_RSP, HOST_RIP],
        };
        assert_eq!(fields, expected, "{}", variant.what);
        for (index, field) in [HOST_RSP, HOST_RIP, HOST_SSP].into_iter().enumerate() {
            let recorded = cpu.read(place::POINTERS + 8 * index as u64, 8).unwrap();
            let held = if expected.contains(&field) { cpu.vmcs[&field] } else { 0 };
            assert_eq!(recorded, held, "{} {field:#x}", variant.what);
        }
        cpu.call_again(code, variant, !launch);
        cpu.run(code).unwrap();
        assert_eq!(cpu.vmwrites, [], "{}", variant.what);
        assert!(cpu.entered.is_some());

        // One is no longer known, or another value is there: it alone is written.
        for (index, field) in [HOST_RSP, HOST_RIP, HOST_SSP].into_iter().enumerate() {
            for other in [0u64, 0x4242] {
                cpu.call_again(code, variant, false);
                cpu.put(place::POINTERS + 8 * index as u64, &other.to_le_bytes());
                cpu.run(code).unwrap();
                let held = (field, cpu.vmcs[&field]);
                let expected: &[(u32, u64)] = if field == HOST_SSP && shadow_stack.is_none() {
                    &[]
                } else {
                    std::slice::from_ref(&held)
                };
                assert_eq!(cpu.vmwrites, expected, "{} {field:#x}", variant.what);
                // Where shadow stacks are off the record stays: nobody wrote the field.
                cpu.put(place::POINTERS + 8 * index as u64, &held.1.to_le_bytes());
            }
        }
    });
}

#[test]
fn a_field_that_is_refused_is_not_recorded_and_the_guest_not_entered() {
    for field in [HOST_RSP, HOST_RIP, HOST_SSP] {
        for_each(|code, variant, _, mut cpu| {
            if field == HOST_SSP && cpu.ssp.is_none() {
                return;
            }
            cpu.refused.insert(field);
            let called = cpu.clone();
            cpu.run(code).unwrap();
            assert_eq!(cpu.entered, None, "{}", variant.what);
            assert_eq!(cpu.registers.general[0], 2, "VMfailValid");
            let index = [HOST_RSP, HOST_RIP, HOST_SSP].iter().position(|f| *f == field).unwrap();
            assert_eq!(cpu.read(place::POINTERS + 8 * index as u64, 8), Ok(0));
            assert_eq!(cpu.registers.spec_ctrl, called.registers.spec_ctrl);
            for preserved in [3, 5, 12, 13, 14, 15] {
                let was = called.registers.general[preserved];
                assert_eq!(cpu.registers.general[preserved], was, "{}", variant.what);
            }
        });
    }
}

#[test]
fn verw_is_the_last_instruction_before_the_entry() {
    for_each(|code, variant, launch, mut cpu| {
        cpu.run(code).unwrap();
        let entry = if launch { Mnemonic::Vmlaunch } else { Mnemonic::Vmresume };
        let at = cpu.trace.iter().position(|i| i.mnemonic() == entry).unwrap();
        let before = cpu.trace[at - 1];
        if variant.verw {
            assert_eq!(before.mnemonic(), Mnemonic::Verw, "{}", variant.what);
            assert_eq!(before.op0_kind(), OpKind::Memory, "only that form clears");
        }
        let count = cpu.trace.iter().filter(|i| i.mnemonic() == Mnemonic::Verw).count();
        assert_eq!(count, usize::from(variant.verw), "{}", variant.what);
        // The choice of the instruction is made by a flag that VERW leaves alone, and
        // by nothing that could touch memory or flags after the registers are loaded.
        let loads = cpu.trace[..at].iter().rev().skip_while(|i| i.mnemonic() != Mnemonic::Mov);
        let between = at - loads.count();
        assert_eq!(between, 1 + usize::from(variant.verw), "{}: a branch, VERW", variant.what);
    });
}

#[test]
fn spec_ctrl_is_written_only_where_it_differs() {
    let code = code();
    for variant in variants() {
        let Some(offset) = variant.spec_ctrl else {
            let mut cpu = variant.called(&code, true, false);
            cpu.run(&code).unwrap();
            let msr = |i: &&iced_x86::Instruction| {
                matches!(i.mnemonic(), Mnemonic::Rdmsr | Mnemonic::Wrmsr)
            };
            assert_eq!(cpu.trace.iter().filter(msr).count(), 0, "{}", variant.what);
            continue;
        };
        const HOST: u64 = 0x0000_0001_0000_0005;
        for (loaded, left) in [(HOST, HOST), (HOST, 7), (7, HOST), (7, 7), (7, 7 << 32)] {
            let mut cpu = variant.called(&code, true, false);
            cpu.registers.spec_ctrl = HOST;
            cpu.guest.spec_ctrl = left;
            cpu.put(place::REGISTERS + offset, &loaded.to_le_bytes());
            cpu.put(place::REGISTERS + offset + 8, &HOST.to_le_bytes());
            cpu.run(&code).unwrap();
            assert_eq!(cpu.entered.as_ref().unwrap().1.spec_ctrl, loaded);
            assert_eq!(cpu.registers.spec_ctrl, HOST);
            assert_eq!(word(&cpu, offset), left, "what the guest left is its value now");
            let mut expected = Vec::new();
            expected.extend((loaded != HOST).then_some(loaded));
            expected.extend((left != HOST || variant.legacy_ibrs).then_some(HOST));
            assert_eq!(cpu.wrmsrs, expected, "{}: {loaded:#x} {left:#x}", variant.what);
        }
    }
}

/// After the exit: no branch but those over WRMSR and INCSSP, no RET, before LFENCE.
#[test]
fn the_defences_come_before_anything_that_is_predicted() {
    for_each(|code, variant, launch, mut cpu| {
        cpu.run(code).unwrap();
        let entry = if launch { Mnemonic::Vmlaunch } else { Mnemonic::Vmresume };
        let at = cpu.trace.iter().position(|i| i.mnemonic() == entry).unwrap();
        let exit = &cpu.trace[at + 1..];
        let position = |mnemonic| exit.iter().position(|i| i.mnemonic() == mnemonic);
        let fence = position(Mnemonic::Lfence);
        assert_eq!(fence.is_some(), variant.fill || variant.spec_ctrl.is_some());
        let calls = exit.iter().filter(|i| i.mnemonic() == Mnemonic::Call).count();
        assert_eq!(calls, if variant.fill { 32 } else { 0 }, "{}", variant.what);
        if variant.spec_ctrl.is_some() {
            // Only the sixteen general registers are stored before the first access.
            let first = position(Mnemonic::Rdmsr).unwrap();
            assert!(first <= 18, "{}: {first} instructions before it", variant.what);
            let stores = [Mnemonic::Mov, Mnemonic::Push, Mnemonic::Pop];
            assert!(exit[..first].iter().all(|i| stores.contains(&i.mnemonic())));
            assert!(fence > position(Mnemonic::Wrmsr));
            if variant.fill {
                assert!(position(Mnemonic::Wrmsr) < position(Mnemonic::Call));
            }
        }
        if variant.fill {
            let last_call = exit.iter().rposition(|i| i.mnemonic() == Mnemonic::Call);
            assert!(fence > last_call, "{}", variant.what);
            let incssp = exit.iter().filter(|i| i.mnemonic() == Mnemonic::Incsspq).count();
            assert_eq!(incssp, usize::from(cpu.ssp.is_some()), "{}", variant.what);
            // Each return address that was pushed leads to a trap.
            for call in exit.iter().filter(|i| i.mnemonic() == Mnemonic::Call) {
                let trap = code.decode(call.next_ip()).unwrap();
                assert_eq!(trap.mnemonic(), Mnemonic::Int3, "{}", variant.what);
            }
        }
        let after = &exit[fence.map_or(0, |fence| fence + 1)..];
        let returns = after.iter().filter(|i| i.mnemonic() == Mnemonic::Ret).count();
        assert_eq!(returns, 1, "{}", variant.what);
    });
}

#[test]
fn cr2_is_written_only_where_it_differs() {
    for_each(|code, _, _, mut cpu| {
        let loaded = word(&cpu, 8 * 15);
        let before = cpu.trace.len();
        cpu.clone().run(code).unwrap();
        let mut same = cpu.clone();
        same.registers.cr2 = loaded;
        same.run(code).unwrap();
        cpu.run(code).unwrap();
        assert_eq!(cpu.trace.len() - before, same.trace.len() + 1, "one instruction more");
        assert_eq!(cpu.entered.unwrap().1.cr2, loaded);
    });
}

/// A caller by the convention of Windows, of which XMM6 to XMM15 are to be preserved. The
/// compiler, where it knows the registers, does that around the switch, which is a function
/// by the convention of System V whatever the target.
extern "win64" fn of_windows(registers: &mut WithVectors, host: &mut HostPointers) -> bool {
    struct Vectors;
    impl SwitchOptions for Vectors {
        type Registers = WithVectors;
    }
    // SAFETY: this function is not called, only its code is read.
    let mut cpu = unsafe { BareMetal::<Vectors>::with_options() };
    // SAFETY: as above.
    unsafe { cpu.enter(EntryInstruction::Resume, host, registers) }.is_ok()
}

#[test]
fn a_caller_of_the_windows_convention_keeps_its_vectors() {
    let code = code();
    let mut address = code.in_file(of_windows as extern "win64" fn(_, _) -> _ as usize);
    let mut saved = Vec::new();
    loop {
        let instruction = code.decode(address).unwrap();
        if instruction.mnemonic() == Mnemonic::Call {
            break;
        }
        let from = instruction.op1_register();
        if instruction.op0_kind() == OpKind::Memory && from.is_xmm() {
            saved.push(from.number());
        }
        address = instruction.next_ip();
    }
    saved.sort_unstable();
    assert_eq!(saved, (6..16).collect::<Vec<_>>());
}

/// The bounds are what the options' documentation says they cost, on top of the plain
/// switch.
#[test]
fn a_round_trip_costs_what_is_said() {
    let counts = round_trips().unwrap();
    let plain = counts[0].instructions;
    let found: Vec<(&str, usize, usize)> = counts
        .iter()
        .map(|c| (c.what, c.instructions - plain, c.on_shadow_stack - plain))
        .collect();
    for count in &counts {
        println!("{:30} {:4} {:4}", count.what, count.instructions, count.on_shadow_stack);
    }
    assert_eq!(plain, 80);
    assert_eq!(
        found,
        [
            ("plain", 0, 0),
            ("return-stack buffer filled", 38, 40),
            ("VERW", 3, 3),
            ("IA32_SPEC_CTRL", 11, 11),
            ("IA32_SPEC_CTRL, legacy IBRS", 11, 11),
            ("vectors", 53, 53),
            ("vectors, XMM6 to XMM15 kept", 74, 74),
            ("all of them", 124, 126),
        ]
    );
    let slow: Vec<_> = counts.iter().map(|c| (c.vmwrites, c.rdmsrs, c.wrmsrs)).collect();
    let with_msr = [(0, 1, 0), (0, 1, 1)];
    let none = (0, 0, 0);
    assert_eq!(slow, [none, none, none, with_msr[0], with_msr[1], none, none, with_msr[1]]);

    // Five instructions more for each of HOST_RSP and HOST_RIP, seven for HOST_SSP.
    let first = first_round_trip().unwrap();
    assert_eq!((first.instructions, first.on_shadow_stack), (plain + 10, plain + 17));
    assert_eq!(first.vmwrites, 2);
}
