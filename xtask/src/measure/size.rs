//! Bytes of minimal hypervisors (`tests/size`), with and without the features of
//! `vmx-core`, each beside its bound; and what must not be in them.

use anyhow::{Context, Result};
use serde::Serialize;
use vmx_core::control::{EntryControls, ExitControls, PrimaryControls, SecondaryControls};
use vmx_core::entry_check::SECTIONS;
use vmx_core::vmcs::field::FIELDS;

use crate::machine::executables;
use crate::machine::toolchain::{self, BARE_METAL};
use crate::machine::workspace::Workspace;
use crate::measure::Excess;
use crate::report::elf::Contents;
use crate::report::progress::Spinner;
use crate::report::table;

/// One of the programs.
struct Program {
    /// The name of its binary.
    name: &'static str,
    /// What it does about an entry that failed, in words.
    what: &'static str,
    /// How many bytes it may have with and without the features.
    bounds: [u32; 2],
    /// The feature whose texts it shows.
    shows: Option<Feature>,
}

/// A feature that brings texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feature {
    Explanations,
    Dumps,
}

const PROGRAMS: &[Program] = &[
    Program { name: "silent", what: "says nothing", bounds: [22_000, 22_000], shows: None },
    Program {
        name: "answered",
        what: "prints what the CPU answered",
        bounds: [30_000, 30_000],
        shows: None,
    },
    Program {
        name: "explained",
        what: "explains it: CurrentVmcs::explain",
        bounds: [140_000, 32_000],
        shows: Some(Feature::Explanations),
    },
    Program {
        name: "dumped",
        what: "prints all fields: FieldValues",
        bounds: [65_000, 40_000],
        shows: Some(Feature::Dumps),
    },
];

/// Below the table.
const NOTE: &str = "
Code and constants of a minimal hypervisor for bare metal, built with --release.
default: with the features `explanations` and `dumps` of vmx-core; without: with
`default-features = false`. None of them has code that panics.
";

/// A program with its numbers. Also a line of JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    program: &'static str,
    features: bool,
    code: usize,
    constants: usize,
    bytes: usize,
    bound: u32,
    within_bound: bool,
    #[serde(skip)]
    what: &'static str,
    /// What must not be in it, in words.
    #[serde(skip)]
    surplus: Vec<String>,
}

/// Builds the programs both ways, and looks into them.
///
/// # Errors
/// They do not build.
pub(crate) fn measure(workspace: &Workspace) -> Result<Vec<Measured>> {
    toolchain::ensure_targets(workspace, &[BARE_METAL])?;
    let spinner = Spinner::start("building minimal hypervisors");
    let mut measured = Vec::new();
    for features in [true, false] {
        let mut arguments =
            vec!["--release", "--package", "vmx-size", "--bins", "--target", BARE_METAL];
        arguments.extend((!features).then_some("--no-default-features"));
        let built = executables::build(workspace, &arguments)?;
        for program in PROGRAMS {
            let path = built
                .get(program.name)
                .with_context(|| format!("cargo built no program `{}`", program.name))?;
            let elf =
                std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            measured.push(look(program, features, &Contents::read(&elf)?));
        }
    }
    spinner.finish("built minimal hypervisors");
    Ok(measured)
}

fn look(program: &Program, features: bool, contents: &Contents) -> Measured {
    let [with, without] = program.bounds;
    let bound = if features { with } else { without };
    let bytes = contents.code + contents.constants;
    let mut surplus = Vec::new();
    if let Some(symbol) = contents.symbol_with("panicking") {
        surplus.push(format!("it can panic: it has the function {symbol}"));
    }
    for feature in [Feature::Explanations, Feature::Dumps] {
        let is_shown = features && program.shows == Some(feature);
        let (found, missing): (Vec<_>, Vec<_>) =
            feature.texts().into_iter().partition(|text| contents.has_text(text));
        // That they are found where they are shown is what makes their absence tell.
        let wrong = if is_shown { &missing } else { &found };
        if let Some(first) = wrong.first() {
            let verb = if is_shown { "lacks" } else { "has" };
            let count = wrong.len();
            surplus.push(format!("it {verb} {count} texts of {feature:?}, such as \"{first}\""));
        }
    }
    Measured {
        program: program.name,
        features,
        code: contents.code,
        constants: contents.constants,
        bytes,
        bound,
        within_bound: bytes as u64 <= u64::from(bound),
        what: program.what,
        surplus,
    }
}

