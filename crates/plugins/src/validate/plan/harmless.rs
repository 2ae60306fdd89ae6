//! Which values of an accepted document can do no harm, whatever looks at them.

use std::ops::Range;

use super::Plan;
use super::document::{Document, Kind, Token};
use super::judge::Judge;
use super::node::{Additional, Node, NodeId, Others, TextRule, Types};
use super::pattern::Pattern;

impl Plan {
    /// Where in the text, in its order, the values are that are harmless, of a document that this
    /// plan has accepted ([`Plan::accepts`]); strings with their quotation marks:
    ///
    /// - numbers, booleans and null, where the schema states a type for them;
    /// - values that `enum` or `const` lists;
    /// - strings of the formats `date`, `date-time`, `ipv4`, `ipv6` and `uuid`, where the format is
    ///   checked;
    /// - strings whose `pattern` allows ASCII letters, digits, `_` and `-` alone, from the beginning
    ///   to the end.
    ///
    /// Only schemas that hold in any case count, not those of `anyOf`, `oneOf`, `not` and `if`.
    /// Strings that are written with an escape are never among them. Names of members are not
    /// looked at, and of a document that was not accepted it says nothing.
    pub(crate) fn harmless_leaves(&self, document: &Document<'_>) -> Vec<Range<usize>> {
        let judge = Judge::new(&self.nodes, document);
        let mut search = Search { judge, proved: vec![false; document.len()] };
        search.visit(self.root, 0);
        let places = search.proved.iter().enumerate().filter(|(_, is_proved)| **is_proved);
        places.filter_map(|(at, _)| document.token(at).map(Document::range)).collect()
    }
}

fn is_scalar(token: Token) -> bool {
    !matches!(token.kind, Kind::Name | Kind::List | Kind::Object)
}

struct Search<'p, 'd> {
    judge: Judge<'p, 'd>,
    proved: Vec<bool>,
}

impl<'p> Search<'p, '_> {
    fn visit(&mut self, id: NodeId, at: usize) {
        let nodes: &'p [Node] = self.judge.nodes;
        let (Some(node), Some(token)) = (nodes.get(id), self.judge.document.token(at)) else {
            return;
        };
        if !self.judge.may_look() {
            return;
        }
        if is_scalar(token)
            && self.proves(node, token)
            && let Some(place) = self.proved.get_mut(at)
        {
            *place = true;
        }
        if let (Kind::List, Some(items)) = (token.kind, node.list.as_ref().and_then(|l| l.items)) {
            let places: Vec<usize> = self.judge.items(token, at).collect();
            for place in places {
                self.visit(items, place);
            }
        }
        if let (Kind::Object, Some(rule)) = (token.kind, &node.object) {
            let members: Vec<(Token, usize)> = self.judge.members(token, at).collect();
            for (name, value) in members {
                if let (Additional::Schema(inner), _) = self.judge.member(rule, name) {
                    self.visit(inner, value);
                }
            }
        }
        for others in &node.others {
            if let Others::All(ids) = others {
                for inner in ids {
                    self.visit(*inner, at);
                }
            }
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
