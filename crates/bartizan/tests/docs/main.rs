//! The tutorial, the page for starters and the recipes, run as they are written.
//!
//! A document is played from top to bottom in a folder of its own, with the built binary, the real
//! curl and the API that the recipes describe. Blocks of code mean:
//!
//! * `yaml`, `python` and the like are files. The first line is `# NAME`, and the file is written
//!   under that name. While a gateway runs, a resource file that changes is waited for.
//! * `console` are commands, each behind `$ `, and below each what it prints. A command that ends
//!   in `&` is left running, and goes on once it says where it listens.
//!
//! Every block is one or the other, so that none can go stale. In what is printed `…` stands for
//! any text, or alone on a line for any lines; ids, times and ports of clients need to have their
//! form only. A line of JSON may go on in lines that begin with a space. Commands that only read
//! are repeated until they print what is written here.
//!
//! The addresses in the documents are not the ones that are used: all are chosen by the system.
//! `UPDATE=1` writes what is printed into the documents; read the difference.

mod compare;
mod markdown;
mod play;
mod session;

use std::path::PathBuf;

use play::play;

/// The folder of the documents.
fn documents() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_tutorial_is_as_it_says() {
    play("tutorial.md");
}

#[test]
fn getting_started_is_as_it_says() {
    play("getting-started.md");
}

#[test]
fn api1_objects_of_others_are_out_of_reach() {
    play("recipes/api1-object-level-authorization.md");
}

#[test]
fn api2_forged_and_guessed_credentials_are_worth_nothing() {
    play("recipes/api2-authentication.md");
}

#[test]
fn api3_properties_that_are_not_the_callers_are_neither_set_nor_shown() {
    play("recipes/api3-object-property-level-authorization.md");
}

#[test]
fn api4_requests_have_a_measure() {
    play("recipes/api4-resource-consumption.md");
}

#[test]
fn api5_functions_of_others_are_out_of_reach() {
    play("recipes/api5-function-level-authorization.md");
}

#[test]
fn api6_flows_that_are_worth_automating_have_an_end() {
    play("recipes/api6-sensitive-business-flows.md");
}

#[test]
fn api7_addresses_that_the_caller_chooses_are_on_a_list() {
    play("recipes/api7-server-side-request-forgery.md");
}

#[test]
fn api8_mistakes_in_the_configuration_are_never_served() {
    play("recipes/api8-security-misconfiguration.md");
}

#[test]
fn api9_operations_that_nobody_wrote_down_do_not_exist() {
    play("recipes/api9-inventory-management.md");
}

#[test]
fn api10_answers_that_are_not_to_be_believed_are_not_passed_on() {
    play("recipes/api10-unsafe-consumption.md");
}

/// What a reader finds in every recipe.
const SECTIONS: [&str; 6] = [
    "## The risk",
    "## Configuration",
    "## What is refused",
    "## What the operator sees",
    "## Why it is so",
    "## What this does not cover",
];

#[test]
fn every_recipe_is_played_and_has_what_a_reader_looks_for() {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(documents().join("recipes")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // `token-providers.md` is held against doubles of the providers, beside `jwt-auth`.
        if ["README.md", "token-providers.md"].contains(&&*name) {
            continue;
        }
        let path = format!("recipes/{name}");
        let text = std::fs::read_to_string(documents().join(&path)).unwrap();
        let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
        for section in SECTIONS {
            assert!(headings.contains(&section), "{path} has no `{section}`");
        }
        // What passes, a refusal as the client reads it, why, and what reached the API.
        for shown in ["200", "\"code\":\"", "$ jq -c ", "\"reason\":\"", "$ cat api.log\n"] {
            assert!(text.contains(shown), "{path} does not show `{shown}`");
        }
        let is_played = include_str!("main.rs").contains(&format!("play(\"{path}\")"));
        assert!(is_played, "nobody plays {path}");
        found.push(path);
    }
    assert_eq!(found.len(), 10, "one for each risk: {found:?}");
}
