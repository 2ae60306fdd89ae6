//! The files of a description, and where references lead.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

use bartizan_config::{Content, Format, Node, Place, SourceId, Sources, read};

/// Longest chain of references from one to the next.
pub(crate) const CHAIN_MAX: usize = 16;

/// The text of one file of a description.
#[derive(Clone, Debug)]
pub struct DocumentText {
    /// Its name in messages.
    pub name: String,
    /// Where it is, without `.` and `..`; references from other files lead to it by this.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What is wrong with a description, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentFault {
    /// File, line and column; empty where there is no text.
    pub place: String,
    /// What is wrong: lower case, no full stop, input in backticks.
    pub problem: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl DocumentFault {
    /// Says what to write instead.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for DocumentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            return f.write_str(&self.problem);
        }
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// The version of the specification that a description follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.0: schemas are a dialect of its own.
    V30,
    /// 3.1: schemas are JSON Schema 2020-12.
    V31,
}

/// A description: its main file, and the files that its references may lead to.
pub struct Documents {
    sources: Sources,
    files: Vec<File>,
    by_path: HashMap<PathBuf, usize>,
    version: Version,
}

struct File {
    folder: PathBuf,
    root: Node,
}

impl Documents {
    /// Reads a description; `others` are the files that its references may lead to.
    pub fn read(main: DocumentText, others: Vec<DocumentText>) -> Result<Self, DocumentFault> {
        let (mut sources, mut files) = (Sources::new(), Vec::new());
        let mut by_path = HashMap::new();
        for text in std::iter::once(main).chain(others) {
            let file = read_file(&mut sources, text, &mut by_path, files.len())?;
            files.push(file);
        }
        let mut documents = Self { sources, files, by_path, version: Version::V31 };
        documents.version = documents.stated_version()?;
        Ok(documents)
    }

    /// The version that the main file states.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The root of the main file.
    pub(crate) fn root(&self) -> &Node {
        // There is a main file, or there would be no description.
        static NOTHING: Node =
            Node { content: Content::Null, place: Place { source: SourceId(0), start: 0, end: 0 } };
        self.files.first().map_or(&NOTHING, |file| &file.root)
    }

    fn stated_version(&self) -> Result<Version, DocumentFault> {
        let root = self.root();
        if root.get("swagger").is_some() {
            return Err(self
                .fault(root, "this is Swagger 2.0, which is not supported")
                .with_help("convert it to OpenAPI 3, for example with `swagger2openapi`"));
        }
        let Some(stated) = root.get("openapi") else {
            return Err(self
                .fault(root, "this is no OpenAPI document: it does not say `openapi`")
                .with_help("an OpenAPI document begins with a version, such as `openapi: 3.1.0`"));
        };
        let text: Cow<'_, str> = match &stated.content {
            Content::Text(text) => Cow::Borrowed(text),
            Content::Number(number) => Cow::Owned(number.to_string()),
            _ => Cow::Borrowed(""),
        };
        let is = |minor: &str| {
            text.strip_prefix(minor).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match () {
            () if is("3.0") => Ok(Version::V30),
            () if is("3.1") => Ok(Version::V31),
            () => Err(self
                .fault(stated, format!("OpenAPI `{}` is not supported yet", shown(&text)))
                .with_help("3.0 and 3.1 are")),
        }
    }

    /// A fault at a value.
    pub(crate) fn fault(&self, at: &Node, problem: impl Into<String>) -> DocumentFault {
        DocumentFault { place: self.place(at.place), problem: problem.into(), help: None }
    }

    fn place(&self, place: Place) -> String {
        let position = self.sources.position(place);
        let name = self.sources.name(place.source);
        format!("{name}:{}:{}", position.line, position.column)
    }

