//! Targets: `ARGS|!ARGS:note|&REQUEST_HEADERS:Host|XML:/*|TX:/^score_/`.

use super::faults::{did_you_mean, quoted};
use super::lines::{Cx, Word, closing};
use super::values;
use crate::variable::{Mode, Selector, Shape, Target, Variable};

/// The paths into XML that there are: the texts and the values of attributes.
const XML_PATHS: &[&str] = &["/*", "//@*"];

/// Reads the targets of a rule: at least one that it looks at.
pub(super) fn of_rule(cx: &mut Cx<'_>, word: &Word) -> Option<Vec<Target>> {
    let targets = changes(cx, word)?;
    if targets.iter().all(|target| target.mode == Mode::Except) {
        let help = "name what it looks at before what it does not, as in `ARGS|!ARGS:note`";
        return cx.fail(word.start(), "the rule looks at nothing", Some(help.to_owned()));
    }
    Some(targets)
}

/// Reads targets that change those of a rule, which may be exceptions only.
pub(super) fn changes(cx: &mut Cx<'_>, word: &Word) -> Option<Vec<Target>> {
    let mut targets = Vec::new();
    let mut is_good = true;
    let mut at = 0;
    loop {
        let end = end_of_target(&word.text, at);
        match target(cx, &word.slice(at, end).trimmed()) {
            Some(target) => targets.push(target),
            None => is_good = false,
        }
        if end >= word.text.len() {
            return is_good.then_some(targets);
        }
        at = end + 1;
    }
}

/// Where the target that begins at `from` ends: at a `|` outside of a quoted text or a pattern.
fn end_of_target(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let bar = rest.find('|').map_or(text.len(), |at| from + at);
    let Some(colon) = rest.find(':').map(|at| from + at).filter(|colon| *colon < bar) else {
        return bar;
    };
    let name = text.get(from..colon).unwrap_or_default().trim_start_matches(['!', '&', ' ', '\t']);
    let first = text.as_bytes().get(colon + 1);
    let close = match first {
        Some(b'\'') => closing(text, colon + 2, b'\''),
        Some(b'/') if !name.eq_ignore_ascii_case("XML") => pattern_end(text, colon + 2),
        _ => return bar,
    };
    let Some(close) = close else { return bar };
    let behind = text.get(close + 1..).unwrap_or_default();
    behind.find('|').map_or(text.len(), |at| close + 1 + at)
}

/// Where a pattern ends: at a `/` that a target's end follows, or at the first one if there is none.
fn pattern_end(text: &str, from: usize) -> Option<usize> {
    let first = closing(text, from, b'/')?;
    let mut at = first;
    loop {
        let behind = text.get(at + 1..).unwrap_or_default().trim_start();
        if behind.is_empty() || behind.starts_with('|') {
            return Some(at);
        }
        match closing(text, at + 1, b'/') {
            Some(next) => at = next,
            None => return Some(first),
        }
    }
}

/// Reads one target.
pub(super) fn target(cx: &mut Cx<'_>, word: &Word) -> Option<Target> {
    let (mode, from) = match word.text.as_bytes().first() {
        Some(b'!') => (Mode::Except, 1),
        Some(b'&') => (Mode::Count, 1),
        _ => (Mode::Values, 0),
    };
    let name = word.rest(from).trimmed();
    let (variable, selector) = variable(cx, &name)?;
    if let Some(why) = variable.refused() {
        let problem = format!("`{}` is not supported", variable.name());
        return cx.fail(name.start(), problem, Some(why.to_owned()));
    }
    Some(Target { mode, variable, selector })
}

/// Reads a variable with or without a selector.
pub(super) fn variable(cx: &mut Cx<'_>, word: &Word) -> Option<(Variable, Selector)> {
    let (name, member) = match word.split(':') {
        Some((name, member)) => (name, Some(member)),
        None => (word.clone(), None),
    };
    if name.text.is_empty() {
        return cx.fail(word.start(), "a variable is missing here", None);
    }
    let Some(variable) = Variable::named(&name.text) else {
        let help = unknown_help(&name.text);
        return cx.fail(name.start(), format!("unknown variable {}", quoted(&name.text)), help);
    };
    let selector = match member {
        None => Selector::All,
        Some(member) => selector(cx, variable, &member)?,
    };
    Some((variable, selector))
}

fn unknown_help(name: &str) -> Option<String> {
    if name.starts_with(['!', '&']) {
        return Some("`!` and `&` cannot be combined".to_owned());
    }
    if name.contains(',') {
        return Some("targets are separated by `|`".to_owned());
    }
    if let Some((variable, member)) = name.split_once('.')
        && Variable::named(variable).is_some()
    {
        return Some(format!("outside of macros a member is written `{variable}:{member}`"));
    }
    did_you_mean(name, Variable::ALL.iter().map(|variable| variable.name()))
}

fn selector(cx: &mut Cx<'_>, variable: Variable, member: &Word) -> Option<Selector> {
    if variable.shape() == Shape::Single {
        let problem = format!("`{}` has no members", variable.name());
        return cx.fail(member.start(), problem, Some(format!("write `{}`", variable.name())));
    }
    let mut member = member.clone();
    let is_quoted = member.text.starts_with('\'');
    if is_quoted {
        let Some(end) = closing(&member.text, 1, b'\'') else {
            return cx.fail(member.start(), "the ' is not closed", None);
        };
        if end + 1 < member.text.len() {
            return cx.fail(member.at(end + 1), "text behind the closing '", None);
        }
        member = member.slice(1, end).unescaped('\'');
    }
    if variable == Variable::Xml {
        return xml_path(cx, &member);
    }
    if member.text.is_empty() {
        let help = format!("write `{}` for all members", variable.name());
        return cx.fail(member.start(), "the member's name is missing", Some(help));
    }
    let Some(pattern) = member.text.strip_prefix('/') else {
        return name(cx, &member, is_quoted);
    };
    match pattern.strip_suffix('/') {
        Some("") => cx.fail(member.start(), "the pattern is empty", None),
        Some(pattern) => {
            let end = member.text.len() - 1;
            values::pattern(cx, &member.slice(1, end)).map(|_| Selector::Pattern(pattern.into()))
        }
        None => {
            let help = "a pattern is written `/…/`; put it in single quotes where it holds a `|`";
            cx.fail(member.start(), "the pattern is not closed", Some(help.to_owned()))
        }
    }
}

fn name(cx: &mut Cx<'_>, member: &Word, is_quoted: bool) -> Option<Selector> {
    // Other engines read a comma as the end of the target; as part of a name it would silently be
    // a name that nothing has.
    if let Some(comma) = member.text.find(',').filter(|_| !is_quoted) {
        let help = "targets are separated by `|`; put a name with a comma in single quotes";
        return cx.fail(member.at(comma), "a comma in a member's name", Some(help.to_owned()));
    }
    Some(Selector::Name(member.text.to_ascii_lowercase().into_bytes().into()))
}

fn xml_path(cx: &mut Cx<'_>, member: &Word) -> Option<Selector> {
    if XML_PATHS.contains(&member.text.as_str()) {
        return Some(Selector::Name(member.text.as_bytes().into()));
    }
    let help = "`XML:/*` stands for all texts, `XML://@*` for the values of all attributes";
    let problem = format!("the path {} is not supported", quoted(&member.text));
    cx.fail(member.start(), problem, Some(help.to_owned()))
}
