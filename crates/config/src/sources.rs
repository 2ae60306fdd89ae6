//! The documents of a configuration, kept so that problems can be shown in them.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::diagnostic::{Diagnostic, Invalid, PathStep, Place, SourceId};
use crate::document::{Content, Format, Member, Node, read};
use crate::field_path::dotted;
use crate::resources::PluginUse;

/// The documents of one configuration.
#[derive(Debug, Default)]
pub struct Sources {
    documents: Vec<Document>,
}

struct Document {
    name: Arc<str>,
    folder: Arc<Path>,
    format: Format,
    text: String,
    /// Secrets, which reports do not show.
    concealed: Vec<Place>,
    /// It is read in another shape than it is written in.
    is_reshaped: bool,
    /// Where lines start, once a position is asked for.
    line_starts: OnceLock<Vec<usize>>,
    /// The tree, read again when a place is sought.
    root: OnceLock<Option<Node>>,
}

/// Documents hold secrets: only the name is shown.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document").field(&self.name).finish()
    }
}

/// A line and a column, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Sources {
    /// No documents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a document whose relative references start at `folder`; its name says its language.
    pub fn add(&mut self, name: &str, folder: &Path, text: String) -> SourceId {
        self.add_as(name, folder, text, Format::of(name))
    }

    fn add_as(&mut self, name: &str, folder: &Path, text: String, format: Format) -> SourceId {
        let id = SourceId(u32::try_from(self.documents.len()).unwrap_or(u32::MAX));
        self.documents.push(Document {
            name: name.into(),
            folder: folder.into(),
            format,
            text,
            concealed: Vec::new(),
            is_reshaped: false,
            line_starts: OnceLock::new(),
            root: OnceLock::new(),
        });
        id
    }

    /// Adds a document as it was read. Where it is not UTF-8, the problem tells where.
    pub fn add_bytes(
        &mut self,
        name: &str,
        folder: &Path,
        bytes: Vec<u8>,
    ) -> (SourceId, Option<Diagnostic>) {
        self.add_bytes_as(name, folder, bytes, Format::of(name))
    }

    /// Adds a document of a language that its name does not say, such as an object of a store.
    pub(crate) fn add_bytes_as(
        &mut self,
        name: &str,
        folder: &Path,
        bytes: Vec<u8>,
        format: Format,
    ) -> (SourceId, Option<Diagnostic>) {
        match String::from_utf8(bytes) {
            Ok(text) => (self.add_as(name, folder, text, format), None),
            Err(error) => {
                let at = u32::try_from(error.utf8_error().valid_up_to()).unwrap_or(u32::MAX);
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let source = self.add_as(name, folder, text, format);
                let problem = Diagnostic {
                    place: Some(Place { source, start: at, end: at }),
                    path: "".into(),
                    problem: "the document is not UTF-8".to_owned(),
                    help: None,
                };
                (source, Some(problem))
            }
        }
    }

    /// The name of a document.
    pub fn name(&self, source: SourceId) -> &str {
        self.document(source).map_or("", |document| &document.name)
    }

    /// The text of a document.
    pub fn text(&self, source: SourceId) -> &str {
        self.document(source).map_or("", |document| &document.text)
    }

    /// The language of a document.
    pub(crate) fn format(&self, source: SourceId) -> Format {
        self.document(source).map_or(Format::Yaml, |document| document.format)
    }

    /// Where relative references of a document start.
    pub(crate) fn folder(&self, source: SourceId) -> &Path {
        self.document(source).map_or(Path::new(""), |document| &document.folder)
    }

    /// Reads a document.
    pub fn read(&self, source: SourceId) -> Result<Node, Vec<Diagnostic>> {
        read(source, self.text(source), self.format(source))
    }

    /// The line and column of a place.
    pub fn position(&self, place: Place) -> Position {
        let head = self.head(place);
        let starts = self.document(place.source).map(|document| {
            document.line_starts.get_or_init(|| line_starts(&document.text)).as_slice()
        });
        let line = starts.unwrap_or_default().partition_point(|start| *start <= head.len()).max(1);
        let start = starts.and_then(|starts| starts.get(line - 1)).copied().unwrap_or_default();
        Position { line, column: head.get(start..).unwrap_or_default().chars().count() + 1 }
    }

    /// `file:line:column`.
    pub(crate) fn position_text(&self, place: Place) -> String {
        let position = self.position(place);
        format!("{}:{}:{}", self.name(place.source), position.line, position.column)
    }

    /// The text before a place.
    pub(crate) fn head(&self, place: Place) -> &str {
        let text = self.text(place.source);
        let mut at = usize::try_from(place.start).unwrap_or(usize::MAX).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.get(..at).unwrap_or_default()
    }

    /// Keeps the text at these places out of reports.
    pub(crate) fn conceal(&mut self, places: impl IntoIterator<Item = Place>) {
        for place in places {
            if let Some(document) = self.document_mut(place.source) {
                document.concealed.push(place);
            }
        }
    }

    /// The concealed places of a document.
    pub(crate) fn concealed(&self, source: SourceId) -> &[Place] {
        self.document(source).map_or(&[], |document| &document.concealed)
    }

    /// Shows a problem that was found in the value at `place`: follows its path as far as the
    /// document goes.
    pub fn locate(&self, place: Place, invalid: &Invalid) -> Diagnostic {
        let mut steps = Vec::new();
        let mut shown = place;
        if let Some(mut node) =
            self.root(place.source).and_then(|root| enter(root, place, &mut steps))
        {
            for step in &invalid.path {
                let next = match step {
                    PathStep::Key(key) => node.member(key).map(|member| {
                        shown = at_value(&member.value, member.key_place);
                        &member.value
                    }),
                    PathStep::Index(index) => node.items().get(*index).inspect(|item| {
                        shown = item.place;
                    }),
                };
                let Some(next) = next else { break };
                node = next;
            }
        }
        steps.extend(invalid.path.iter().cloned());
        Diagnostic {
            place: Some(shown),
            path: dotted(&steps).into(),
            problem: invalid.problem.clone(),
            help: invalid.help.clone(),
        }
    }

    /// A document is read in another shape than it is written in.
    pub(crate) fn reshaped(&mut self, source: SourceId) {
        if let Some(document) = self.document_mut(source) {
            document.is_reshaped = true;
        }
    }

    /// Whether a document is read in another shape than it is written in.
    pub(crate) fn is_reshaped(&self, source: SourceId) -> bool {
        self.document(source).is_some_and(|document| document.is_reshaped)
    }

    /// Problems with the paths of what is written, where that is read in another shape.
    pub(crate) fn retraced(&self, mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
        for problem in &mut problems {
            let Some(place) = problem.place else { continue };
            if self.is_reshaped(place.source) {
                problem.path = self.path_at(place).into();
            }
        }
        problems
    }

    /// The path of the innermost value that a place is in.
    fn path_at(&self, place: Place) -> String {
        let holds = |outer: Place| outer.start <= place.start && outer.end >= place.end;
        let mut steps = Vec::new();
        let mut next = self.root(place.source);
        while let Some(node) = next {
            next = match &node.content {
                Content::List(items) => {
                    let inside = items.iter().enumerate().find(|(_, item)| holds(item.place));
                    inside.map(|(index, item)| {
                        steps.push(PathStep::Index(index));
                        item
                    })
                }
                // The place before a map is that of the map.
                Content::Map(_) if place.end <= node.place.start => None,
                Content::Map(members) => {
                    let is_it =
                        |member: &&Member| holds(member.key_place) || holds(member.value.place);
                    let inside = members.iter().find(is_it);
                    inside.and_then(|member| {
                        steps.push(PathStep::Key(member.key.clone()));
                        holds(member.value.place).then_some(&member.value)
                    })
                }
                _ => None,
            };
        }
        dotted(&steps)
    }

    fn root(&self, source: SourceId) -> Option<&Node> {
        let document = self.document(source)?;
        document.root.get_or_init(|| self.read(source).ok()).as_ref()
    }

    fn document(&self, source: SourceId) -> Option<&Document> {
        self.documents.get(usize::try_from(source.0).ok()?)
    }

    fn document_mut(&mut self, source: SourceId) -> Option<&mut Document> {
        self.documents.get_mut(usize::try_from(source.0).ok()?)
    }
}

