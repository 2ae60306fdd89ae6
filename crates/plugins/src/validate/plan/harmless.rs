//! Which values of an accepted document can do no harm, whatever looks at them.

use std::ops::Range;

use super::Plan;
use super::document::{Document, Kind, Token};
use super::judge::Judge;
use super::node::{Additional, Node, NodeId, Others, TextRule, Types};
use super::pattern::Pattern;

/// A value of which a schema leaves no room for harm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Where it stands in the text, in bytes; strings with their quotation marks.
    pub(crate) range: Range<usize>,
    /// Whether there is none in its value.
    pub(crate) is_harmless: bool,
    /// Whether there is none in its name: the schema states each member on the way to it.
    pub(crate) is_named: bool,
}

/// What is known of the value at a token.
#[derive(Clone, Copy, Default)]
struct Known {
    is_harmless: bool,
    is_named: bool,
}

impl Plan {
    /// The values of a document that this plan has accepted ([`Plan::accepts`]) that are harmless, or
    /// that have harmless names, in the order of the text. Harmless values are:
    ///
    /// - numbers, booleans and null, where the schema states a type for them;
    /// - values that `enum` or `const` lists;
    /// - strings of the formats `date`, `date-time`, `ipv4`, `ipv6` and `uuid`, where the format is
    ///   checked;
    /// - strings whose `pattern` allows ASCII letters, digits, `_` and `-` alone, from the beginning
    ///   to the end.
    ///
    /// Names are harmless where all members on the way to a value are among `properties`; items of
    /// arrays have numbers. Only schemas that hold in any case count, not those of `anyOf`, `oneOf`,
    /// `not` and `if`. Strings that are written with an escape are never among the harmless values. Of
    /// a document that was not accepted it says nothing.
    pub(crate) fn leaves(&self, document: &Document<'_>) -> Vec<Leaf> {
        let judge = Judge::new(&self.nodes, document);
        let mut search = Search { judge, known: vec![Known::default(); document.len()] };
        search.visit(self.root, 0, true);
        let mut leaves = Vec::new();
        let tokens = (0..document.len()).filter_map(|at| Some((at, document.token(at)?)));
        for (at, token) in tokens.filter(|(_, token)| is_scalar(*token)) {
            let Known { is_harmless, is_named } = search.known.get(at).copied().unwrap_or_default();
            if is_harmless || is_named {
                leaves.push(Leaf { range: Document::range(token), is_harmless, is_named });
            }
        }
        leaves
    }
}

fn is_scalar(token: Token) -> bool {
    !matches!(token.kind, Kind::Name | Kind::List | Kind::Object)
}

struct Search<'p, 'd> {
    judge: Judge<'p, 'd>,
    known: Vec<Known>,
}

impl<'p> Search<'p, '_> {
    /// Looks at what stands at a token; `is_named` says that the names on the way are stated.
    fn visit(&mut self, id: NodeId, at: usize, is_named: bool) {
        let nodes: &'p [Node] = self.judge.nodes;
        let (Some(node), Some(token)) = (nodes.get(id), self.judge.document.token(at)) else {
            return;
        };
        if !self.judge.may_look() {
            return;
        }
        if is_scalar(token) {
            let is_harmless = self.proves(node, token);
            self.note(at, Known { is_harmless, is_named });
        }
        if let (Kind::List, Some(items)) = (token.kind, node.list.as_ref().and_then(|l| l.items)) {
            let places: Vec<usize> = self.judge.items(token, at).collect();
            for place in places {
                self.visit(items, place, is_named);
            }
        }
        if let (Kind::Object, Some(rule)) = (token.kind, &node.object) {
            let members: Vec<(Token, usize)> = self.judge.members(token, at).collect();
            for (name, value) in members {
                let is_named = is_named && self.judge.states(rule, name);
                if let (Additional::Schema(inner), _) = self.judge.member(rule, name) {
                    self.visit(inner, value, is_named);
                } else if self.judge.document.token(value).is_some_and(is_scalar) {
                    self.note(value, Known { is_harmless: false, is_named });
                }
            }
        }
        for others in &node.others {
            if let Others::All(ids) = others {
                for inner in ids {
                    self.visit(*inner, at, is_named);
                }
            }
        }
    }

    fn note(&mut self, at: usize, more: Known) {
        if let Some(known) = self.known.get_mut(at) {
            known.is_harmless |= more.is_harmless;
            known.is_named |= more.is_named;
        }
    }

    fn proves(&self, node: &Node, token: Token) -> bool {
        match token.kind {
            Kind::EscapedText => false,
            Kind::Text if node.values.is_empty() => node
                .text
                .as_ref()
                .is_some_and(|rule| is_narrow(rule, self.judge.document.raw(token))),
            Kind::Text => true,
            _ => node.types != Types::ALL || !node.values.is_empty(),
        }
    }
}

/// Whether a rule leaves a text no room. The text is looked at as well: that is cheap, and then no
/// error in the reading of patterns can make a harmful text harmless.
fn is_narrow(rule: &TextRule, text: &[u8]) -> bool {
    let has_pattern = rule.pattern.as_ref().is_some_and(Pattern::is_harmless);
    let has_format = rule.format.as_ref().is_some_and(|format| format.is_harmless);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    let is_stamp = |byte: &u8| byte.is_ascii_alphanumeric() || b"-:.+".contains(byte);
    (has_pattern && text.iter().all(is_word)) || (has_format && text.iter().all(is_stamp))
}
