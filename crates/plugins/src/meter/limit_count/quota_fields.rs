//! What a client is told of its quota.
//!
//! Source: draft-ietf-httpapi-ratelimit-headers (structured fields `RateLimit` and
//! `RateLimit-Policy`); in compatibility mode the three `X-RateLimit-*` fields.

use bartizan_config::Invalid;
use bartizan_wire::{Fields, is_field_name};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::refusal::whole_seconds;
use super::window::{Quota, Verdict};
use crate::monotonic::SECOND;

/// What stands behind a name in `RateLimit`, usually at most.
const LIMIT_USUAL: usize = 28;

/// The settings of `limit-count` for the whole node. They name the fields of compatibility mode.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "they are named in configuration")]
pub struct Metadata {
    /// The field that holds the limit.
    #[serde(default = "limit_header")]
    limit_header: String,
    /// The field that holds what is left.
    #[serde(default = "remaining_header")]
    remaining_header: String,
    /// The field that holds the seconds until the window ends.
    #[serde(default = "reset_header")]
    reset_header: String,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            limit_header: limit_header(),
            remaining_header: remaining_header(),
            reset_header: reset_header(),
        }
    }
}

fn limit_header() -> String {
    "X-RateLimit-Limit".into()
}

fn remaining_header() -> String {
    "X-RateLimit-Remaining".into()
}

fn reset_header() -> String {
    "X-RateLimit-Reset".into()
}

/// The fields of one rule, all that can be known of them before there is a request.
#[derive(Debug)]
pub(super) enum QuotaFields {
    /// `RateLimit` and `RateLimit-Policy`: the policy's name as a quoted string, and its line if it
    /// is the same for every request.
    Structured { name: Box<str>, policy: Option<Box<str>> },
    /// The names of the three fields, and the limit if it is the same for every request.
    Apisix { limit: Bytes, remaining: Bytes, reset: Bytes, count: Option<Bytes> },
}

impl QuotaFields {
    /// The structured fields of a policy of this name.
    pub(super) fn structured(name: &str, quota: Option<&Quota>) -> Self {
        let name = format!("\"{name}\"");
        let policy = quota.map(|quota| policy(&name, quota).into());
        Self::Structured { name: name.into(), policy }
    }

    /// The fields of compatibility mode; those of a rule among several are named by its prefix.
    pub(super) fn apisix(
        names: &Metadata,
        prefix: Option<&str>,
        quota: Option<&Quota>,
    ) -> Result<Self, Invalid> {
        let name = |own: &str, last: &str| {
            let name = prefix.map_or_else(
                || own.to_ascii_lowercase(),
                |prefix| format!("x-{prefix}-ratelimit-{last}").to_ascii_lowercase(),
            );
            if is_field_name(name.as_bytes()) {
                Ok(Bytes::from(name))
            } else {
                Err(Invalid::new(format!("`{name}` is not the name of a header")))
            }
        };
        Ok(Self::Apisix {
            limit: name(&names.limit_header, "limit")?,
            remaining: name(&names.remaining_header, "remaining")?,
            reset: name(&names.reset_header, "reset")?,
            count: quota.map(|quota| Bytes::from(quota.count.to_string())),
        })
    }
}

fn policy(name: &str, quota: &Quota) -> String {
    format!("{name};q={};w={}", quota.count, quota.window / SECOND)
}

/// What one rule says of a request.
pub(super) type Said<'a> = (&'a QuotaFields, &'a Quota, &'a Verdict);

/// Adds what several rules say to an answer. The structured fields are lists, to which another
/// instance of the plugin may add; the others are replaced, as Apache APISIX does.
pub(super) fn write<'a>(said: impl Iterator<Item = Said<'a>>, fields: &mut Fields) {
    let (mut policies, mut limits) = (Vec::new(), Vec::new());
    for (shape, quota, verdict) in said {
        match shape {
            QuotaFields::Structured { name, policy: known } => {
                // Room for the usual, so that neither grows byte by byte.
                policies.reserve(known.as_ref().map_or(0, |known| known.len()));
                limits.reserve(name.len() + LIMIT_USUAL);
                match known {
                    Some(known) => extend(&mut policies, known.as_bytes()),
                    None => extend(&mut policies, policy(name, quota).as_bytes()),
                }
                extend(&mut limits, name.as_bytes());
                limits.extend_from_slice(b";r=");
                push_number(&mut limits, verdict.remaining.into());
                limits.extend_from_slice(b";t=");
                push_number(&mut limits, whole_seconds(verdict.wait));
            }
            QuotaFields::Apisix { limit, remaining, reset, count } => {
                let count = count.clone().unwrap_or_else(|| number(quota.count.into()));
                fields.set(limit.clone(), count);
                fields.set(remaining.clone(), number(verdict.remaining.into()));
                fields.set(reset.clone(), hundredths(verdict.wait));
            }
        }
    }
    if !limits.is_empty() {
        fields.append(Bytes::from_static(b"ratelimit-policy"), policies);
        fields.append(Bytes::from_static(b"ratelimit"), limits);
    }
}

