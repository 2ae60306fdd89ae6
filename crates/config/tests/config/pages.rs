//! Changes of a document that are read where they are.

use std::collections::BTreeMap;
use std::path::Path;

use bartizan_config::{Draft, Ledger, Loader, ObjectChange, Pages};
use proptest::prelude::*;

use crate::catalogue::{Catalogue, NODE};

/// A draft of a node with this document of resources.
fn draft(text: &str) -> Draft {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bartizan.yaml");
    std::fs::write(folder.path().join("r.yaml"), text).unwrap();
    std::fs::write(&path, format!("{NODE}store: {{file: {{path: r.yaml}}}}\n")).unwrap();
    Loader::new(&Catalogue).node_draft(&path).unwrap().1
}

fn kept(text: &str) -> (Ledger, Pages) {
    let draft = draft(text);
    (draft.ledger().unwrap(), draft.pages().unwrap())
}

fn shown(changes: &[ObjectChange]) -> Vec<String> {
    let content = |change: &ObjectChange| match &change.content {
        Some(content) => String::from_utf8(content.to_vec()).unwrap(),
        None => "gone".to_owned(),
    };
    changes.iter().map(|change| format!("{} {}", change.name, content(change))).collect()
}

const TEXT: &str = "\
# Ours.
upstreams:
- id: u
  nodes: {\"127.0.0.1:1\": 1}
routes:
  - id: a
    uri: /a
    upstream_id: u
  # The second.
  - id: b
    uri: /b
    upstream_id: u
consumers:
- username: jack
#END
";

#[test]
fn only_what_changed_is_read() {
    let (ledger, pages) = kept(TEXT);
    for (from, to, expected) in [
        ("uri: /a", "uri: /other", vec![r#"routes/a {"id":"a","uri":"/other","upstream_id":"u"}"#]),
        ("  - id: b\n    uri: /b\n    upstream_id: u\n", "", vec!["routes/b gone"]),
        (
            "consumers:",
            "  - id: c\n    uri: /c\nconsumers:",
            vec![r#"routes/c {"id":"c","uri":"/c"}"#],
        ),
        (
            "  - id: b",
            "  - id: c",
            vec!["routes/b gone", r#"routes/c {"id":"c","uri":"/b","upstream_id":"u"}"#],
        ),
        ("/b\n    upstream_id: u\n", "/b\n", vec![r#"routes/b {"id":"b","uri":"/b"}"#]),
        (
            "jack\n",
            "jack\n  labels: {a: b}\n",
            vec![r#"consumers/jack {"username":"jack","labels":{"a":"b"}}"#],
        ),
        (
            "id: b\n    uri: /b\n    upstream_id: u\n",
            "id: 7\n",
            vec!["routes/7 {\"id\":7}", "routes/b gone"],
        ),
        (
            "#END",
            "- id: jack/credentials/c\n#END",
            vec![r#"consumers/jack/credentials/c {"id":"jack/credentials/c"}"#],
        ),
        ("# The second.", "# The other.", vec![]),
    ] {
        let turn = pages.turn(&TEXT.replace(from, to), &ledger);
        let turn = turn.unwrap_or_else(|| panic!("{from} → {to}"));
        assert_eq!(shown(&turn.changes), expected, "{from} → {to}");
    }
}

#[test]
fn what_may_mean_more_than_it_seems_makes_everything_be_read() {
    let (ledger, pages) = kept(TEXT);
    for (from, to) in [
        ("# Ours.", "# Theirs."),
        ("uri: /a", "uri: \"/a"),
        ("uri: /a", "uri: {"),
        ("uri: /a", "uri: ${{A}}"),
        ("uri: /a\n", "uri: /a\nservices:\n"),
        ("uri: /a\n", "uri: /a\n---\n"),
        ("uri: /a\n", "uri: /a\n...\n"),
        ("    uri: /a\n", "   uri: /a\n"),
        ("  - id: a\n    uri: /a\n    upstream_id: u\n", "   - id: a\n     uri: /a\n"),
        ("  - id: b", "    - id: b"),
        ("  - id: b", "  - id: a"),
        ("- id: b", "- name: b"),
        ("routes:", "routes: # all"),
        ("#END\n", "- username: jack\n#END\n"),
        ("#END\n", "- id: jane\n#END\n"),
        ("#END\n", "- username: 12\n#END\n"),
        ("#END\n", "- {id: jane, username: 12}\n#END\n"),
        ("username: jack", "id: jack"),
        ("#END\n", "- {id: jack/credentials/c, username: jack/credentials/c}\n#END\n"),
        ("id: b\n", "id: b\n    username: b\n"),
        ("id: b\n", "id: 0\n"),
        ("id: b\n", "id: -1\n"),
        ("id: b\n", "id: 1.5\n"),
        ("id: b\n", "username: b\n"),
        ("consumers:\n- username: jack\n", ""),
    ] {
        assert!(pages.turn(&TEXT.replace(from, to), &ledger).is_none(), "{from} → {to}");
    }
}

#[test]
fn a_document_in_which_a_name_is_not_as_it_should_be_has_no_ledger() {
    for (from, to) in [("username: jack", "id: jack"), ("username: jack", "username: 12")] {
        assert!(draft(&TEXT.replace(from, to)).ledger().is_none(), "{to}");
    }
}

/// Items as people write them, right and wrong.
fn item() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "  - id: a\n    uri: /a\n",
        "  - id: a\n    uri: /a2\n",
        "  - {id: b, uri: /b}\n",
        "  - id: c\n    uri: >\n      /c\n      d\n",
        "  - id: d\n    desc: |\n      - id: x\n      text\n    uri: /d\n",
        "  - id: e\n    uri: '/e\n      f'\n",
        "  -   id: f\n      uri: /f\n",
        "  - id: g\n",
        "  - plain\n",
        "   continued\n",
        "    more: 1\n",
        "  # a comment\n",
        "\n",
        "    - id: h\n",
        "- id: i\n",
        "services:\n",
        "...\n",
        "    desc: |\n",
    ])
    .prop_map(str::to_owned)
}

fn document() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(item(), 1..6)
}

fn whole(items: &[String]) -> String {
    format!("upstreams: []\nroutes:\n{}consumers:\n- username: jack\n#END\n", items.concat())
}

type Objects = BTreeMap<String, String>;

fn all(text: &str) -> Option<Objects> {
    let (name, folder) = (Path::new("r.yaml"), tempfile::tempdir().unwrap());
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    let objects = bartizan_config::objects_at(&path, 1 << 20, &bartizan_config::System).ok()?;
    let count = objects.len();
    let objects = objects.into_iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let objects: Objects = objects.collect();
    // What is given twice is never in force.
    (objects.len() == count).then_some(objects)
}

/// The objects of a text, with some of them changed.
fn merged(text: &str, changes: &[ObjectChange]) -> Option<Objects> {
    let mut objects = all(text)?;
    for change in changes {
        let name = change.name.to_string();
        match &change.content {
            Some(text) => drop(objects.insert(name, String::from_utf8(text.to_vec()).unwrap())),
            None => drop(objects.remove(&name)),
        }
    }
    Some(objects)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_where_it_changed_is_what_reading_everything_gives(
        before in document(), changed in document(), from in 0_usize..5, until in 0_usize..5,
    ) {
        let old = whole(&before);
        if all(&old).is_none() {
            return Ok(());
        }
        let draft = draft(&old);
        let (Some(ledger), Some(mut pages)) = (draft.ledger(), draft.pages()) else { return Ok(()) };
        let from = from.min(before.len());
        let until = until.clamp(from, before.len());
        let after = [&before[..from], &changed, &before[until..]].concat();
        let new = whole(&after);
        let Some(turn) = pages.turn(&new, &ledger) else { return Ok(()) };
        prop_assert_eq!(merged(&old, &turn.changes), all(&new), "{}\n---\n{}", old, new);
        // The places are right afterwards too.
        pages.keep(turn, new.clone());
        prop_assert!(pages.is(&new));
        let Some(ledger) = super::pages::draft(&new).ledger() else { return Ok(()) };
        if let Some(turn) = pages.turn(&old, &ledger) {
            prop_assert_eq!(merged(&new, &turn.changes), all(&old), "{}\n---\n{}", new, old);
        }
    }
}

#[test]
fn a_document_of_adc_is_read_as_a_whole() {
    let draft = draft(
        "services:\n- name: s\n  upstream:\n    nodes: [{host: 127.0.0.1, port: 1, weight: 1}]\n  \
         routes:\n  - name: r\n    uris: [/r]\n",
    );
    assert!(draft.ledger().is_none() && draft.pages().is_none());
}