    /// Where a reference that stands in `from` leads.
    pub(crate) fn resolve<'d>(
        &'d self,
        from: &Node,
        reference: &str,
    ) -> Result<&'d Node, DocumentFault> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let root = self.file(from, file)?;
        let nowhere = || self.fault(from, format!("`{}` leads nowhere", shown(reference)));
        if fragment.is_empty() {
            return Ok(root);
        }
        let Some(pointer) = fragment.strip_prefix('/') else {
            return Err(self
                .fault(
                    from,
                    format!("`{}` names an anchor, which is not supported yet", shown(reference)),
                )
                .with_help("refer to the place, as in `#/components/schemas/Order`"));
        };
        pointer.split('/').try_fold(root, |node, part| step(node, part)).ok_or_else(nowhere)
    }

    /// The root of the file that a reference names, seen from a value.
    fn file(&self, from: &Node, name: &str) -> Result<&Node, DocumentFault> {
        let index = usize::try_from(from.place.source.0).unwrap_or(usize::MAX);
        let Some(own) = self.files.get(index) else {
            return Err(self.fault(from, "a reference outside of every file"));
        };
        if name.is_empty() {
            return Ok(&own.root);
        }
        if name.contains("://") || name.starts_with("//") {
            return Err(self
                .fault(from, format!("`{}` is elsewhere, and nothing is ever fetched", shown(name)))
                .with_help(
                    "save the file beside this one, list it in `ref_files` and refer to it",
                ));
        }
        let name = percent_decoded(name);
        let path = normalised(&own.folder.join(&*name));
        let known = self.by_path.get(&path).and_then(|index| self.files.get(*index));
        known.map(|file| &file.root).ok_or_else(|| {
            self.fault(from, format!("the file `{}` was not given", shown(&name)))
                .with_help("list it in `ref_files`, or write what it says into this document")
        })
    }

    /// The files that references lead to and that were not given.
    pub fn missing_files(&self) -> Vec<PathBuf> {
        let mut missing = Vec::new();
        let mut todo: Vec<(&Node, &File)> =
            self.files.iter().map(|file| (&file.root, file)).collect();
        while let Some((node, file)) = todo.pop() {
            todo.extend(node.items().iter().map(|item| (item, file)));
            todo.extend(node.members().iter().map(|member| (&member.value, file)));
            let Some(reference) = node.get("$ref").and_then(Node::as_text) else { continue };
            let name = reference.split('#').next().unwrap_or_default();
            if name.is_empty() || name.contains("://") || name.starts_with("//") {
                continue;
            }
            let path = normalised(&file.folder.join(&*percent_decoded(name)));
            if !self.by_path.contains_key(&path) && !missing.contains(&path) {
                missing.push(path);
            }
        }
        missing
    }

    /// What a value that may be a reference stands for.
    pub(crate) fn follow<'d>(&'d self, node: &'d Node) -> Result<&'d Node, DocumentFault> {
        let mut at = node;
        for _ in 0..CHAIN_MAX {
            let Some(reference) = at.get("$ref").and_then(Node::as_text) else { return Ok(at) };
            at = self.resolve(at, reference)?;
        }
        Err(self.fault(node, "the reference leads to itself, or through too many others"))
    }

    /// The value under a key, where it is; a fault where it is not a map.
    pub(crate) fn map<'d>(
        &'d self,
        node: &'d Node,
        key: &str,
    ) -> Result<Option<&'d Node>, DocumentFault> {
        match node.get(key) {
            Some(value) if matches!(value.content, Content::Map(_)) => Ok(Some(value)),
            Some(value) => Err(self.fault(value, format!("`{key}` must be a map"))),
            None => Ok(None),
        }
    }

    /// A truth value under a key; false where it is not there.
    pub(crate) fn flag(&self, node: &Node, key: &str) -> Result<bool, DocumentFault> {
        self.flag_or(node, key, false)
    }

    /// A truth value under a key.
    pub(crate) fn flag_or(
        &self,
        node: &Node,
        key: &str,
        default: bool,
    ) -> Result<bool, DocumentFault> {
        match node.get(key).map(|value| (value, &value.content)) {
            None => Ok(default),
            Some((_, Content::Bool(flag))) => Ok(*flag),
            Some((value, _)) => Err(self.fault(value, format!("`{key}` must be true or false"))),
        }
    }
}

fn read_file(
    sources: &mut Sources,
    text: DocumentText,
    by_path: &mut HashMap<PathBuf, usize>,
    index: usize,
) -> Result<File, DocumentFault> {
    let DocumentText { name, path, bytes } = text;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let (id, problem) = sources.add_bytes(&name, &folder, bytes);
    let text = sources.text(id);
    // JSON is YAML too, and this is the faster way to read it.
    let is_json = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('{');
    let format = if is_json { Format::Json } else { Format::Yaml };
    let root = match problem {
        Some(problem) => Err(vec![problem]),
        None => read(id, text, format).or_else(|problems| match format {
            // A flow map of YAML begins with a bracket as well.
            Format::Json => read(id, text, Format::Yaml).map_err(|_| problems),
            Format::Yaml => Err(problems),
        }),
    };
    let root = root.map_err(|problems| {
        let first = problems.into_iter().next();
        let place = first.as_ref().and_then(|first| first.place);
        let place = place.map(|place| {
            let position = sources.position(place);
            format!("{name}:{}:{}", position.line, position.column)
        });
        DocumentFault {
            place: place.unwrap_or(name),
            problem: first.map_or_else(|| "it cannot be read".to_owned(), |first| first.problem),
            help: None,
        }
    })?;
    by_path.insert(path, index);
    Ok(File { folder, root })
}

/// One step of a JSON pointer in a fragment of a URI (RFC 6901 §6).
fn step<'d>(node: &'d Node, part: &str) -> Option<&'d Node> {
    let part = percent_decoded(part);
    let name = if part.contains('~') {
        Cow::Owned(part.replace("~1", "/").replace("~0", "~"))
    } else {
        part
    };
    match &node.content {
        Content::Map(_) => node.get(&name),
        Content::List(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    // `+` is not a space here.
    let protected = text.replace('+', "%2B");
    bartizan_wire::decode_form(&protected).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// A path without `.` and `..`, by its text alone.
pub fn normalised(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// Text of a document in a message: not endless.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    const MAX: usize = 120;
    match text.char_indices().nth(MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}
