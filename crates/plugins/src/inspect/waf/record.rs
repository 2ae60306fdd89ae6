//! What is written of an exchange in which a rule matched: the audit entry of ModSecurity 3 in JSON,
//! without bodies, credentials and values of the query.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use bartizan_audit::{REDACTED, Redactor};
use bartizan_chain::{CompileCx, Outcome, RequestCx, SharedRedactor};
use bartizan_core::Timestamp;
use bartizan_waf::{MatchedValue, RuleMatch, Transaction, is_raw_text, name_of_value};
use bartizan_wire::Version;
use serde_json::{Map, Value, json};

use super::config::Mode;
use crate::observe::batch::Batch;

/// How many hexadecimal digits name the server.
const SERVER_ID_DIGITS: usize = 40;
/// The name and version of what decides.
const ENGINE: &str = concat!("Bartizan v", env!("CARGO_PKG_VERSION"));

/// Writes entries to a file.
pub(super) struct Recorder {
    sink: Arc<Batch>,
    server_id: Arc<str>,
    redactor: SharedRedactor,
    mode: Mode,
}

impl Recorder {
    /// Writes to the file at `path`.
    pub(super) fn new(path: &str, mode: Mode, cx: &CompileCx<'_>) -> Self {
        Self {
            sink: crate::observe::file_logger::sink(path, cx),
            server_id: server_id(&cx.node.outside.hostname),
            redactor: cx.node.redactor.clone(),
            mode,
        }
    }

    /// Writes an exchange down, if a rule that belongs into the log matched or not all was judged.
    pub(super) fn record(&self, transaction: &Transaction, cx: &RequestCx, outcome: &Outcome<'_>) {
        let is_told = transaction.matches().iter().any(|found| found.is_audited);
        if is_told || transaction.is_partial() {
            let entry = self.entry(transaction, cx, outcome);
            // A value always becomes a text.
            self.sink.push(&serde_json::to_vec(&entry).unwrap_or_default());
        }
    }

    fn entry(&self, transaction: &Transaction, cx: &RequestCx, outcome: &Outcome<'_>) -> Value {
        let redactor = self.redactor.load();
        let audited = transaction.matches().iter().filter(|found| found.is_audited);
        let messages: Vec<Value> = audited.map(|found| message(found, &redactor)).collect();
        let canonical = cx.canonical();
        let target = canonical.path_and_query().as_bytes();
        let fields = cx.fields.iter().map(|field| (field.name, field.value));
        json!({
            "transaction": {
                "client_ip": cx.client().to_string(),
                "time_stamp": time_stamp(cx.received),
                "server_id": &*self.server_id,
                "client_port": cx.peer.address.port(),
                "host_ip": cx.peer.local.ip().to_canonical().to_string(),
                "host_port": cx.peer.local.port(),
                "unique_id": cx.id.to_string(),
                "is_interrupted": outcome.denial.is_some_and(|denial| denial.plugin == Some("waf")),
                "request": {
                    "method": canonical.method().as_str(),
                    "http_version": version(cx.version),
                    "hostname": canonical.host(),
                    "uri": Redactor::target(target).as_str(),
                    "headers": headers(fields, &redactor),
                },
                "response": {
                    "http_code": outcome.status,
                    "headers": headers(transaction.response_fields(), &redactor),
                },
                "producer": {
                    "modsecurity": ENGINE,
                    "connector": ENGINE,
                    "secrules_engine": match self.mode {
                        Mode::Block => "Enabled",
                        Mode::Detect => "DetectionOnly",
                    },
                    "components": transaction.rules().settings().components,
                },
                "partial": transaction.is_partial(),
                "messages": messages,
            }
        })
    }
}

/// A name of the server that tells nothing of it, the same with every start.
fn server_id(hostname: &str) -> Arc<str> {
    let digest = digest(&SHA256, hostname.as_bytes());
    let mut id = String::with_capacity(SERVER_ID_DIGITS);
    for byte in digest.as_ref().iter().take(SERVER_ID_DIGITS / 2) {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id.into()
}

/// A time as the C library writes it, UTC: `Thu Jan  1 00:00:00 2026`.
fn time_stamp(at: Timestamp) -> String {
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at.as_secs()));
    let mut parts = date.split([' ', ',']).filter(|part| !part.is_empty());
    let mut part = || parts.next().unwrap_or_default();
    let (weekday, day, month, year, time) = (part(), part(), part(), part(), part());
    let day = day.strip_prefix('0').unwrap_or(day);
    format!("{weekday} {month} {day:>2} {time} {year}")
}

fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2.0",
    }
}

/// Fields by name; the values of one that comes more than once are in one text, with commas.
fn headers<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    redactor: &Redactor,
) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, value) in fields {
        let name = text(name);
        let value = redactor.shown(&name, value).into_owned();
        match headers.get_mut(&name) {
            Some(Value::String(known)) => {
                known.push_str(", ");
                known.push_str(&value);
            }
            _ => {
                headers.insert(name, value.into());
            }
        }
    }
    headers
}

