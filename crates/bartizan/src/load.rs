//! Reading configurations, and remembering exactly what was read, so that no change between
//! reading and watching is missed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bartizan_config::{
    Diagnostic, Draft, Loaded, Loader, NodeConfig, Place, Resources, SecretFault, SecretManager,
    SecretName, SourceId, Sources, Surroundings, System,
};
use bartizan_core::Clock;
use bartizan_core::metrics::SharedMetrics;
use bartizan_net::{EgressPolicy, Network};
use bartizan_plugins::Catalogue;
use bartizan_proxy::CompileFault;
use bartizan_secrets::{Managers, ManagersSettings};
use bartizan_store::{self as store, Digest};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::failure::Failure;

/// The files of this process, each remembered with the digest of what was first read, and its
/// secret managers.
#[derive(Debug, Default)]
pub(crate) struct Record {
    files: Mutex<BTreeMap<PathBuf, First>>,
    managers: OnceLock<Arc<Managers>>,
}

/// The first reading of a file.
#[derive(Debug)]
struct First {
    /// How many files were read before.
    order: usize,
    digest: Option<Digest>,
}

impl Surroundings for Record {
    fn variable(&self, name: &str) -> Option<String> {
        System.variable(name)
    }

    fn file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let content = System.file(path, limit);
        let digest = content.as_ref().ok().map(|content| Digest::of(content));
        let mut files = self.known();
        let order = files.len();
        files.entry(path.to_owned()).or_insert(First { order, digest });
        content
    }

    fn folder(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        let documents = System.folder(path);
        let digest = match &documents {
            Ok(None) => return documents,
            Ok(Some(documents)) => Some(Digest::of_names(documents)),
            // It is watched until it can be read.
            Err(_) => None,
        };
        let mut files = self.known();
        let order = files.len();
        files.entry(path.to_owned()).or_insert(First { order, digest });
        documents
    }

    fn secret(
        &self,
        manager: &Arc<SecretManager>,
        name: &SecretName,
    ) -> Result<String, SecretFault> {
        // Until somebody can be asked, a value is what is still missing.
        self.managers
            .get()
            .map_or(Err(SecretFault::NotFetched), |managers| managers.value(manager, name))
    }
}

impl Record {
    fn known(&self) -> MutexGuard<'_, BTreeMap<PathBuf, First>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these secret managers are asked.
    pub(crate) fn ask(&self, managers: Arc<Managers>) {
        // There is one set of them for each record.
        let _ = self.managers.set(managers);
    }

    /// What was read.
    pub(crate) fn files(&self) -> Vec<store::Loaded> {
        let files = self.known();
        files
            .iter()
            .map(|(path, first)| store::Loaded { path: path.clone(), digest: first.digest })
            .collect()
    }

    /// Remembers what is in a file now.
    pub(crate) fn look(&self, path: &Path, limit: u64) {
        // Whether it can be read is all there is to know; the digest says it.
        let _ = self.file(path, limit);
    }

    /// Whether a file is not what was read.
    pub(crate) fn differs(&self, path: &Path, limit: u64) -> bool {
        let now = System.file(path, limit).ok().map(|content| Digest::of(&content));
        self.known().get(path).is_none_or(|first| first.digest != now)
    }

    /// Remembers that a file has been read again.
    pub(crate) fn replace(&self, path: &Path, digest: Digest) {
        if let Some(first) = self.known().get_mut(path) {
            first.digest = Some(digest);
        }
    }

    /// How many files were read.
    pub(crate) fn len(&self) -> usize {
        self.known().len()
    }

    /// The files that were read before that one; all if it was not read.
    pub(crate) fn before(&self, path: Option<&Path>) -> Vec<PathBuf> {
        let files = self.known();
        let end = path.and_then(|path| files.get(path)).map_or(usize::MAX, |first| first.order);
        let earlier = files.iter().filter(|(_, first)| first.order < end);
        earlier.map(|(path, _)| path.clone()).collect()
    }

    /// True if the file was read.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.known().contains_key(path)
    }
}

/// Reads a node file and its resources, and asks the secret managers that they refer to.
pub(crate) fn load(path: &Path) -> Result<Loaded, Failure> {
    let record = Record::default();
    let loader = loader(&record);
    let (node, mut draft) = draft(path, &loader)?;
    let asking = Asking::begin(&node, &record)?;
    let outcome = judge(&mut draft, &loader, &|| asking.fetch());
    let (sources, files) = draft.into_parts();
    match outcome {
        Ok(resources) => Ok(Loaded { node, resources, sources, files }),
        Err(problems) => Err(Failure::Misconfigured { sources, problems }),
    }
}

/// Secret managers that are asked where no node runs.
pub(crate) struct Asking {
    managers: Arc<Managers>,
    runtime: Runtime,
}

