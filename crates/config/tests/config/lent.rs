//! What objects of a shared store may read of this machine.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use bartizan_config::{
    Draft, Loader, ObjectChange, ObjectName, Resources, Surroundings, one_line, read_file_up_to,
};
use proptest::prelude::*;

use crate::catalogue::{Catalogue, NODE, loader};
use crate::drafts::add;

/// The draft of a node that reads from etcd.
fn draft(references: &str, loader: &Loader<'_>) -> Draft {
    let text = format!(
        "{NODE}store: {{etcd: {{endpoints: ['https://etcd:1'], references: {references}}}}}\n"
    );
    loader.node_draft_text(Path::new("/etc/b/bartizan.yaml"), &text).unwrap().1
}

fn jack(key: &str) -> String {
    format!(r#"{{"username": "jack", "plugins": {{"key-auth": {{"key": "{key}"}}}}}}"#)
}

fn judged(draft: &mut Draft, loader: &Loader<'_>) -> Result<String, String> {
    let key = |resources: Resources| {
        resources.consumers[0].plugins[0].config["key"].as_str().unwrap().to_owned()
    };
    draft.judge(loader).map(key).map_err(|problems| {
        problems.iter().map(|problem| one_line(draft.sources(), problem)).collect()
    })
}

fn change(content: &str) -> ObjectChange {
    let name = ObjectName { collection: "consumers".into(), id: "jack".into() };
    ObjectChange { name, content: Some(content.as_bytes().into()) }
}

#[test]
fn a_reference_that_is_not_listed_makes_its_object_be_at_fault() {
    for (references, key, expected) in [
        ("{env: [ALICE]}", "$env://ALICE", Ok("alice-key")),
        ("{files: [ca.pem]}", "$file://ca.pem", Ok("-----BEGIN CERTIFICATE-----")),
        ("{}", "in clear", Ok("in clear")),
        ("{}", "$env://ALICE", Err("`$env://ALICE`")),
        ("{files: [ca.pem]}", "$file:///etc/b/key.pem", Err("`$file:///etc/b/key.pem`")),
        ("{env: [KEY], files: [lent]}", "$env://ALICE/a", Err("`$env://ALICE/a`")),
    ] {
        let mut draft = draft(references, &loader());
        add(&mut draft, &[("consumers", "jack", &jack(key))]);
        match (judged(&mut draft, &loader()), expected) {
            (Ok(value), Ok(expected)) => assert!(value.starts_with(expected), "{value}"),
            (Err(told), Err(reference)) => {
                let why = "may not be read for objects of the store: list it in \
                           `store.etcd.references`";
                assert!(told.contains(&format!("{reference} {why}")), "{told}");
                assert!(told.starts_with("consumers/jack at revision 7:1:"), "{told}");
            }
            (told, _) => panic!("{references} {key}: {told:?}"),
        }
    }
}

#[test]
fn a_change_by_itself_reads_no_more_than_the_whole() {
    let mut draft = draft("{env: [ALICE]}", &loader());
    add(&mut draft, &[("consumers", "jack", &jack("first"))]);
    draft.judge(&loader()).unwrap();
    let mut ledger = draft.ledger().unwrap();
    assert!(ledger.amend(&loader(), &[change(&jack("$env://ALICE"))]).is_some());
    ledger.keep();
    for key in ["$env://KEY", "$file://ca.pem", "$file:///etc/b/key.pem"] {
        assert!(ledger.amend(&loader(), &[change(&jack(key))]).is_none(), "{key}");
        ledger.restore();
    }
}

#[test]
fn what_was_in_force_stands_for_what_may_not_be_read() {
    let mut draft = draft("{env: [ALICE]}", &loader());
    add(&mut draft, &[("consumers", "jack", &jack("$env://KEY"))]);
    assert!(judged(&mut draft, &loader()).is_err());
    let objects = draft.objects(&loader());
    assert!(draft.replace(&objects[0], &jack("$env://ALICE")));
    assert_eq!(judged(&mut draft, &loader()).as_deref(), Ok("alice-key"));
}

#[test]
fn what_is_only_looked_at_reads_nothing() {
    for key in ["$env://ALICE", "$file://ca.pem"] {
        let mut draft = draft("{env: [ALICE], files: [ca.pem]}", &loader());
        draft.lend(bartizan_config::References::Nothing);
        add(&mut draft, &[("consumers", "jack", &jack(key))]);
        let told = judged(&mut draft, &loader()).unwrap_err();
        assert!(told.contains(&format!("`{key}` is of this machine")), "{told}");
    }
}

#[test]
fn other_stores_and_documents_are_of_those_who_run_the_node() {
    for store in ["{embedded: {path: store}}", "{file: {path: resources.json}}"] {
        let text = format!("{NODE}store: {store}\n");
        let path = Path::new("/etc/b/bartizan.yaml");
        let mut draft = loader().node_draft_text(path, &text).unwrap().1;
        add(&mut draft, &[("consumers", "jack", &jack("$env://ALICE"))]);
        assert_eq!(judged(&mut draft, &loader()).as_deref(), Ok("alice-key"), "{store}");
    }
}

/// Every variable and file is there, and it is known which were asked for.
#[derive(Default)]
struct Watched {
    variables: Mutex<BTreeSet<String>>,
    files: Mutex<BTreeSet<PathBuf>>,
}

impl Surroundings for Watched {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.lock().unwrap().insert(name.to_owned());
        Some(r#"{"k": "a value"}"#.to_owned())
    }

    fn file(&self, path: &Path, _: u64) -> io::Result<Vec<u8>> {
        self.files.lock().unwrap().insert(path.to_owned());
        Ok(b"a value".to_vec())
    }
}

/// What is said in other words in the gateway.
fn may_be_read(reference: &str, env: &[String], files: &[String]) -> bool {
    if let Some(name) = reference.strip_prefix("$env://") {
        return env.iter().any(|known| known == name.split('/').next().unwrap());
    }
    let path = reference.strip_prefix("$file://").unwrap();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/etc/b/{path}") };
    let climbs = Path::new(&path).components().any(|part| part == Component::ParentDir);
    let is_below = |known: &String| {
        let known = format!("/etc/b/{known}");
        path == known || path.starts_with(&format!("{known}/"))
    };
    !climbs && files.iter().any(is_below)
}

fn references() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "$env://A",
        "$env://B/k",
        "$env://AB",
        "$file://lent/x",
        "$file://lent",
        "$file://lent2/x",
        "$file:///etc/b/lent/x",
        "$file:///etc/b/own",
        "$file://own",
        "$file://lent/../own",
        "$file://../b/own",
        "$file:///etc/shadow",
    ])
    .prop_map(str::to_owned)
}

