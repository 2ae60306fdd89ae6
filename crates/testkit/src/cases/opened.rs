//! Tokens and keys that the gateway itself made: their signatures and numbers differ from run to run.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// What every token begins with: `{"` in base64url.
const BEGIN: &str = "eyJ";
/// Members that are drawn at random.
const RANDOM: [&str; 4] = ["kid", "jti", "x", "y"];

/// The text with `<token {…} {…}>` for each signed token, and `<kid>` and the like in key sets, but
/// for what `hide` knows.
pub(super) fn opened(text: &str, hide: &dyn Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let (before, from) = rest.split_at(at);
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        let (token, after) = from.split_at(end);
        out.push_str(before);
        out.push_str(&read(token, hide).unwrap_or_else(|| token.to_owned()));
        rest = after;
    }
    out.push_str(rest);
    out.lines()
        .map(|line| key_set(line).unwrap_or_else(|| line.to_owned()))
        .collect::<Vec<_>>()
        .join("\n")
}

fn read(token: &str, hide: &dyn Fn(&str) -> String) -> Option<String> {
    let mut parts = token.split('.');
    let (header, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let part = |text: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let text = hide(std::str::from_utf8(&bytes).ok()?);
        let mut value: Value = serde_json::from_str(&text).ok()?;
        blur(&mut value);
        Some(value.to_string())
    };
    Some(format!("<token {} {}>", part(header)?, part(payload)?))
}

fn key_set(line: &str) -> Option<String> {
    let mut set: Value = serde_json::from_str(line).ok()?;
    set.get("keys")?.as_array()?;
    for key in set["keys"].as_array_mut()? {
        blur(key);
    }
    Some(set.to_string())
}

fn blur(value: &mut Value) {
    for name in RANDOM {
        let is_known = |member: &Value| member.as_str().is_some_and(|text| text.starts_with('$'));
        if let Some(member) = value.get_mut(name).filter(|member| !is_known(member)) {
            *member = format!("<{name}>").into();
        }
    }
}
