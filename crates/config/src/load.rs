//! Loading: the node file, and the resources alone when they change.

use std::io;
use std::path::{Path, PathBuf};

use bartizan_core::Limits;

use crate::diagnostic::{Diagnostic, Invalid, SourceId};
use crate::document::Node;
use crate::node::{NodeConfig, Store, complete, specials};
use crate::plugin_schemas::PluginSchemas;
use crate::read::{Reader, Site};
use crate::reference::{Resolver, Surroundings, System};
use crate::resources::Resources;
use crate::schema::Rules;
use crate::sources::Sources;
use crate::wire::schema_of;

/// Largest document that offsets can address with room to spare, whatever the limit says.
const DOCUMENT_MAX: u64 = 1 << 30;

/// A configuration that was read and is sound as far as this crate can tell.
#[derive(Debug)]
pub struct Loaded {
    /// The node.
    pub node: NodeConfig,
    /// What it serves.
    pub resources: Resources,
    /// The documents, to show problems that are found later.
    pub sources: Sources,
    /// Every file that was read or looked for; a change of one is a change of the configuration.
    pub files: Vec<PathBuf>,
}

/// Resources that were read alone.
#[derive(Debug)]
pub struct LoadedResources {
    /// The resources.
    pub resources: Resources,
    /// The documents, to show problems that are found later.
    pub sources: Sources,
    /// Every file that was read or looked for.
    pub files: Vec<PathBuf>,
}

/// A configuration that cannot be used.
#[derive(Debug)]
pub struct Failure {
    /// The documents that the problems are about.
    pub sources: Sources,
    /// The problems; at least one.
    pub diagnostics: Vec<Diagnostic>,
    /// Every file that was read or looked for: when one changes, it may be worth another try.
    pub files: Vec<PathBuf>,
}

/// Reads a node file and the resources that it names or holds.
pub fn load_node(path: &Path, plugins: &dyn PluginSchemas) -> Result<Loaded, Failure> {
    Loader::new(plugins).node(path)
}

/// Reads the resources of a node again.
pub fn load_resources(
    node: &NodeConfig,
    plugins: &dyn PluginSchemas,
) -> Result<LoadedResources, Failure> {
    Loader::new(plugins).resources(node)
}

/// Reads configurations with what they refer to.
#[derive(Clone, Copy)]
pub struct Loader<'a> {
    plugins: &'a dyn PluginSchemas,
    surroundings: &'a dyn Surroundings,
}

/// A document on its way to be read.
enum Text<'t> {
    File,
    Given(&'t str),
}

impl<'a> Loader<'a> {
    /// Reads files and variables of this process.
    pub fn new(plugins: &'a dyn PluginSchemas) -> Self {
        Self { plugins, surroundings: &System }
    }

    /// Reads files and variables from somewhere else.
    #[must_use]
    pub fn with_surroundings(self, surroundings: &'a dyn Surroundings) -> Self {
        Self { surroundings, ..self }
    }

    /// Reads a node file and the resources that it names or holds.
    pub fn node(&self, path: &Path) -> Result<Loaded, Failure> {
        self.read_node(path, &Text::File)
    }

    /// Reads a node file that is already in memory; relative paths start at the folder of `path`.
    pub fn node_text(&self, path: &Path, text: &str) -> Result<Loaded, Failure> {
        self.read_node(path, &Text::Given(text))
    }

    /// Reads the resources of a node again.
    pub fn resources(&self, node: &NodeConfig) -> Result<LoadedResources, Failure> {
        match &node.store {
            Some(Store::File { path }) => self.read_resources(node, path, &Text::File, false),
            None => self.read_resources(node, &node.path, &Text::File, true),
        }
    }

    /// Reads resources that are already in memory, for a node that keeps them elsewhere.
    pub fn resources_text(
        &self,
        node: &NodeConfig,
        path: &Path,
        text: &str,
    ) -> Result<LoadedResources, Failure> {
        self.read_resources(node, path, &Text::Given(text), false)
    }

    fn read_node(&self, path: &Path, text: &Text<'_>) -> Result<Loaded, Failure> {
        let mut sources = Sources::new();
        let resolver = Resolver::new(self.surroundings);
        let limit = Limits::default().document.0;
        let outcome = self.read_node_into(path, text, limit, &mut sources, &resolver);
        match outcome {
            Ok((node, resources)) => {
                Ok(Loaded { node, resources, sources, files: resolver.into_files() })
            }
            Err(diagnostics) => Err(Failure { sources, diagnostics, files: resolver.into_files() }),
        }
    }

