//! A request of a test, as bytes on the wire.

use serde_json::Value;
use std::fmt::Write as _;

use super::cases::text;

const FORM: &str = "application/x-www-form-urlencoded";

/// Writes the request that a test describes. Unless the test says otherwise, what any client would
/// add is added: a length for the body, `Connection: close`, escapes in a form that has none.
pub(super) fn compose(input: &Value, version: &str) -> Vec<u8> {
    let method = text(&input["method"]).unwrap_or_else(|| "GET".to_owned());
    let target = text(&input["uri"]).unwrap_or_else(|| "/".to_owned());
    let completes = input["autocomplete_headers"].as_bool().unwrap_or(true)
        && !input["stop_magic"].as_bool().unwrap_or(false);
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in input["headers"].as_object().into_iter().flatten() {
        fields.push((name.clone(), text(value).unwrap_or_default()));
    }
    let data = match &input["data"] {
        // Version 3 of the rule set also gives lists of lines.
        Value::Array(lines) => {
            let lines: Vec<String> = lines.iter().filter_map(text).collect();
            Some(lines.join("\r\n"))
        }
        other => text(other),
    };
    let field = |fields: &[(String, String)], wanted: &str| {
        let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.clone())
    };
    let mut data = data.unwrap_or_default();
    if completes {
        if !data.is_empty() && field(&fields, "content-type").is_none() {
            fields.push(("Content-Type".to_owned(), FORM.to_owned()));
        }
        if field(&fields, "content-type").is_some_and(|kind| kind == FORM) {
            data = escaped(&data);
        }
        if field(&fields, "connection").is_none() {
            fields.push(("Connection".to_owned(), "close".to_owned()));
        }
        if !data.is_empty()
            && field(&fields, "content-length").is_none()
            && field(&fields, "transfer-encoding").is_none()
        {
            fields.push(("Content-Length".to_owned(), data.len().to_string()));
        }
    }
    let mut out = format!("{method} {target}");
    if !version.is_empty() {
        out.push(' ');
        out.push_str(version);
    }
    out.push_str("\r\n");
    for (name, value) in fields {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out.push_str("\r\n");
    out.push_str(&data);
    out.into_bytes()
}

/// A form with the escapes that it lacks: one that has any is left as it is.
fn escaped(form: &str) -> String {
    if form.contains(['%', '+']) {
        return form.to_owned();
    }
    let escape = |text: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(char::from(byte));
                }
                b' ' => out.push('+'),
                other => {
                    let _ = write!(out, "%{other:02X}");
                }
            }
        }
        out
    };
    let pairs = form.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        format!("{}={}", escape(name), escape(value))
    });
    // A form with `;` in it is none that can be read in one way: it stays.
    if form.contains(';') { form.to_owned() } else { pairs.collect::<Vec<_>>().join("&") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_any_client_adds_is_added() {
        let input =
            json!({"method": "POST", "uri": "/a", "headers": {"Host": "h"}, "data": "a=<b>"});
        let wire = String::from_utf8(compose(&input, "HTTP/1.1")).unwrap();
        assert_eq!(
            wire,
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Connection: close\r\nContent-Length: 9\r\n\r\na=%3Cb%3E"
        );
    }

    #[test]
    fn a_test_may_say_that_nothing_is_added() {
        let input = json!({"headers": {"Host": "h"}, "data": "x", "autocomplete_headers": false});
        let wire = String::from_utf8(compose(&input, "HTTP/1.1")).unwrap();
        assert_eq!(wire, "GET / HTTP/1.1\r\nHost: h\r\n\r\nx");
    }
}
