//! A document of resources that is in force, so that a change of its text is read where it is.
//!
//! The text is cut where an item of a block list begins, at the start of its line. What YAML makes of a
//! line there depends on nothing but the list that is open: so the items between two cuts can be
//! read alone, as a list of their own, as long as they end where they should. Whatever is not plain
//! in that sense is left to reading everything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::ledger::{listed_as, stands_alone};
use super::{Document, Ledger, ObjectChange, ObjectName};
use crate::SourceId;
use crate::document::{Content, Format, NODES_MAX, Node, read};
use crate::read::{READ, id_of};
use crate::resources::{ResourceKind, ResourceRef};

/// The text of a document, cut into the objects in it.
pub struct Pages {
    text: String,
    /// In the order of the text; each ends where the next begins.
    pieces: Vec<Piece>,
    lists: Vec<List>,
    /// The values and keys in it.
    count: usize,
}

/// Documents hold secrets: only the number of pieces is shown.
impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pages").field(&self.pieces.len()).finish()
    }
}

/// A list whose items can be read alone.
struct List {
    collection: &'static str,
    /// What stands before each item in its line.
    lead: String,
}

#[derive(Clone)]
struct Piece {
    at: usize,
    /// The object, and the number of its list; `None` for what stands between lists.
    item: Option<(ResourceRef, usize)>,
    /// The values and keys of the object.
    count: usize,
}

/// What a new text changes.
pub struct Turn {
    /// The objects that changed.
    pub changes: Vec<ObjectChange>,
    /// The routes between which new ones stand.
    pub between: HashMap<Arc<str>, [Option<Arc<str>>; 2]>,
    first: usize,
    last: usize,
    pieces: Vec<Piece>,
    count: usize,
}

/// Every object of a document with its kind and id; `None` where one says no id.
pub(super) fn objects(document: &Document) -> Option<Vec<(ResourceRef, &Node)>> {
    let mut objects = Vec::new();
    for member in document.root.members() {
        let Some(kind) = READ.into_iter().find(|kind| kind.collection() == member.key) else {
            continue;
        };
        for item in member.value.items() {
            objects.push((name_of(kind, item)?, item));
        }
    }
    Some(objects)
}

/// The name of an object, where it says it as one that is in order does. From then on its key in the
/// ledger stands for it, whatever it says itself.
fn name_of(kind: ResourceKind, item: &Node) -> Option<ResourceRef> {
    let id = id_of(kind, item, 0);
    let own = kind.of_id(&id);
    if own == ResourceKind::Consumer {
        item.get("username")?.as_text()?;
    } else if item.get("username").is_some() {
        // No other object has one.
        return None;
    } else {
        match &item.get("id")?.content {
            Content::Text(_) => {}
            Content::Number(number) if number.as_u64().is_some_and(|number| number > 0) => {}
            _ => return None,
        }
    }
    Some(ResourceRef { kind: own, id })
}

/// The start of the line that an offset is in.
fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|head| head.rfind('\n')).map_or(0, |end| end + 1)
}

/// What stands before an item in its line, where that is indentation and a dash.
fn lead(text: &str, at: usize) -> Option<&str> {
    let lead = text.get(line_start(text, at)..at)?;
    let rest = lead.trim_start_matches(' ').strip_prefix('-')?;
    (!rest.is_empty() && rest.bytes().all(|byte| byte == b' ')).then_some(lead)
}

fn offset(node: &Node) -> usize {
    usize::try_from(node.place.start).unwrap_or(usize::MAX)
}

impl Pages {
    /// Cuts a document of YAML.
    pub(super) fn of(document: &Document, text: &str) -> Self {
        let (pieces, lists) = (Vec::new(), Vec::new());
        let mut this = Self { text: text.to_owned(), pieces, lists, count: document.root.count() };
        for member in document.root.members() {
            let at = usize::try_from(member.key_place.start).unwrap_or(usize::MAX);
            this.pieces.push(Piece { at: line_start(text, at), item: None, count: 0 });
            let kind = READ.into_iter().find(|kind| kind.collection() == member.key);
            let Some(kind) = kind.filter(|kind| stands_alone(*kind)) else { continue };
            let items = member.value.items();
            let Some(first) = items.first().and_then(|item| lead(text, offset(item))) else {
                continue;
            };
            let is_plain = |item: &Node| {
                matches!(item.content, Content::Map(_)) && lead(text, offset(item)) == Some(first)
            };
            if !items.iter().all(is_plain) {
                continue;
            }
            let list = this.lists.len();
            this.lists.push(List { collection: kind.collection(), lead: first.to_owned() });
            this.pieces.extend(items.iter().map(|item| Piece {
                at: line_start(text, offset(item)),
                item: name_of(kind, item).map(|name| (name, list)),
                count: item.count(),
            }));
        }
        this.pieces.shrink_to_fit();
        this
    }