    fn read_node_into(
        &self,
        path: &Path,
        text: &Text<'_>,
        limit: u64,
        sources: &mut Sources,
        resolver: &Resolver<'_>,
    ) -> Result<(NodeConfig, Resources), Vec<Diagnostic>> {
        let source = document(path, text, limit, sources, resolver)?;
        let root = sources.read(source)?;
        let site = Site::root(&root);
        let inline = site.child("resources");

        // The resources are read by the node's rules also where the rest has problems.
        let accepts = root.get("danger_accept_apisix_fail_open").map(Node::to_json);
        let accepts_fail_open = accepts == Some(true.into());
        let rules = Rules::new(resolver, accepts_fail_open);
        let mut reader = Reader::new(&rules, self.plugins, sources);
        let node: Option<NodeConfig> =
            reader.typed(&site, &schema_of::<NodeConfig>(), &specials(), &["resources"]);
        let node = node.map(|mut node| {
            for invalid in complete(&mut node, folder(path), inline.is_some(), resolver) {
                reader.tell(site.diagnostic(&invalid));
            }
            path.clone_into(&mut node.path);
            node
        });
        let mut resources = Resources::default();
        if let Some(inline) = &inline {
            resources = reader.resources(inline);
        }
        let mut diagnostics = reader.finish();
        let store = node.as_ref().filter(|_| inline.is_none()).and_then(|node| node.store.as_ref());
        if let Some(Store::File { path }) = store {
            let limit = node.as_ref().map_or(limit, |node| node.limits.document.0);
            match self.store(path, &Text::File, limit, accepts_fail_open, sources, resolver) {
                Ok(read) => resources = read,
                Err(problems) => diagnostics.extend(problems),
            }
        }
        match node {
            Some(node) if diagnostics.is_empty() => Ok((node, resources)),
            _ => Err(diagnostics),
        }
    }

    fn read_resources(
        &self,
        node: &NodeConfig,
        path: &Path,
        text: &Text<'_>,
        is_inline: bool,
    ) -> Result<LoadedResources, Failure> {
        let mut sources = Sources::new();
        let resolver = Resolver::new(self.surroundings);
        let limit = node.limits.document.0;
        let accepts = node.danger_accept_apisix_fail_open;
        let outcome = if is_inline {
            self.inline(path, limit, accepts, &mut sources, &resolver)
        } else {
            self.store(path, text, limit, accepts, &mut sources, &resolver)
        };
        match outcome {
            Ok(resources) => {
                Ok(LoadedResources { resources, sources, files: resolver.into_files() })
            }
            Err(diagnostics) => Err(Failure { sources, diagnostics, files: resolver.into_files() }),
        }
    }

    /// Reads a document of resources.
    fn store(
        &self,
        path: &Path,
        text: &Text<'_>,
        limit: u64,
        accepts_fail_open: bool,
        sources: &mut Sources,
        resolver: &Resolver<'_>,
    ) -> Result<Resources, Vec<Diagnostic>> {
        let source = document(path, text, limit, sources, resolver)?;
        let rules = Rules::new(resolver, accepts_fail_open);
        let mut reader = Reader::new(&rules, self.plugins, sources);
        let root = reader.root(source);
        let resources = root.map(|root| reader.resources(&Site::root(&root)));
        sound(reader.finish(), resources)
    }

    /// Reads the resources in a node file.
    fn inline(
        &self,
        path: &Path,
        limit: u64,
        accepts_fail_open: bool,
        sources: &mut Sources,
        resolver: &Resolver<'_>,
    ) -> Result<Resources, Vec<Diagnostic>> {
        let source = document(path, &Text::File, limit, sources, resolver)?;
        let rules = Rules::new(resolver, accepts_fail_open);
        let mut reader = Reader::new(&rules, self.plugins, sources);
        let mut resources = None;
        if let Some(root) = reader.root(source) {
            let site = Site::root(&root);
            match site.child("resources") {
                Some(inline) => resources = Some(reader.resources(&inline)),
                None => reader.tell(
                    site.diagnostic(
                        &Invalid::new("the node file holds no `resources` any more")
                            .with_help("a change of the node itself needs a restart"),
                    ),
                ),
            }
        }
        sound(reader.finish(), resources)
    }
}

fn sound(
    diagnostics: Vec<Diagnostic>,
    resources: Option<Resources>,
) -> Result<Resources, Vec<Diagnostic>> {
    match resources {
        Some(resources) if diagnostics.is_empty() => Ok(resources),
        _ => Err(diagnostics),
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Adds a document to the sources.
fn document(
    path: &Path,
    text: &Text<'_>,
    limit: u64,
    sources: &mut Sources,
    resolver: &Resolver<'_>,
) -> Result<SourceId, Vec<Diagnostic>> {
    let limit = limit.min(DOCUMENT_MAX);
    let name = path.to_string_lossy();
    let content = match text {
        Text::Given(text) if u64::try_from(text.len()).unwrap_or(u64::MAX) > limit => {
            Err(io::Error::other(format!("it has more than {limit} bytes")))
        }
        Text::Given(text) => Ok(text.as_bytes().to_vec()),
        Text::File => {
            resolver.note(path);
            resolver.surroundings().file(path, limit)
        }
    };
    let content = content.map_err(|error| {
        vec![Diagnostic {
            place: None,
            path: "".into(),
            problem: format!("the file `{name}` cannot be read: {error}"),
            help: None,
        }]
    })?;
    match sources.add_bytes(&name, folder(path), content) {
        (source, None) => Ok(source),
        (_, Some(problem)) => Err(vec![problem]),
    }
}
