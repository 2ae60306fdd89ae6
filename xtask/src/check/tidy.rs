//! Tidiness: what neither the formatter nor the linter looks at.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use super::sources::Source;

/// The most lines that a source file may have above its tests.
const LINES_MAX: usize = 600;

/// What no source says, and what it says instead. Cut in two, so that this file may be read too.
const FORBIDDEN: [(&str, &str); 4] = [
    (concat!("todo", "!"), "finish it, or leave it out"),
    (concat!("#[", "ignore"), "a test runs or goes"),
    (concat!("thread::", "sleep"), "wait for a condition, or use a timer"),
    (concat!("#[", "allow("), "`#[expect(…, reason = \"…\")]` says why, and ends when it may"),
];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// The pages that map attacks, and what standards ask for, to the tests that show it.
const NAMING: [&str; 2] = ["docs/security/attacks.md", "docs/security/standards.md"];

/// Fails, naming each place, if a file is not tidy.
pub(super) fn check() -> Result<()> {
    let sources = Source::read_all()?;
    let mut problems: Vec<String> = sources.iter().flat_map(untidiness).collect();
    problems.extend(missing_tests(&sources));
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        println!("   {problem}");
    }
    bail!("{} findings", problems.len())
}

fn untidiness(source: &Source) -> Vec<String> {
    let path = source.path.display();
    let mut problems = Vec::new();
    if source.is_rust() {
        let lines = lines_above_tests(&source.text);
        if lines > LINES_MAX && !source.is_test() {
            problems
                .push(format!("{path}: {lines} lines; split it by meaning ({LINES_MAX} at most)"));
        }
    }
    for (number, line) in (1..).zip(source.text.lines()) {
        if source.is_rust() {
            let said = FORBIDDEN.iter().filter(|(word, _)| line.contains(word));
            problems
                .extend(said.map(|(word, remedy)| format!("{path}:{number}: `{word}`: {remedy}")));
        }
        if let Some(found) = MACHINE_PATHS.iter().find(|start| begins_a_path(line, start)) {
            problems.push(format!("{path}:{number}: `{found}`: a path of one machine"));
        }
    }
    problems
}

/// The lines of a file before the tests at its end.
fn lines_above_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests =
        lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
    tests.unwrap_or(lines.len())
}

/// Whether a path begins so in this line, rather than goes on so, as a request for a page may.
fn begins_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-~/*}>".contains(c))
    })
}

/// Tests that one of these pages names and nobody wrote.
fn missing_tests(sources: &[Source]) -> Vec<String> {
    let tests: BTreeSet<&str> = sources.iter().flat_map(Source::tests).collect();
    let of_page = |name: &&str| sources.iter().find(|source| source.path == Path::new(*name));
    let pages = NAMING.iter().filter_map(|name| Some((*name, of_page(name)?)));
    let lines = pages.flat_map(|(page, source)| {
        (1..).zip(source.text.lines()).map(move |(number, line)| (page, number, line))
    });
    let named = lines.flat_map(|(page, number, line)| {
        named_tests(line).into_iter().map(move |name| (page, number, name))
    });
    named
        .filter(|(_, _, name)| !exists(name, &tests, sources))
        .map(|(page, number, name)| format!("{page}:{number}: there is no test `{name}`"))
        .collect()
}

/// Whether a test function or a case file of this name is there.
fn exists(name: &str, tests: &BTreeSet<&str>, sources: &[Source]) -> bool {
    if has_ending(name, "case") {
        return sources.iter().any(|source| source.path.ends_with(name));
    }
    tests.contains(name.rsplit("::").next().unwrap_or(name))
}

/// What a line names as a test: `crate::module::sentence_of_the_test` or `folder/name.case`.
fn named_tests(line: &str) -> Vec<&str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted
        .filter(|text| {
            let path = text.split("::");
            let is_path = text.contains("::")
                && path.clone().all(|part| {
                    !part.is_empty()
                        && part.chars().all(|c| {
                            c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c)
                        })
                });
            // Functions that are code rather than tests have short names; tests are sentences.
            let sentence = path.last().is_some_and(|name| name.contains('_'));
            (is_path && sentence) || has_ending(text, "case")
        })
        .collect()
}

fn has_ending(text: &str, ending: &str) -> bool {
    Path::new(text).extension().is_some_and(|found| found == ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn forbidden_words_are_found_where_they_stand() {
        for (word, _) in FORBIDDEN {
            let found = untidiness(&source("crates/a/src/lib.rs", &format!("\n{word}")));
            assert_eq!(found.len(), 1, "{word}");
            assert!(found[0].starts_with("crates/a/src/lib.rs:2:"), "{found:?}");
        }
    }

    #[test]
    fn tests_do_not_count_as_length() {
        let code = "x\n".repeat(LINES_MAX);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert!(untidiness(&source("crates/a/src/a.rs", &format!("{code}{tests}"))).is_empty());
        assert_eq!(untidiness(&source("crates/a/src/a.rs", &format!("{code}x\n"))).len(), 1);
        assert!(untidiness(&source("crates/a/tests/a.rs", &format!("{code}x\n"))).is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found_and_paths_of_requests_are_not() {
        for start in MACHINE_PATHS {
            assert_eq!(untidiness(&source("docs/a.md", &format!("see {start}x"))).len(), 1);
            assert!(untidiness(&source("docs/a.md", &format!("GET /api{start}x"))).is_empty());
        }
    }

    #[test]
    fn a_test_that_the_attack_page_names_must_exist() {
        let code = source("crates/wire/src/a.rs", "#[test]\nfn two_hosts_are_refused() {}");
        let page = source(
            NAMING[0],
            "| two hosts | `wire::a::two_hosts_are_refused` `wire::a::nobody_wrote_this` `a/b.case` |",
        );
        let missing = missing_tests(&[code, page]);
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert!(missing[0].contains("nobody_wrote_this") && missing[1].contains("a/b.case"));
    }
}
