//! The boots of `cargo xtask test`: a list of names, machines and endings.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::checks::compare;
use crate::checks::log_report::LogReport;
use crate::checks::verdict::{self, Verdict};
use crate::emulator::run_folder::Boot;
use crate::emulator::test_bed::{DEFAULT_MODEL, TestBed};
use crate::image::parameters::Policy;
use crate::image::protocol::Message;

/// How long one boot may take. A boot with Bochs' log takes about a second.
const LIMIT: Duration = Duration::from_secs(60);

/// One boot and how it must end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BootCheck {
    /// What is shown, in words; also names the files.
    pub(crate) name: &'static str,
    /// Bochs' name of the CPU.
    model: &'static str,
    /// How many CPUs.
    cpus: u8,
    /// The image's parameters.
    parameters: &'static str,
    end: End,
    limit: Duration,
}

/// How a boot must end.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Every check of the policy passes, and Bochs' log has the same counts.
    PolicyPasses(Policy),
    /// The image ends as passed, and Bochs' log has the same counts.
    CountsAgree,
    /// The image ends as passed.
    Passes,
    /// The image ends as passed, with a summary that contains this.
    Says(&'static str),
    /// Every difference is a known departure.
    RulesAgree,
    /// Every VMCS field that is missing or surplus is a known difference.
    FieldsAgree,
    /// Refused, with a text that contains this.
    Refused(&'static str),
    /// Failed, with a text that contains this.
    Fails(&'static str),
}

/// All boots.
pub(crate) const ALL: &[BootCheck] = &[
    policy("policy eager, counts compared with Bochs' log", "policy=eager", Policy::Eager),
    policy("policy lazy, counts compared with Bochs' log", "policy=lazy", Policy::Lazy),
    policy("policy xsave, counts compared with Bochs' log", "policy=xsave", Policy::Xsave),
    compare("rules of the CET MSRs on sapphire_rapids", DEFAULT_MODEL),
    compare("rules of the CET MSRs on tigerlake", "tigerlake"),
    compare("rules of the CET MSRs on arrow_lake", "arrow_lake"),
    fields("every VMCS encoding on sapphire_rapids", DEFAULT_MODEL),
    fields("every VMCS encoding on tigerlake", "tigerlake"),
    fields("every VMCS encoding on arrow_lake", "arrow_lake"),
    fields("every VMCS encoding on corei7_skylake_x", "corei7_skylake_x"),
    fields("every VMCS encoding on corei7_haswell_4770", "corei7_haswell_4770"),
    entry("VM-entry rules on sapphire_rapids", DEFAULT_MODEL),
    entry("VM-entry rules on tigerlake", "tigerlake"),
    entry("VM-entry rules on corei7_skylake_x, without CET", "corei7_skylake_x"),
    random("random VM entries on sapphire_rapids", DEFAULT_MODEL),
    random("random VM entries on tigerlake", "tigerlake"),
    random("random VM entries on corei7_skylake_x, without CET", "corei7_skylake_x"),
    refusal("a CPU without CPUID", "i386", "no CPUID"),
    refusal("a CPU without 64-bit mode", "core_duo_t2400_yonah", "no 64-bit mode"),
    refusal("a CPU without VMX", "athlon64_clawhammer", "VMX"),
    refusal("a CPU with VMX, without CET", "corei7_skylake_x", "shadow stacks"),
    demo(
        "a broken policy is noticed by the guests",
        "policy=eager fault=forget-register",
        End::Fails("IA32_PL2_SSP survives a switch"),
    ),
    demo(
        "a guest that hangs is stopped by the timer",
        "policy=lazy fault=guest-hang",
        End::Fails("VMX-preemption timer"),
    ),
    demo("failed VM entries explained", "example=explain_entry_failure", End::Passes),
    demo(
        "a failed VM entry: host state",
        "policy=lazy fault=host-state",
        End::Fails("VM-instruction error 8"),
    ),
    demo(
        "a failed VM entry: guest state",
        "policy=lazy fault=guest-state",
        End::Fails("invalid guest state"),
    ),
    BootCheck {
        limit: Duration::from_secs(2),
        ..demo("a hung host is killed at the limit", "demo=hang", End::Fails("time limit"))
    },
    demo("EPT guards a guest's shadow stack", "ept=shadow-stack", End::Passes),
    BootCheck {
        model: "tigerlake",
        ..demo("EPT guards a guest's shadow stack on tigerlake", "ept=shadow-stack", End::Passes)
    },
    demo(
        "without EPTP[7] nothing guards it, which is noticed",
        "ept=shadow-stack fault=no-control",
        End::Fails("without bit 60: no EPT violation"),
    ),
    demo("a page fault of the image", "demo=page-fault", End::Fails("#PF page fault")),
    demo("a stack overflow of the image", "demo=stack-overflow", End::Fails("#DF double fault")),
    demo("a value that this CPU refuses, eager", "wide-address=eager", End::Says(REFUSED)),
    demo("a value that this CPU refuses, lazy", "wide-address=lazy", End::Says(REFUSED)),
    demo("a value that this CPU refuses, xsave", "wide-address=xsave", End::Says(REFUSED)),
    demo(
        "without the fix-up such a value ends the host",
        "wide-address=lazy fault=no-fix-up",
        End::Fails("#GP general protection"),
    ),
    demo("an XSAVES that saves nothing", "demo=xsaves-without-xss", End::Passes),
    demo("a host on a shadow stack, twice", "demo=shadow-stack", End::Passes),
    demo("the count from Bochs' log, on known numbers", "demo=counts", End::CountsAgree),
    demo(
        "a stack overflow on a shadow stack",
        "demo=shadow-stack-overflow",
        End::Fails("#DF double fault"),
    ),
    demo("the world switch from two stacks in turn", "demo=switch-stacks", End::Passes),
    demo("no VMWRITE moves where an exit lands", "demo=switch-host-fields", End::Passes),
    demo("no register tells of the guest", "demo=switch-registers", End::Passes),
    demo("every option of the world switch", "demo=switch-options", End::Passes),
    demo(
        "every option of the world switch, on a shadow stack",
        "demo=switch-options-shadow-stack",
        End::Passes,
    ),
    two_cpu_policy("policy eager on two CPUs, and Bochs' log", "policy=eager", Policy::Eager),
    two_cpu_policy("policy lazy on two CPUs, and Bochs' log", "policy=lazy", Policy::Lazy),
    two_cpu_policy("policy xsave on two CPUs, and Bochs' log", "policy=xsave", Policy::Xsave),
    two(
        "a CPU that does not enter VMX operation: the other leaves",
        "policy=lazy fault=enter",
        End::Fails(
            "CPU 0: another CPU did not enter VMX operation, so this one left it (CR4.VMXE is 0)",
        ),
    ),
    two(
        "a VMCS that is not cleared where it comes from is not loaded",
        "policy=lazy fault=no-clear",
        End::Fails("the VMCS is active on the CPU with APIC ID"),
    ),
    two(
        "a broken policy is noticed on two CPUs",
        "policy=xsave fault=forget-register",
        End::Fails("IA32_PL2_SSP survives a switch"),
    ),
    two("two CPUs share, call, wait, and take pages away", "demo=two-cpus", End::Passes),
    BootCheck {
        model: "corei7_haswell_4770",
        ..two("the same without shadow stacks", "demo=two-cpus", End::Passes)
    },
    two("a second CPU that does not answer", "demo=deaf-cpu", End::Passes),
    demo("a second CPU that is not there", "demo=absent-cpu", End::Fails("1 of 2 CPUs answered")),
    two(
        "a page fault of the second CPU",
        "demo=ap-page-fault",
        End::Fails("CPU 1: #PF page fault"),
    ),
    two(
        "a stack overflow of the second CPU",
        "demo=ap-stack-overflow",
        End::Fails("CPU 1: #DF double fault"),
    ),
    two(
        "a stack overflow on a shadow stack of the second CPU",
        "demo=ap-shadow-stack-overflow",
        End::Fails("CPU 1: #DF double fault"),
    ),
    two(
        "a panic of the second CPU stops the first",
        "demo=ap-panic",
        End::Fails("CPU 0 was stopped"),
    ),
    two(
        "a page fault of the first CPU stops the second",
        "demo=bsp-page-fault",
        End::Fails("CPU 1 was stopped"),
    ),
];

/// What the image says where CPUID reports wider addresses than the CPU takes.
const REFUSED: &str = "this CPU refuses it as it is set up now";

const fn policy(name: &'static str, parameters: &'static str, policy: Policy) -> BootCheck {
    demo(name, parameters, End::PolicyPasses(policy))
}

const fn compare(name: &'static str, model: &'static str) -> BootCheck {
    BootCheck { model, ..demo(name, compare::PARAMETERS, End::RulesAgree) }
}

const fn fields(name: &'static str, model: &'static str) -> BootCheck {
    BootCheck { model, ..demo(name, "compare=fields", End::FieldsAgree) }
}

const fn entry(name: &'static str, model: &'static str) -> BootCheck {
    BootCheck { model, ..demo(name, "compare=vm-entry", End::Passes) }
}

const fn random(name: &'static str, model: &'static str) -> BootCheck {
    BootCheck { model, ..demo(name, "compare=vm-entry-random seed=2026", End::Passes) }
}

const fn refusal(name: &'static str, model: &'static str, missing: &'static str) -> BootCheck {
    BootCheck { model, ..demo(name, "policy=eager", End::Refused(missing)) }
}

const fn two_cpu_policy(name: &'static str, parameters: &'static str, policy: Policy) -> BootCheck {
    two(name, parameters, End::PolicyPasses(policy))
}

const fn two(name: &'static str, parameters: &'static str, end: End) -> BootCheck {
    BootCheck { cpus: 2, ..demo(name, parameters, end) }
}

const fn demo(name: &'static str, parameters: &'static str, end: End) -> BootCheck {
    BootCheck { name, model: DEFAULT_MODEL, cpus: 1, parameters, end, limit: LIMIT }
}

impl BootCheck {
    /// Boots; what the image sums up, or an error that says how the end differed.
    pub(crate) fn run(&self, bed: &TestBed) -> Result<Vec<String>> {
        let file: String = self
            .name
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
            .collect();
        let log = match self.end {
            End::PolicyPasses(_) | End::CountsAgree => Some(bed.log_path(&file)),
            _ => None,
        };
        let boot = Boot {
            name: &file,
            model: self.model,
            cpus: self.cpus,
            parameters: self.parameters.to_owned(),
            log: log.clone(),
            limit: self.limit,
        };
        let outcome = bed.boot(&boot, |_| {})?;
        match (self.end, verdict::of_end(&outcome)) {
            (End::PolicyPasses(policy), _) => {
                match verdict::of_policy(&outcome, policy.name(), self.cpus) {
                    Verdict::Passed => {}
                    other => bail!(describe(&other)),
                }
            }
            (End::RulesAgree, _) => match compare::of(&outcome, self.model).verdict {
                Verdict::Passed => {}
                other => bail!(describe(&other)),
            },
            (End::FieldsAgree, Verdict::Passed) => {
                for message in &outcome.messages {
                    if let Message::FieldDifference(difference) = message {
                        let known = difference.explain();
                        ensure!(known.is_some(), "not explained: {difference:x?}");
                    }
                }
            }
            (End::Says(part), Verdict::Passed) => {
                let said = outcome.messages.iter().any(
                    |message| matches!(message, Message::Summary(text) if text.contains(part)),
                );
                ensure!(said, "passed, but no summary contains `{part}`");
            }
            (End::Passes | End::CountsAgree, Verdict::Passed) => {}
            (End::Refused(part), Verdict::Refused(text)) => {
                ensure!(text.contains(part), "refused with `{text}`, which does not name `{part}`");
            }
            (End::Fails(part), Verdict::Failed(text)) => {
                ensure!(text.contains(part), "failed otherwise, without `{part}`: {text}");
            }
            (expected, found) => bail!("expected {expected:?}, but: {}", describe(&found)),
        }
        if let Some(path) = log {
            let Some(report) = LogReport::of(path, &outcome)? else {
                bail!("the image reported no totals");
            };
            if let Some(row) = report.differences().next() {
                bail!(
                    "{}: {} counted by the image, {} by Bochs (see {})",
                    row.quantity,
                    row.image,
                    row.bochs,
                    report.path.display()
                );
            }
        }
        Ok(outcome
            .messages
            .into_iter()
            .filter_map(|message| match message {
                Message::Summary(text) => Some(text),
                _ => None,
            })
            .collect())
    }
}

fn describe(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => "it passed".to_owned(),
        Verdict::Refused(text) => format!("it was refused: {text}"),
        Verdict::Failed(text) => format!("it failed: {text}"),
    }
}
