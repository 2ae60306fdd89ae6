//! The path that a rewrite makes, from a text or from patterns.

use bartizan_chain::{RequestCx, Var};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, compile_pattern};
use regex_automata::meta::Regex;

use crate::rewrite_text::{Escape, RewriteText};

/// Where the new path comes from.
pub(super) enum Target {
    Kept,
    Text(RewriteText),
    Patterns(Box<[(Regex, RewriteText)]>),
}

impl Target {
    /// Compiles the one of both that there is, and tells how many captures a text can use.
    pub(super) fn compile(
        uri: Option<&str>,
        regex_uri: Option<&[String]>,
    ) -> Result<(Self, usize), Invalid> {
        match (uri, regex_uri) {
            (Some(_), Some(_)) => Err(Invalid::at("regex_uri", "`uri` is there too and would win")
                .with_help("keep one of both")),
            (Some(uri), None) => Ok((Self::Text(target(uri)?), 0)),
            (None, Some(pairs)) => patterns(pairs),
            (None, None) => Ok((Self::Kept, 0)),
        }
    }

    /// The new path and query, where they change, and what was captured.
    pub(super) fn rewrite(&self, cx: &RequestCx) -> Result<(Option<String>, Vec<String>), Denial> {
        let path = cx.outgoing().path();
        let mut out = String::new();
        let (text, captures, after) = match self {
            Self::Kept => return Ok((None, Vec::new())),
            Self::Text(text) => (text, Vec::new(), ""),
            Self::Patterns(pairs) => {
                let Some(found) = pairs.iter().find_map(|(regex, text)| found(regex, path, text))
                else {
                    return Ok((None, Vec::new()));
                };
                out.push_str(found.before);
                (found.text, found.captures, found.after)
            }
        };
        text.render(cx, &captures, Escape::Uri, &mut out).map_err(|fault| {
            Denial::new(Reason::AmbiguousParameter, format!("a variable in the path: {fault}"))
        })?;
        out.push_str(after);
        if !out.contains('?')
            && let Some(query) = cx.outgoing().query()
        {
            out.push('?');
            out.push_str(query);
        }
        Ok((Some(out), captures))
    }
}

/// A pattern found in a path.
struct Found<'p> {
    text: &'p RewriteText,
    before: &'p str,
    after: &'p str,
    captures: Vec<String>,
}

fn found<'p>(regex: &Regex, path: &'p str, text: &'p RewriteText) -> Option<Found<'p>> {
    let mut captures = regex.create_captures();
    regex.captures(path, &mut captures);
    let whole = captures.get_match()?;
    let group = |span: Option<regex_automata::Span>| {
        span.and_then(|span| path.get(span.range())).unwrap_or_default().to_owned()
    };
    Some(Found {
        text,
        before: path.get(..whole.start())?,
        after: path.get(whole.end()..)?,
        captures: captures.iter().map(group).collect(),
    })
}

fn target(uri: &str) -> Result<RewriteText, Invalid> {
    let at_uri = |fault: Invalid| fault.under(PathStep::Key("uri".into()));
    let text = RewriteText::parse(uri, 0).map_err(at_uri)?;
    checked(&text, uri).map_err(at_uri)?;
    Ok(text)
}

/// What can be known of a target before there is a request.
fn checked(text: &RewriteText, written: &str) -> Result<(), Invalid> {
    if text.vars().any(Var::needs_answer) {
        return Err(Invalid::new("the request is sent before there is an answer"));
    }
    let path = written.split('?').next().unwrap_or_default();
    if path.contains("//") || path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Invalid::new(format!("`{written}` has an empty segment, `.` or `..`")));
    }
    if !written.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#') {
        return Err(Invalid::new(format!("`{written}` has what no path may"))
            .with_help("percent-encode it"));
    }
    Ok(())
}

fn patterns(pairs: &[String]) -> Result<(Target, usize), Invalid> {
    let at = |index| {
        move |fault: Invalid| {
            fault.under(PathStep::Index(index)).under(PathStep::Key("regex_uri".into()))
        }
    };
    let mut compiled = Vec::new();
    let mut captures_max = 0;
    for (number, pair) in pairs.chunks(2).enumerate() {
        let index = number * 2;
        let [pattern, replacement] = pair else {
            return Err(at(index)(Invalid::new("a pattern without a replacement")));
        };
        let regex = compile_pattern(pattern, false)
            .map_err(|error| at(index)(Invalid::new(format!("`{pattern}` {error}"))))?;
        let groups = regex.captures_len().saturating_sub(1);
        captures_max = captures_max.max(groups);
        let text = RewriteText::parse(replacement, groups).map_err(at(index + 1))?;
        checked(&text, replacement).map_err(at(index + 1))?;
        compiled.push((regex, text));
    }
    Ok((Target::Patterns(compiled.into()), captures_max))
}
