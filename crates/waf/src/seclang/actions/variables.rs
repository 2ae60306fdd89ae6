//! Actions that change variables: `setvar`, `expirevar`, `initcol` and their kin.

use super::super::faults::{choices, quoted};
use super::super::lines::{Cx, Word, closing};
use super::super::macros;
use super::super::script::{Action, Change, SetVar};
use crate::text::{Piece, Text};
use crate::variable::Variable;

/// The collections that rules write to.
const WRITABLE: &[Variable] = &[
    Variable::Tx,
    Variable::Ip,
    Variable::Global,
    Variable::Session,
    Variable::User,
    Variable::Resource,
];

/// `setvar:tx.score=+5`.
pub(super) fn set(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    if value.text.starts_with('!') {
        let path = value.rest(1);
        if let Some((path, _)) = path.split('=') {
            return cx.fail(
                path.at(path.text.len()),
                "a variable that is taken away has no value",
                None,
            );
        }
        let (collection, name) = path_of(cx, &path, WRITABLE)?;
        return Some(Action::SetVar(SetVar { collection, name, change: Change::Unset }));
    }
    let (path, value) = match value.split('=') {
        Some((path, value)) => (path, Some(unquoted(cx, &value)?)),
        None => (value.clone(), None),
    };
    let (collection, name) = path_of(cx, &path, WRITABLE)?;
    let change = match value {
        None => Change::Set(Text::literal(*b"1")),
        Some(value) => match value.text.as_bytes().first() {
            Some(b'+') => Change::Add(macros::text(cx, &value.rest(1))?),
            Some(b'-') => Change::Subtract(macros::text(cx, &value.rest(1))?),
            _ => Change::Set(macros::text(cx, &value)?),
        },
    };
    Some(Action::SetVar(SetVar { collection, name, change }))
}

/// `expirevar:ip.blocked=600`.
pub(super) fn expire(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    let (path, seconds) = assignment(cx, value, "expirevar:ip.name=600")?;
    let (collection, name) = path_of(cx, &path, WRITABLE)?;
    let seconds = macros::text(cx, &seconds)?;
    if let Some(literal) = seconds.as_literal()
        && (literal.is_empty() || !literal.iter().all(u8::is_ascii_digit))
    {
        return cx.fail(value.start(), "the seconds are not a number", None);
    }
    Some(Action::ExpireVar(collection, name, seconds))
}

/// `initcol:ip=%{REMOTE_ADDR}`.
pub(super) fn collection(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    let (name, key) = assignment(cx, value, "initcol:ip=%{REMOTE_ADDR}")?;
    let stored = WRITABLE.get(1..).unwrap_or_default();
    let collection = collection_of(cx, &name, stored)?;
    Some(Action::InitCollection(collection, key_of(cx, &key)?))
}

/// `setsid:%{REQUEST_COOKIES.session}`.
pub(super) fn session(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    key_of(cx, value).map(Action::SetSid)
}

/// `setuid:%{REMOTE_USER}`.
pub(super) fn user(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    key_of(cx, value).map(Action::SetUid)
}

/// `setrsc:%{REQUEST_FILENAME}`.
pub(super) fn resource(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    key_of(cx, value).map(Action::SetRsc)
}

fn key_of(cx: &mut Cx<'_>, value: &Word) -> Option<Text> {
    if value.text.is_empty() {
        return cx.fail(value.start(), "the key is empty", None);
    }
    macros::text(cx, value)
}

fn assignment(cx: &mut Cx<'_>, value: &Word, example: &str) -> Option<(Word, Word)> {
    let Some((name, value)) = value.split('=') else {
        let help = format!("write it as in `{example}`");
        return cx.fail(value.start(), "the `=` is missing", Some(help));
    };
    Some((name.trimmed(), unquoted(cx, &value)?))
}

/// The value in `name='value'`.
fn unquoted(cx: &mut Cx<'_>, value: &Word) -> Option<Word> {
    if !value.text.starts_with('\'') {
        return Some(value.clone());
    }
    match closing(&value.text, 1, b'\'') {
        Some(end) if end + 1 == value.text.len() => Some(value.slice(1, end).unescaped('\'')),
        Some(end) => cx.fail(value.at(end + 1), "text behind the closing '", None),
        None => cx.fail(value.start(), "the ' is not closed", None),
    }
}

/// `collection.name`, the name in lower case.
fn path_of(cx: &mut Cx<'_>, path: &Word, known: &[Variable]) -> Option<(Variable, Text)> {
    let path = path.trimmed();
    let Some((collection, name)) = path.split('.') else {
        let help = "a variable is written with its collection, as in `tx.name`";
        let problem = format!("{} has no collection", quoted(&path.text));
        return cx.fail(path.start(), problem, Some(help.to_owned()));
    };
    let collection = collection_of(cx, &collection, known)?;
    if name.text.is_empty() {
        return cx.fail(name.start(), "the variable's name is missing", None);
    }
    let mut name = macros::text(cx, &name)?;
    for piece in &mut name.pieces {
        if let Piece::Literal(literal) = piece {
            literal.make_ascii_lowercase();
        }
    }
    Some((collection, name))
}

fn collection_of(cx: &mut Cx<'_>, name: &Word, known: &[Variable]) -> Option<Variable> {
    let found = Variable::named(&name.text).filter(|variable| known.contains(variable));
    if found.is_some() {
        return found;
    }
    let names: Vec<&str> = known.iter().map(|variable| variable.name()).collect();
    let help = format!("write to {}", choices(&names));
    cx.fail(name.start(), format!("{} is no such collection", quoted(&name.text)), Some(help))
}
