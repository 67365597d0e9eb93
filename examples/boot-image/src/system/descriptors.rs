//! The GDT, the task-state segment and the IDT.
//!
//! All CPUs share the IDT; each has a GDT, a task-state segment and the stacks in it of its
//! own. The tables are arrays of atomics: the processor reads them, and writes the TSS
//! descriptor's busy bit, whenever it likes.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use x86::dtables::{DescriptorTablePointer, lgdt, lidt};
use x86::segmentation::{self, SegmentSelector};

use crate::processors::number::{MOST, Number, PerProcessor};
use crate::registers::local_apic::{ATTENTION, SPURIOUS};
use crate::system::exceptions::{self, VECTORS};

/// Selector of the 64-bit code segment.
pub(crate) const CODE: u16 = 0x08;
/// Selector in SS, DS, ES, FS and GS.
pub(crate) const DATA: u16 = 0x10;
/// Selector in TR.
pub(crate) const TASK: u16 = 0x18;

/// Interrupt-stack-table index of #DF's stack.
pub(crate) const DOUBLE_FAULT_IST: usize = 1;
/// Interrupt-stack-table index of the NMI's stack.
pub(crate) const NMI_IST: usize = 2;

/// Null, 64-bit code, data, and the TSS's two halves.
type Gdt = [AtomicU64; 5];

/// Two words a gate; a gate that is zero is not present.
static IDT: [AtomicU64; 2 * VECTORS] = [const { AtomicU64::new(0) }; 2 * VECTORS];

/// The 104 bytes of a 64-bit TSS. Its 64-bit fields are only 4-byte aligned.
#[repr(C, align(128))]
struct Tss([AtomicU32; 26]);

/// A stack for an exception that cannot trust the interrupted one.
#[repr(C, align(4096))]
struct Stack([AtomicU64; 1024]);

impl Stack {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; 1024])
    }
}

/// What each CPU has of its own.
struct Tables {
    double_fault_stack: Stack,
    nmi_stack: Stack,
    tss: Tss,
    gdt: Gdt,
}

static TABLES: PerProcessor<Tables> = PerProcessor::new([const { Tables::new() }; MOST]);

impl Tables {
    const fn new() -> Self {
        Self {
            double_fault_stack: Stack::new(),
            nmi_stack: Stack::new(),
            tss: Tss([const { AtomicU32::new(0) }; 26]),
            // All zero, or the stacks would take room in the ROM.
            gdt: [const { AtomicU64::new(0) }; 5],
        }
    }

    /// Connects the stacks with the TSS, and that with the GDT.
    fn fill(&'static self) {
        self.set_interrupt_stack(DOUBLE_FAULT_IST, &self.double_fault_stack);
        self.set_interrupt_stack(NMI_IST, &self.nmi_stack);
        // The I/O bitmap's offset, behind the limit: there is none.
        self.tss.0[25].store((size_of::<Tss>() as u32) << 16, Relaxed);
        let base = (&raw const self.tss).addr() as u64;
        let (low, high) = tss_descriptor(base, 26 * 4 - 1);
        let descriptors = [0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, low, high];
        for (entry, descriptor) in self.gdt.iter().zip(descriptors) {
            entry.store(descriptor, Relaxed);
        }
    }

    /// Writes entry `index` (1 to 7) of the interrupt stack table.
    fn set_interrupt_stack(&self, index: usize, stack: &'static Stack) {
        let top = (stack as *const Stack).addr() + size_of::<Stack>();
        // The table begins at byte 36; index 1 is its first entry.
        let word = 9 + 2 * (index - 1);
        self.tss.0[word].store(top as u32, Relaxed);
        self.tss.0[word + 1].store((top as u64 >> 32) as u32, Relaxed);
    }
}

/// Fills the IDT; the first CPU does it, before any other is started.
pub(crate) fn fill_gates() {
    let exceptions = 0..32;
    for vector in exceptions.chain([ATTENTION.into(), SPURIOUS.into()]) {
        let stack = match vector {
            exceptions::NMI => NMI_IST,
            exceptions::DOUBLE_FAULT => DOUBLE_FAULT_IST,
            _ => 0,
        };
        let (low, high) = interrupt_gate(exceptions::stub_address(vector), stack);
        IDT[2 * vector].store(low, Relaxed);
        IDT[2 * vector + 1].store(high, Relaxed);
    }
}

/// Loads GDTR, all segment registers, TR and IDTR of the CPU that executes this, which has
/// this number. Once for each, after [`fill_gates`].
///
/// From here on every exception prints a line instead of resetting the
/// machine, a double fault of a broken stack included.
pub(crate) fn install(number: Number) {
    let tables = TABLES.of(number);
    tables.fill();
    load(&tables.gdt);
}

/// Loads the registers that name the tables.
fn load(gdt: &'static Gdt) {
    let gdt = DescriptorTablePointer::new(gdt);
    // SAFETY: the table is static and its entries 1 and 2 equal those of the
    // table in use, so the current segments keep their meaning.
    unsafe { lgdt(&gdt) };
    // SAFETY: `CODE` is the running code segment, of the new table.
    unsafe { segmentation::load_cs(SegmentSelector::from_raw(CODE)) };
    let data = SegmentSelector::from_raw(DATA);
    // SAFETY: a writable data segment, base ignored in 64-bit mode.
    unsafe { segmentation::load_ss(data) };
    // SAFETY: as above.
    unsafe { segmentation::load_ds(data) };
    // SAFETY: as above.
    unsafe { segmentation::load_es(data) };
    // SAFETY: as above; nothing uses thread-local storage.
    unsafe { segmentation::load_fs(data) };
    // SAFETY: as above.
    unsafe { segmentation::load_gs(data) };
    // SAFETY: entries 3 and 4 describe the static TSS, available and in the
    // GDT that was just loaded.
    unsafe { x86::task::load_tr(SegmentSelector::from_raw(TASK)) };
    let idt = DescriptorTablePointer::new(&IDT);
    // SAFETY: the table is static and every gate in it names a stub that takes
    // its vector's frame.
    unsafe { lidt(&idt) };
}

/// The two halves of the descriptor of an available 64-bit TSS.
const fn tss_descriptor(base: u64, limit: u64) -> (u64, u64) {
    const PRESENT_AVAILABLE_TSS: u64 = 0x89 << 40;
    let low = (limit & 0xFFFF)
        | (base & 0x00FF_FFFF) << 16
        | PRESENT_AVAILABLE_TSS
        | (limit >> 16 & 0xF) << 48
        | (base >> 24 & 0xFF) << 56;
    (low, base >> 32)
}

/// The two halves of a present interrupt gate for ring 0.
const fn interrupt_gate(handler: u64, stack: usize) -> (u64, u64) {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8E << 40;
    let low = (handler & 0xFFFF)
        | (CODE as u64) << 16
        | (stack as u64 & 7) << 32
        | PRESENT_INTERRUPT_GATE
        | (handler >> 16 & 0xFFFF) << 48;
    (low, handler >> 32)
}
