//! The world switch with each choice of options.

use std::marker::PhantomData;

use vmx_bare_metal::{BareMetal, Plain, RegisterFile, SwitchOptions, WithSpecCtrl, WithVectors};
use vmx_core::GuestRegisters;

/// A world switch with one choice of options.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// The options, in words.
    pub what: &'static str,
    /// Its address in this program.
    pub address: usize,
    /// Where the registers have XMM0, and MXCSR 256 bytes further; in bytes.
    pub vectors: Option<u64>,
    /// Where they have the guest's IA32_SPEC_CTRL, and the host's 8 bytes further.
    pub spec_ctrl: Option<u64>,
    /// VERW stands before the entry.
    pub verw: bool,
    /// The return-stack buffer is filled.
    pub fill: bool,
    /// IA32_SPEC_CTRL is written after every exit.
    pub legacy_ibrs: bool,
    /// XMM6 to XMM15 are the caller's afterwards.
    pub keep: bool,
}

/// Every choice of options as a type.
struct Chosen<R, const OPTIONS: u32>(PhantomData<R>);

const FILL: u32 = 1;
const VERW: u32 = 2;
const IBRS: u32 = 4;
const KEEP: u32 = 8;

impl<R: RegisterFile, const OPTIONS: u32> SwitchOptions for Chosen<R, OPTIONS> {
    type Registers = R;
    const FILL_RETURN_STACK_BUFFER: bool = OPTIONS & FILL != 0;
    const VERW: bool = OPTIONS & VERW != 0;
    const LEGACY_IBRS: bool = OPTIONS & IBRS != 0;
    const KEEP_XMM6_TO_XMM15: bool = OPTIONS & KEEP != 0;
}

fn address<R: RegisterFile, const OPTIONS: u32>() -> usize {
    BareMetal::<Chosen<R, OPTIONS>>::world_switch_address()
}

/// The plain switch, each option alone, and all together.
pub fn variants() -> [Variant; 8] {
    const PLAIN: Variant = Variant {
        what: "plain",
        address: 0,
        vectors: None,
        spec_ctrl: None,
        verw: false,
        fill: false,
        legacy_ibrs: false,
        keep: false,
    };
    // 16 words of general registers; 16 XMM registers and MXCSR, filled up to 16 bytes.
    const AFTER_GENERAL: Option<u64> = Some(128);
    const AFTER_VECTORS: Option<u64> = Some(128 + 256 + 16);
    [
        Variant { address: BareMetal::<Plain>::world_switch_address(), ..PLAIN },
        Variant {
            what: "return-stack buffer filled",
            address: address::<GuestRegisters, FILL>(),
            fill: true,
            ..PLAIN
        },
        Variant { what: "VERW", address: address::<GuestRegisters, VERW>(), verw: true, ..PLAIN },
        Variant {
            what: "IA32_SPEC_CTRL",
            address: address::<WithSpecCtrl<GuestRegisters>, 0>(),
            spec_ctrl: AFTER_GENERAL,
            ..PLAIN
        },
        Variant {
            what: "IA32_SPEC_CTRL, legacy IBRS",
            address: address::<WithSpecCtrl<GuestRegisters>, IBRS>(),
            spec_ctrl: AFTER_GENERAL,
            legacy_ibrs: true,
            ..PLAIN
        },
        Variant {
            what: "vectors",
            address: address::<WithVectors, 0>(),
            vectors: AFTER_GENERAL,
            ..PLAIN
        },
        Variant {
            what: "vectors, XMM6 to XMM15 kept",
            address: address::<WithVectors, KEEP>(),
            vectors: AFTER_GENERAL,
            keep: true,
            ..PLAIN
        },
        Variant {
            what: "all of them",
            address: address::<WithSpecCtrl<WithVectors>, { FILL | VERW | IBRS | KEEP }>(),
            vectors: AFTER_GENERAL,
            spec_ctrl: AFTER_VECTORS,
            verw: true,
            fill: true,
            legacy_ibrs: true,
            keep: true,
        },
    ]
}
