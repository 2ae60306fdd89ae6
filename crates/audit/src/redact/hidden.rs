//! Values that were hidden, so that they can be found where they occur again.

use memchr::memmem;

use super::{REDACTED, split_once};
use crate::json::piece as write_json_piece;

/// The shortest hidden value that is also looked for in free text.
const SCRUB_MIN: usize = 8;

/// The most hidden values of one request that are looked for in free text; those of fields first,
/// so that no length of a query leaves a credential out.
const SCRUB_MAX: usize = 64;

/// Values that must not occur in any text about one request, longest first.
#[derive(Debug, Default)]
pub struct Hidden(Vec<String>);

impl Hidden {
    /// The values of a query and of fields that are secret.
    pub fn of<'a>(
        target: &[u8],
        secret_fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Self {
        let mut hidden = Self::default();
        for (name, value) in secret_fields {
            hidden.add_field(name, value);
        }
        hidden.add_query(target);
        hidden.0.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
        hidden
    }

    fn add_query(&mut self, target: &[u8]) {
        let (_, Some(query)) = split_once(target, b'?') else { return };
        for parameter in query.split(|&byte| byte == b'&') {
            let (name, value) = split_once(parameter, b'=');
            let value = value.unwrap_or(name);
            // What is too short does not grow by being decoded.
            if value.len() >= SCRUB_MIN {
                self.add(value);
                self.add(&percent_decoded(value));
            }
        }
    }

    fn add_field(&mut self, name: &[u8], value: &[u8]) {
        self.add(value);
        if name.windows(6).any(|part| part.eq_ignore_ascii_case(b"cookie")) {
            for cookie in value.split(|&byte| byte == b';') {
                let cookie = cookie.trim_ascii();
                let (_, value) = split_once(cookie, b'=');
                self.add(value.unwrap_or(cookie));
            }
        } else {
            // The first word of several is a scheme such as `Bearer`.
            let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.skip(1).for_each(|word| self.add(word));
        }
    }

    fn add(&mut self, value: &[u8]) {
        if value.len() < SCRUB_MIN || self.0.len() >= SCRUB_MAX {
            return;
        }
        let value = String::from_utf8_lossy(value).into_owned();
        if !self.0.contains(&value) {
            self.0.push(value);
        }
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if some text that was written as JSON, with others and whole, would have been changed.
    /// It can be true where no text would have been; it is never false where one would.
    pub fn occurs_in_json(&self, json: &[u8]) -> bool {
        let mut escaped = Vec::new();
        self.0.iter().any(|value| {
            escaped.clear();
            write_json_piece(&mut escaped, value.as_bytes());
            memmem::find(json, &escaped).is_some()
        })
    }

    /// True if the text would be changed.
    pub fn occurs_in(&self, text: &str) -> bool {
        self.0.iter().any(|value| value.len() <= text.len() && text.contains(value.as_str()))
    }

    /// Takes the values out of the text.
    pub fn scrub(&self, text: &mut String) {
        for value in &self.0 {
            if text.contains(value.as_str()) {
                *text = text.replace(value.as_str(), REDACTED);
            }
        }
    }
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let coded = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (byte, coded) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json;
    use crate::redact::Redactor;

    #[test]
    fn hidden_values_are_found_in_parts_and_decoded() {
        let fields: [(&str, &[u8]); 2] =
            [("authorization", b"Bearer abcdefgh"), ("cookie", b"a=1; sid=qrstuvwx")];
        let hidden = Redactor::default().hidden(b"/?k=%41BCDEFGH", fields);
        let mut text = "Bearer: `abcdefgh`, `qrstuvwx`, `ABCDEFGH`".to_owned();
        assert!(hidden.occurs_in(&text));
        hidden.scrub(&mut text);
        assert_eq!(text, "Bearer: `***`, `***`, `***`");
    }

    /// So many different values, each as long as must be.
    fn query_of(count: usize) -> String {
        let values: Vec<String> = (0..count).map(|number| format!("k=value{number:03}")).collect();
        format!("/?{}", values.join("&"))
    }

    #[test]
    fn a_credential_is_looked_for_however_long_the_query_is() {
        let fields: [(&[u8], &[u8]); 1] = [(b"authorization", b"Bearer abcdefgh")];
        for count in [62, 63, 64, 65] {
            let hidden = Hidden::of(query_of(count).as_bytes(), fields);
            assert!(hidden.occurs_in("abcdefgh"), "{count}");
            // The field has two of the places: its value, and the token in it.
            for number in 0..count {
                let is_found = hidden.occurs_in(&format!("value{number:03}"));
                assert_eq!(is_found, number < SCRUB_MAX - 2, "{number} of {count}");
            }
        }
    }

    #[test]
    fn no_more_values_are_looked_for_than_is_said() {
        for (count, is_found) in [(63, true), (64, true), (65, false)] {
            let hidden = Hidden::of(query_of(count).as_bytes(), []);
            assert_eq!(hidden.occurs_in(&format!("value{:03}", count - 1)), is_found, "{count}");
        }
    }

    #[test]
    fn what_is_short_is_not_looked_for() {
        for (value, is_found) in [("abcdefg", false), ("abcdefgh", true), ("abcdefghi", true)] {
            let query = format!("/?k={value}");
            assert_eq!(Hidden::of(query.as_bytes(), []).occurs_in(value), is_found, "{value}");
            let fields = [(&b"apikey"[..], value.as_bytes())];
            assert_eq!(Hidden::of(b"/", fields).occurs_in(value), is_found, "{value}");
        }
    }

    #[test]
    fn a_cookie_without_a_name_is_found_without_the_blank_before_it() {
        let hidden = Hidden::of(b"/", [(&b"cookie"[..], &b"a=1; opaque-value; short-7"[..])]);
        assert!(hidden.occurs_in("`opaque-value`"));
        assert!(!hidden.occurs_in("it is short-7"), "the blank adds nothing to the length");
    }

    #[test]
    fn a_broken_percent_code_stays_as_it_is() {
        assert_eq!(percent_decoded(b"a%2"), b"a%2");
        assert_eq!(percent_decoded(b"%zz%41"), b"%zzA");
        assert_eq!(percent_decoded(b"a+b"), b"a b");
    }

    proptest! {
        #[test]
        fn what_occurs_in_a_text_occurs_in_its_json(
            value in any::<Vec<u8>>(),
            before in any::<String>(),
            after in any::<String>(),
        ) {
            let hidden = Hidden::of(b"/", [(&b"apikey"[..], &*value)]);
            let text = before + &String::from_utf8_lossy(&value) + &after;
            let mut out = Vec::new();
            json::text(&mut out, text.as_bytes(), usize::MAX);
            prop_assert_eq!(hidden.is_empty(), value.len() < SCRUB_MIN);
            prop_assert!(hidden.occurs_in_json(&out) || !hidden.occurs_in(&text));
            prop_assert!(hidden.is_empty() || hidden.occurs_in(&text));
        }
    }

    #[test]
    fn what_occurs_nowhere_is_not_found() {
        let hidden = Hidden::of(b"/?k=abcdefgh", []);
        assert!(!hidden.occurs_in_json(b"{\"a\":\"abcdefg\"}"));
        assert!(hidden.occurs_in_json(b"{\"a\":\"abcdefgh\"}"));
        assert!(!Hidden::default().occurs_in_json(b"{}"));
    }
}
