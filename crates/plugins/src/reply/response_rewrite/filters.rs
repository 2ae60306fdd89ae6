//! `filters`: patterns that are searched in a body, and what comes in place of what they find.

use std::sync::Arc;

use bartizan_chain::{AnswerHead, HeldBody, RequestCx};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, compile_pattern};
use bytes::Bytes;
use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;
use schemars::JsonSchema;
use serde::Deserialize;

/// Most filters of one configuration.
const FILTERS_MAX: usize = 64;

/// A pattern and what comes in place of what it finds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    /// What is searched.
    #[schemars(length(min = 1, max = 4096))]
    regex: String,
    /// What comes in its place; `$1` is what the first group caught, `$0` all of it, `$$` a dollar.
    #[schemars(length(max = 65536))]
    replace: String,
    /// Whether only the first find is replaced, or every one.
    #[serde(default)]
    scope: Scope,
    /// How the pattern is meant, one letter each: `i` without regard to case, `s` so that `.` finds
    /// line ends too, `m` so that `^` and `$` are about lines, `x` with spaces and comments. `j`,
    /// `o` and `u` change nothing.
    #[serde(default = "usual_options")]
    options: String,
}

/// How often something is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    /// The first find.
    #[default]
    Once,
    /// Every find.
    Global,
}

fn usual_options() -> String {
    "jo".to_owned()
}

enum Piece {
    Text(Box<[u8]>),
    Group(usize),
}

struct Compiled {
    pattern: Regex,
    scope: Scope,
    replace: Box<[Piece]>,
}

/// Compiled `filters`.
pub(super) struct Filters {
    list: Box<[Compiled]>,
    /// Whether the configuration states how much is held.
    max: usize,
    states_max: bool,
}

impl Filters {
    /// Compiles filters for bodies of at most `stated` bytes, or else of `usual`.
    pub(super) fn compile(
        filters: &[Filter],
        stated: Option<usize>,
        usual: usize,
    ) -> Result<Self, Invalid> {
        if filters.len() > FILTERS_MAX {
            return Err(Invalid::at("filters", format!("more than {FILTERS_MAX} filters")));
        }
        let at = |index: usize| {
            move |fault: Invalid| {
                let fault = fault.under(PathStep::Index(index));
                fault.under(PathStep::Key("filters".to_owned()))
            }
        };
        let filters = filters
            .iter()
            .enumerate()
            .map(|(index, filter)| filter.compile().map_err(at(index)))
            .collect::<Result<_, _>>()?;
        Ok(Self { list: filters, max: stated.unwrap_or(usual), states_max: stated.is_some() })
    }

    /// Has the answer's body held and searched.
    pub(super) fn ask(self: &Arc<Self>, answer: &mut AnswerHead) {
        answer.hold(self.max, Box::new(Searched(self.clone())));
    }

    /// The body with everything replaced.
    fn replace(&self, body: &Bytes) -> Result<Bytes, TooLong> {
        self.list.iter().try_fold(body.clone(), |body, filter| filter.replace(&body, self.max))
    }

    fn too_long(&self) -> Denial {
        let max = self.max;
        let limit =
            if self.states_max { "`max_resp_body_size`" } else { "`limits.inspected_response`" };
        let detail = format!("the answer is longer than {max} bytes, over {limit}");
        Denial::new(Reason::AnswerTooLarge, detail)
    }
}

/// A body becomes longer than is held.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

struct Searched(Arc<Filters>);

impl HeldBody for Searched {
    fn decide(
        self: Box<Self>,
        _cx: &RequestCx,
        _answer: &mut AnswerHead,
        body: Bytes,
    ) -> Result<Bytes, Denial> {
        self.0.replace(&body).map_err(|TooLong| self.0.too_long())
    }

    fn over(&self, _max: usize) -> Denial {
        self.0.too_long()
    }
}

