//! What must hold for every input: the laws that fuzzers and the replay of their corpora check.
//!
//! Each function takes raw bytes and panics if a law is broken. They are here, and not beside the
//! fuzz targets, so that the stable toolchain compiles and runs them too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_chain::{CpuPool, NodeFacts, StateRegistry};
use bartizan_config::{
    Diagnostic, Loader, NodeConfig, Resources, Sources, Surroundings, one_line, render,
};
use bartizan_core::{Clock, ManualClock, NodeKey, Timestamp};
use bartizan_plugins::Catalogue;

use crate::snapshot::{CompileFault, Compiler, Snapshot};

/// Inputs are cut off here: longer ones show nothing that shorter ones do not.
const INPUT_MAX: usize = 8_192;

const NODE: &str = "{\"listeners\": [{\"address\": \"127.0.0.1:9080\"}], \"resources\": {}}";

/// A world without files and variables.
struct Nowhere;

impl Surroundings for Nowhere {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &Path, _limit: u64) -> io::Result<Vec<u8>> {
        Err(io::Error::new(io::ErrorKind::NotFound, path.display().to_string()))
    }
}

/// A document of resources is refused, with every problem at a place in it, or compiles, or is
/// refused then; and what is served asks who calls, unless the document says that it does not.
pub fn resources(data: &[u8]) {
    let text = String::from_utf8_lossy(data.get(..INPUT_MAX).unwrap_or(data));
    let Ok(loaded) = Loader::new(&Catalogue)
        .with_surroundings(&Nowhere)
        .node_text(Path::new("/nowhere/node.json"), NODE)
    else {
        return;
    };
    for name in ["/nowhere/r.yaml", "/nowhere/r.json"] {
        let first = served(&loaded.node, name, &text);
        let again = served(&loaded.node, name, &text);
        assert_eq!(first, again, "two readings of one document");
    }
}

/// What comes of a document: its routes or its problems.
fn served(node: &NodeConfig, name: &str, text: &str) -> Result<Vec<String>, Vec<String>> {
    let loader = Loader::new(&Catalogue).with_surroundings(&Nowhere);
    let read = match loader.resources_text(node, Path::new(name), text) {
        Ok(read) => read,
        Err(failure) => return Err(told(&failure.sources, &failure.diagnostics)),
    };
    match compile(node, &read.resources) {
        Ok(snapshot) => Ok(routes(&snapshot, &read.resources)),
        Err(faults) => {
            let problems: Vec<_> = faults.iter().map(|f| f.diagnostic(&read.sources)).collect();
            assert!(faults.iter().all(|fault| !fault.subject.is_empty()), "about nothing");
            Err(told(&read.sources, &problems))
        }
    }
}

fn compile(node: &NodeConfig, resources: &Resources) -> Result<Snapshot, Vec<CompileFault>> {
    let now = Timestamp::from_secs(1_800_000_000);
    let facts = NodeFacts {
        compatibility: node.compatibility,
        limits: node.limits.clone(),
        clock: Clock::Manual(ManualClock::at(now)),
        key: NodeKey::new(&[7; 32]),
        hash_keys: bartizan_core::HashKeys::default(),
        key_uses: bartizan_chain::KeyUses::default(),
        metrics: Arc::default(),
        registry: StateRegistry::default(),
        cpu: CpuPool::inline(&node.limits),
        base_dir: PathBuf::from("/nowhere"),
        files: bartizan_chain::FilesRead::default(),
        started: now,
        counts: Arc::default(),
        pages: bartizan_chain::Pages::default(),
        outside: bartizan_chain::Outside::default(),
        redactor: Arc::default(),
    };
    Compiler::new(Arc::new(facts), node)?.compile(resources, 1, None)
}

/// Problems as people read them, each of which stands somewhere in the document.
fn told(sources: &Sources, problems: &[Diagnostic]) -> Vec<String> {
    assert!(!problems.is_empty(), "refused without a problem");
    assert!(!render(sources, problems, true).is_empty(), "refused without a word");
    for problem in problems {
        let words = &problem.problem;
        assert!(!words.is_empty() && !words.ends_with('.'), "the words of {problem:?}");
        assert!(problem.place.is_some(), "{problem:?} stands nowhere");
        let Some(place) = problem.place else { continue };
        let range = usize::try_from(place.start).ok().zip(usize::try_from(place.end).ok());
        let piece = range.and_then(|(start, end)| sources.text(place.source).get(start..end));
        assert!(piece.is_some(), "{problem:?} stands outside of the text");
        let at = sources.position(place);
        assert!(at.line >= 1 && at.column >= 1, "{problem:?} is before the first line");
    }
    problems.iter().map(|problem| one_line(sources, problem)).collect()
}

/// The routes that are served, none of them open by mistake.
fn routes(snapshot: &Snapshot, resources: &Resources) -> Vec<String> {
    let report = &snapshot.report;
    assert_eq!(report.routes.len(), resources.routes.len(), "a route is lost");
    for route in report.routes.iter().filter(|route| route.is_enabled && !route.only_answers) {
        let proofs = route.proofs;
        assert!(proofs.authentication && proofs.grant, "{} asks for nothing", route.id);
        let is_declared = route.anonymous_reason.as_deref().is_some_and(|r| !r.is_empty());
        assert!(!route.is_public || is_declared, "{} is open", route.id);
    }
    let shown = |route: &crate::RouteReport| format!("{} {:?}", route.id, route.uris);
    report.routes.iter().map(shown).collect()
}
