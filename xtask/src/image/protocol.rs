//! What the image says on port E9h.
//!
//! A line that begins with `@` is the image's; the first word is its kind, and
//! in most kinds `key=value` pairs follow. All other lines are Bochs' own.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use vmx_core::MsrIndex;
use vmx_core::vmcs::field::Encoding;
use vmx_tests::departures::{CetMsrDifference, FieldDifference, Instruction};

/// The guests of the example, in the order of the table.
pub(crate) const GUESTS: [&str; 3] = ["wrmsr", "xrstors", "unused"];
/// The name under which a policy's totals are reported.
pub(crate) const ALL_GUESTS: &str = "all";

/// One line of the image's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// How far the run is.
    Progress {
        /// The policy that runs.
        policy: String,
        /// What it does at the moment, if the image says so.
        scenario: Option<String>,
        /// Switches done so far.
        done: u64,
        /// Switches in all.
        of: u64,
    },
    /// The counts of one guest, or of all.
    Result(GuestResult),
    /// VM exits of one guest for one reason.
    Exits {
        /// The guest, or `all`.
        guest: String,
        /// The exit reason's name.
        reason: String,
        /// How often it occurred.
        count: u64,
    },
    /// The counts of one CPU, where the machine has several.
    Cpu(CpuResult),
    /// A value of a CET MSR that the manual and the CPU judge differently.
    Difference(CetMsrDifference),
    /// A VMCS field that the table and the CPU judge differently.
    FieldDifference(FieldDifference),
    /// How many values were compared.
    Compared {
        /// All.
        rules: u64,
        /// Those that differ.
        different: u64,
    },
    /// What a comparison came to, in words.
    Summary(String),
    /// Something worth knowing.
    Note(String),
    /// The processor lacks something.
    Refused(String),
    /// Something failed.
    Error(String),
    /// The image itself broke down.
    Fatal(String),
    /// The run came to its end.
    End {
        /// Checks that passed.
        passed: u64,
        /// Checks that failed.
        failed: u64,
    },
}

/// The counts of one guest under one policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GuestResult {
    /// The policy.
    pub(crate) policy: String,
    /// The guest, or `all`.
    pub(crate) guest: String,
    /// Checks that passed.
    pub(crate) passed: u64,
    /// Checks that failed.
    pub(crate) failed: u64,
    /// Checks that were not made.
    pub(crate) skipped: u64,
    /// Times the guest was loaded.
    pub(crate) switches: u64,
    /// VM exits.
    pub(crate) exits: u64,
    /// RDMSR of IA32_PL0_SSP to PL2_SSP by the policy.
    pub(crate) rdmsr: u64,
    /// WRMSR of IA32_PL0_SSP to PL2_SSP by the policy.
    pub(crate) wrmsr: u64,
    /// WRMSR of IA32_XSS.
    pub(crate) wrmsr_xss: u64,
    /// XSAVES by the policy.
    pub(crate) xsaves: u64,
    /// XRSTORS by the policy.
    pub(crate) xrstors: u64,
    /// RDMSR that check the host's own values.
    pub(crate) canary_rdmsr: u64,
    /// WRMSR that place the host's own values.
    pub(crate) canary_wrmsr: u64,
    /// Bytes of state that the policy keeps per vCPU.
    pub(crate) bytes_per_vcpu: u64,
}

/// What one CPU did under one policy, for all guests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuResult {
    /// The CPU's number, from 0.
    pub(crate) id: u8,
    /// VM entries that it executed.
    pub(crate) entries: u64,
    /// VMCLEARs that it executed.
    pub(crate) clears: u64,
    /// Those of them that another CPU asked it for.
    pub(crate) remote_clears: u64,
    /// vCPUs that it took over from another CPU.
    pub(crate) moves: u64,
}

