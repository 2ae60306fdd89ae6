//! Whether a value looks like an injection into SQL, as libinjection decides it.
//!
//! Example: `@detectSQLi` holds for `1' or 1=1 --`. `TX.0` is the fingerprint, such as `s&1c`.

use std::sync::LazyLock;

use libinjectionrs::sqli::sqli_data::SQL_KEYWORDS;
use libinjectionrs::{SqliFlags, SqliState};

use super::{Ask, Captures, Needs, OperatorFault, Source, without_zeros};
use crate::byte_mask::ByteMask;
use crate::text::Expand;

/// `@detectSQLi`.
#[derive(Debug)]
pub(crate) struct DetectSqli;

/// A value of letters, digits and underscores alone is numbers with at most one word behind them. The
/// only fingerprint of that form is `1U`, which libinjection lets pass where it is all there is.
const OUTSIDE_WORDS: ByteMask = ByteMask::of_range(0, b'/')
    .or(ByteMask::of_range(b':', b'@'))
    .or(ByteMask::of_bytes(b"[\\]^`{|}~\x7f"))
    .or(ByteMask::of_range(0x80, 0xff));

impl Ask for DetectSqli {
    fn compile(_name: &str, _source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self)
    }

    fn name(&self) -> &'static str {
        "detectSQLi"
    }

    fn needs(&self) -> Needs {
        Needs { masks: vec![OUTSIDE_WORDS], length_min: 2, ..Needs::default() }
    }

    fn cost(&self, length: usize) -> usize {
        // It reads a value in several ways.
        length.saturating_mul(16)
    }

    fn holds(&self, input: &[u8], _text: &dyn Expand, captures: Option<&mut Captures>) -> bool {
        if is_plain(input) {
            return false;
        }
        // PERF: the crate's shortcut computes the fingerprint of what it found a second time.
        let mut state = SqliState::new(input, SqliFlags::FLAG_NONE);
        if state.detect() {
            return found(&state, captures);
        }
        // A zero ends a name for libinjection, for the crate it is part of one.
        let Some(input) = without_zeros(input) else { return false };
        let mut state = SqliState::new(&input, SqliFlags::FLAG_NONE);
        state.detect() && found(&state, captures)
    }
}

fn found(state: &SqliState<'_>, captures: Option<&mut Captures>) -> bool {
    if let Some(captures) = captures {
        captures.push(state.fingerprint_string().as_bytes());
    }
    true
}

/// What a byte is for [`is_plain`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Part of a word or number.
    Word,
    /// White space, dot or comma.
    Between,
    /// An operator, a colon, a semicolon, or what means nothing; two of them may be one operator.
    Operator,
    /// What a variable begins with.
    At,
    /// Quotes, parentheses, what begins comments, logic, and what is not ASCII.
    Other,
}

const fn role(byte: u8) -> Role {
    match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => Role::Word,
        b' ' | b'\t' | b'\n' | b'\r' | b'.' | b',' => Role::Between,
        b'!' | b'%' | b'*' | b'+' | b'-' | b'/' | b':' | b';' | b'<' | b'=' | b'>' | b'?'
        | b']' | b'^' | b'~' => Role::Operator,
        b'@' => Role::At,
        _ => Role::Other,
    }
}

/// True if a value is certainly none, so that it need not be read as SQL: nothing in it is quoted,
/// commented or in parentheses, and no word in it, also behind a number, means anything in SQL.
///
/// What libinjection reads such a value as is made of names and numbers with dots and commas, and
/// either operators and the like or variables. No fingerprint that it refuses is made of these alone,
/// and folding only leaves some of them out.
fn is_plain(value: &[u8]) -> bool {
    let (mut has_operator, mut has_variable) = (false, false);
    let mut before = b' ';
    let mut rest = value;
    while let Some((byte, tail)) = rest.split_first() {
        match role(*byte) {
            Role::Word => {
                let end = rest.iter().position(|byte| role(*byte) != Role::Word);
                let (word, tail) =
                    rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or_default();
                if KEYWORDS.may_hold(word) {
                    return false;
                }
                (before, rest) = (b'a', tail);
                continue;
            }
            Role::Between => {}
            Role::Operator if matches!((before, *byte), (b'-', b'-') | (b'/', b'*')) => {
                return false;
            }
            Role::Operator => has_operator = true,
            Role::At => has_variable = true,
            Role::Other => return false,
        }
        (before, rest) = (*byte, tail);
    }
    !(has_operator && has_variable)
}

