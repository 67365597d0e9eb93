//! An independent count of MSR accesses, XSAVES and XRSTORS: from Bochs' log.
//!
//! With `debug: cpu0=report` Bochs logs these instructions of host and guest
//! alike. What stands from a `VMENTER to` to the next `VMEXIT reason` is the
//! guest's. Each line begins with the time, which counts instructions, so two
//! lines of one time come from one instruction: an XRSTORS that restores
//! component 12 from an image that is not initial prints three WRMSR lines of
//! its own, and those are not counted again.
//!
//! An RDMSR prints only if it succeeded, a WRMSR before its value is checked,
//! and an intercepted access of the guest's not at all.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Result};

/// IA32_PL0_SSP to IA32_PL2_SSP.
const SUPERVISOR_SSP: RangeInclusive<u32> = 0x6A4..=0x6A6;

/// What the host executed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HostCount {
    /// RDMSR of IA32_PL0_SSP to PL2_SSP.
    pub(crate) rdmsr: u64,
    /// WRMSR of IA32_PL0_SSP to PL2_SSP.
    pub(crate) wrmsr: u64,
    /// XSAVES, of any component.
    pub(crate) xsaves: u64,
    /// XRSTORS, of any component.
    pub(crate) xrstors: u64,
}

impl HostCount {
    /// Counts a log file; it may be larger than memory.
    pub(crate) fn of_file(path: &Path) -> Result<Self> {
        let unread = || format!("cannot read Bochs' log {}", path.display());
        let mut log = BufReader::with_capacity(1 << 20, File::open(path).with_context(unread)?);
        let mut reader = Reader::default();
        let mut line = Vec::new();
        while log.read_until(b'\n', &mut line).with_context(unread)? > 0 {
            reader.take(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok(reader.count)
    }
}

/// Reads the log line by line.
#[derive(Debug, Default)]
struct Reader {
    count: HostCount,
    /// Between a VM entry and the next exit.
    in_guest: bool,
    /// The time of the last XRSTORS of the host's.
    restored_at: Option<u64>,
}

impl Reader {
    fn take(&mut self, line: &str) {
        let Some((time, text)) = split(line) else {
            return;
        };
        if text.starts_with("VMENTER to ") {
            self.in_guest = true;
        } else if text.starts_with("VMEXIT reason") {
            self.in_guest = false;
        } else if self.in_guest {
        } else if text.starts_with("RDMSR: read ") {
            self.count.rdmsr += u64::from(names_supervisor_ssp(text));
        } else if text.starts_with("WRMSR: write ") {
            let own = self.restored_at != Some(time);
            self.count.wrmsr += u64::from(own && names_supervisor_ssp(text));
        } else if starts_with_any_case(text, "XSAVES: ") {
            self.count.xsaves += 1;
        } else if starts_with_any_case(text, "XRSTORS: ") {
            self.count.xrstors += 1;
            self.restored_at = Some(time);
        }
    }
}

/// Time and text of a line `00000012345d[CPU0  ] text`.
fn split(line: &str) -> Option<(u64, &str)> {
    let digits = line.find(|letter: char| !letter.is_ascii_digit())?;
    let time = line.get(..digits)?.parse().ok()?;
    let (_, text) = line.split_once("] ")?;
    Some((time, text.trim_end()))
}

/// Whether `... MSR 6a4` ends in one of the three registers.
fn names_supervisor_ssp(text: &str) -> bool {
    text.rsplit_once("MSR ")
        .and_then(|(_, number)| u32::from_str_radix(number, 16).ok())
        .is_some_and(|number| SUPERVISOR_SSP.contains(&number))
}

fn starts_with_any_case(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::{HostCount, Reader};

    fn count(lines: &[&str]) -> HostCount {
        let mut reader = Reader::default();
        for line in lines {
            reader.take(line);
        }
        reader.count
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
        ]);
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
        assert_eq!(counted, HostCount { rdmsr: 1, ..HostCount::default() });
    }

    #[test]
    fn an_xrstors_is_not_counted_as_wrmsr_too() {
        let counted = count(&[
            "00000000020d[CPU0  ] XSAVES: save processor state XCR0=0x00000003 XSS=1000",
            "00000000021d[CPU0  ] XRSTORS: restore processor state XCR0=0x00000003 XSS=1000",
            "00000000021d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a4",
            "00000000021d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a5",
            "00000000021d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a6",
            "00000000022d[CPU0  ] WRMSR: write 00000000:00001000 to MSR 6a4",
        ]);
        assert_eq!((counted.xsaves, counted.xrstors, counted.wrmsr), (1, 1, 1));
    }

    #[test]
    fn other_lines_are_passed_over() {
        assert_eq!(
            count(&["", "Bochs", "00000000000i[      ] BXSHARE is set", "\u{fffd}] RDMSR: read"]),
            HostCount::default()
        );
    }
}
