//! The YAML reader, over the events of `saphyr-parser`.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::position::Positions;
use super::{Content, MapBuilder, Member, Node, check_size, problem, scalar};
use crate::diagnostic::{Diagnostic, Place, SourceId};
use crate::words::quoted;

/// A collection that is being read.
enum Open {
    List { start: usize, items: Vec<Node> },
    Map { start: usize, map: MapBuilder, key: Option<(String, Place)> },
}

struct Reader<'t> {
    source: SourceId,
    positions: Positions<'t>,
    /// Bytes of a byte order mark that the positions do not count.
    skipped: usize,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    problems: Vec<Diagnostic>,
}

/// Reads a YAML document.
pub(super) fn read(source: SourceId, text: &str) -> Result<Node, Vec<Diagnostic>> {
    read_counted(source, text).map(|(node, _)| node)
}

/// The same, with how many values and keys were counted.
fn read_counted(source: SourceId, text: &str) -> Result<(Node, usize), Vec<Diagnostic>> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        source,
        positions: Positions::new(body),
        skipped: text.len() - body.len(),
        open: Vec::new(),
        root: None,
        documents: 0,
        nodes: 0,
        problems: Vec::new(),
    };
    let mut parser = Parser::new_from_str(body);
    while let Some(next) = parser.next_event() {
        let outcome = match next {
            Ok((event, span)) => reader.event(event, &span),
            Err(error) => {
                let start = reader.positions.offset(error.marker());
                Err(problem(reader.place(start, start), format!("not YAML: {}", error.info())))
            }
        };
        if let Err(fatal) = outcome {
            reader.problems.push(fatal);
            return Err(reader.problems);
        }
    }
    let end = reader.place(0, 0);
    let root = reader.root.unwrap_or(Node { content: Content::Null, place: end });
    if reader.problems.is_empty() { Ok((root, reader.nodes)) } else { Err(reader.problems) }
}

impl Reader<'_> {
    fn place(&self, start: usize, end: usize) -> Place {
        let offset = |at: usize| u32::try_from(at + self.skipped).unwrap_or(u32::MAX);
        Place { source: self.source, start: offset(start), end: offset(end.max(start)) }
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Diagnostic> {
        let start = self.positions.offset(&span.start);
        let end = self.positions.offset(&span.end);
        let place = self.place(start, end);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(problem(place, "a file holds one document only"));
                }
            }
            Event::Alias(_) => return Err(not_plain(place, "aliases are")),
            Event::Scalar(text, style, anchor, tag) => {
                refuse_decoration(place, anchor, tag.as_deref())?;
                let is_plain = style == ScalarStyle::Plain;
                if self.is_at_key() {
                    return self.key(&text, is_plain, place);
                }
                let content = if is_plain {
                    scalar::resolve(&text)
                        .ok_or_else(|| problem(place, "a number must have a finite value"))?
                } else {
                    Content::Text(text.into_owned())
                };
                self.value(Node { content, place })?;
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_decoration(place, anchor, tag.as_deref())?;
                self.enter(place, Open::List { start, items: Vec::new() })?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse_decoration(place, anchor, tag.as_deref())?;
                let map = MapBuilder::default();
                self.enter(place, Open::Map { start, map, key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(start, end)?,
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing => {}
        }
        Ok(())
    }

    fn is_at_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }

    fn enter(&mut self, place: Place, collection: Open) -> Result<(), Diagnostic> {
        if self.is_at_key() {
            return Err(problem(place, "a key must be text"));
        }
        check_size(place, self.open.len() + 1, &mut self.nodes)?;
        self.open.push(collection);
        Ok(())
    }

    /// A block collection ends where its last value does; a flow collection at its bracket.
    fn leave(&mut self, start: usize, end: usize) -> Result<(), Diagnostic> {
        let bracket = if end > start { self.place(start, end).end } else { 0 };
        let (start, content, last) = match self.open.pop() {
            Some(Open::List { start, items }) => {
                let last = items.last().map(|item| item.place.end);
                (start, Content::List(items), last)
            }
            Some(Open::Map { start, map, .. }) => {
                let last = map.members.last().map(|member| member.value.place.end);
                (start, Content::Map(map.members), last)
            }
            None => return Ok(()),
        };
        let mut place = self.place(start, start);
        place.end = place.end.max(bracket).max(last.unwrap_or(0));
        self.value(Node { content, place })
    }

    fn key(&mut self, text: &str, is_plain: bool, place: Place) -> Result<(), Diagnostic> {
        check_size(place, 0, &mut self.nodes)?;
        if is_plain && text == "<<" {
            return Err(not_plain(place, "merge keys are"));
        }
        if is_plain && text.is_empty() {
            return Err(problem(place, "a key is missing"));
        }
        if let Some(Open::Map { key, .. }) = self.open.last_mut() {
            *key = Some((text.to_owned(), place));
        }
        Ok(())
    }

    fn value(&mut self, node: Node) -> Result<(), Diagnostic> {
        check_size(node.place, self.open.len(), &mut self.nodes)?;
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { map, key, .. }) => {
                if let Some((key, key_place)) = key.take()
                    && let Err(repeated) = map.insert(Member { key, key_place, value: node })
                {
                    self.problems.push(repeated);
                }
            }
        }
        Ok(())
    }
}

