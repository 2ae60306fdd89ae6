//! The case files under `cases/`: each plugin's behaviour, written down; and the proof that no
//! option is parsed and ignored.

use std::path::Path;

use bartizan_testkit::cases;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"))
}

#[test]
fn plugins_do_what_their_cases_say() {
    cases::check_cases(folder());
}

#[test]
fn every_option_is_live() {
    cases::check_liveness(folder());
}

/// The page of attacks, which lists those that cases play.
const PAGE: &str = include_str!("../../../docs/security/attacks.md");

/// So many there are at least.
const ATTACKS_LEAST: usize = 120;

#[test]
fn attacks_are_refused_and_what_is_good_passes_beside_them() {
    let found = cases::attacks(folder());
    let problems = found.iter().flat_map(|attacks| {
        attacks.problems.iter().map(|problem| format!("{}: {problem}", attacks.file))
    });
    let problems: Vec<String> = problems.collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let count: usize = found.iter().map(|attacks| attacks.names.len()).sum();
    assert!(count >= ATTACKS_LEAST, "{count}");
}

#[test]
fn the_page_of_attacks_lists_those_that_cases_play_and_counts_them() {
    let found = cases::attacks(folder());
    let row = |attacks: &cases::Attacks| {
        format!("| {} | `{}` | {} |", attacks.title, attacks.file, attacks.names.join(", "))
    };
    let expected: Vec<String> = found.iter().map(row).collect();
    let count: usize = found.iter().map(|attacks| attacks.names.len()).sum();
    let section = PAGE.split("\n## ").find(|section| section.starts_with("Attacks by name\n"));
    let section = section.expect("a section `Attacks by name`");
    let listed: Vec<&str> = section.lines().filter(|line| line.contains(".case`")).collect();
    assert_eq!(listed, expected, "it should be\n{}", expected.join("\n"));
    let said = format!("These are {count} attacks");
    assert!(section.contains(&said), "it should say `{said}`");
}

#[test]
fn every_plugin_has_cases() {
    for entry in bartizan_plugins::CATALOGUE.iter() {
        let folder = folder().join(entry.name);
        let count = std::fs::read_dir(&folder).map_or(0, Iterator::count);
        assert!(count > 0, "{} has no case files", entry.name);
    }
}
