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

#[test]
fn every_plugin_has_cases() {
    for entry in bartizan_plugins::CATALOGUE.iter() {
        let folder = folder().join(entry.name);
        let count = std::fs::read_dir(&folder).map_or(0, Iterator::count);
        assert!(count > 0, "{} has no case files", entry.name);
    }
}