impl Filter {
    fn compile(&self) -> Result<Compiled, Invalid> {
        let mut flags = String::new();
        let mut ignores_case = false;
        for option in self.options.chars() {
            match option {
                'i' => ignores_case = true,
                's' | 'm' | 'x' => flags.push(option),
                'j' | 'o' | 'u' => {}
                _ => {
                    let problem = format!("there is no option `{option}`");
                    return Err(Invalid::at("options", problem)
                        .with_help("any of `i`, `s`, `m`, `x`; `j`, `o` and `u` change nothing"));
                }
            }
        }
        let pattern =
            if flags.is_empty() { self.regex.clone() } else { format!("(?{flags}){}", self.regex) };
        let pattern = compile_pattern(&pattern, ignores_case)
            .map_err(|error| Invalid::at("regex", format!("`{}` {error}", self.regex)))?;
        let groups = pattern.captures_len().saturating_sub(1);
        Ok(Compiled { pattern, scope: self.scope, replace: pieces(&self.replace, groups)? })
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
            return Err(Invalid::at("replace", "a `$` that is followed by no number")
                .with_help("`$1` is what a group caught, `$$` is a dollar"));
        };
        if group > most {
            return Err(Invalid::at("replace", format!("there is no group `${group}`")));
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

impl Compiled {
    /// The body with what was found replaced, unless it becomes longer than `max`.
    fn replace(&self, body: &Bytes, max: usize) -> Result<Bytes, TooLong> {
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
            if self.scope == Scope::Once {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn compiled(filters: &Value, max: usize) -> Result<Filters, Invalid> {
        let filters = Vec::<Filter>::deserialize(filters).unwrap();
        Filters::compile(&filters, Some(max), 0)
    }

    fn replaced(filters: &Value, body: &str) -> Result<String, TooLong> {
        let body = compiled(filters, 100).unwrap().replace(&Bytes::from(body.to_owned()))?;
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn what_is_found_is_replaced() {
        for (filter, body, expected) in [
            (json!({"regex": "a", "replace": "b"}), "banana", "bbnana"),
            (json!({"regex": "a", "replace": "b", "scope": "global"}), "banana", "bbnbnb"),
            (json!({"regex": "A", "replace": "-", "options": "i"}), "banana", "b-nana"),
            (
                json!({"regex": "^b", "replace": "-", "options": "m", "scope": "global"}),
                "b\nb",
                "-\n-",
            ),
            (json!({"regex": "a.b", "replace": "-", "options": "s"}), "a\nb", "-"),
            (json!({"regex": "a b", "replace": "-", "options": "x"}), "ab", "-"),
            (json!({"regex": r"(\w+)@(\w+)", "replace": "$2 at ${1}1$$"}), "a@b", "b at a1$"),
            (json!({"regex": "(x)?y", "replace": "[$1]"}), "y", "[]"),
            (json!({"regex": "", "replace": "-", "scope": "global"}), "ab", "-a-b-"),
            (json!({"regex": "c", "replace": "-"}), "ab", "ab"),
        ] {
            assert_eq!(replaced(&json!([filter]), body).as_deref(), Ok(expected), "{filter}");
        }
    }

    #[test]
    fn filters_see_what_the_ones_before_them_made() {
        let filters = json!([{"regex": "a", "replace": "b"}, {"regex": "b", "replace": "c"}]);
        assert_eq!(replaced(&filters, "ab").as_deref(), Ok("cb"));
    }

    #[test]
    fn a_body_does_not_grow_beyond_what_is_held() {
        let grows = json!([{"regex": "", "replace": "0123456789", "scope": "global"}]);
        assert_eq!(replaced(&grows, &"x".repeat(20)), Err(TooLong));
        let filters = compiled(&grows, 5).unwrap();
        assert_eq!(filters.too_long().reason, Reason::AnswerTooLarge);
    }

    #[test]
    fn faults_say_where_and_why() {
        for (filter, key, problem) in [
            (json!({"regex": "(", "replace": ""}), "regex", "not a regular expression"),
            (json!({"regex": "(?=a)", "replace": ""}), "regex", "backtracking"),
            (json!({"regex": "a", "replace": "$1"}), "replace", "no group `$1`"),
            (json!({"regex": "a", "replace": "$x"}), "replace", "no number"),
            (json!({"regex": "a", "replace": "", "options": "jz"}), "options", "no option `z`"),
        ] {
            let Err(fault) = compiled(&json!([filter]), 9) else { panic!("{filter}") };
            assert!(fault.problem.contains(problem), "{filter}: {fault}");
            assert_eq!(fault.path.last(), Some(&PathStep::Key(key.to_owned())), "{filter}");
        }
    }

    proptest! {
        #[test]
        fn plain_text_is_replaced_as_the_standard_library_does(
            body in "[ab$]{0,30}",
            from in "[ab]{1,2}",
            to in "[abc]{0,3}",
        ) {
            let filter = |scope| json!([{"regex": from, "replace": to, "scope": scope}]);
            let all = compiled(&filter("global"), 1_000).unwrap();
            let one = compiled(&filter("once"), 1_000).unwrap();
            let bytes = Bytes::from(body.clone());
            prop_assert_eq!(all.replace(&bytes).unwrap(), body.replace(&from, &to));
            prop_assert_eq!(one.replace(&bytes).unwrap(), body.replacen(&from, &to, 1));
        }
    }
}
