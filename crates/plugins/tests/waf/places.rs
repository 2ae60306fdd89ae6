//! Where a value can stand in a request.

use std::fmt::Write as _;

use bartizan_testkit::{Gateway, Request};
use serde_json::json;

/// A place of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Query,
    QueryName,
    Path,
    Cookie,
    Header,
    UserAgent,
    Form,
    JsonLeaf,
    JsonKey,
    XmlText,
    XmlAttribute,
    Part,
    PartName,
    FileName,
}

const BOUNDARY: &str = "----boundary-of-parts-7Qk2";

impl Place {
    /// A request with `text` in this place, as an ordinary client would write it; none if it
    /// cannot stand there.
    pub(crate) fn request<'g>(self, gateway: &'g Gateway, text: &str) -> Option<Request<'g>> {
        let is_plain = !text.contains(|letter: char| letter.is_ascii_control());
        let form = "application/x-www-form-urlencoded";
        let request = match self {
            // Refused before any rule: see `control_characters_in_targets_need_no_rule`.
            Self::Query | Self::QueryName if text.contains('\0') => return None,
            // A segment; what would end it, or be read in two ways, is none.
            Self::Path if !is_plain || text.contains(['/', '\\', '%', ';']) => return None,
            Self::Path => gateway.get(&format!("/items/{}", escaped(text))),
            Self::Query => gateway.get(&format!("/search?lang=en&q={}&page=2", escaped(text))),
            Self::QueryName => gateway.get(&format!("/search?lang=en&{}=1", escaped(text))),
            Self::Cookie => {
                gateway.get("/home").header("Cookie", &format!("a=1; note={}; b=2", escaped(text)))
            }
            Self::Header | Self::UserAgent if !is_plain || !text.is_ascii() => return None,
            Self::Header => gateway.get("/home").header("X-Note", text),
            Self::UserAgent => return Some(common(gateway.get("/home"), text)),
            Self::Form => gateway
                .post("/notes")
                .header("Content-Type", form)
                .body(format!("id=7&note={}&ok=yes", escaped(text))),
            Self::JsonLeaf => {
                gateway.post("/notes").json(&json!({"id": 7, "list": [{"note": text}]}))
            }
            Self::JsonKey => gateway.post("/notes").json(&json!({"id": 7, "filter": {text: "1"}})),
            Self::XmlText | Self::XmlAttribute => {
                if !is_plain {
                    return None;
                }
                let value = entities(text);
                let body = if self == Self::XmlText {
                    format!("<?xml version=\"1.0\"?><note><text>{value}</text></note>")
                } else {
                    format!("<?xml version=\"1.0\"?><note id=\"7\" text=\"{value}\"/>")
                };
                gateway.post("/notes").header("Content-Type", "application/xml").body(body)
            }
            Self::PartName | Self::FileName if !is_plain || text.contains('"') => return None,
            Self::Part => parts(gateway, "name=\"note\"", text),
            Self::PartName => parts(gateway, &format!("name=\"{text}\""), "1"),
            Self::FileName => {
                // In a quoted string a backslash stands for itself only if it is written twice.
                let name = text.replace('\\', "\\\\");
                parts(gateway, &format!("name=\"file\"; filename=\"{name}\""), "text")
            }
        };
        Some(common(request, "client/1.0"))
    }
}

/// Who calls, and what every client sends.
fn common<'g>(request: Request<'g>, agent: &str) -> Request<'g> {
    request.header("apikey", "alice-key").header("User-Agent", agent).header("Accept", "*/*")
}

fn parts<'g>(gateway: &'g Gateway, disposition: &str, value: &str) -> Request<'g> {
    let body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n7\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n\
         --{BOUNDARY}--\r\n"
    );
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    gateway.post("/upload").header("Content-Type", &kind).body(body)
}

pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