    /// The same text.
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// What a new text changes; `None` where everything has to be read.
    pub fn turn(&self, new: &str, ledger: &Ledger) -> Option<Turn> {
        let old = self.text.as_str();
        let begin = common_start(old.as_bytes(), new.as_bytes());
        let (old_rest, new_rest) = (old.len().checked_sub(begin)?, new.len().checked_sub(begin)?);
        let same = common_end(old.as_bytes(), new.as_bytes()).min(old_rest).min(new_rest);
        let end = old.len().checked_sub(same)?;
        // The piece before the first change too: it may go on there.
        let first = self.pieces.partition_point(|piece| piece.at < begin).checked_sub(1)?;
        let last = self.pieces.partition_point(|piece| piece.at < end).checked_sub(1)?;
        let affected = self.pieces.get(first..=last)?;
        let (_, list) = affected.first()?.item.as_ref()?;
        if !affected.iter().all(|piece| piece.item.as_ref().is_some_and(|(_, at)| at == list)) {
            return None;
        }
        let from = affected.first()?.at;
        let behind = self.pieces.get(last + 1).map_or(old.len(), |piece| piece.at);
        let to = new.len().checked_sub(old.len().checked_sub(behind)?)?;
        let region = new.get(from..to)?;
        if behind < old.len() && !region.ends_with('\n') {
            return None;
        }
        let pieces = self.read(region, from, *list)?;
        let gone: usize = affected.iter().map(|piece| piece.count).sum();
        let come: usize = pieces.iter().map(|(piece, _)| piece.count).sum();
        let count = self.count.checked_sub(gone)?.checked_add(come)?;
        if count > NODES_MAX {
            return None;
        }
        let (changes, between) = (Vec::new(), HashMap::new());
        let mut turn = Turn { changes, between, first, last, pieces: Vec::new(), count };
        self.compare(affected, &pieces, ledger, &mut turn)?;
        turn.pieces = pieces.into_iter().map(|(piece, _)| piece).collect();
        Some(turn)
    }

    /// Reads some items of a list alone.
    fn read(&self, region: &str, from: usize, list: usize) -> Option<Vec<(Piece, Arc<[u8]>)>> {
        let List { collection, lead: expected } = self.lists.get(list)?;
        let is_marker = |line: &str| ["---", "...", "%"].iter().any(|mark| line.starts_with(mark));
        if region.contains("${{") || region.lines().any(is_marker) {
            return None;
        }
        let head = format!("{collection}:\n");
        let text = format!("{head}{region}");
        let root = read(SourceId(0), &text, Format::Yaml).ok()?;
        let [member] = root.members() else { return None };
        let kind = READ.into_iter().find(|kind| kind.collection() == *collection)?;
        let Content::List(items) = &member.value.content else { return None };
        let read = items.iter().map(|item| {
            let at = line_start(&text, offset(item)).checked_sub(head.len())?.checked_add(from)?;
            let is_plain = lead(&text, offset(item)) == Some(expected.as_str())
                && matches!(item.content, Content::Map(_));
            let name = name_of(kind, item).filter(|_| is_plain)?;
            let content = item.to_json().to_string().into_bytes().into();
            Some((Piece { at, item: Some((name, list)), count: item.count() }, content))
        });
        let read: Vec<_> = read.collect::<Option<_>>()?;
        // What stands before the first item belongs to it.
        let is_first = read.first().is_some_and(|(piece, _)| piece.at == from);
        is_first.then_some(read)
    }

    /// Finds what is other, new or gone.
    fn compare(
        &self,
        affected: &[Piece],
        now: &[(Piece, Arc<[u8]>)],
        ledger: &Ledger,
        turn: &mut Turn,
    ) -> Option<()> {
        let name = |piece: &Piece| piece.item.as_ref().map(|(name, _)| name.clone());
        let before: Vec<ResourceRef> = affected.iter().filter_map(name).collect();
        let listed: Vec<ResourceRef> = now.iter().filter_map(|(piece, _)| name(piece)).collect();
        let (old, new): (HashSet<_>, HashSet<_>) =
            (before.iter().collect(), listed.iter().collect());
        let stays = |one: &&ResourceRef| old.contains(*one) && new.contains(*one);
        let is_in_order = before.iter().filter(stays).eq(listed.iter().filter(stays));
        if !is_in_order || new.len() != listed.len() {
            return None;
        }
        let mut changes: BTreeMap<ResourceRef, Option<Arc<[u8]>>> = BTreeMap::new();
        for gone in before.iter().filter(|name| !new.contains(*name)) {
            changes.insert(gone.clone(), None);
        }
        let mut previous = self.neighbour(turn.first.checked_sub(1));
        for (at, (name, (_, content))) in listed.iter().zip(now).enumerate() {
            let known = ledger.content(name);
            if !old.contains(name) {
                if known.is_some() {
                    return None;
                }
                let rest = listed.get(at + 1..).unwrap_or_default();
                let next = rest.iter().find(|name| old.contains(*name)).map(|name| name.id.clone());
                let next = next.or_else(|| self.neighbour(turn.last.checked_add(1)));
                turn.between.insert(name.id.clone(), [previous.take(), next]);
            }
            if known != Some(&**content) {
                changes.insert(name.clone(), Some(content.clone()));
            }
            previous = Some(name.id.clone());
        }
        turn.changes = changes
            .into_iter()
            .map(|(name, content)| {
                let collection = listed_as(name.kind).collection().into();
                ObjectChange { name: ObjectName { collection, id: name.id }, content }
            })
            .collect();
        Some(())
    }