/// The words that SQL is made of, as a filter that may claim more than there are.
struct Keywords(Box<[u64]>);

/// PERF: looking a word up in the crate's table costs a hundred times as much, and it is asked for
/// each word and each pair of words.
static KEYWORDS: LazyLock<Keywords> = LazyLock::new(Keywords::collect);

impl Keywords {
    const BITS: u64 = 1 << 16;

    fn collect() -> Self {
        let mut keywords = Self(vec![0; (Self::BITS / 64) as usize].into());
        for keyword in SQL_KEYWORDS.iter().filter(|keyword| keyword.token_type != b'F') {
            for word in keyword.word.as_bytes().split(|byte| role(*byte) != Role::Word) {
                if !word.is_empty() {
                    for (place, bit) in places(word.iter().rev().copied().fold(0, mix)) {
                        if let Some(bits) = keywords.0.get_mut(place) {
                            *bits |= bit;
                        }
                    }
                }
            }
        }
        keywords
    }

    /// True if a word may mean something, or what is left of it behind a number.
    fn may_hold(&self, word: &[u8]) -> bool {
        let is_known = |hash| {
            let mut places = places(hash).into_iter();
            places.all(|(place, bit)| self.0.get(place).is_some_and(|bits| bits & bit != 0))
        };
        if !word.first().is_some_and(u8::is_ascii_digit) {
            return is_known(word.iter().rev().copied().fold(0, mix));
        }
        let mut hash = 0;
        word.iter().rev().any(|byte| {
            hash = mix(hash, *byte);
            is_known(hash)
        })
    }
}

/// Words are read from their end, so that what ends a word is found on the way.
fn mix(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte.to_ascii_uppercase()))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(23)
}

fn places(hash: u64) -> [(usize, u64); 2] {
    [hash, hash >> 32].map(|hash| {
        let bit = hash % Keywords::BITS;
        (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn no_fingerprint_is_made_of_what_is_plain() {
        let prints = SQL_KEYWORDS.iter().filter(|keyword| keyword.token_type == b'F');
        let prints: Vec<&str> = prints.map(|print| &print.word[1..]).collect();
        assert!(prints.len() > 1_000);
        for print in prints {
            for plain in ["N1.,:;?O", "N1.,V"] {
                assert!(!print.chars().all(|kind| plain.contains(kind)), "{print}");
            }
        }
    }

    #[test]
    fn ordinary_values_are_plain() {
        for value in [
            "0b2f6a8c-4d1e-4f39-9c57-1e8d3a6b7c90",
            "2026-11-29T08:15:00Z",
            "alice.12@example.com",
            "12 Long Lane, York",
            "3.95",
            "%%%%",
        ] {
            assert!(is_plain(value.as_bytes()), "{value}");
        }
        for value in ["1union", "a -- b", "1 or 1=1", "O'Hara", "f(x)", "a@b=c", "x{y", "1.5select"]
        {
            assert!(!is_plain(value.as_bytes()), "{value}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 20_000, failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn what_is_plain_is_none(pieces in prop::collection::vec(piece(), 1..9)) {
            let value = pieces.concat();
            if is_plain(value.as_bytes()) {
                let mut state = SqliState::new(value.as_bytes(), SqliFlags::FLAG_NONE);
                prop_assert!(!state.detect(), "{value}");
            }
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        let words: Vec<&str> = SQL_KEYWORDS
            .iter()
            .filter(|keyword| keyword.token_type != b'F')
            .flat_map(|keyword| keyword.word.split([' ', '.', '_']))
            .collect();
        prop_oneof![
            1 => select(words).prop_map(str::to_owned),
            8 => "[] .,:;?@!%*+<=>^~/-]{1,2}",
            4 => "[a-zA-Z_]{1,3}",
            4 => "[0-9]{1,3}",
            2 => select(vec!["0x", "0b1", "1e5", "1e+", "1.", "1d", "0xf", ".5", "b", "x", "n", "@@"])
                .prop_map(str::to_owned),
        ]
    }
}