/// Shows what a plugin's `compile` finds invalid in the text where the plugin is configured.
pub fn locate(sources: &Sources, plugin: &PluginUse, invalid: &Invalid) -> Diagnostic {
    sources.locate(plugin.place, invalid)
}

/// Where a problem of a value is shown: at the value, or at its key if there is nothing to see or
/// it spreads over lines.
pub(crate) fn at_value(value: &Node, key: Place) -> Place {
    match value.content {
        Content::Map(_) | Content::List(_) => key,
        _ if value.place.start == value.place.end => key,
        _ => value.place,
    }
}

/// Goes from `root` to the node at `place` and notes the steps.
fn enter<'n>(root: &'n Node, place: Place, steps: &mut Vec<PathStep>) -> Option<&'n Node> {
    let mut node = root;
    while node.place != place {
        let holds = |child: &Node| child.place.start <= place.start && child.place.end >= place.end;
        node = match &node.content {
            Content::List(items) => {
                let (index, item) = items.iter().enumerate().find(|(_, item)| holds(item))?;
                steps.push(PathStep::Index(index));
                item
            }
            Content::Map(members) => {
                let member = members.iter().find(|member| holds(&member.value))?;
                steps.push(PathStep::Key(member.key.clone()));
                &member.value
            }
            _ => return None,
        };
    }
    Some(node)
}

