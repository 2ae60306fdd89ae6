//! How diagnostics quote input, list choices and guess what was meant.

/// Longest stretch of input that a message repeats, in characters.
const QUOTE_MAX: usize = 60;

/// Most choices that a message lists.
const CHOICES_MAX: usize = 12;

/// Most candidates that are looked at.
const CANDIDATES_MAX: usize = 2_000;

/// Longest name for which a near one is sought, in bytes: the search costs its square.
const NEAREST_MAX: usize = 64;

/// The input in backticks, cut and with control characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut quote = String::from("`");
    for (i, c) in text.chars().enumerate() {
        if i == QUOTE_MAX {
            quote.push('…');
            break;
        }
        match c {
            '`' => quote.push('\''),
            c if c.is_control() => quote.extend(c.escape_default()),
            c => quote.push(c),
        }
    }
    quote.push('`');
    quote
}

/// The choices in backticks: `a`, `b` or `c`.
pub(crate) fn choices<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.get(..CHOICES_MAX).unwrap_or(&names);
    let mut list = String::new();
    for (i, name) in shown.iter().enumerate() {
        if i > 0 {
            list.push_str(if i + 1 == names.len() { " or " } else { ", " });
        }
        list.push_str(&quoted(name));
    }
    if shown.len() < names.len() {
        list.push_str(", …");
    }
    list
}

/// The candidate that was probably meant by `name`.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if name.len() > NEAREST_MAX {
        return None;
    }
    let wanted = folded(name);
    let distance_max = 1 + wanted.chars().count() / 4;
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &folded(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= distance_max.min(3) && *distance < candidate.chars().count()
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// The help line that names the nearest candidate.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|near| format!("did you mean {}?", quoted(near)))
}

fn folded(name: &str) -> String {
    name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_cut_and_escaped() {
        assert_eq!(quoted("a\nb`c"), r"`a\nb'c`");
        assert_eq!(quoted(&"x".repeat(200)).chars().count(), QUOTE_MAX + 3);
    }

    #[test]
    fn choices_read_as_a_sentence() {
        assert_eq!(choices(["a"]), "`a`");
        assert_eq!(choices(["a", "b"]), "`a` or `b`");
        assert_eq!(choices(["a", "b", "c"]), "`a`, `b` or `c`");
        assert!(choices(std::iter::repeat_n("x", 30)).ends_with(", …"));
    }

    #[test]
    fn the_nearest_name_ignores_case_and_the_kind_of_dash() {
        assert_eq!(nearest("keyauth", ["jwt-auth", "key-auth"]), Some("key-auth"));
        assert_eq!(nearest("Upstream-ID", ["upstream_id", "uri"]), Some("upstream_id"));
        assert_eq!(nearest("zzz", ["uri", "uris"]), None);
        assert_eq!(nearest("b", ["a"]), None);
        assert_eq!(nearest(&"a".repeat(1000), ["a"]), None);
    }
}
