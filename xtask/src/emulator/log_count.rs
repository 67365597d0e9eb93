//! An independent count of MSR accesses, XSAVES, XRSTORS and VM entries: from Bochs' log.
//!
//! With `debug: cpu0=report` Bochs logs these instructions of host and guest alike, and of
//! each CPU with its number. What stands from a `VMENTER to` to the next `VMEXIT reason` of
//! the same CPU is the guest's.
//!
//! An XRSTORS that restores component 12 from an image that is not initial prints three
//! WRMSR lines of its own, which are not counted again. They follow it at once: of the same
//! CPU, each register once and in order, at the same time. The time, with which each line
//! begins, counts instructions; but while several CPUs take turns of five instructions each,
//! it stands still. An XRSTORS and a WRMSR of each register, with what loads ECX in between,
//! are six.
//!
//! An RDMSR prints only if it succeeded, a WRMSR before its value is checked,
//! and an intercepted access of the guest's not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Result};

/// IA32_PL0_SSP to IA32_PL2_SSP.
const SUPERVISOR_SSP: RangeInclusive<u32> = 0x6A4..=0x6A6;

/// What one CPU executed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuCount {
    /// RDMSR of IA32_PL0_SSP to PL2_SSP by the host.
    pub(crate) rdmsr: u64,
    /// WRMSR of IA32_PL0_SSP to PL2_SSP by the host.
    pub(crate) wrmsr: u64,
    /// XSAVES by the host, of any component.
    pub(crate) xsaves: u64,
    /// XRSTORS by the host, of any component.
    pub(crate) xrstors: u64,
    /// VM entries that succeeded.
    pub(crate) entries: u64,
}

/// The counts of every CPU.
#[derive(Debug, Default)]
pub(crate) struct LogCount(BTreeMap<u8, Reader>);

