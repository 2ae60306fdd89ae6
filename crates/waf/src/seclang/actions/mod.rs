//! Actions: `id:1,phase:2,deny,msg:'It is, in a way, bad'`.

mod ctl;
mod table;
mod variables;

pub(super) use table::ACTIONS;
pub(super) use table::Kind;

use super::faults::{did_you_mean, quoted};
use super::lines::{Cx, Word, closing};
use super::script::{Action, Phase};

/// Actions as they were read.
#[derive(Debug, Default)]
pub(super) struct Actions {
    /// The good ones, each with its name and where it stands in the line.
    pub(super) list: Vec<(&'static str, usize, Action)>,
    /// True if nothing was wrong.
    pub(super) is_good: bool,
}

impl Actions {
    /// Where the first of these that is there stands, and its name.
    fn first(&self, fits: impl Fn(&str, &Action) -> bool) -> Option<(&'static str, usize)> {
        let found = self.list.iter().find(|(name, _, action)| fits(name, action));
        found.map(|(name, at, _)| (*name, *at))
    }

    /// True if the next rule belongs to this one.
    pub(super) fn is_chained(&self) -> Option<usize> {
        self.first(|_, action| matches!(action, Action::Chain)).map(|(_, at)| at)
    }

    /// The actions alone, if nothing was wrong.
    pub(super) fn finish(self) -> Option<Vec<Action>> {
        self.is_good.then(|| self.list.into_iter().map(|(_, _, action)| action).collect())
    }

    /// Refuses the actions that `fits`, with the reason why they cannot stand here.
    fn refuse(&mut self, cx: &mut Cx<'_>, fits: impl Fn(&Action) -> bool, why: &str) {
        for (name, at, action) in &self.list {
            if fits(action) {
                self.is_good = false;
                cx.fail::<()>(*at, format!("`{name}` {why}"), None);
            }
        }
    }

    /// Refuses that something is missing.
    fn demand(
        &mut self,
        cx: &mut Cx<'_>,
        at: usize,
        fits: impl Fn(&Action) -> bool,
        problem: &str,
        help: &str,
    ) {
        if self.first(|_, action| fits(action)).is_none() && self.is_good {
            self.is_good = false;
            cx.fail::<()>(at, problem, Some(help.to_owned()));
        }
    }
}

fn is_disruptive(action: &Action) -> bool {
    matches!(
        action,
        Action::Block
            | Action::Deny
            | Action::Drop
            | Action::Pass
            | Action::Allow(_)
            | Action::Redirect(_)
    )
}

fn is_jump(action: &Action) -> bool {
    matches!(action, Action::Skip(_) | Action::SkipAfter(_))
}

/// Where actions stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A rule, the first of its chain if it has one.
    Head,
    /// A rule further down its chain.
    Member,
    /// A rule after one that could not be read, which may be either.
    Unsure,
    /// `SecDefaultAction`.
    Default,
    /// `SecRuleUpdateActionById`.
    Update,
}

/// Checks what the actions of a rule say together. `at` is where the rule stands.
pub(super) fn check(cx: &mut Cx<'_>, actions: &mut Actions, role: Role, at: usize) {
    match role {
        Role::Head => {
            let help = "give each rule an `id`, 1 to 4294967295, that no other rule has";
            let is_id = |action: &Action| matches!(action, Action::Id(_));
            actions.demand(cx, at, is_id, "the rule has no `id`", help);
        }
        Role::Member => {
            let is_head = |action: &Action| {
                is_disruptive(action)
                    || is_jump(action)
                    || matches!(action, Action::Id(_) | Action::Phase(_))
            };
            actions.refuse(cx, is_head, "can only stand in the first rule of a chain");
        }
        Role::Default => {
            let is_own = |action: &Action| {
                is_jump(action) || matches!(action, Action::Id(_) | Action::Chain)
            };
            actions.refuse(cx, is_own, "cannot be a default");
            let is_phase = |action: &Action| matches!(action, Action::Phase(_));
            let help = "write one `SecDefaultAction` for each phase";
            actions.demand(cx, at, is_phase, "the default actions have no `phase`", help);
            let help = "add `pass`, `deny` or another disruptive action";
            let problem = "the default actions do not say what happens to the request";
            actions.demand(cx, at, is_disruptive, problem, help);
        }
        Role::Update => {
            let is_fixed = |action: &Action| {
                matches!(action, Action::Id(_) | Action::Phase(_) | Action::Chain)
            };
            actions.refuse(cx, is_fixed, "of a rule cannot be changed");
        }
        Role::Unsure => {}
    }
    conflicts(cx, actions);
}

/// Refuses actions that exclude each other.
fn conflicts(cx: &mut Cx<'_>, actions: &mut Actions) {
    let mut disruptive: Option<&'static str> = None;
    let mut single: Vec<&'static str> = Vec::new();
    for (name, at, action) in &actions.list {
        let problem = if is_disruptive(action) {
            disruptive.replace(name).map(|other| {
                if other == *name {
                    format!("`{name}` stands here twice")
                } else {
                    format!("`{name}` contradicts `{other}`")
                }
            })
        } else if is_single(action) && single.contains(name) {
            Some(format!("`{name}` stands here twice"))
        } else {
            single.push(name);
            None
        };
        if let Some(problem) = problem {
            actions.is_good = false;
            cx.fail::<()>(*at, problem, Some("keep one of them".to_owned()));
        }
    }
}

