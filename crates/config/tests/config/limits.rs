//! How much of each a node file may hold about its store.

use std::path::Path;

use crate::catalogue::{NODE, loader};

/// What is wrong with a store in etcd that is described with more.
fn told(endpoints: &[String], more: &str) -> Option<String> {
    let text = format!("{NODE}store: {{etcd: {{endpoints: {endpoints:?}, {more}}}}}\n");
    let failure = loader().node_text(Path::new("/etc/b/n.yaml"), &text).err()?;
    let problems = failure.diagnostics.iter().map(|problem| problem.problem.clone());
    Some(problems.collect::<Vec<_>>().join("\n"))
}

fn items(count: usize, item: impl Fn(usize) -> String) -> Vec<String> {
    (0..count).map(item).collect()
}

fn assert_most(most: usize, told: impl Fn(usize) -> Option<String>) {
    for count in [most - 1, most] {
        assert_eq!(told(count), None, "{count}");
    }
    let said = told(most + 1).unwrap_or_default();
    assert!(said.contains(&most.to_string()), "{said}");
}

#[test]
fn lists_about_a_store_have_a_length_at_most() {
    let one = [String::from("https://a")];
    assert_most(32, |count| told(&items(count, |n| format!("https://e{n}")), ""));
    assert_most(16, |count| {
        let ring = items(count, |n| format!("{n:016}"));
        told(&one, &format!("apisix_keyring: {ring:?}"))
    });
    assert_most(16, |count| {
        let keys = items(count, |n| format!("{{id: k{n}, key: x{n}}}")).join(", ");
        told(&one, &format!("encryption: {{keys: [{keys}]}}"))
    });
    assert_most(256, |count| {
        let names = items(count, |n| format!("NAME_{n}"));
        told(&one, &format!("references: {{env: {names:?}}}"))
    });
    assert_most(256, |count| {
        let files = items(count, |n| format!("lent/{n}"));
        told(&one, &format!("references: {{files: {files:?}}}"))
    });
}

#[test]
fn names_of_a_store_have_a_length_at_most() {
    let one = [String::from("https://a")];
    assert_most(256, |count| told(&one, &format!("prefix: /{}", "x".repeat(count - 1))));
}

#[test]
fn earlier_versions_are_a_number_at_most() {
    let told = |count: usize| {
        let text = format!("{NODE}store: {{embedded: {{path: s, history: {count}}}}}\n");
        let failure = loader().node_text(Path::new("/etc/b/n.yaml"), &text).err()?;
        Some(failure.diagnostics.iter().map(|problem| problem.problem.clone()).collect())
    };
    assert_most(1_000_000, told);
    assert!(told(0).is_some() && told(1).is_none());
}