impl LogCount {
    /// Counts a log file; it may be larger than memory.
    pub(crate) fn of_file(path: &Path) -> Result<Self> {
        let unread = || format!("cannot read Bochs' log {}", path.display());
        let mut log = BufReader::with_capacity(1 << 20, File::open(path).with_context(unread)?);
        let mut count = Self::default();
        let mut line = Vec::new();
        while log.read_until(b'\n', &mut line).with_context(unread)? > 0 {
            count.take(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok(count)
    }

    /// Of one CPU.
    pub(crate) fn of_cpu(&self, id: u8) -> CpuCount {
        self.0.get(&id).map_or_else(CpuCount::default, |reader| reader.count)
    }

    /// Of all CPUs together.
    pub(crate) fn of_all(&self) -> CpuCount {
        self.0.values().fold(CpuCount::default(), |sum, Reader { count, .. }| CpuCount {
            rdmsr: sum.rdmsr + count.rdmsr,
            wrmsr: sum.wrmsr + count.wrmsr,
            xsaves: sum.xsaves + count.xsaves,
            xrstors: sum.xrstors + count.xrstors,
            entries: sum.entries + count.entries,
        })
    }

    fn take(&mut self, line: &str) {
        if let Some((time, cpu, text)) = split(line) {
            self.0.entry(cpu).or_default().take(time, text);
        }
    }
}

/// Reads the lines of one CPU.
#[derive(Debug, Default)]
struct Reader {
    count: CpuCount,
    /// Between a VM entry and the next exit.
    in_guest: bool,
    /// The host's last XRSTORS, as long as its own WRMSR lines may follow: its time and
    /// the register of the next one.
    restoring: Option<(u64, u32)>,
}

impl Reader {
    fn take(&mut self, time: u64, text: &str) {
        if text.starts_with("VMENTER to ") {
            self.count.entries += 1;
            self.in_guest = true;
        } else if text.starts_with("VMEXIT reason") {
            self.in_guest = false;
        } else if self.in_guest {
        } else if text.starts_with("RDMSR: read ") {
            self.count.rdmsr += u64::from(supervisor_ssp(text).is_some());
        } else if text.starts_with("WRMSR: write ") {
            if let Some(register) = supervisor_ssp(text) {
                self.wrmsr(time, register);
            }
        } else if starts_with_any_case(text, "XSAVES: ") {
            self.count.xsaves += 1;
        } else if starts_with_any_case(text, "XRSTORS: ") {
            self.count.xrstors += 1;
            self.restoring = Some((time, *SUPERVISOR_SSP.start()));
        }
    }

    fn wrmsr(&mut self, time: u64, register: u32) {
        self.count.wrmsr += 1;
        let goes_on = self.restoring == Some((time, register));
        self.restoring = goes_on.then_some((time, register + 1));
        if goes_on && register == *SUPERVISOR_SSP.end() {
            self.restoring = None;
            self.count.wrmsr -= SUPERVISOR_SSP.count() as u64;
        }
    }
}

/// Time, CPU and text of a line `00000012345d[CPU0  ] text`.
fn split(line: &str) -> Option<(u64, u8, &str)> {
    let digits = line.find(|letter: char| !letter.is_ascii_digit())?;
    let time = line.get(..digits)?.parse().ok()?;
    let (_, rest) = line.split_once("[CPU")?;
    let (cpu, text) = rest.split_once("] ")?;
    Some((time, cpu.trim_end().parse().ok()?, text.trim_end()))
}

/// The number in `... MSR 6a4`, if it is one of the three registers.
fn supervisor_ssp(text: &str) -> Option<u32> {
    let (_, number) = text.rsplit_once("MSR ")?;
    u32::from_str_radix(number, 16).ok().filter(|number| SUPERVISOR_SSP.contains(number))
}

fn starts_with_any_case(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::{CpuCount, LogCount};

    fn count(lines: &[&str]) -> LogCount {
        let mut count = LogCount::default();
        for line in lines {
            count.take(line);
        }
        count
    }

    #[test]
    fn counts_only_the_three_registers() {
        let counted = count(&[
            "00000012345d[CPU0  ] RDMSR: read 00000000:00000000 from MSR 6a4",
            "00000012346d[CPU0  ] RDMSR: read 00000000:00000000 from MSR 6a6",
            "00000012347d[CPU0  ] RDMSR: read 00000000:00000000 from MSR 6a7",
            "00000012348d[CPU0  ] WRMSR: write 00000000:00000001 to MSR 6a2",
            "00000012349d[CPU0  ] WRMSR: write ffff8000:00001000 to MSR 6a5\n",
            "00000012350d[CPU0  ] WRMSR: write 00000000:00001000 to MSR da0",
        ])
        .of_all();
        assert_eq!((counted.rdmsr, counted.wrmsr), (2, 1));
    }

    #[test]
    fn leaves_out_the_guest() {
        let counted = count(&[
            "00000000010d[CPU0  ] VMENTER to x86-64 guest",
            "00000000010d[CPU0  ] VMENTER: Injecting vector 0x0d (error_code 0x0000)",
            "00000000011d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a4",
            "00000000012d[CPU0  ] RDMSR: read 00000000:00001000 from MSR 6a4",
            "00000000013d[CPU0  ] XRSTORS: restore processor state XCR0=0x00000003 XSS=1000",
            "00000000014d[CPU0  ] VMEXIT reason = 18 (VMCALL) qualification=0x0",
            "00000000015d[CPU0  ] RDMSR: read 00000000:00001000 from MSR 6a4",
        ]);
        assert_eq!(counted.of_all(), CpuCount { rdmsr: 1, entries: 1, ..CpuCount::default() });
    }

    /// The lines are Bochs' own, of one CPU.
    #[test]
    fn an_xrstors_is_not_counted_as_wrmsr_too() {
        let counted = count(&[
            "00000000020d[CPU0  ] XSAVES: save processor state XCR0=0x00000003 XSS=1000",
            "00000000021d[CPU0  ] XRSTORS: restore processor state XCR0=0x00000003 XSS=1000",
            "00000000021d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a4",
            "00000000021d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a5",
            "00000000021d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a6",
            "00000000022d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a4",
        ])
        .of_all();
        assert_eq!((counted.xsaves, counted.xrstors, counted.wrmsr), (1, 1, 1));
    }

    /// Of two CPUs that take turns; the fourth WRMSR of CPU 1 was executed by itself.
    #[test]
    fn an_xrstors_of_one_of_two_cpus_is_not_counted_as_wrmsr_too() {
        let counted = count(&[
            "00000011110d[CPU1  ] XRSTORS: restore processor state XCR0=0x00000003 XSS=1000",
            "00000011110d[CPU0  ] XRSTORS: restore processor state XCR0=0x00000003 XSS=1000",
            "00000011110d[CPU1  ] WRMSR: write 00000000:00000040 to MSR 6a4",
            "00000011110d[CPU0  ] WRMSR: write 00000000:00000040 to MSR 6a4",
            "00000011110d[CPU1  ] WRMSR: write 00000000:00001000 to MSR 6a5",
            "00000011110d[CPU1  ] WRMSR: write 00000000:00001000 to MSR 6a6",
            "00000011110d[CPU1  ] WRMSR: write 00000000:00001000 to MSR 6a4",
            "00000011115d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a5",
            "00000011115d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a6",
        ]);
        assert_eq!((counted.of_cpu(1).xrstors, counted.of_cpu(1).wrmsr), (1, 1));
        // Its image was initial, and what followed were three WRMSR.
        assert_eq!((counted.of_cpu(0).xrstors, counted.of_cpu(0).wrmsr), (1, 3));
        assert_eq!((counted.of_all().xrstors, counted.of_all().wrmsr), (2, 4));
    }

    #[test]
    fn wrmsr_in_another_order_is_none_of_an_xrstors() {
        let counted = count(&[
            "00000011110d[CPU1  ] XRSTORS: restore processor state XCR0=0x00000003 XSS=1000",
            "00000011110d[CPU1  ] WRMSR: write 00000000:00001000 to MSR 6a5",
            "00000011110d[CPU1  ] WRMSR: write 00000000:00001000 to MSR 6a6",
        ]);
        assert_eq!(counted.of_cpu(1).wrmsr, 2);
    }

    #[test]
    fn one_cpu_in_its_guest_hides_nothing_of_the_others() {
        let counted = count(&[
            "00000000010d[CPU1  ] VMENTER to x86-64 guest",
            "00000000010d[CPU0  ] RDMSR: read 00000000:00001000 from MSR 6a4",
            "00000000010d[CPU1  ] RDMSR: read 00000000:00001000 from MSR 6a4",
            "00000000011d[CPU0  ] VMENTER to x86-64 guest",
            "00000000012d[CPU1  ] VMEXIT reason = 18 (VMCALL) qualification=0x0",
            "00000000012d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a4",
            "00000000012d[CPU1  ] WRMSR: write 00000000:00001000 to MSR 6a4",
        ]);
        let first = CpuCount { rdmsr: 1, entries: 1, ..CpuCount::default() };
        let second = CpuCount { wrmsr: 1, entries: 1, ..CpuCount::default() };
        assert_eq!((counted.of_cpu(0), counted.of_cpu(1)), (first, second));
    }

    #[test]
    fn other_lines_are_passed_over() {
        let counted = count(&[
            "",
            "Bochs",
            "00000000000i[      ] BXSHARE is set",
            "\u{fffd}] RDMSR: read",
            "00000000010d[APIC1 ] VMENTER to x86-64 guest",
        ]);
        assert_eq!(counted.of_all(), CpuCount::default());
    }
}