    /// The id of the object of a piece.
    fn neighbour(&self, at: Option<usize>) -> Option<Arc<str>> {
        let (name, _) = self.pieces.get(at?)?.item.as_ref()?;
        Some(name.id.clone())
    }

    /// The new text is in force.
    pub fn keep(&mut self, turn: Turn, text: String) {
        let Turn { first, last, pieces, count, .. } = turn;
        let (old, new) = (self.text.len(), text.len());
        for piece in self.pieces.iter_mut().skip(last + 1) {
            piece.at = (piece.at + new).saturating_sub(old);
        }
        self.pieces.splice(first..=last, pieces);
        self.text = text;
        self.count = count;
    }
}

/// Bytes that are compared at once.
const STRETCH: usize = 4_096;

/// How many bytes both begin with.
fn common_start(one: &[u8], other: &[u8]) -> usize {
    let mut count = 0;
    for (one, other) in one.chunks(STRETCH).zip(other.chunks(STRETCH)) {
        if one != other {
            return count + one.iter().zip(other).take_while(|(a, b)| a == b).count();
        }
        count += one.len();
    }
    count
}

/// How many bytes both end with.
fn common_end(one: &[u8], other: &[u8]) -> usize {
    let mut count = 0;
    for (one, other) in one.rchunks(STRETCH).zip(other.rchunks(STRETCH)) {
        if one != other {
            let pairs = one.iter().rev().zip(other.iter().rev());
            return count + pairs.take_while(|(a, b)| a == b).count();
        }
        count += one.len();
    }
    count
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::draft::Draft;
    use crate::sources::Sources;
    use crate::terms::Terms;

    #[test]
    fn texts_are_the_same_up_to_a_difference_wherever_a_stretch_ends() {
        for length in [STRETCH - 1, STRETCH, STRETCH + 1] {
            let (text, longer) = (vec![b'a'; length], vec![b'a'; length + 1]);
            assert_eq!(common_start(&text, &text), length);
            assert_eq!(common_end(&text, &text), length);
            assert_eq!(common_start(&text, &longer), length);
            assert_eq!(common_end(&text, &longer), length);
            for at in [0, 1, STRETCH - 2, STRETCH - 1, STRETCH, length - 1] {
                let mut other = text.clone();
                let Some(byte) = other.get_mut(at) else { continue };
                *byte = b'b';
                assert_eq!(common_start(&text, &other), at, "{length}");
                assert_eq!(common_end(&text, &other), length - 1 - at, "{length}");
            }
        }
    }

    #[test]
    fn a_document_that_comes_to_hold_too_much_is_read_as_a_whole() {
        const TEXT: &str = "routes:\n- id: a\n  uri: /a\n- id: b\n  uri: /b\n";
        let mut sources = Sources::new();
        let source = sources.add("r.yaml", Path::new(""), TEXT.to_owned());
        let root = sources.read(source).unwrap();
        let mut draft = Draft::new(sources, Path::new(""), Terms::default());
        draft.add_document(Document { root, is_inline: false });
        let (ledger, mut pages) = (draft.ledger().unwrap(), draft.pages().unwrap());
        // A key and a value more.
        let new = TEXT.replace("/a\n", "/a\n  desc: x\n");
        for (others, is_turned) in [(2, true), (1, false)] {
            pages.count = NODES_MAX - others;
            assert_eq!(pages.turn(&new, &ledger).is_some(), is_turned, "room for {others}");
        }
        pages.count = NODES_MAX - 2;
        let turn = pages.turn(&new, &ledger).unwrap();
        pages.keep(turn, new.clone());
        assert_eq!(pages.count, NODES_MAX);
        assert!(pages.turn(TEXT, &ledger).is_some(), "there is room for less");
        assert!(pages.turn(&new.replace("/b\n", "/b\n  desc: x\n"), &ledger).is_none());
    }
}
