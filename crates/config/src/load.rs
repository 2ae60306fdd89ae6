//! Loading: the node file, and the resources alone when they change.

mod documents;

use std::path::{Path, PathBuf};

use bartizan_core::Limits;

use crate::diagnostic::{Diagnostic, Invalid};
use crate::document::{Format, Node};
use crate::draft::{Document, Draft};
use crate::node::{NodeConfig, Store, complete, specials};
use crate::plugin_schemas::PluginSchemas;
use crate::read::{Reader, Site};
use crate::reference::Resolver;
use crate::resources::{ResourceKind, Resources};
use crate::schema::Rules;
use crate::sources::Sources;
use crate::surroundings::{Nowhere, Surroundings, System};
use crate::terms::Terms;
use crate::wire::schema_of;

pub(crate) use documents::read_documents;
use documents::{Text, document, read_document};

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

    pub(crate) fn plugins(&self) -> &'a dyn PluginSchemas {
        self.plugins
    }

    pub(crate) fn surroundings(&self) -> &'a dyn Surroundings {
        self.surroundings
    }

    /// Reads a node file and the resources that it names or holds; a store that is no file is
    /// empty here.
    pub fn node(&self, path: &Path) -> Result<Loaded, Failure> {
        self.judged_node(path, &Text::File)
    }

    /// Reads a node file that is already in memory; relative paths start at the folder of `path`.
    pub fn node_text(&self, path: &Path, text: &str) -> Result<Loaded, Failure> {
        self.judged_node(path, &Text::Given(text))
    }

    /// Reads a node file, and the documents of resources that it names or holds, which are judged
    /// later. Where the node is at fault, what is wrong with the resources is told as well.
    pub fn node_draft(&self, path: &Path) -> Result<(NodeConfig, Draft), Failure> {
        self.read_node(path, &Text::File)
    }

    /// As [`Loader::node_draft`], of a node file that is already in memory; relative paths start at
    /// the folder of `path`.
    pub fn node_draft_text(&self, path: &Path, text: &str) -> Result<(NodeConfig, Draft), Failure> {
        self.read_node(path, &Text::Given(text))
    }

    /// Judges an object by the schema of its kind alone: plugins are not looked at, and a reference
    /// stands for a value that is not known.
    pub fn object(
        &self,
        kind: ResourceKind,
        text: &str,
        accepts_fail_open: bool,
    ) -> Vec<Diagnostic> {
        let mut sources = Sources::new();
        let bytes = text.as_bytes().to_vec();
        let (source, problem) =
            sources.add_bytes_as("the body", Path::new(""), bytes, Format::Json);
        let node = match problem {
            Some(problem) => return vec![problem],
            None => sources.read(source),
        };
        let node = match node {
            Ok(node) => node,
            Err(problems) => return problems,
        };
        let resolver = Resolver::new(&Nowhere);
        let rules = Rules::new(&resolver, accepts_fail_open);
        let mut reader = Reader::new(&rules, self.plugins, &sources);
        reader.fits(&Site::root(&node), kind);
        reader.finish().0
    }

    /// Reads the resources of a node again.
    pub fn resources(&self, node: &NodeConfig) -> Result<LoadedResources, Failure> {
        let path = match &node.store {
            Some(Store::File { path }) => path,
            Some(Store::Embedded { .. } | Store::Etcd(_)) => {
                let terms = Terms::of(node);
                return self.judged(Draft::new(Sources::new(), folder(&node.path), terms));
            }
            None => return self.inline(node),
        };
        self.read_resources(node, path, &Text::File)
    }

    /// Reads resources that are already in memory, for a node that keeps them elsewhere.
    pub fn resources_text(
        &self,
        node: &NodeConfig,
        path: &Path,
        text: &str,
    ) -> Result<LoadedResources, Failure> {
        self.read_resources(node, path, &Text::Given(text))
    }

    /// What a node file says about the node, if that is in order, whatever is wrong with resources.
    pub fn node_only(&self, path: &Path) -> Option<NodeConfig> {
        let mut sources = Sources::new();
        let resolver = Resolver::new(self.surroundings);
        let limit = Limits::default().document.0;
        let source = document(path, &Text::File, limit, &mut sources, &resolver).ok()?;
        let root = sources.read(source).ok()?;
        let accepts = root.get("danger_accept_apisix_fail_open").map(Node::to_json);
        let accepts_fail_open = accepts == Some(true.into());
        let (node, problems) =
            self.node_alone(path, &root, accepts_fail_open, &mut sources, &resolver);
        node.filter(|_| problems.is_empty())
    }

    fn judged_node(&self, path: &Path, text: &Text<'_>) -> Result<Loaded, Failure> {
        let (node, draft) = self.read_node(path, text)?;
        let LoadedResources { resources, sources, files } = self.judged(draft)?;
        Ok(Loaded { node, resources, sources, files })
    }

    /// Judges a draft, once.
    fn judged(&self, mut draft: Draft) -> Result<LoadedResources, Failure> {
        let outcome = draft.judge(self);
        let (sources, files) = draft.into_parts();
        match outcome {
            Ok(resources) => Ok(LoadedResources { resources, sources, files }),
            Err(diagnostics) => Err(Failure { sources, diagnostics, files }),
        }
    }

    fn read_node(&self, path: &Path, text: &Text<'_>) -> Result<(NodeConfig, Draft), Failure> {
        let mut sources = Sources::new();
        let resolver = Resolver::new(self.surroundings);
        let limit = Limits::default().document.0;
        let read = document(path, text, limit, &mut sources, &resolver)
            .and_then(|source| sources.read(source));
        let root = match read {
            Ok(root) => root,
            Err(diagnostics) => {
                return Err(Failure { sources, diagnostics, files: resolver.into_files() });
            }
        };
        // The resources are read by the node's rules also where the rest has problems.
        let accepts = root.get("danger_accept_apisix_fail_open").map(Node::to_json);
        let accepts_fail_open = accepts == Some(true.into());
        let is_inline = root.get("resources").is_some();
        let (node, mut diagnostics) =
            self.node_alone(path, &root, accepts_fail_open, &mut sources, &resolver);
        let references = node.as_ref().map(|node| node.references.clone()).unwrap_or_default();
        let terms = Terms { accepts_fail_open, references };
        let mut draft = Draft::new(sources, folder(path), terms);
        if is_inline {
            draft.add_document(Document { root, is_inline });
        } else if let Some(node) = &node
            && let Some(Store::File { path }) = &node.store
        {
            let limit = node.limits.document.0;
            diagnostics.extend(read_documents(&mut draft, path, limit, &resolver));
        }
        draft.note_files(resolver.into_files());
        match node {
            Some(node) if diagnostics.is_empty() => Ok((node, draft)),
            _ => {
                diagnostics.extend(draft.judge(self).err().unwrap_or_default());
                diagnostics.sort_by_key(|diagnostic| {
                    diagnostic.place.map_or((u32::MAX, 0), |place| (place.source.0, place.start))
                });
                let (sources, files) = draft.into_parts();
                Err(Failure { sources, diagnostics, files })
            }
        }
    }

    /// Reads what a node file says about the node.
    fn node_alone(
        &self,
        path: &Path,
        root: &Node,
        accepts_fail_open: bool,
        sources: &mut Sources,
        resolver: &Resolver<'_>,
    ) -> (Option<NodeConfig>, Vec<Diagnostic>) {
        let rules = Rules::new(resolver, accepts_fail_open);
        let mut reader = Reader::new(&rules, self.plugins, sources);
        let site = Site::root(root);
        let node: Option<NodeConfig> =
            reader.typed(&site, &schema_of::<NodeConfig>(), &specials(), &["resources"]);
        let node = node.map(|mut node| {
            let has_resources = root.get("resources").is_some();
            for invalid in complete(&mut node, folder(path), has_resources, resolver) {
                reader.tell(site.diagnostic(&invalid));
            }
            path.clone_into(&mut node.path);
            node
        });
        let (diagnostics, concealed) = reader.finish();
        sources.conceal(concealed);
        (node, diagnostics)
    }

    fn read_resources(
        &self,
        node: &NodeConfig,
        path: &Path,
        text: &Text<'_>,
    ) -> Result<LoadedResources, Failure> {
        let resolver = Resolver::new(self.surroundings);
        let mut draft = Draft::new(Sources::new(), folder(&node.path), Terms::of(node));
        let limit = node.limits.document.0;
        let diagnostics = match text {
            Text::File => read_documents(&mut draft, path, limit, &resolver),
            Text::Given(_) => read_document(&mut draft, path, text, limit, &resolver),
        };
        draft.note_files(resolver.into_files());
        if diagnostics.is_empty() {
            return self.judged(draft);
        }
        let (sources, files) = draft.into_parts();
        Err(Failure { sources, diagnostics, files })
    }

    /// Reads the resources in a node file.
    fn inline(&self, node: &NodeConfig) -> Result<LoadedResources, Failure> {
        let (path, limit) = (&node.path, node.limits.document.0);
        let mut sources = Sources::new();
        let resolver = Resolver::new(self.surroundings);
        let read = document(path, &Text::File, limit, &mut sources, &resolver)
            .and_then(|source| sources.read(source))
            .and_then(|root| match root.get("resources") {
                Some(_) => Ok(root),
                None => Err(vec![
                    Site::root(&root).diagnostic(
                        &Invalid::new("the node file holds no `resources` any more")
                            .with_help("a change of the node itself needs a restart"),
                    ),
                ]),
            });
        match read {
            Ok(root) => {
                let mut draft = Draft::new(sources, folder(path), Terms::of(node));
                draft.add_document(Document { root, is_inline: true });
                draft.note_files(resolver.into_files());
                self.judged(draft)
            }
            Err(diagnostics) => Err(Failure { sources, diagnostics, files: resolver.into_files() }),
        }
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
