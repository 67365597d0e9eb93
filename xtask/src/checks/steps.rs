//! The calls of cargo of `cargo xtask test`.

use crate::checks::step::Step;
use crate::machine::toolchain::{BARE_METAL, NIGHTLY, NOT_X86};

/// All, in the order in which they run.
pub(crate) const ALL: &[Step<'_>] = &[
    Step::new("formatting", &["fmt", "--all", "--check"]),
    Step::new(
        "clippy, everything for this machine",
        &["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"],
    ),
    Step::new(
        "clippy, the boot image",
        &[
            "clippy",
            "--release",
            "--package",
            "boot-image",
            "--target",
            BARE_METAL,
            "--",
            "-D",
            "warnings",
        ],
    ),
    Step {
        counts_tests: true,
        ..Step::new(
            "unit, integration and doc tests",
            &["test", "--workspace", "--all-features", "--no-fail-fast"],
        )
    },
    Step::new(
        "no_std builds for bare metal",
        &[
            "build",
            "--package",
            "vmx-core",
            "--package",
            "cet-policy",
            "--package",
            "vmx-bare-metal",
            "--package",
            "vmx-mock",
            "--no-default-features",
            "--target",
            BARE_METAL,
        ],
    ),
    Step::new(
        "builds for a processor that is not x86",
        &[
            "build",
            "--package",
            "vmx-core",
            "--package",
            "cet-policy",
            "--no-default-features",
            "--target",
            NOT_X86,
        ],
    ),
    Step {
        // Miri is slow: it gets the decoders, which take any input, and few cases of
        // each property.
        variables: &[("PROPTEST_CASES", "2"), ("MIRIFLAGS", "-Zmiri-disable-isolation")],
        counts_tests: true,
        toolchain: Some(NIGHTLY),
        ..Step::new(
            "decoders under Miri",
            &[
                "miri",
                "test",
                "--package",
                "vmx-core",
                "--package",
                "cet-policy",
                "--lib",
                "--",
                "exit::qualification",
                "instruction_information",
                "general_register",
                "event::in",
                "msr_bitmap",
                "access_rights",
                "no_text_panics",
                "ept::entry",
                "ept::pointer",
                "ssp::",
                "xsave_area",
                "memory::held",
                "vmcs::section",
                "legality",
                "cpuid",
            ],
        )
    },
    Step {
        // Each seed is another order of the threads and another choice of the old values
        // that they may see. One after another, or their lines would mix.
        variables: &[("MIRIFLAGS", "-Zmiri-many-seeds=0..8 -Zthreads=1")],
        counts_tests: true,
        toolchain: Some(NIGHTLY),
        ..Step::new(
            "threads under Miri, with eight seeds each",
            &["miri", "test", "--package", "vmx-core", "--lib", "--", "weak_memory"],
        )
    },
    Step {
        variables: &[("MIRIFLAGS", "-Zmiri-many-seeds=0..8 -Zthreads=1")],
        counts_tests: true,
        toolchain: Some(NIGHTLY),
        ..Step::new(
            "what the image's CPUs share under Miri, with eight seeds each",
            &["miri", "test", "--package", "boot-image", "--", "processors"],
        )
    },
    Step {
        // Only this rustdoc looks for the error codes, so that what must not compile fails
        // for its own reason.
        counts_tests: true,
        toolchain: Some(NIGHTLY),
        ..Step::new(
            "doc tests with the codes of errors",
            &["test", "--doc", "--package", "vmx-core", "--package", "cet-policy"],
        )
    },
    Step {
        variables: &[("RUSTDOCFLAGS", "-D warnings")],
        ..Step::new("documentation", &["doc", "--workspace", "--no-deps", "--all-features"])
    },
];
