//! Problems of a configuration in the words of Apache APISIX, with ours after them.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::plane::Problem;

/// Most problems in one answer.
const TOLD_MAX: usize = 50;

/// What is answered to a change that is not in order. `written` is the object that was sent.
pub(crate) fn told(problems: &[Problem], written: Option<(&str, &str)>) -> Value {
    let text = problems
        .first()
        .map_or_else(|| "invalid configuration".to_owned(), |problem| message(problem, written));
    let all: Vec<Value> = problems.iter().take(TOLD_MAX).map(one).collect();
    json!({ "error_msg": text, "problems": all })
}

/// One problem as a sentence.
pub(crate) fn message(problem: &Problem, written: Option<(&str, &str)>) -> String {
    let mut text = match plugin_of(&problem.path) {
        Some(plugin) if problem.what.starts_with("unknown plugin") => {
            format!("unknown plugin [{plugin}]: {}", problem.what)
        }
        Some(plugin) if let Some(owner) = owner_of(&problem.what) => {
            let what = &problem.what;
            format!("duplicate key of plugin {plugin} found with consumer: {owner}: {what}")
        }
        Some(plugin) => {
            format!("failed to check the configuration of plugin {plugin} err: {}", problem.what)
        }
        None => format!("invalid configuration: {}", problem.what),
    };
    // Writing to a string cannot fail.
    if !problem.path.is_empty() {
        let _ = write!(text, " (at {})", problem.path);
    }
    let elsewhere = problem
        .object
        .as_ref()
        .filter(|object| written != Some((&*object.collection, &*object.id)));
    if let Some(object) = elsewhere {
        let _ = write!(text, " (in {object})");
    }
    if let Some(help) = &problem.help {
        text.push_str("; ");
        text.push_str(help);
    }
    text
}

fn one(problem: &Problem) -> Value {
    let object = problem.object.as_ref().map(ToString::to_string);
    json!({
        "object": object,
        "path": problem.path,
        "problem": problem.what,
        "help": problem.help,
    })
}

/// The plugin whose configuration a dotted path leads into.
fn plugin_of(path: &str) -> Option<&str> {
    let rest = match path.split_once(".plugins.") {
        Some((_, rest)) => rest,
        None => path.strip_prefix("plugins.")?,
    };
    rest.split(['.', '[']).next().filter(|name| !name.is_empty())
}

/// The account that has a credential already, where a problem is that.
fn owner_of(what: &str) -> Option<&str> {
    let (_, rest) = what.split_once(" is also that of consumer `")?;
    rest.split('`').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_the_words_that_tools_know() {
        let problem = |path: &str, problem: &str| Problem {
            path: path.to_owned(),
            what: problem.to_owned(),
            ..Problem::default()
        };
        for (path, text, told) in [
            ("uri", "expected a string", "invalid configuration: expected a string (at uri)"),
            (
                "plugins.limit-count.count",
                "`count` must be at least 1",
                "failed to check the configuration of plugin limit-count err: `count` must be at \
                 least 1 (at plugins.limit-count.count)",
            ),
            (
                "plugins.nosuch",
                "unknown plugin `nosuch`",
                "unknown plugin [nosuch]: unknown plugin `nosuch` (at plugins.nosuch)",
            ),
            (
                "plugins.key-auth",
                "the credential of `key-auth` of consumer `rose` is also that of consumer `jack`",
                "duplicate key of plugin key-auth found with consumer: jack: the credential of \
                 `key-auth` of consumer `rose` is also that of consumer `jack` (at \
                 plugins.key-auth)",
            ),
        ] {
            assert_eq!(message(&problem(path, text), None), told);
        }
    }
}
