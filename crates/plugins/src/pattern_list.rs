//! Lists of patterns as configuration writes them, searched all at once.

use bartizan_config::Invalid;
use bartizan_core::{PatternError, compile_patterns};
use regex_automata::Input;
use regex_automata::meta::Regex;

/// A compiled list. One search in linear time finds whichever of its patterns is there.
#[derive(Debug)]
pub(crate) struct PatternList(Regex);

impl PatternList {
    /// Compiles the list under `key`.
    pub(crate) fn compile(
        key: &str,
        list: &[String],
        is_case_insensitive: bool,
    ) -> Result<Self, Invalid> {
        compile_patterns(list, is_case_insensitive).map(Self).map_err(|(index, error)| {
            match (index.and_then(|index| Some((index, list.get(index)?))), error) {
                (Some((index, pattern)), error) => {
                    Invalid::at_item(key, index, format!("`{pattern}` {error}"))
                }
                (None, PatternError::TooLarge) => {
                    Invalid::at(key, "the patterns together compile to more than 1 MiB")
                }
                (None, error) => Invalid::at(key, error.to_string()),
            }
        })
    }

    /// The number, from 0, of a pattern that is found in the text.
    pub(crate) fn found(&self, text: &[u8]) -> Option<usize> {
        let found = self.0.search_half(&Input::new(text).earliest(true))?;
        Some(found.pattern().as_usize())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(patterns: &[&str], is_case_insensitive: bool) -> Result<PatternList, Invalid> {
        let patterns: Vec<String> = patterns.iter().map(|&text| text.to_owned()).collect();
        PatternList::compile("rules", &patterns, is_case_insensitive)
    }

    #[test]
    fn faults_name_the_item_or_the_list() {
        let fault = list(&["a", "("], false).unwrap_err();
        assert_eq!(fault.path.len(), 2);
        assert!(fault.problem.starts_with("`(` is not a regular expression"), "{fault}");
        let large: Vec<String> = (0..200).map(|n| format!("{n}[a-z]{{250}}x")).collect();
        let large: Vec<&str> = large.iter().map(String::as_str).collect();
        let fault = list(&large, false).unwrap_err();
        assert!(fault.problem.contains("more than 1 MiB"), "{fault}");
    }

    proptest! {
        #[test]
        fn agrees_with_searching_for_one_after_the_other(
            patterns in prop::collection::vec("[a-c]{1,3}|[a-c]\\.[a-c]|\\^[a-c]|[a-c]\\+\\$", 1..6),
            text in "[a-cA-C]{0,8}",
            is_case_insensitive: bool,
        ) {
            let all: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let all = list(&all, is_case_insensitive).unwrap();
            let one = |pattern: &String| {
                list(&[pattern], is_case_insensitive).unwrap().found(text.as_bytes()).is_some()
            };
            match all.found(text.as_bytes()) {
                Some(at) => prop_assert!(one(&patterns[at])),
                None => prop_assert!(!patterns.iter().any(one)),
            }
        }
    }
}
