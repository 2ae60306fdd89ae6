//! Replacing what a pattern finds in a text of bytes.

use bartizan_config::{Invalid, PathStep};
use bartizan_core::compile_pattern;
use bytes::Bytes;
use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;

enum Piece {
    Text(Box<[u8]>),
    Group(usize),
}

/// A text becomes longer than it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// A pattern, and what comes in place of what it finds.
pub(crate) struct Substitution {
    pattern: Regex,
    is_global: bool,
    replace: Box<[Piece]>,
}

impl Substitution {
    /// Compiles a pattern and a replacement, each given with its key: `$1` in it is what the first
    /// group caught, `$0` all of it, `$$` a dollar.
    pub(crate) fn compile(
        (regex_key, regex): (&str, &str),
        (replace_key, replace): (&str, &str),
        is_global: bool,
    ) -> Result<Self, Invalid> {
        Self::with_options((regex_key, regex, ""), (replace_key, replace), is_global)
    }

    /// The same with options of the pattern, of `i`, `s`, `m` and `x`.
    pub(crate) fn with_options(
        (regex_key, regex, options): (&str, &str, &str),
        (replace_key, replace): (&str, &str),
        is_global: bool,
    ) -> Result<Self, Invalid> {
        let flags: String = options.chars().filter(|option| *option != 'i').collect();
        let whole = if flags.is_empty() { regex.to_owned() } else { format!("(?{flags}){regex}") };
        let pattern = compile_pattern(&whole, options.contains('i'))
            .map_err(|error| Invalid::at(regex_key, format!("`{regex}` {error}")))?;
        let groups = pattern.captures_len().saturating_sub(1);
        let at_replace = |fault: Invalid| fault.under(PathStep::Key(replace_key.to_owned()));
        let replace = pieces(replace, groups).map_err(at_replace)?;
        Ok(Self { pattern, is_global, replace })
    }

    /// The body with what was found replaced, unless it becomes longer than `max`.
    pub(crate) fn apply(&self, body: &Bytes, max: usize) -> Result<Bytes, TooLong> {
        let mut out = Vec::new();
        let mut done = 0;
        for found in self.pattern.captures_iter(body) {
            let Some(span) = found.get_match().map(|found| found.span()) else { continue };
            out.extend_from_slice(body.get(done..span.start).unwrap_or_default());
            self.put(&found, body, &mut out);
            if out.len() > max {
                return Err(TooLong);
            }
            done = span.end;
            if !self.is_global {
                break;
            }
        }
        if done == 0 && out.is_empty() {
            // Nothing was found, or nothing was put in place of nothing.
            return Ok(body.clone());
        }
        out.extend_from_slice(body.get(done..).unwrap_or_default());
        if out.len() > max { Err(TooLong) } else { Ok(out.into()) }
    }

    fn put(&self, found: &Captures, body: &[u8], out: &mut Vec<u8>) {
        for piece in &self.replace {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Group(group) => {
                    let span = found.get_group(*group);
                    let caught = span.and_then(|span| body.get(span.range()));
                    out.extend_from_slice(caught.unwrap_or_default());
                }
            }
        }
    }
}

/// The parts of a replacement in which groups up to `most` may stand.
fn pieces(text: &str, most: usize) -> Result<Box<[Piece]>, Invalid> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            literal.push('$');
            rest = after;
            continue;
        }
        let (name, after) = group_name(after);
        let Ok(group) = name.parse::<usize>() else {
            return Err(Invalid::new("a `$` that is followed by no number")
                .with_help("`$1` is what a group caught, `$$` is a dollar"));
        };
        if group > most {
            return Err(Invalid::new(format!("there is no group `${group}`")));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal).into_bytes().into()));
        }
        pieces.push(Piece::Group(group));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal.into_bytes().into()));
    }
    Ok(pieces.into())
}

fn group_name(text: &str) -> (&str, &str) {
    if let Some(named) = text.strip_prefix('{').and_then(|text| text.split_once('}')) {
        return named;
    }
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}