fn message(found: &RuleMatch, redactor: &Redactor) -> Value {
    // A chain has matched with its last rule.
    let value = found.values.last();
    // What a rule says of a value may hold the value.
    let is_hidden = found.is_cut() || found.names().any(|name| is_secret(&text(name), redactor));
    let (msg, data) = if is_hidden {
        (text(&found.title), String::new())
    } else {
        (text(&found.msg), text(&found.data))
    };
    let number = |number: Option<u8>| number.map(|number| number.to_string()).unwrap_or_default();
    json!({
        "message": msg,
        "details": {
            "match": value.map(|value| matched(value, is_hidden)).unwrap_or_default(),
            "reference": value.map(reference).unwrap_or_default(),
            "ruleId": found.id.to_string(),
            "file": &*found.file,
            "lineNumber": found.line.to_string(),
            "data": data,
            "severity": number(found.severity),
            "ver": found.ver.as_deref().unwrap_or_default(),
            "rev": found.rev.as_deref().unwrap_or_default(),
            "tags": found.tags.iter().map(|tag| text(tag)).collect::<Vec<_>>(),
            "maturity": found.maturity.to_string(),
            "accuracy": found.accuracy.to_string(),
            "disruptive": found.disrupts,
        }
    })
}

/// What matched, in the words in which readers of such logs look for it.
fn matched(value: &MatchedValue, is_hidden: bool) -> String {
    let mut operator = value.operator.to_owned();
    if let Some(first) = operator.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let shown = if is_hidden { REDACTED.to_owned() } else { text(&value.value) };
    let (argument, name) = (&value.argument, text(&value.name));
    format!(
        "Matched \"Operator `{operator}' with parameter `{argument}' against variable `{name}' \
         (Value: `{shown}' )"
    )
}

/// The transformations that were gone through; places in the request are not told.
fn reference(value: &MatchedValue) -> String {
    let steps: Vec<String> = value.transformations.iter().map(|by| format!("t:{by}")).collect();
    steps.join(",")
}

/// Whether logs do not show the value of a member such as `REQUEST_HEADERS:Authorization`, or a text
/// that may hold such values, as `REQUEST_URI` and `MATCHED_VAR` do. The message of a chain may be
/// about any of its values.
pub fn is_secret(name: &str, redactor: &Redactor) -> bool {
    if is_raw_text(name.as_bytes()) {
        return true;
    }
    let name = name_of_value(name.as_bytes());
    let name = std::str::from_utf8(name).unwrap_or_default();
    let (variable, member) = name.split_once(':').unwrap_or((name, ""));
    variable.starts_with("REQUEST_COOKIES") || redactor.is_secret(member)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use bartizan_waf::{Memory, Peer, RequestHead, RuleSet, Verdict};

    use super::*;

    #[test]
    fn times_are_written_as_the_c_library_does() {
        assert_eq!(time_stamp(Timestamp::from_secs(0)), "Thu Jan  1 00:00:00 1970");
        assert_eq!(time_stamp(Timestamp::from_secs(1_795_951_542)), "Sun Nov 29 11:25:42 2026");
    }

    #[test]
    fn a_field_that_comes_twice_is_one_text() {
        let fields = [("a", "1"), ("cookie", "x"), ("a", "2")];
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let headers = headers(fields, &Redactor::default());
        assert_eq!(Value::Object(headers), json!({ "a": "1, 2", "cookie": "***" }));
    }

    #[test]
    fn values_of_secret_names_and_texts_that_may_hold_them_are_secret() {
        for (name, wanted) in [
            ("ARGS:q", false),
            ("REQUEST_FILENAME", false),
            ("REQUEST_HEADERS:accept", false),
            ("MATCHED_VARS:ARGS:q", false),
            ("MATCHED_VAR_NAME", false),
            ("TX:anomaly_score", false),
            ("TX:10", false),
            ("TX", false),
            ("MATCHED_VAR", true),
            ("MATCHED_VARS:MATCHED_VAR", true),
            ("TX:0", true),
            ("TX:9", true),
            ("MATCHED_VARS:TX:1", true),
            ("SESSIONID", true),
            ("USERID", true),
            ("SESSION:requests", false),
            ("ARGS:access_token", true),
            ("MATCHED_VARS:ARGS:access_token", true),
            ("MATCHED_VARS:MATCHED_VARS:REQUEST_COOKIES:a", true),
            ("QUERY_STRING", true),
            ("REQUEST_BODY", true),
            ("REQUEST_LINE", true),
            ("REQUEST_URI", true),
            ("REQUEST_URI_RAW", true),
            ("MATCHED_VARS:REQUEST_URI_RAW", true),
            ("RESPONSE_BODY", true),
            ("XML:/*", true),
        ] {
            assert_eq!(is_secret(name, &Redactor::default()), wanted, "{name}");
        }
    }

    #[test]
    fn what_more_values_may_have_matched_than_are_kept_of_is_not_written() {
        for (count, wanted) in [(7, "last=1"), (8, ""), (9, "")] {
            let rule = "SecRule ARGS \"@rx .\" \"id:1,phase:1,pass,logdata:'last=%{MATCHED_VAR}'\"";
            let text = format!("SecRuleEngine On\n{rule}\n");
            let rules = RuleSet::parse("a.conf", &text, &Memory::default()).unwrap();
            let mut transaction = Transaction::new(Arc::new(rules), None);
            let target = format!("/?{}", vec!["a=1"; count].join("&"));
            let end = (std::net::Ipv4Addr::LOCALHOST, 1).into();
            let verdict = transaction.request_head(&RequestHead {
                peer: Peer { client: end, server: end },
                method: b"GET",
                target: target.as_bytes(),
                protocol: b"HTTP/1.1",
                fields: &[],
                id: b"1",
                now: 0,
            });
            assert_eq!(verdict, Verdict::Pass);
            let told = message(transaction.matches().first().unwrap(), &Redactor::default());
            let data = told.pointer("/details/data").unwrap();
            assert_eq!(data, wanted, "{count}");
        }
    }

    #[test]
    fn a_server_has_forty_digits() {
        let id = server_id("gateway-1");
        assert!(id.len() == 40 && id != server_id("gateway-2"), "{id}");
    }
}