impl GuestResult {
    /// Adds another guest's counts; of the bytes per vCPU the larger number stays.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.switches += other.switches;
        self.exits += other.exits;
        self.rdmsr += other.rdmsr;
        self.wrmsr += other.wrmsr;
        self.wrmsr_xss += other.wrmsr_xss;
        self.xsaves += other.xsaves;
        self.xrstors += other.xrstors;
        self.canary_rdmsr += other.canary_rdmsr;
        self.canary_wrmsr += other.canary_wrmsr;
        self.bytes_per_vcpu = self.bytes_per_vcpu.max(other.bytes_per_vcpu);
    }

    /// Whether every check was made and passed.
    pub(crate) fn all_passed(&self) -> bool {
        self.failed == 0 && self.skipped == 0
    }
}

/// The results of the guests, in the order of arrival.
pub(crate) fn results(messages: &[Message]) -> impl Iterator<Item = &GuestResult> {
    messages.iter().filter_map(|message| match message {
        Message::Result(result) => Some(result),
        _ => None,
    })
}

/// The counts of the CPUs, in the order of arrival.
pub(crate) fn cpus(messages: &[Message]) -> impl Iterator<Item = &CpuResult> {
    messages.iter().filter_map(|message| match message {
        Message::Cpu(cpu) => Some(cpu),
        _ => None,
    })
}

/// The results of the guests in the order of [`GUESTS`], the total last.
pub(crate) fn in_order(messages: &[Message]) -> impl Iterator<Item = &GuestResult> {
    GUESTS
        .into_iter()
        .chain([ALL_GUESTS])
        .flat_map(|guest| results(messages).filter(move |result| result.guest == guest))
}

/// Reads one line of output. `None`: not the image's.
///
/// An error is a defect of the image: a kind or a value that nobody knows.
pub(crate) fn parse(line: &str) -> Option<Result<Message>> {
    let text = line.strip_prefix('@')?.trim_end();
    let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(message(kind, rest).with_context(|| format!("the image printed `{}`", line.trim_end())))
}

fn message(kind: &str, rest: &str) -> Result<Message> {
    let pairs = Pairs::of(rest);
    Ok(match kind {
        "progress" => Message::Progress {
            policy: pairs.text("policy")?,
            scenario: pairs.text("scenario").ok(),
            done: pairs.number("done")?,
            of: pairs.number("of")?,
        },
        "result" => Message::Result(GuestResult {
            policy: pairs.text("policy")?,
            guest: pairs.text("guest")?,
            passed: pairs.number("passed")?,
            failed: pairs.number("failed")?,
            skipped: pairs.number("skipped")?,
            switches: pairs.number("switches")?,
            exits: pairs.number("exits")?,
            rdmsr: pairs.number("rdmsr")?,
            wrmsr: pairs.number("wrmsr")?,
            wrmsr_xss: pairs.number("wrmsr_xss")?,
            xsaves: pairs.number("xsaves")?,
            xrstors: pairs.number("xrstors")?,
            canary_rdmsr: pairs.number("canary_rdmsr")?,
            canary_wrmsr: pairs.number("canary_wrmsr")?,
            bytes_per_vcpu: pairs.number("bytes_per_vcpu")?,
        }),
        "exits" => Message::Exits {
            guest: pairs.text("guest")?,
            reason: pairs.text("reason")?,
            count: pairs.number("count")?,
        },
        "cpu" => Message::Cpu(CpuResult {
            id: u8::try_from(pairs.number("id")?).context("`id=` is too large")?,
            entries: pairs.number("entries")?,
            clears: pairs.number("clears")?,
            remote_clears: pairs.number("remote_clears")?,
            moves: pairs.number("moves")?,
        }),
        "difference" => Message::Difference(CetMsrDifference {
            instruction: match pairs.get("instruction")? {
                "wrmsr" => Instruction::Wrmsr,
                "xrstors" => Instruction::Xrstors,
                other => anyhow::bail!("`{other}` is no instruction of a comparison"),
            },
            msr: MsrIndex(u32::try_from(pairs.number("msr")?).context("`msr=` is too large")?),
            value: pairs.number("value")?,
            manual_faults: pairs.fault("manual")?,
            cpu_faults: pairs.fault("cpu")?,
        }),
        "field-difference" => Message::FieldDifference(FieldDifference {
            encoding: Encoding(
                u32::try_from(pairs.number("encoding")?).context("`encoding=` is too large")?,
            ),
            expected: pairs.number("expected")? != 0,
            found: pairs.number("found")? != 0,
        }),
        "compared" => Message::Compared {
            rules: pairs.number("rules")?,
            different: pairs.number("different")?,
        },
        "end" => Message::End { passed: pairs.number("passed")?, failed: pairs.number("failed")? },
        "summary" => Message::Summary(rest.to_owned()),
        "note" => Message::Note(rest.to_owned()),
        "refused" => Message::Refused(rest.to_owned()),
        "error" => Message::Error(rest.to_owned()),
        "fatal" => Message::Fatal(rest.to_owned()),
        _ => anyhow::bail!("`@{kind}` is no kind of line that this program knows"),
    })
}