fn number(number: u64) -> Bytes {
    let mut out = Vec::new();
    push_number(&mut out, number);
    Bytes::from(out)
}

fn extend(list: &mut Vec<u8>, item: &[u8]) {
    if !list.is_empty() {
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(item);
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Seconds with two decimals, rounded up.
fn hundredths(nanos: u64) -> Vec<u8> {
    let all = nanos.div_ceil(SECOND / 100);
    let mut out = Vec::with_capacity(8);
    push_number(&mut out, all / 100);
    out.push(b'.');
    if all % 100 < 10 {
        out.push(b'0');
    }
    push_number(&mut out, all % 100);
    out
}

#[cfg(test)]
mod tests {
    use super::super::window::Algorithm;
    use super::*;

    fn quota(count: u32, seconds: u64) -> Quota {
        Quota { count, window: seconds * SECOND, algorithm: Algorithm::Sliding }
    }

    fn verdict(remaining: u32, wait: u64) -> Verdict {
        Verdict { is_admitted: true, remaining, wait, receipt: 0 }
    }

    #[test]
    fn structured_fields_are_lists_and_round_up() {
        let shapes =
            ["default", "burst"].map(|name| QuotaFields::structured(name, Some(&quota(100, 60))));
        let verdicts = [verdict(50, 29 * SECOND + 1), verdict(0, SECOND)];
        let mut fields = Fields::new();
        let quota = quota(100, 60);
        let said = shapes.iter().zip(&verdicts).map(|(shape, verdict)| (shape, &quota, verdict));
        write(said, &mut fields);
        assert_eq!(
            fields.get_str("ratelimit-policy"),
            Some(r#""default";q=100;w=60, "burst";q=100;w=60"#)
        );
        assert_eq!(fields.get_str("ratelimit"), Some(r#""default";r=50;t=30, "burst";r=0;t=1"#));
    }

    #[test]
    fn apisix_fields_have_two_decimals_and_replace_what_is_there() {
        let quota = quota(2, 60);
        let shape = QuotaFields::apisix(&Metadata::default(), None, Some(&quota)).unwrap();
        let mut fields = Fields::new();
        fields.append("x-ratelimit-limit", "upstream");
        let verdict = verdict(1, 59 * SECOND + 45_000_000);
        write([(&shape, &quota, &verdict)].into_iter(), &mut fields);
        assert_eq!(fields.all("x-ratelimit-limit").collect::<Vec<_>>(), [b"2"]);
        assert_eq!(fields.get_str("x-ratelimit-remaining"), Some("1"));
        assert_eq!(fields.get_str("x-ratelimit-reset"), Some("59.05"));
    }

    #[test]
    fn what_each_request_has_for_itself_is_written_from_it() {
        let verdict = verdict(1, SECOND);
        let quota = quota(7, 5);
        let mut fields = Fields::new();
        let shape = QuotaFields::structured("default", None);
        write([(&shape, &quota, &verdict)].into_iter(), &mut fields);
        assert_eq!(fields.get_str("ratelimit-policy"), Some(r#""default";q=7;w=5"#));
        let shape = QuotaFields::apisix(&Metadata::default(), None, None).unwrap();
        write([(&shape, &quota, &verdict)].into_iter(), &mut fields);
        assert_eq!(fields.get_str("x-ratelimit-limit"), Some("7"));
    }

    #[test]
    fn prefixes_and_own_names_must_make_names_of_fields() {
        let quota = quota(2, 60);
        let prefixed =
            QuotaFields::apisix(&Metadata::default(), Some("Day"), Some(&quota)).unwrap();
        let QuotaFields::Apisix { reset, .. } = prefixed else { panic!("another shape") };
        assert_eq!(&reset[..], b"x-day-ratelimit-reset");
        let names = Metadata { limit_header: "x limit".into(), ..Metadata::default() };
        assert!(QuotaFields::apisix(&names, None, Some(&quota)).is_err());
    }
}