impl Asking {
    /// What a record is asked for is fetched by [`Asking::fetch`].
    pub(crate) fn begin(node: &NodeConfig, record: &Record) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|cause| Failure::new(format!("no runtime can be started: {cause}")))?;
        let managers = managers(node, runtime.handle(), &Clock::System, &SharedMetrics::default());
        record.ask(Arc::clone(&managers));
        Ok(Self { managers, runtime })
    }

    /// Fetches the secrets that are missing; false where none is.
    pub(crate) fn fetch(&self) -> bool {
        self.runtime.block_on(self.managers.fetch())
    }
}

/// The secret managers of a node, which are asked as its policy for outgoing connections allows.
pub(crate) fn managers(
    node: &NodeConfig,
    runtime: &Handle,
    clock: &Clock,
    metrics: &SharedMetrics,
) -> Arc<Managers> {
    let reach = Arc::new(Network::new(runtime.clone(), policy(node)));
    let (clock, metrics) = (clock.clone(), metrics.clone());
    Arc::new(Managers::new(ManagersSettings { reach, clock, metrics }))
}

/// Where a node connects to for itself: not to its own listeners.
fn policy(node: &NodeConfig) -> EgressPolicy {
    let own = node.listeners.iter().map(|listener| listener.address);
    let own = own.chain(node.status.as_ref().map(|status| status.address));
    let own = own.chain(node.admin.as_ref().map(|admin| admin.listen));
    EgressPolicy {
        own: own.filter(|address| address.port() != 0).collect(),
        danger_allow_link_local: node.danger_allow_link_local,
    }
}

/// Judges a draft, again once the secrets that it refers to are there.
pub(crate) fn judge(
    draft: &mut Draft,
    loader: &Loader<'_>,
    fetch: &dyn Fn() -> bool,
) -> Result<Resources, Vec<Diagnostic>> {
    loop {
        match draft.judge(loader) {
            Err(_) if fetch() => {}
            outcome => return outcome,
        }
    }
}

/// Reads a node file, and the documents of resources that it names or holds, to be judged.
pub(crate) fn draft(path: &Path, loader: &Loader<'_>) -> Result<(NodeConfig, Draft), Failure> {
    exists(path)?;
    loader.node_draft(path).map_err(refused)
}

/// Reads with the plugins that there are, and remembers what is read.
pub(crate) fn loader(record: &Record) -> Loader<'_> {
    Loader::new(&Catalogue).with_surroundings(record)
}

fn exists(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    Err(Failure::new(format!("there is no node file `{}`", path.display())).with_help(
        "name it with `-c`, write one with `bartizan init --upstream URL`, or try \
         `bartizan quickstart`",
    ))
}

fn refused(failure: bartizan_config::Failure) -> Failure {
    Failure::Misconfigured { sources: failure.sources, problems: failure.diagnostics }
}

/// What a configuration that was read does not compile for.
pub(crate) fn not_compiling(sources: Sources, faults: &[CompileFault]) -> Failure {
    let problems = faults.iter().map(|fault| fault.diagnostic(&sources)).collect();
    Failure::Misconfigured { sources, problems }
}

/// What of a node file cannot be served; paths start at its root.
pub(crate) fn not_serving(sources: Sources, faults: Vec<CompileFault>) -> Failure {
    // The node file is the first that is read.
    let node = SourceId(0);
    let root = sources.read(node).map(|root| root.place);
    let root = root.unwrap_or(Place { source: node, start: 0, end: 0 });
    let at = |fault: CompileFault| CompileFault { place: fault.place.or(Some(root)), ..fault };
    let faults: Vec<CompileFault> = faults.into_iter().map(at).collect();
    not_compiling(sources, &faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_managers_are_at_none_of_the_nodes_own_listeners() {
        let text = "\
listeners: [{ address: \"127.0.0.1:9080\" }, { address: \"127.0.0.1:0\" }]
status: { address: \"127.0.0.1:9100\" }
admin: { listen: \"127.0.0.1:9180\" }
resources: {}
";
        let loaded = Loader::new(&Catalogue).node_text(Path::new("/n/bartizan.yaml"), text);
        let own: Vec<String> =
            policy(&loaded.unwrap().node).own.iter().map(ToString::to_string).collect();
        assert_eq!(own, ["127.0.0.1:9080", "127.0.0.1:9100", "127.0.0.1:9180"]);
    }

    #[test]
    fn files_are_remembered_as_they_were_first_read() {
        let folder = tempfile::tempdir().unwrap();
        let (there, missing) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&there, "first").unwrap();
        let record = Record::default();
        assert!(record.file(&there, 100).is_ok() && record.file(&missing, 100).is_err());
        std::fs::write(&there, "second").unwrap();
        assert!(record.file(&there, 100).is_ok());
        assert_eq!(record.before(Some(&missing)), [there]);
        let files = record.files();
        assert_eq!(files[0].digest, Some(Digest::of(b"first")));
        assert_eq!((&files[1].path, files[1].digest), (&missing, None));
    }
}