fn refuse_decoration(place: Place, anchor: usize, tag: Option<&Tag>) -> Result<(), Diagnostic> {
    if anchor != 0 {
        return Err(not_plain(place, "anchors are"));
    }
    if let Some(tag) = tag {
        return Err(not_plain(place, &format!("the tag {} is", quoted(&tag_name(tag)))));
    }
    Ok(())
}

fn tag_name(tag: &Tag) -> String {
    if tag.is_yaml_core_schema() { format!("!!{}", tag.suffix) } else { tag.to_string() }
}

fn not_plain(place: Place, what: &str) -> Diagnostic {
    let mut refused = problem(place, format!("{what} not accepted in a configuration"));
    refused.help = Some("write the value out where it is meant".to_owned());
    refused
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Node, Vec<Diagnostic>> {
        read(SourceId(0), text)
    }

    #[test]
    fn what_a_document_holds_is_counted_as_when_it_was_read() {
        for text in ["a: [1, {b: c}, []]\nd:\n- e\n-\n  f: {}\n", "- - - x\n", "x\n", "a:\n"] {
            let (node, count) = read_counted(SourceId(0), text).unwrap();
            assert_eq!(node.count(), count, "{text}");
        }
    }

    fn slice(text: &str, place: Place) -> &str {
        &text[place.start as usize..place.end as usize]
    }

    #[test]
    fn ordinary_documents_become_values() {
        let text = "a: 1\nb: ['x', \"y\", z, 2.5, true, ~]\nc:\n  d: |\n    one\n    two\n#END\n";
        let expected =
            json!({ "a": 1, "b": ["x", "y", "z", 2.5, true, null], "c": { "d": "one\ntwo\n" } });
        assert_eq!(parse(text).unwrap().to_json(), expected);
        assert_eq!(parse(&text.replace('\n', "\r\n")).unwrap().to_json(), expected);
        assert_eq!(parse("").unwrap().content, Content::Null);
    }

    #[test]
    fn places_cover_the_text_also_after_marks_crlf_and_wide_characters() {
        for text in [
            "é: |\n  x\n  y\nkey: [1, 'zwei']\n",
            "\u{feff}é: |\r\n  x\r\n  y\r\nkey: [1, 'zwei']\r\n",
            "é: '😀'\rkey: [1, 'zwei']\r",
        ] {
            let root = parse(text).unwrap();
            let member = root.member("key").unwrap();
            assert_eq!(slice(text, member.key_place), "key");
            assert_eq!(slice(text, member.value.place), "[1, 'zwei']");
            assert_eq!(slice(text, member.value.items()[1].place), "'zwei'");
            assert_eq!(slice(text, root.members()[0].key_place), "é");
        }
    }

    #[test]
    fn block_collections_end_with_their_last_value() {
        let text = "a:\n  b: 1\n  c: 2\n\n# comment\nd: 3\n";
        let root = parse(text).unwrap();
        assert_eq!(slice(text, root.get("a").unwrap().place), "b: 1\n  c: 2");
    }

    #[test]
    fn what_hides_or_repeats_is_refused_with_its_place() {
        for (text, at, problem) in [
            ("a: &x 1\n", "&x 1", "anchors are not accepted in a configuration"),
            ("a: 1\nb: *x\n", "", "not YAML: while parsing node, found unknown anchor"),
            ("a: !!str 1\n", "!!str 1", "the tag `!!str` is not accepted in a configuration"),
            ("<<: {a: 1}\n", "<<", "merge keys are not accepted in a configuration"),
            ("a: 1\n---\nb: 2\n", "---", "a file holds one document only"),
            ("? [1]\n: 2\n", "[", "a key must be text"),
            (": 1\n", "", "a key is missing"),
            ("a: .inf\n", ".inf", "a number must have a finite value"),
            ("a: 1\nb: 2\na: 3\n", "a", "the key `a` is given twice in this map"),
        ] {
            let problems = parse(text).unwrap_err();
            assert_eq!(problems[0].problem, problem, "{text}");
            assert_eq!(slice(text, problems[0].place.unwrap()), at, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(64)).is_ok());
        let problems = parse(&nested(65)).unwrap_err();
        assert_eq!(problems[0].problem, "the document is nested deeper than 64");
    }
}
