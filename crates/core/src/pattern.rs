//! Regular expressions with linear time and bounded size.

use regex_automata::meta::{BuildError, Regex};
use regex_automata::util::syntax;

/// The largest compiled pattern, in bytes.
pub const PATTERN_SIZE_MAX: usize = 1 << 20;

/// Why a pattern was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// The pattern uses look-around or back-references, which need backtracking.
    #[error("needs backtracking (look-around or back-reference), which can take exponential time")]
    Backtracking,
    /// The pattern is not a regular expression.
    #[error("is not a regular expression: {0}")]
    Syntax(String),
    /// The compiled pattern is larger than [`PATTERN_SIZE_MAX`].
    #[error("compiles to more than 1 MiB")]
    TooLarge,
}

/// Compiles a pattern that matches in time linear in its input, or says why it cannot.
pub fn compile(pattern: &str, is_case_insensitive: bool) -> Result<Regex, PatternError> {
    if needs_backtracking(pattern) {
        return Err(PatternError::Backtracking);
    }
    Regex::builder()
        .configure(Regex::config().nfa_size_limit(Some(PATTERN_SIZE_MAX)))
        .syntax(syntax::Config::new().case_insensitive(is_case_insensitive).utf8(false))
        .build(pattern)
        .map_err(|error| fault(&error))
}

/// Compiles a list into one pattern, which one search finds whichever of them stands there, or says
/// why it cannot and of which item.
///
/// Text is looked at byte by byte: `.` is any byte, also a line end or one that is no text, so that
/// a byte which nobody expects hides nothing; letters and digits are those of ASCII. `(?u)` at the
/// beginning of a pattern makes it see characters.
pub fn compile_all<P: AsRef<str>>(
    patterns: &[P],
    is_case_insensitive: bool,
) -> Result<Regex, (Option<usize>, PatternError)> {
    if let Some(at) = patterns.iter().position(|pattern| needs_backtracking(pattern.as_ref())) {
        return Err((Some(at), PatternError::Backtracking));
    }
    let syntax = syntax::Config::new()
        .case_insensitive(is_case_insensitive)
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true);
    // A search that takes bytes for UTF-8 may panic where they are not.
    let config = Regex::config().utf8_empty(false).nfa_size_limit(Some(PATTERN_SIZE_MAX));
    Regex::builder()
        .configure(config)
        .syntax(syntax)
        .build_many(patterns)
        .map_err(|error| (error.pattern().map(|pattern| pattern.as_usize()), fault(&error)))
}

fn fault(error: &BuildError) -> PatternError {
    if error.size_limit().is_some() {
        return PatternError::TooLarge;
    }
    PatternError::Syntax(error.syntax_error().map_or_else(
        || error.to_string(),
        |e| e.to_string().lines().last().unwrap_or_default().to_owned(),
    ))
}

/// True where the pattern has `(?=`, `(?!`, `(?<=`, `(?<!` or a back-reference outside a class.
fn needs_backtracking(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    let mut in_class = false;
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'\\' => {
                let is_reference = matches!(bytes.get(i + 1), Some(b'1'..=b'9' | b'k' | b'g'));
                if is_reference && !in_class {
                    return true;
                }
                i += 1;
            }
            b'[' => in_class = true,
            b']' => in_class = false,
            b'(' if !in_class => {
                let rest = bytes.get(i + 1..).unwrap_or_default();
                let looks = [b"?=".as_slice(), b"?!", b"?<=", b"?<!", b"?>"];
                if looks.iter().any(|look| rest.starts_with(look)) {
                    return true;
                }
            }
            _ => {}
        }
        i += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_around_and_references_are_refused_with_the_reason() {
        for pattern in ["a(?=b)", "(?<!x)y", r"(a)\1", r"\k<name>", "(?>a+)"] {
            assert!(
                matches!(compile(pattern, false), Err(PatternError::Backtracking)),
                "{pattern}"
            );
        }
    }

    #[test]
    fn ordinary_patterns_match() {
        assert!(compile(r"^/orders/\d+$", false).unwrap().is_match("/orders/17"));
        assert!(compile("mozilla", true).unwrap().is_match("Mozilla/5.0"));
        assert!(compile(r"[\1(?=]", false).is_err() || compile(r"[(?=]", false).is_ok());
    }

    #[test]
    fn patterns_over_the_size_are_refused() {
        assert!(matches!(compile(r"\w{1000}{1000}", false), Err(PatternError::TooLarge)));
    }

    #[test]
    fn a_list_is_searched_at_once_and_tells_which_was_found() {
        let regex = compile_all(&["(?i)BOT", "^curl/", "x  # no comment"], false).unwrap();
        let found = |text: &[u8]| regex.find(text).map(|found| found.pattern().as_usize());
        assert_eq!(found(b"a Robot"), Some(0));
        assert_eq!(found(b"curl/8"), Some(1));
        assert_eq!(found(b"a curl/8"), None);
        assert_eq!(found(b"x"), None);
    }

    #[test]
    fn a_byte_that_is_no_text_hides_nothing() {
        let regex = compile_all(&["a.c"], true).unwrap();
        for text in [b"a\xffc".as_slice(), b"A\nC", b"abc"] {
            assert!(regex.is_match(text), "{text:?}");
        }
        let wide = compile_all(&["(?u)^.$", "^é$"], false).unwrap();
        assert!(wide.is_match("ü") && wide.is_match("é") && !wide.is_match(b"\xff".as_slice()));
    }

    #[test]
    fn a_pattern_that_fits_nothing_fits_bytes_that_are_no_text() {
        let regex = compile_all(&["a|||b"], false).unwrap();
        for text in [b"\x83".as_slice(), b"\xc3\xa9", b"\x89\x83|\xd6\x07"] {
            assert!(regex.find(text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn faults_in_a_list_name_the_item() {
        let fault = |list: &[&str]| compile_all(list, false).unwrap_err();
        assert!(matches!(fault(&["a", "(?=b)"]), (Some(1), PatternError::Backtracking)));
        assert!(matches!(fault(&["a", "b", "("]), (Some(2), PatternError::Syntax(_))));
        let large = [r"[a-z]{1000}{100}", "a"];
        assert!(matches!(fault(&large), (_, PatternError::TooLarge)));
    }
}
