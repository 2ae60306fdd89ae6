//! Rule sets: loaded when something uses them, once for the node, and again when a file changes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_chain::{CompileCx, FilesRead};
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use bartizan_waf::{Collections, FileFault, Files, Folder, RuleFault, RuleSet};

use super::config::Metadata;

/// The name of the rules that the gateway carries.
const BUILTIN: &str = "builtin";
/// The most faults of a rule set that are told at once.
const FAULTS_MAX: usize = 10;
/// The most records, such as addresses, that rules count in.
const RECORDS_MAX: usize = 100_000;

/// What a file was when it was read.
type Version = (u64, u64, u64, i64, i64);

/// The files that a rule set was read from, each as it was.
type Read = Vec<(PathBuf, Option<Version>)>;

/// The rule sets that something uses, by their files. What uses one holds this as well, so that the
/// next configuration finds it.
#[derive(Default)]
pub(super) struct Loaded(Mutex<BTreeMap<Vec<String>, Kept>>);

struct Kept {
    /// Gone when nothing uses it any more.
    rules: Weak<RuleSet>,
    files: Read,
}

/// What rules count across exchanges, for the whole node.
pub(super) fn collections(cx: &CompileCx<'_>) -> Arc<Collections> {
    cx.node
        .registry
        .state(&node(cx), cx.plugin, "collections".to_owned(), || Collections::new(RECORDS_MAX))
}

/// What is loaded on this node.
pub(super) fn loaded(cx: &CompileCx<'_>) -> Arc<Loaded> {
    cx.node.registry.state(&node(cx), cx.plugin, "rules".to_owned(), Loaded::default)
}

/// The rule set of a name.
pub(super) fn find(
    name: &str,
    metadata: &Metadata,
    loaded: &Loaded,
    cx: &CompileCx<'_>,
) -> Result<Arc<RuleSet>, Invalid> {
    let Some(source) = metadata.rule_sets.get(name) else {
        if name == BUILTIN {
            let load = || RuleSet::builtin().map_err(|faults| told(name, &faults));
            return loaded.get(&[], || load().map(|rules| (rules, Read::new())));
        }
        let mut known = format!("`{BUILTIN}`");
        for other in metadata.rule_sets.keys() {
            // Writing to a string cannot fail.
            let _ = write!(known, ", `{other}`");
        }
        let problem = format!("there is no rule set `{name}`");
        let help = format!("there is {known}; others are named in the metadata of `waf`");
        return Err(Invalid::at("rule_set", problem).with_help(help));
    };
    let rules = loaded.get(&source.files, || {
        let folder = Folder::new(&cx.node.base_dir);
        let (root, own) = (&cx.node.base_dir, &cx.node.files);
        let files = Noting { folder, root, own, read: RefCell::default() };
        let names = expand(&source.files, &files).map_err(|fault| broken(name, &fault));
        let rules = names.and_then(|names| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            RuleSet::load(&names, &files).map_err(|faults| told(name, &faults))
        });
        let read = files.read.into_inner();
        // Watched even if they are at fault: mending one is a change.
        for path in &read {
            cx.node.files.note(path.clone());
        }
        let versions = read.into_iter().map(|path| (path.clone(), version(&path))).collect();
        Ok((rules?, versions))
    })?;
    loaded.watch(&source.files, cx);
    Ok(rules)
}

fn node(cx: &CompileCx<'_>) -> ResourceRef {
    ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(cx.plugin) }
}

impl Loaded {
    /// The rule set of these files: the one that is in use if none of them has changed.
    fn get(
        &self,
        files: &[String],
        load: impl FnOnce() -> Result<(RuleSet, Read), Invalid>,
    ) -> Result<Arc<RuleSet>, Invalid> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| kept.rules.strong_count() > 0);
        let used = all.get(files).filter(|kept| kept.is_current());
        if let Some(rules) = used.and_then(|kept| kept.rules.upgrade()) {
            return Ok(rules);
        }
        let (rules, read) = load()?;
        let rules = Arc::new(rules);
        all.insert(files.to_vec(), Kept { rules: Arc::downgrade(&rules), files: read });
        Ok(rules)
    }

    /// Has the files of a rule set watched, also where they were read before.
    fn watch(&self, key: &[String], cx: &CompileCx<'_>) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, _) in kept.get(key).into_iter().flat_map(|kept| &kept.files) {
            cx.node.files.note(path.clone());
        }
    }
}

impl Kept {
    fn is_current(&self) -> bool {
        self.files.iter().all(|(path, was)| version(path) == *was)
    }
}

fn version(path: &Path) -> Option<Version> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.ino(), facts.len(), facts.dev(), facts.mtime_nsec(), facts.mtime()))
}

fn expand(patterns: &[String], files: &dyn Files) -> Result<Vec<String>, FileFault> {
    let mut names = Vec::new();
    for pattern in patterns {
        names.extend(files.list("", pattern)?);
    }
    Ok(names)
}

/// Files that are noted when they are read, and folders when they are listed.
struct Noting<'a> {
    folder: Folder,
    root: &'a Path,
    own: &'a FilesRead,
    read: RefCell<Vec<PathBuf>>,
}

impl Noting<'_> {
    fn note(&self, from: &str, name: &Path) -> Result<(), FileFault> {
        let beside = Path::new(from).parent().unwrap_or_else(|| Path::new(""));
        let written = beside.join(name);
        self.own.may_read(self.root, &written).map_err(|why| {
            let why = std::io::Error::other(format!("it {why}"));
            FileFault::Unreadable(written.display().to_string(), why)
        })?;
        let path = self.root.join(written);
        let mut read = self.read.borrow_mut();
        if !read.contains(&path) {
            read.push(path);
        }
        Ok(())
    }
}

impl Files for Noting<'_> {
    fn read(&self, from: &str, name: &str) -> Result<Vec<u8>, FileFault> {
        self.note(from, Path::new(name))?;
        self.folder.read(from, name)
    }

    fn read_database(&self, from: &str, name: &str) -> Result<Vec<u8>, FileFault> {
        self.note(from, Path::new(name))?;
        self.folder.read_database(from, name)
    }

    fn list(&self, from: &str, pattern: &str) -> Result<Vec<String>, FileFault> {
        if pattern.contains(['*', '?']) {
            self.note(from, Path::new(pattern).parent().unwrap_or_else(|| Path::new("")))?;
        }
        self.folder.list(from, pattern)
    }
}

fn broken(name: &str, fault: &FileFault) -> Invalid {
    Invalid::at("rule_set", format!("the rule set `{name}`: {fault}"))
}

/// The faults of a rule set, each with its place.
fn told(name: &str, faults: &[RuleFault]) -> Invalid {
    let count = faults.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut problem = format!("the rule set `{name}` has {count} fault{plural}");
    for fault in faults.iter().take(FAULTS_MAX) {
        problem.push_str("\n  ");
        problem.push_str(&fault.to_string());
        if let Some(help) = &fault.help {
            let _ = write!(problem, " ({help})");
        }
    }
    Invalid::at("rule_set", problem)
}
