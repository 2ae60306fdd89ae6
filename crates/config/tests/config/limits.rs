//! How much of each a node file may hold about its store.

use std::path::Path;

use crate::catalogue::{NODE, loader, resources};

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

/// What is wrong with `api_keys` of a node that has `admin` and a database.
fn told_of_keys(keys: &str) -> Option<String> {
    let admin = "admin: {}\nstore: {embedded: {path: s}}\n";
    let text = format!("{NODE}{admin}api_keys: {{{keys}}}\n");
    let failure = loader().node_text(Path::new("/etc/b/n.yaml"), &text).err()?;
    let problems = failure.diagnostics.iter().map(|problem| problem.problem.clone());
    Some(problems.collect::<Vec<_>>().join("\n"))
}

fn hash_key(n: usize) -> String {
    format!("{{id: k{n}, key: '{n:032}'}}")
}

fn told_of_rotations(rotations: &[String]) -> Option<String> {
    let rotations = rotations.join("}, {");
    told_of_keys(&format!("hash_keys: [{}], rotate: [{{{rotations}}}]", hash_key(0)))
}

#[test]
fn keys_of_callers_have_lists_and_names_of_a_length_at_most() {
    let to_file = "every: 1h, overlap: 1m, to: {file: k}";
    assert_most(4, |count| {
        told_of_keys(&format!("hash_keys: [{}]", items(count, hash_key).join(", ")))
    });
    assert_most(256, |count| {
        told_of_rotations(&items(count, |n| format!("consumer: c{n}, {to_file}")))
    });
    assert_most(256, |length| {
        told_of_rotations(&[format!("consumer: {}, {to_file}", "c".repeat(length))])
    });
    assert_most(64, |count| {
        let words = items(count, |_| String::from("/bin/put")).join(", ");
        let to = format!("to: {{command: [{words}]}}");
        told_of_rotations(&[format!("consumer: a, every: 1h, overlap: 1m, {to}")])
    });
    for (most, field) in [(256, "manager"), (256, "namespace"), (512, "path"), (256, "key")] {
        assert_most(most, |length| {
            let mut at = vec![("uri", "'https://v'".to_owned()), ("mount", "kv".to_owned())];
            for name in ["manager", "namespace", "path", "key"] {
                let is_it = name == field;
                at.push((name, if is_it { "x".repeat(length) } else { "x".to_owned() }));
            }
            let at: Vec<_> = at.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let to = format!("to: {{vault: {{{}}}}}", at.join(", "));
            told_of_rotations(&[format!("consumer: a, every: 1h, overlap: 1m, {to}")])
        });
    }
    assert_most(64, |length| {
        let id = "i".repeat(length);
        told_of_keys(&format!("hash_keys: [{{id: {id}, key: {}}}]", "x".repeat(32)))
    });
}

#[test]
fn a_hash_key_is_as_long_as_its_hash_at_least() {
    for (length, is_good) in [(31, false), (32, true), (33, true)] {
        let told = told_of_keys(&format!("hash_keys: [{{id: a, key: {}}}]", "x".repeat(length)));
        assert_eq!(told.is_none(), is_good, "{length}: {told:?}");
    }
}

#[test]
fn a_schedule_makes_a_key_a_minute_at_most_and_one_in_180_days_at_least() {
    let longest = 180 * 86_400;
    for (every, is_good) in [
        (59, false),
        (60, true),
        (61, true),
        (longest - 1, true),
        (longest, true),
        (longest + 1, false),
    ] {
        let rotation = format!("consumer: a, every: {every}s, overlap: 1s, to: {{file: k}}");
        let told = told_of_rotations(&[rotation]);
        assert_eq!(told.is_none(), is_good, "{every}: {told:?}");
    }
    for (overlap, is_good) in [(3_599, true), (3_600, false), (3_601, false)] {
        let rotation = format!("consumer: a, every: 1h, overlap: {overlap}s, to: {{file: k}}");
        assert_eq!(told_of_rotations(&[rotation]).is_none(), is_good, "{overlap}");
    }
}

#[test]
fn near_names_are_sought_until_there_are_too_many_problems() {
    for (count, helped) in [(100, 100), (101, 101), (102, 101), (150, 101)] {
        let routes = items(count, |n| format!("{{uri: /{n}, service_id: order}}"));
        let upstream = "upstream: {nodes: {'a:80': 1}}";
        let text =
            format!("services: [{{id: orders, {upstream}}}]\nroutes: [{}]\n", routes.join(", "));
        let lines = resources(&text).unwrap_err();
        assert_eq!(lines.len(), count);
        let found = lines.iter().filter(|line| line.contains("did you mean `orders`?")).count();
        assert_eq!(found, helped, "{count}");
    }
}
