//! Macros: `%{TX.score}`.

use super::faults::{did_you_mean, quoted};
use super::lines::{Cx, Word};
use crate::text::{Piece, Text};
use crate::variable::{Selector, Shape, Variable};

/// Reads a text with macros.
pub(super) fn text(cx: &mut Cx<'_>, word: &Word) -> Option<Text> {
    pieces(cx, word, Digits::AreUnknown)
}

/// Reads a pattern with macros: `%{3}` is a percent sign, three times.
pub(super) fn pattern(cx: &mut Cx<'_>, word: &Word) -> Option<Text> {
    pieces(cx, word, Digits::AreLiteral)
}

/// What `%{` means before a digit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    AreLiteral,
    AreUnknown,
}

fn pieces(cx: &mut Cx<'_>, word: &Word, digits: Digits) -> Option<Text> {
    let mut found = Vec::new();
    let mut literal = String::new();
    let mut rest = word.text.as_str();
    let mut is_good = true;
    while let Some(start) = rest.find("%{") {
        let (before, from) = rest.split_at(start);
        literal.push_str(before);
        let inner = from.strip_prefix("%{").unwrap_or_default();
        let is_count = digits == Digits::AreLiteral
            && inner.starts_with(|c: char| c.is_ascii_digit() || c == ',');
        let Some(end) = inner.find('}').filter(|_| !is_count) else {
            literal.push_str("%{");
            rest = inner;
            continue;
        };
        let at = word.text.len() - inner.len();
        match reference(cx, &word.slice(at, at + end)) {
            Some(piece) => {
                if !literal.is_empty() {
                    found.push(Piece::Literal(std::mem::take(&mut literal).into_bytes().into()));
                }
                found.push(piece);
            }
            None => is_good = false,
        }
        rest = inner.get(end + 1..).unwrap_or_default();
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        found.push(Piece::Literal(literal.into_bytes().into()));
    }
    is_good.then(|| Text { pieces: found.into() })
}

/// What stands between the braces.
fn reference(cx: &mut Cx<'_>, word: &Word) -> Option<Piece> {
    let sign = word.text.find(['.', ':']);
    let name = word.text.get(..sign.unwrap_or(word.text.len())).unwrap_or_default();
    let Some(variable) = Variable::named(name) else {
        let help = did_you_mean(name, Variable::ALL.iter().map(|variable| variable.name()));
        return cx.fail(word.start(), format!("unknown macro {}", quoted(&word.text)), help);
    };
    if let Some(why) = variable.refused() {
        let problem = format!("`{}` is not supported", variable.name());
        return cx.fail(word.start(), problem, Some(why.to_owned()));
    }
    let Some(sign) = sign else { return Some(Piece::Macro(variable, Selector::All)) };
    let member = word.rest(sign + 1);
    if variable.shape() == Shape::Single {
        let problem = format!("`{}` has no members", variable.name());
        let help = format!("write `%{{{}}}`", variable.name());
        return cx.fail(member.start(), problem, Some(help));
    }
    if member.text.is_empty() {
        return cx.fail(member.start(), "the member's name is missing", None);
    }
    let name = member.text.to_ascii_lowercase().into_bytes();
    Some(Piece::Macro(variable, Selector::Name(name.into())))
}
