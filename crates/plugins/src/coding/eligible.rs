//! Which answers are compressed: what `gzip` and `brotli` have in common.

use bartizan_chain::{AnswerHead, RequestCx};
use bartizan_config::Invalid;
use bartizan_wire::Version;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use super::accept;

/// Media types.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum Types {
    /// These.
    Listed(#[schemars(length(min = 1, max = 256), inner(length(min = 1)))] Vec<String>),
    /// Every type, also none.
    Every(Star),
}

/// All there are.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum Star {
    /// All there are.
    #[serde(rename = "*")]
    All,
}

impl Default for Types {
    fn default() -> Self {
        Self::Listed(vec!["text/html".to_owned()])
    }
}

/// What of a configuration decides which answers are compressed.
pub(crate) struct Chosen {
    pub(crate) types: Types,
    pub(crate) min_length: u64,
    pub(crate) http_version: f64,
    pub(crate) vary: bool,
}

/// Which answers are compressed, compiled.
pub(crate) struct Eligible {
    /// `None` is every type.
    types: Option<Box<[String]>>,
    min_length: u64,
    min_version: Version,
    vary: bool,
}

impl Eligible {
    pub(crate) fn compile(chosen: Chosen) -> Result<Self, Invalid> {
        let types = match chosen.types {
            Types::Every(Star::All) => None,
            Types::Listed(types) => {
                let malformed = |text: &&String| {
                    let part = |part: &str| {
                        !part.is_empty()
                            && part.bytes().all(|b| b != b'*' && bartizan_wire::is_token_byte(b))
                    };
                    !text.split_once('/').is_some_and(|(kind, sub)| part(kind) && part(sub))
                };
                if let Some((index, text)) =
                    types.iter().enumerate().find(|(_, text)| malformed(text))
                {
                    let problem = format!("`{text}` is not a media type");
                    return Err(Invalid::at_item("types", index, problem)
                        .with_help("write one such as `text/html`, or `types: \"*\"` for all"));
                }
                Some(types.iter().map(|text| text.to_ascii_lowercase()).collect())
            }
        };
        let min_version = if chosen.http_version < 1.1 { Version::Http10 } else { Version::Http11 };
        Ok(Self { types, min_length: chosen.min_length, min_version, vary: chosen.vary })
    }

    /// Whether `coding` is what this answer should be sent in. Answers that would be compressed for
    /// another client say so in Vary, or a cache would give them to the wrong one.
    pub(crate) fn wants(&self, cx: &RequestCx, answer: &mut AnswerHead, coding: &str) -> bool {
        if !self.admits(cx, answer) {
            return false;
        }
        if self.vary {
            add_vary(answer);
        }
        accept::prefers(cx, coding, answer.chosen_coding())
    }

    fn admits(&self, cx: &RequestCx, answer: &AnswerHead) -> bool {
        let fields = &answer.fields;
        let is_plain = answer.chosen_coding().is_some()
            || fields.all("content-encoding").all(|v| v.eq_ignore_ascii_case(b"identity"));
        cx.version >= self.min_version
            && answer.may_have_body()
            && answer.status.as_u16() != 206
            && is_plain
            && answer.length.is_none_or(|length| length >= self.min_length)
            && !fields.contains("content-range")
            && self.is_of_type(answer)
            && !forbids_transforms(answer)
    }

    fn is_of_type(&self, answer: &AnswerHead) -> bool {
        let Some(types) = &self.types else { return true };
        let media = answer.fields.get("content-type").unwrap_or_default();
        let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        types.iter().any(|own| media.eq_ignore_ascii_case(own.as_bytes()))
    }
}

fn lists(value: &[u8], name: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(name))
}

/// RFC 9110 §7.7.
fn forbids_transforms(answer: &AnswerHead) -> bool {
    answer.fields.all("cache-control").any(|value| lists(value, b"no-transform"))
}

fn add_vary(answer: &mut AnswerHead) {
    let says = |value: &[u8]| lists(value, b"accept-encoding") || lists(value, b"*");
    if !answer.fields.all("vary").any(says) {
        answer.fields.append(Bytes::from_static(b"vary"), Bytes::from_static(b"Accept-Encoding"));
    }
}

#[cfg(test)]
mod tests {
    use bartizan_wire::Fields;
    use http::StatusCode;

    use super::*;

    proptest::proptest! {
        #[test]
        fn types_agree_with_a_naive_comparison(
            types in proptest::collection::vec("(text|TEXT|application)/(html|json|x\\+json)", 1..4),
            said in proptest::option::of(
                "(text|Text|application|tex)/(html|json|htmlx|x\\+json|\\*)( ?;.{0,3}|,text/html| |)"),
            is_every: bool,
        ) {
            let listed = Types::Listed(types.clone());
            let types_of = if is_every { Types::Every(Star::All) } else { listed };
            let chosen = Chosen { types: types_of, min_length: 1, http_version: 1.1, vary: false };
            let eligible = Eligible::compile(chosen).unwrap();
            let mut fields = Fields::new();
            if let Some(said) = &said {
                fields.append("content-type", said.clone());
            }
            let answer = AnswerHead::new(StatusCode::OK, fields, false);
            let media = said.as_deref().and_then(|said| said.split(';').next());
            let media = media.map(|media| media.trim().to_lowercase());
            let is_listed = |media: &String| types.iter().any(|own| own.to_lowercase() == *media);
            let naive = is_every || media.as_ref().is_some_and(is_listed);
            proptest::prop_assert_eq!(eligible.is_of_type(&answer), naive, "{:?}", said);
        }

        #[test]
        fn directives_are_found_however_they_are_written(
            items in proptest::collection::vec("( ?(no-transform|No-Transform|no-transform2|no-cache|xno-transform|no-transform=1) ?)", 0..4),
        ) {
            let line = items.join(",");
            let naive = items.iter().any(|item| item.trim().to_lowercase() == "no-transform");
            proptest::prop_assert_eq!(lists(line.as_bytes(), b"no-transform"), naive);
        }
    }
}
