//! `filters`: patterns that are searched in a body, and what comes in place of what they find.

use std::sync::Arc;

use bartizan_chain::{AnswerHead, HeldBody, RequestCx};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::substitution::{Substitution, TooLong};

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

/// Compiled `filters`.
pub(super) struct Filters {
    list: Box<[Substitution]>,
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
        self.list.iter().try_fold(body.clone(), |body, filter| filter.apply(&body, self.max))
    }

    fn too_long(&self) -> Denial {
        let max = self.max;
        let limit =
            if self.states_max { "`max_resp_body_size`" } else { "`limits.inspected_response`" };
        let detail = format!("the answer is longer than {max} bytes, over {limit}");
        Denial::new(Reason::AnswerTooLarge, detail)
    }
}

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
    fn compile(&self) -> Result<Substitution, Invalid> {
        let mut options = String::new();
        for option in self.options.chars() {
            match option {
                'i' | 's' | 'm' | 'x' => options.push(option),
                'j' | 'o' | 'u' => {}
                _ => {
                    let problem = format!("there is no option `{option}`");
                    return Err(Invalid::at("options", problem)
                        .with_help("any of `i`, `s`, `m`, `x`; `j`, `o` and `u` change nothing"));
                }
            }
        }
        let regex = ("regex", self.regex.as_str(), options.as_str());
        let replace = ("replace", self.replace.as_str());
        Substitution::with_options(regex, replace, self.scope == Scope::Global)
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
