//! Which header fields are secret, by their names.

/// Words that make the name of a header field secret, wherever in the name they stand.
const SECRET_WORDS: &[&str] = &[
    "authorization",
    "cookie",
    "token",
    "secret",
    "passw",
    "apikey",
    "api-key",
    "api_key",
    "access-key",
    "private-key",
    "credential",
    "session",
    "signature",
    "assertion",
    "jwt",
    "csrf",
    "xsrf",
];

/// For each byte, the words whose first letter it is, and those whose second letter it is: a bit
/// for each word, in both cases.
///
/// PERF: `cargo xtask bench plugins` (`http-logger`): looking for each word by itself took half a
/// microsecond for each name, of which an entry has a dozen.
static BEGINNINGS: [[u32; 256]; 2] = beginnings();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses what is not there"
)]
const fn beginnings() -> [[u32; 256]; 2] {
    let mut table = [[0; 256]; 2];
    let mut number = 0;
    while number < SECRET_WORDS.len() {
        let word = SECRET_WORDS[number].as_bytes();
        let mut at = 0;
        while at < 2 {
            let letter = word[at];
            table[at][letter as usize] |= 1 << number;
            table[at][letter.to_ascii_uppercase() as usize] |= 1 << number;
            at += 1;
        }
        number += 1;
    }
    table
}

/// Declares names that nearly every request or answer has, and that contain no secret word.
macro_rules! common {
    ($($name:literal)*) => {
        #[cfg(test)]
        const COMMON: &[&[u8]] = &[$($name),*];

        /// PERF: as above; the compiler makes a tree of this, first by length.
        fn is_common(name: &[u8]) -> bool {
            matches!(name, $($name)|*)
        }
    };
}

common! {
    b"host" b"date" b"vary" b"etag" b"accept" b"origin" b"server" b"referer" b"expires" b"location"
    b"user-agent" b"connection" b"tracestate" b"content-type" b"traceparent" b"x-request-id"
    b"cache-control" b"last-modified" b"content-length" b"sec-fetch-mode" b"sec-fetch-dest"
    b"sec-fetch-site" b"accept-encoding" b"accept-language" b"x-forwarded-for"
    b"content-encoding" b"x-forwarded-proto" b"transfer-encoding"
}

/// Whether a name contains one of [`SECRET_WORDS`], whatever its case.
pub(super) fn contains_secret_word(name: &[u8]) -> bool {
    !is_common(name) && search(name)
}

fn search(name: &[u8]) -> bool {
    let [first, second] = &BEGINNINGS;
    let mut begun = 0;
    for (at, byte) in name.iter().enumerate() {
        let of = |letters: &[u32; 256]| letters.get(usize::from(*byte)).copied().unwrap_or(0);
        let mut words = begun & of(second);
        begun = of(first);
        while words != 0 {
            let word = SECRET_WORDS.get(words.trailing_zeros() as usize).unwrap_or(&"");
            let here = name.get(at.saturating_sub(1)..).and_then(|rest| rest.get(..word.len()));
            if here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes())) {
                return true;
            }
            words &= words - 1;
        }
    }
    false
}

/// Names that the configuration gives, in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    names: Vec<Box<[u8]>>,
    /// A bit for each length that occurs; the last for all that are longer.
    lengths: u64,
}

impl Names {
    pub(super) fn extend<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        for name in names {
            let name = name.to_ascii_lowercase().into_bytes();
            if !self.contains(&name) {
                self.lengths |= length(&name);
                self.names.push(name.into());
            }
        }
    }

    /// Whether this name is among them, whatever its case.
    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.lengths & length(name) != 0
            && self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The bit of a name's length.
fn length(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_word_is_found_wherever_it_stands_and_nothing_else_is() {
        let naive = |name: &str| {
            let name = name.to_ascii_lowercase();
            SECRET_WORDS.iter().any(|word| name.contains(word))
        };
        for word in SECRET_WORDS {
            let upper = word.to_ascii_uppercase();
            for name in [
                (*word).to_owned(),
                format!("x-{word}"),
                format!("{word}-x"),
                format!("a{upper}z"),
                format!("{}{word}", &word[..1]),
                word[1..].to_owned(),
                word[..word.len() - 1].to_owned(),
                String::new(),
                word[..1].to_owned(),
            ] {
                assert_eq!(contains_secret_word(name.as_bytes()), naive(&name), "{name}");
            }
        }
        for name in COMMON {
            assert!(!naive(std::str::from_utf8(name).unwrap()), "{name:?}");
        }
    }

    #[test]
    fn configured_names_are_found_whatever_their_case_and_length() {
        let long = "x-".repeat(60);
        let mut names = Names::default();
        assert!(!names.contains(b""));
        names.extend(["X-Door", "x-gate", &long]);
        names.extend(["x-door", "a"]);
        for name in ["x-door", "X-DOOR", "x-gate", "a", &long, &long.to_ascii_uppercase()] {
            assert!(names.contains(name.as_bytes()), "{name}");
        }
        for name in ["", "b", "x-doo", "x-doors", &long[1..], &"y".repeat(64)] {
            assert!(!names.contains(name.as_bytes()), "{name}");
        }
    }
}
