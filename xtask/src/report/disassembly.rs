//! Instructions of a function, counted without executing it.
//!
//! Counted is the success path: from the function's first instruction to its return,
//! never through the function that handles failures. The return is not counted, since
//! inlined code has none; everything else is. What the function computes is its argument
//! or its result, in a register that the compiler may choose the computation for, so
//! nothing is there only to satisfy the calling convention.

use anyhow::{Context, Result, bail, ensure};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};
use object::{Object, ObjectSection, ObjectSymbol};

/// The longest path that is followed, in instructions.
const LONGEST: usize = 1000;

/// The instructions on the success path of `function`, both functions by symbol.
pub(crate) fn success_path(elf: &[u8], function: &str, failure: &str) -> Result<usize> {
    let file = object::File::parse(elf).context("not an ELF file")?;
    let address = |name| {
        file.symbols()
            .find(|symbol| symbol.name() == Ok(name))
            .map(|symbol| symbol.address())
            .with_context(|| format!("the program has no function {name}"))
    };
    let text = file.section_by_name(".text").context("the program has no code")?;
    let code = Code { bytes: text.data()?, start: text.address(), failure: address(failure)? };
    code.path(address(function)?, 0)
        .with_context(|| format!("{function} cannot be followed"))?
        .with_context(|| format!("{function} never succeeds"))
}

/// Machine code in its place.
struct Code<'a> {
    bytes: &'a [u8],
    /// The address of the first byte.
    start: u64,
    /// The address of the function that handles failures.
    failure: u64,
}

impl Code<'_> {
    /// The number of instructions from `address` to a return; the larger one where there
    /// are several ways, `None` where every way fails. `before` have been followed.
    fn path(&self, address: u64, before: usize) -> Result<Option<usize>> {
        ensure!(before < LONGEST, "it is longer than {LONGEST} instructions, or a loop");
        let instruction = self.decode(address)?;
        let target = instruction.near_branch_target();
        let follow = |address| self.path(address, before + 1);
        let rest = match instruction.flow_control() {
            FlowControl::Return => return Ok(Some(0)),
            FlowControl::Next => follow(instruction.next_ip())?,
            FlowControl::ConditionalBranch => follow(instruction.next_ip())?.max(follow(target)?),
            FlowControl::UnconditionalBranch | FlowControl::Call if target == self.failure => None,
            FlowControl::UnconditionalBranch => follow(target)?,
            // A call on the way to a failure, such as to ask for its reason, is of no
            // interest; any other one is what inlined code may not have.
            FlowControl::Call | FlowControl::IndirectCall => match follow(instruction.next_ip()) {
                Ok(None) => None,
                _ => bail!("it calls another function at {address:#x}"),
            },
            FlowControl::Exception | FlowControl::Interrupt => None,
            other => bail!("it goes to an unknown place at {address:#x} ({other:?})"),
        };
        Ok(rest.map(|rest| rest + 1))
    }

    fn decode(&self, address: u64) -> Result<Instruction> {
        let bytes = address
            .checked_sub(self.start)
            .and_then(|offset| self.bytes.get(usize::try_from(offset).ok()?..))
            .with_context(|| format!("{address:#x} is outside the code"))?;
        let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
        let instruction = decoder.decode();
        ensure!(!instruction.is_invalid(), "no instruction at {address:#x}");
        Ok(instruction)
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, success_path};

    /// At 1000h; a call of the failure handler at 2000h follows the bytes.
    fn count(bytes: &[u8]) -> Result<Option<usize>, String> {
        let mut bytes = bytes.to_vec();
        bytes.push(0xE8);
        let next = 0x1000 + bytes.len() as u32 + 4;
        bytes.extend((0x2000 - next).to_le_bytes());
        Code { bytes: &bytes, start: 0x1000, failure: 0x2000 }
            .path(0x1000, 0)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn counts_up_to_the_return_and_not_the_failure() {
        let vmread = [
            0xB8, 0x1E, 0x68, 0, 0, // mov eax, 681Eh
            0x0F, 0x78, 0xC0, // vmread rax, rax
            0x0F, 0x96, 0xC1, // setbe cl
            0x84, 0xC9, // test cl, cl
            0x75, 0x01, // jne to the push
            0xC3, // ret
            0x50, // push rax
            0xFF, 0x15, 0, 0, 0, 0, // call [rip]
        ];
        assert_eq!(count(&vmread), Ok(Some(5)));
    }

    #[test]
    fn takes_the_longer_of_two_ways_and_follows_jumps() {
        // jne +3; nop; jmp +1; nop; jbe to the failure; ret
        assert_eq!(count(&[0x75, 3, 0x90, 0xEB, 1, 0x90, 0x76, 1, 0xC3]), Ok(Some(4)));
    }

    #[test]
    fn refuses_what_inlined_code_does_not_have() {
        // call +0; ret
        let call = count(&[0xE8, 0, 0, 0, 0, 0xC3]).expect_err("a call");
        assert!(call.contains("calls another function"), "{call}");
        // jmp to itself
        assert!(count(&[0xEB, 0xFE]).expect_err("a loop").contains("loop"));
        // jmp rax
        assert!(count(&[0xFF, 0xE0]).expect_err("a jump").contains("unknown place"));
        assert!(count(&[0xEB, 0x70]).expect_err("a jump").contains("outside the code"));
        assert_eq!(count(&[]), Ok(None), "it fails always");
        assert!(success_path(b"#!/bin/sh", "a", "b").is_err());
    }
}
