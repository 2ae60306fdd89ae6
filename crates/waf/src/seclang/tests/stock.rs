//! The rule sets that people run, unmodified.

use std::path::{Path, PathBuf};

use super::super::script::{Action, Directive, Phase, Script};
use super::super::{read, read_text};
use crate::fault::RuleFault;
use crate::files::Folder;

/// The folder of the Core Rule Set, version 4, if it is here.
fn crs_4() -> Option<PathBuf> {
    let folder = std::env::var_os("BARTIZAN_CRS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs"),
        PathBuf::from,
    );
    found(folder)
}

/// The folder of version 3.3.4, from Debian's package, if it is here.
fn crs_3() -> Option<PathBuf> {
    let folder = std::env::var_os("BARTIZAN_CRS_3")
        .map_or_else(|| PathBuf::from("/usr/share/modsecurity-crs"), PathBuf::from);
    found(folder)
}

fn found(folder: PathBuf) -> Option<PathBuf> {
    let is_there = folder.join("rules").is_dir();
    if !is_there {
        println!("skipped: no rules in {}", folder.display());
    }
    is_there.then_some(folder)
}

fn good(result: Result<Script, Vec<RuleFault>>) -> Script {
    result.unwrap_or_else(|faults| {
        let faults: Vec<String> = faults
            .iter()
            .map(|fault| format!("{fault}\n  {}\n  {:?}", fault.excerpt, fault.help))
            .collect();
        panic!("{}", faults.join("\n"))
    })
}

/// How many rules begin in each phase, and how many go on a chain.
fn counts(script: &Script) -> ([usize; 5], usize) {
    let (mut heads, mut members) = ([0; 5], 0);
    let mut is_member = false;
    for item in &script.items {
        let actions = match &item.directive {
            Directive::Rule(rule) => &rule.actions,
            Directive::Action(actions) => actions,
            _ => continue,
        };
        let phase = actions.iter().find_map(|action| match action {
            Action::Phase(phase) => Some(*phase),
            _ => None,
        });
        if is_member {
            members += 1;
        } else {
            heads[phase.unwrap_or(Phase::RequestBody) as usize] += 1;
        }
        is_member = actions.iter().any(|action| matches!(action, Action::Chain));
    }
    (heads, members)
}

#[test]
fn the_core_rule_set_4_is_read_whole() {
    let Some(folder) = crs_4() else { return };
    let script = good(read_text("all.conf", "Include rules/*.conf", &Folder::new(&folder)));
    let (heads, members) = counts(&script);
    assert_eq!((heads, members), ([172, 292, 43, 109, 13], 73));
    good(read("crs-setup.conf.example", &Folder::new(&folder)));
}

#[test]
fn the_core_rule_set_3_is_read_whole() {
    let Some(folder) = crs_3() else { return };
    let script = good(read_text("all.conf", "Include rules/*.conf", &Folder::new(&folder)));
    let (heads, members) = counts(&script);
    println!("{heads:?} {members}");
}
