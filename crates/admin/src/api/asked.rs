//! What is asked: a request as far as the API reads it.

use bartizan_config::{Format, SourceId};
use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, IF_MATCH, IF_NONE_MATCH};
use http::{Method, Uri};
use serde_json::Value;

use super::answer::Answer;
use crate::operators::Operator;

/// Longest body, in bytes: 1.5 MiB.
pub(crate) const BODY_MAX: usize = 1_536 * 1_024;

/// Most parameters of a query.
const PARAMETERS_MAX: usize = 64;

/// A request of a known operator.
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// The path, in segments, without those that are empty at the end.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Query,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) operator: Operator,
}

/// The parameters of a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `a=b&c=d`, in percent-encoding.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parameters = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((decoded(name, true)?, decoded(value, true)?));
        }
        (parameters.len() <= PARAMETERS_MAX).then_some(Self(parameters))
    }

    /// A parameter; the first where it is given several times.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is `true` or `false`; false where it is not given.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Answer> {
        match self.find(name) {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(_) => Err(Answer::bad(format!("`{name}` must be `true` or `false`"))),
        }
    }
}

/// Where keys must not be.
pub(crate) fn shows_key_elsewhere(uri: &Uri, fields: &HeaderMap) -> bool {
    let names = ["api_key", "x_api_key", "x-api-key"];
    let is_key = |name: &str| names.contains(&name.trim().to_ascii_lowercase().as_str());
    let pairs = uri.query().unwrap_or_default().split('&');
    let in_query = pairs
        .filter_map(|pair| decoded(pair.split('=').next().unwrap_or_default(), true))
        .any(|name| is_key(&name));
    let cookies = fields.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let in_cookie = cookies
        .flat_map(|value| value.split(';'))
        .any(|pair| is_key(pair.split('=').next().unwrap_or_default()));
    in_query || in_cookie
}

/// The segments of a path; `None` where one cannot be read.
pub(crate) fn segments(path: &str) -> Option<Vec<String>> {
    let trimmed = path.strip_prefix('/')?;
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    trimmed
        .split('/')
        .map(|segment| {
            let text = decoded(segment, false)?;
            let is_plain = !text.contains('/') && !text.chars().any(char::is_control);
            (is_plain && !matches!(text.as_str(), "" | "." | "..")).then_some(text)
        })
        .collect()
}

/// Reads percent-encoding (RFC 3986 §2.1), and `+` for a space where it is one.
fn decoded(text: &str, is_form: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' if is_form => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Reads JSON strictly: one value, no member twice, bounded depth.
pub(crate) fn json(body: &[u8]) -> Result<Value, Answer> {
    value(body, Format::Json)
}

/// Reads JSON or YAML strictly.
pub(crate) fn value(body: &[u8], format: Format) -> Result<Value, Answer> {
    let refused = |problem: &str| Answer::bad(format!("invalid request body: {problem}"));
    if body.is_empty() {
        return Err(refused("the body is empty"));
    }
    let text = std::str::from_utf8(body).map_err(|_| refused("it is not UTF-8"))?;
    match bartizan_config::read(SourceId(0), text, format) {
        Ok(node) => Ok(node.to_json()),
        Err(problems) => Err(problems
            .first()
            .map_or_else(|| refused("it cannot be read"), |problem| refused(&problem.problem))),
    }
}

/// What the caller expects of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Anything,
    Absent,
    /// Any revision, but the object is there.
    Present,
    Revision(u64),
}

impl Asked {
    pub(crate) fn is_json_object(&self) -> Result<Value, Answer> {
        let value = json(&self.body)?;
        if value.is_object() {
            return Ok(value);
        }
        Err(Answer::bad("invalid request body: expected a JSON object"))
    }

    /// What `If-Match` and `If-None-Match` say (RFC 9110 §13.1).
    pub(crate) fn expected(&self) -> Result<Expected, Answer> {
        let field = |name| self.fields.get(name).map(|value| value.to_str().unwrap_or_default());
        match (field(IF_MATCH), field(IF_NONE_MATCH)) {
            (None, None) => Ok(Expected::Anything),
            (None, Some("*")) => Ok(Expected::Absent),
            (Some("*"), None) => Ok(Expected::Present),
            (Some(tag), None) => revision(tag)
                .map(Expected::Revision)
                .ok_or_else(|| Answer::bad("`If-Match` must be one entity tag, or `*`")),
            (None, Some(_)) if self.method == Method::GET => Ok(Expected::Anything),
            _ => Err(Answer::bad("`If-None-Match` of a write must be `*`, and stand alone")),
        }
    }

    /// Whether the caller knows this revision already.
    pub(crate) fn knows(&self, revision_now: u64) -> bool {
        let tags = self.fields.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        tags.is_some_and(|tags| tags.split(',').any(|tag| revision(tag) == Some(revision_now)))
    }
}

fn revision(tag: &str) -> Option<u64> {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_by_segment_and_strange_ones_not_at_all() {
        let read = |path: &str| segments(path).map(|segments| segments.join("|"));
        assert_eq!(read("/apisix/admin/routes/").as_deref(), Some("apisix|admin|routes"));
        assert_eq!(read("/a/b%20c").as_deref(), Some("a|b c"));
        for strange in ["a", "/a//b", "/a/%2e%2e/b", "/a/..", "/a/b%2Fc", "/a/%0a", "/a/%zz", "/"] {
            assert_eq!(read(strange), None, "{strange}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let query = Query::read("filter=service_id%3D1%26upstream_id%3D2&name=a+b").unwrap();
        assert_eq!(query.find("filter"), Some("service_id=1&upstream_id=2"));
        assert_eq!(query.find("name"), Some("a b"));
        for (count, is_read) in [(PARAMETERS_MAX, true), (PARAMETERS_MAX + 1, false)] {
            assert_eq!(Query::read(&"a=1&".repeat(count)).is_some(), is_read, "{count}");
        }
        assert!(query.flag("name").is_err() && !query.flag("force").unwrap());
    }

    #[test]
    fn keys_in_queries_and_cookies_are_seen() {
        let mut fields = HeaderMap::new();
        for (uri, is_seen) in
            [("/a?api_key=x", true), ("/a?b=1&API%5Fkey", true), ("/a?key=x", false)]
        {
            assert_eq!(shows_key_elsewhere(&uri.parse().unwrap(), &fields), is_seen, "{uri}");
        }
        fields.insert(COOKIE, "a=b; x_api_key=c".parse().unwrap());
        assert!(shows_key_elsewhere(&"/a".parse().unwrap(), &fields));
    }

    #[test]
    fn bodies_are_read_strictly() {
        assert!(json(br#"{"a":1}"#).is_ok());
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for bad in [&b""[..], b"{", br#"{"a":1,"a":2}"#, b"{} {}", b"\xff", deep.as_bytes()] {
            let answer = json(bad).unwrap_err();
            assert_eq!(answer.status.as_u16(), 400);
        }
    }
}