/// The `key=value` words of a line.
struct Pairs<'line>(BTreeMap<&'line str, &'line str>);

impl<'line> Pairs<'line> {
    fn of(text: &'line str) -> Self {
        Self(text.split_whitespace().filter_map(|word| word.split_once('=')).collect())
    }

    fn get(&self, key: &str) -> Result<&'line str> {
        self.0.get(key).copied().with_context(|| format!("`{key}=` is missing"))
    }

    fn text(&self, key: &str) -> Result<String> {
        self.get(key).map(str::to_owned)
    }

    /// `gp`: it faults; `ok`: it does not.
    fn fault(&self, key: &str) -> Result<bool> {
        match self.get(key)? {
            "gp" => Ok(true),
            "ok" => Ok(false),
            other => anyhow::bail!("`{key}={other}` is neither gp nor ok"),
        }
    }

    fn number(&self, key: &str) -> Result<u64> {
        self.get(key)?.parse().with_context(|| format!("`{key}=` is not a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::{CpuResult, Message, parse};

    #[test]
    fn other_lines_are_not_messages() {
        assert!(parse("<bochs:1> ").is_none());
        assert!(parse("(0) Magic breakpoint").is_none());
        assert!(parse("").is_none());
    }

    #[test]
    fn reads_every_kind() {
        let read = |line: &str| parse(line).expect("a message").expect("a valid one");
        assert_eq!(
            read("@progress policy=lazy scenario=2 done=500 of=1050\r"),
            Message::Progress {
                policy: "lazy".into(),
                scenario: Some("2".into()),
                done: 500,
                of: 1050
            }
        );
        let Message::Result(result) = read(
            "@result policy=lazy guest=wrmsr passed=12 failed=1 skipped=2 switches=1050 \
             exits=9 rdmsr=3 wrmsr=4 wrmsr_xss=5 xsaves=6 xrstors=7 canary_rdmsr=8 \
             canary_wrmsr=10 bytes_per_vcpu=32",
        ) else {
            panic!("not a result");
        };
        assert_eq!(result.guest, "wrmsr");
        assert_eq!((result.passed, result.failed, result.skipped), (12, 1, 2));
        assert_eq!((result.canary_rdmsr, result.canary_wrmsr), (8, 10));
        assert!(!result.all_passed());
        assert_eq!(
            read("@exits guest=all reason=Vmcall count=7"),
            Message::Exits { guest: "all".into(), reason: "Vmcall".into(), count: 7 }
        );
        assert_eq!(
            read("@cpu id=1 entries=40 clears=30 remote_clears=20 moves=10"),
            Message::Cpu(CpuResult {
                id: 1,
                entries: 40,
                clears: 30,
                remote_clears: 20,
                moves: 10
            })
        );
        assert_eq!(
            read("@refused this CPU has no VMX"),
            Message::Refused("this CPU has no VMX".into())
        );
        assert_eq!(read("@end passed=3 failed=0"), Message::End { passed: 3, failed: 0 });
    }

    #[test]
    fn a_broken_line_is_an_error_that_quotes_it() {
        let error = parse("@end passed=3").expect("a message").expect_err("broken");
        let text = format!("{error:#}");
        assert!(text.contains("@end passed=3") && text.contains("failed="), "{text}");
        assert!(parse("@hello").expect("a message").is_err());
        assert!(parse("@cpu id=0 entries=1 clears=1 moves=1").expect("a message").is_err());
        assert!(parse("@end passed=x failed=0").expect("a message").is_err());
    }
}
