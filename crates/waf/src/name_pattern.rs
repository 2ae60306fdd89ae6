//! Patterns for names: of members, tags and messages.

/// The largest compiled pattern, in bytes.
const SIZE_MAX: usize = 1 << 18;

/// Compiles the pattern of a selector, a tag or a message: ASCII case ignored, bounded.
pub(crate) fn name_pattern(pattern: &str) -> Result<regex_automata::meta::Regex, String> {
    let syntax = regex_automata::util::syntax::Config::new()
        .case_insensitive(true)
        .unicode(false)
        .utf8(false);
    let config = regex_automata::meta::Config::new()
        // Names are bytes, see `@rx`.
        .utf8_empty(false)
        .nfa_size_limit(Some(SIZE_MAX))
        .hybrid_cache_capacity(32 << 10);
    regex_automata::meta::Builder::new().configure(config).syntax(syntax).build(pattern).map_err(
        |error| {
            if error.size_limit().is_some() {
                return "is too large".to_owned();
            }
            "is no pattern that can be matched in linear time".to_owned()
        },
    )
}