impl Feature {
    /// Texts that only this feature needs: names and sentences of rules, names of bits.
    fn texts(self) -> Vec<&'static str> {
        match self {
            Self::Explanations => {
                let rules = SECTIONS.iter().flat_map(|section| section.rules);
                rules.flat_map(|rule| [rule.name, rule.demand]).collect()
            }
            Self::Dumps => (PrimaryControls::all().iter_names().map(|(name, _)| name))
                .chain(SecondaryControls::all().iter_names().map(|(name, _)| name))
                .chain(ExitControls::all().iter_names().map(|(name, _)| name))
                .chain(EntryControls::all().iter_names().map(|(name, _)| name))
                // One is the beginning of a field's name.
                .filter(|bit| !FIELDS.iter().any(|field| field.name.contains(bit)))
                .collect(),
        }
    }
}

impl Measured {
    /// What is wrong with it.
    pub(crate) fn excess(&self) -> Vec<Excess> {
        let features = if self.features { "default features" } else { "no features" };
        let what = format!("minimal hypervisor that {}, {features}", self.what);
        let over = Excess::of(&what, "bytes", self.bytes as f64, self.bound);
        let surplus = self.surplus.iter().map(|surplus| Excess(format!("{what}: {surplus}")));
        over.into_iter().chain(surplus).collect()
    }
}

/// The table.
pub(crate) fn text(measured: &[Measured]) -> String {
    let mut table = table::new([
        "bytes of a program that\nwhen VM entry has failed",
        "\ndefault",
        "\nbound",
        "\nwithout",
        "\nbound",
    ]);
    for program in PROGRAMS {
        let mut row = vec![program.what.to_owned()];
        for features in [true, false] {
            let found =
                measured.iter().find(|row| row.program == program.name && row.features == features);
            let numbers = found.map(|row| [row.bytes.to_string(), row.bound.to_string()]);
            row.extend(numbers.unwrap_or_default());
        }
        table.add_row(row);
    }
    table::align(&mut table, 1);
    table::lines(&table) + NOTE
}

#[cfg(test)]
mod tests {
    use super::{Contents, Feature, PROGRAMS, look, text};

    fn wrong(program: usize, features: bool, contents: &Contents) -> Vec<String> {
        let found = look(&PROGRAMS[program], features, contents);
        found.excess().iter().map(ToString::to_string).collect()
    }

    fn all_texts() -> String {
        [Feature::Explanations, Feature::Dumps].map(|feature| feature.texts().join(" ")).join(" ")
    }

    #[test]
    fn a_program_with_what_it_must_not_have_is_refused() {
        let talkative = Contents::of(200_000, &all_texts(), "core::panicking::panic_fmt");
        let silent = wrong(0, true, &talkative);
        assert_eq!(silent.len(), 4, "{silent:?}");
        assert!(silent[0].ends_with("22000 are allowed"), "{silent:?}");
        assert!(silent[1].contains("it can panic"), "{silent:?}");
        assert!(silent[2].contains("texts of Explanations, such as"), "{silent:?}");
        assert!(silent[3].contains("texts of Dumps, such as"), "{silent:?}");
    }

    #[test]
    fn a_text_belongs_where_its_feature_shows_it() {
        let bare = Contents::of(1000, "", "_start");
        for program in 0..PROGRAMS.len() {
            assert_eq!(wrong(program, false, &bare), [""; 0]);
        }
        let rules = Feature::Explanations.texts();
        let one = Contents::of(1000, rules[1], "_start");
        let has_it = format!("it has 1 texts of Explanations, such as \"{}\"", rules[1]);
        assert!(wrong(2, false, &one)[0].ends_with(&has_it));
        assert!(wrong(2, true, &one)[0].contains("it lacks"), "one is not all");
        assert!(wrong(3, true, &bare)[0].contains("it lacks"));
        let all = Contents::of(1000, &rules.join(" "), "_start");
        assert_eq!(wrong(2, true, &all), [""; 0]);
    }

    #[test]
    fn the_table_fits_into_80_columns() {
        let contents = Contents::of(200_000, "", "");
        let both =
            [true, false].map(|features| PROGRAMS.iter().map(move |program| (program, features)));
        let measured: Vec<_> = both
            .into_iter()
            .flatten()
            .map(|(program, features)| look(program, features, &contents))
            .collect();
        let text = text(&measured);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let silent = text.lines().find(|line| line.starts_with(PROGRAMS[0].what)).expect("a row");
        assert!(silent.ends_with(" 200000  22000  200000 22000"), "{text}");
    }
}