fn is_single(action: &Action) -> bool {
    matches!(
        action,
        Action::Id(_)
            | Action::Phase(_)
            | Action::Msg(_)
            | Action::LogData(_)
            | Action::Ver(_)
            | Action::Rev(_)
            | Action::Severity(_)
            | Action::Maturity(_)
            | Action::Accuracy(_)
            | Action::Chain
            | Action::Status(_)
            | Action::Skip(_)
            | Action::SkipAfter(_)
    )
}

/// Reads a list of actions.
pub(super) fn read(cx: &mut Cx<'_>, word: &Word) -> Actions {
    let mut actions = Actions { list: Vec::new(), is_good: true };
    let mut at = 0;
    loop {
        let rest = word.text.get(at..).unwrap_or_default();
        at = word.text.len() - rest.trim_start_matches([',', ' ', '\t']).len();
        if at >= word.text.len() {
            return actions;
        }
        let Ok((name, value, end)) = item(cx, word, at) else {
            // What follows an open quote cannot be told apart from what is in it.
            actions.is_good = false;
            return actions;
        };
        match one(cx, &name, value.as_ref()) {
            Some((known, action)) => actions.list.push((known, name.start(), action)),
            None => actions.is_good = false,
        }
        at = end;
    }
}

/// The list cannot be read any further; the fault is reported.
struct Broken;

/// The name and the value of the action that begins at `at`, and where it ends.
fn item(cx: &mut Cx<'_>, word: &Word, at: usize) -> Result<(Word, Option<Word>, usize), Broken> {
    let text = &word.text;
    let rest = text.get(at..).unwrap_or_default();
    let name_end = at + rest.find([':', ',']).unwrap_or(rest.len());
    let name = word.slice(at, name_end).trimmed();
    if text.as_bytes().get(name_end) != Some(&b':') {
        return Ok((name, None, name_end));
    }
    let behind = text.get(name_end + 1..).unwrap_or_default();
    let from = text.len() - behind.trim_start().len();
    if text.as_bytes().get(from) != Some(&b'\'') {
        let end = bare_end(text, from);
        return Ok((name, Some(word.slice(from, end).trimmed()), end));
    }
    let Some(close) = closing(text, from + 1, b'\'') else {
        cx.fail::<()>(word.at(from), "the ' is not closed", None);
        return Err(Broken);
    };
    let behind = text.get(close + 1..).unwrap_or_default().trim_start();
    if !behind.is_empty() && !behind.starts_with(',') {
        let help = "write `\\'` for a quote inside of quotes, and `,` between actions";
        cx.fail::<()>(
            word.at(text.len() - behind.len()),
            "text behind the closing '",
            Some(help.into()),
        );
        return Err(Broken);
    }
    Ok((name, Some(word.slice(from + 1, close).unescaped('\'')), text.len() - behind.len()))
}

/// Where a value without quotes around it ends: at a comma outside of `='…'`.
fn bare_end(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b',' => break,
            b'=' if bytes.get(at + 1) == Some(&b'\'') => {
                at = closing(text, at + 2, b'\'').unwrap_or(at) + 1;
            }
            _ => at += 1,
        }
    }
    at
}

/// One action.
fn one(cx: &mut Cx<'_>, name: &Word, value: Option<&Word>) -> Option<(&'static str, Action)> {
    let found = ACTIONS.iter().find(|entry| entry.name.eq_ignore_ascii_case(&name.text));
    let Some(entry) = found else {
        return cx.fail(
            name.start(),
            format!("unknown action {}", quoted(&name.text)),
            unknown_help(name),
        );
    };
    let action = match (&entry.kind, value) {
        (Kind::Flag(make), None) => make(),
        (Kind::Flag(_), Some(value)) => {
            let problem = format!("`{}` takes no value", entry.name);
            return cx.fail(value.start(), problem, None);
        }
        (Kind::Value(read), Some(value)) => read(cx, value)?,
        (Kind::Value(_), None) => {
            let help = format!("write `{}:…`", entry.name);
            let problem = format!("`{}` needs a value", entry.name);
            return cx.fail(name.start(), problem, Some(help));
        }
        (Kind::Optional(read), value) => read(cx, value)?,
        (Kind::Refused(instead), _) => {
            let problem = format!("`{}` is not supported: it {}", entry.name, entry.does);
            return cx.fail(name.start(), problem, Some((*instead).to_owned()));
        }
    };
    Some((entry.name, action))
}

fn unknown_help(name: &Word) -> Option<String> {
    if let Some((first, _)) = name.text.split_once(char::is_whitespace)
        && ACTIONS.iter().any(|entry| entry.name.eq_ignore_ascii_case(first))
    {
        return Some("actions are separated by commas".to_owned());
    }
    did_you_mean(&name.text, ACTIONS.iter().map(|entry| entry.name))
}

/// The phase that a rule's actions name.
pub(super) fn phase(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    let phase = match value.text.to_ascii_lowercase().as_str() {
        "1" => Phase::RequestHead,
        "2" | "request" => Phase::RequestBody,
        "3" => Phase::ResponseHead,
        "4" | "response" => Phase::ResponseBody,
        "5" | "logging" => Phase::Logging,
        _ => {
            let help = "a phase is 1 to 5, `request`, `response` or `logging`";
            let problem = format!("there is no phase {}", quoted(&value.text));
            return cx.fail(value.start(), problem, Some(help.to_owned()));
        }
    };
    Some(Action::Phase(phase))
}