fn some_of(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(of, 0..=of.len())
        .prop_map(|some| some.into_iter().map(str::to_owned).collect())
}

proptest! {
    #[test]
    fn nothing_is_read_that_is_not_listed_whichever_way_a_change_comes(
        env in some_of(&["A", "B", "AB"]),
        files in some_of(&["lent", "own", "lent2/x"]),
        keys in prop::collection::vec(references(), 1..4),
    ) {
        let listed = format!("{{env: {env:?}, files: {files:?}}}");
        let surroundings = Watched::default();
        let loader = Loader::new(&Catalogue).with_surroundings(&surroundings);
        let mut before = draft(&listed, &loader);
        add(&mut before, &[("consumers", "jack", &jack("first"))]);
        prop_assert!(before.judge(&loader).is_ok());
        let mut ledger = before.ledger().unwrap();
        for key in &keys {
            let expected = may_be_read(key, &env, &files);
            let mut whole = draft(&listed, &loader);
            add(&mut whole, &[("consumers", "jack", &jack(key))]);
            prop_assert_eq!(whole.judge(&loader).is_ok(), expected, "{}", key);
            let by_itself = ledger.amend(&loader, &[change(&jack(key))]);
            prop_assert_eq!(by_itself.is_some(), expected, "{}", key);
            if expected { ledger.keep() } else { ledger.restore() }
        }
        for name in surroundings.variables.lock().unwrap().iter() {
            prop_assert!(env.contains(name), "{}", name);
        }
        for path in surroundings.files.lock().unwrap().iter() {
            let path = format!("$file://{}", path.display());
            prop_assert!(may_be_read(&path, &env, &files), "{}", path);
        }
    }
}

/// A folder of so many documents.
struct Folder(usize);

impl Surroundings for Folder {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path, _: u64) -> io::Result<Vec<u8>> {
        Ok(b"upstreams: []\n".to_vec())
    }

    fn folder(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        Ok(Some((0..self.0).map(|n| path.join(format!("{n}.yaml"))).collect()))
    }
}

#[test]
fn a_folder_holds_a_thousand_documents_at_most() {
    for (count, is_read) in [(999, true), (1_000, true), (1_001, false)] {
        let read = bartizan_config::objects_at(Path::new("/conf"), 100, &Folder(count));
        assert_eq!(read.is_ok(), is_read, "{count}");
    }
}

#[test]
fn a_file_is_read_to_one_byte_more_than_it_may_have() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "12345").unwrap();
    for (max, length) in [(3, 4), (4, 5), (5, 5), (6, 5)] {
        assert_eq!(read_file_up_to(file.path(), max).unwrap().len(), length);
    }
}