/// Where the last line of a text starts.
pub(crate) fn line_start(head: &str) -> usize {
    head.rfind(['\n', '\r']).map_or(0, |i| i + 1)
}

/// Where the lines of a text start; LF, CRLF and CR end one.
pub(crate) fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let is_end = |(i, byte): &(usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(i + 1) != Some(&b'\n'),
        _ => false,
    };
    let ends = bytes.iter().enumerate().filter(is_end);
    std::iter::once(0).chain(ends.map(|(i, _)| i + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> (Sources, SourceId) {
        let mut sources = Sources::new();
        let id = sources.add("r.yaml", Path::new(""), text.to_owned());
        (sources, id)
    }

    #[test]
    fn debug_shows_no_text() {
        let (sources, _) = sources("key: hunter2");
        assert!(!format!("{sources:?}").contains("hunter2"));
    }

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let (sources, source) = sources("äb\r\ncd\n");
        let at = |start| sources.position(Place { source, start, end: start });
        assert_eq!(at(0), Position { line: 1, column: 1 });
        assert_eq!(at(2), Position { line: 1, column: 2 });
        assert_eq!(at(6), Position { line: 2, column: 2 });
        assert_eq!(at(900), Position { line: 3, column: 1 });
    }

    #[test]
    fn text_that_is_not_utf8_is_told_where_it_breaks() {
        let mut sources = Sources::new();
        let (_, problem) = sources.add_bytes("r.yaml", Path::new(""), b"a: 1\nb: \xff\n".to_vec());
        let place = problem.unwrap().place.unwrap();
        assert_eq!(sources.position_text(place), "r.yaml:2:4");
    }

    #[test]
    fn an_invalid_value_is_found_below_the_place_it_is_relative_to() {
        let text = "routes:\n- plugins:\n    p: {list: [1, 2], other: 3}\n";
        let (sources, source) = sources(text);
        let root = sources.read(source).unwrap();
        let steps = ["routes", "0", "plugins", "p"].map(|step| match step {
            "0" => PathStep::Index(0),
            key => PathStep::Key(key.to_owned()),
        });
        let place = root.at(&steps).unwrap().place;
        let shown = sources.locate(place, &Invalid::at_item("list", 1, "too big"));
        assert_eq!(&*shown.path, "routes[0].plugins.p.list[1]");
        assert_eq!(sources.position_text(shown.place.unwrap()), "r.yaml:3:19");
        let absent = sources.locate(place, &Invalid::at("absent", "is missing"));
        assert_eq!(&*absent.path, "routes[0].plugins.p.absent");
        assert_eq!(absent.place, Some(place));
    }
}
