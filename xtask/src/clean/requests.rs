//! Requests as clients of an API would send them, made from its document.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use super::chance::Chance;
use super::head;
use super::schema::Document;
use super::texts;
use super::values;

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];
/// The types of bodies that are made; of those that an operation takes, the first.
const FORM: &str = "application/x-www-form-urlencoded";
const UPLOAD: &str = "multipart/form-data";

/// A request.
pub(super) struct Request {
    /// The document and the operation that it was made from.
    pub(super) origin: String,
    /// The file of the document.
    pub(super) document: PathBuf,
    /// The path of the operation, as the document has it.
    pub(super) path: String,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Makes at most `count` requests for different operations of a document.
pub(super) fn make(
    chance: &mut Chance,
    name: &str,
    document: &Value,
    count: usize,
) -> Vec<Request> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            if item[method].is_object() {
                operations.push((path, item, method));
            }
        }
    }
    let mut requests = Vec::new();
    while requests.len() < count && !operations.is_empty() {
        let (path, item, method) = operations.swap_remove(chance.index(operations.len()));
        let maker = Maker { document: Document(document), operation: &item[method], item };
        let mut request = maker.request(chance, method, path);
        request.origin = format!("{name}: {} {path}", method.to_uppercase());
        requests.push(request);
    }
    requests
}

/// Makes another request for the operation of a request.
pub(super) fn another(chance: &mut Chance, document: &Value, request: &Request) -> Request {
    let item = &document["paths"][&request.path];
    let method = request.method.to_lowercase();
    let maker = Maker { document: Document(document), operation: &item[&method], item };
    maker.request(chance, &method, &request.path)
}

struct Maker<'a> {
    document: Document<'a>,
    item: &'a Value,
    operation: &'a Value,
}

impl<'a> Maker<'a> {
    fn request(&self, chance: &mut Chance, method: &str, path: &str) -> Request {
        let (host, base) = self.server();
        let mut target = format!("{base}{path}");
        let (mut query, mut fields, mut cookies) = (Vec::new(), Vec::new(), Vec::new());
        for place in [&self.item["parameters"], &self.operation["parameters"]] {
            for parameter in place.as_array().into_iter().flatten() {
                let parameter = self.document.resolve(parameter);
                let Some(name) = parameter["name"].as_str() else { continue };
                let is_required = parameter["required"].as_bool().unwrap_or(false);
                let kind = parameter["in"].as_str().unwrap_or_default();
                if !is_required && kind != "path" && !chance.percent(50) {
                    continue;
                }
                let value = self.parameter(chance, parameter, name);
                match kind {
                    "path" => {
                        let value = plain(&value);
                        // Segments of paths are short, and on one line.
                        let is_segment = value.len() <= 60 && !value.contains(['\r', '\n']);
                        let value = if is_segment { value } else { values::uuid(chance) };
                        let value = escaped(&value, false);
                        target = target.replace(&format!("{{{name}}}"), &value);
                    }
                    "query" => add_query(name, &value, &mut query),
                    "header" => fields.push((name.to_owned(), header_text(&plain(&value)))),
                    "cookie" => cookies.push(format!("{name}={}", escaped(&plain(&value), false))),
                    _ => {}
                }
            }
        }
        // What the document names and does not describe.
        while let (Some(start), Some(end)) = (target.find('{'), target.find('}'))
            && start < end
        {
            target.replace_range(start..=end, &values::uuid(chance));
        }
        let target = target.replace(' ', "%20");
        let mut target = target.split('#').next().unwrap_or("/").to_owned();
        for (position, (name, value)) in query.iter().enumerate() {
            let joint = if position == 0 && !target.contains('?') { '?' } else { '&' };
            let _ = write!(target, "{joint}{}={}", escaped(name, true), escaped(value, true));
        }
        // What the gateway and the client set themselves.
        fields.retain(|(name, _)| {
            let own =
                ["host", "content-length", "content-type", "authorization", "user-agent", "accept"];
            !own.contains(&name.to_ascii_lowercase().as_str())
        });
        if !cookies.is_empty() {
            fields.push(("Cookie".to_owned(), cookies.join("; ")));
        }
        // No client sends a body with these, though documents name some.
        let may_have_body = !matches!(method, "get" | "head");
        let body = if may_have_body { self.body(chance, &mut fields) } else { Vec::new() };
        head::add(chance, &host, &mut fields);
        if matches!(method, "post" | "put" | "patch") || !body.is_empty() {
            fields.push(("Content-Length".to_owned(), body.len().to_string()));
        }
        let (method, path) = (method.to_uppercase(), path.to_owned());
        let (origin, document) = (String::new(), PathBuf::new());
        Request { origin, document, path, method, target, fields, body }
    }

    /// Host and path of the first server.
    fn server(&self) -> (String, String) {
        let server = &self.document.0["servers"][0];
        let mut url = server["url"].as_str().unwrap_or_default().to_owned();
        for (name, variable) in server["variables"].as_object().into_iter().flatten() {
            let value = variable["default"].as_str().unwrap_or("a");
            url = url.replace(&format!("{{{name}}}"), value);
        }
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = host.contains('.')
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
            && !host.bytes().all(|byte| byte.is_ascii_digit() || b".:".contains(&byte));
        let host = if is_name { host.to_owned() } else { "api.example.com".to_owned() };
        let path = path.trim_end_matches('/');
        (host, if path.is_empty() { String::new() } else { format!("/{path}") })
    }

    fn parameter(&self, chance: &mut Chance, parameter: &'a Value, name: &str) -> Value {
        if let Some(example) = parameter.get("example").filter(|example| !example.is_null())
            && chance.percent(70)
        {
            return example.clone();
        }
        match parameter["content"].as_object().and_then(|all| all.values().next()) {
            Some(content) => {
                let value = self.document.value(chance, &content["schema"], name, 1);
                Value::String(value.to_string())
            }
            None => self.document.value(chance, &parameter["schema"], name, 1),
        }
    }

    fn body(&self, chance: &mut Chance, fields: &mut Vec<(String, String)>) -> Vec<u8> {
        let content = &self.document.resolve(&self.operation["requestBody"])["content"];
        let Some((kind, content)) = content.as_object().and_then(|all| all.iter().next()) else {
            return Vec::new();
        };
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_json =
            essence == "application/json" || essence == "text/json" || essence.ends_with("+json");
        // Types with a star in them are no types; such an operation is sent JSON.
        let (kind, is_json) =
            if kind.contains('*') { ("application/json", true) } else { (kind.as_str(), is_json) };
        let value = match content.get("example").filter(|given| !given.is_null()) {
            Some(given) if chance.percent(50) => given.clone(),
            _ => self.document.value(chance, &content["schema"], "body", 0),
        };
        let (kind, body) = if is_json {
            (kind.to_owned(), value.to_string().into_bytes())
        } else if essence == FORM {
            let mut pairs = Vec::new();
            for (name, value) in value.as_object().into_iter().flatten() {
                add_query(name, value, &mut pairs);
            }
            let pairs = pairs
                .iter()
                .map(|(name, value)| format!("{}={}", escaped(name, true), escaped(value, true)));
            (kind.to_owned(), pairs.collect::<Vec<_>>().join("&").into_bytes())
        } else if essence == UPLOAD {
            let boundary =
                format!("----FormBoundary{}", chance.letters("abcdefghijkLMNOPQ0123456789", 16));
            (format!("{UPLOAD}; boundary={boundary}"), upload(chance, &boundary, &value))
        } else if essence.ends_with("/xml") || essence.ends_with("+xml") {
            let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
            element("request", &value, &mut out);
            (kind.to_owned(), out.into_bytes())
        } else {
            // A file or a text; documents also call it an object.
            let text = if value.is_object() { texts::remark(chance) } else { plain(&value) };
            (kind.to_owned(), text.into_bytes())
        };
        if !body.is_empty() {
            fields.push(("Content-Type".to_owned(), kind));
        }
        body
    }
}

/// A list is a name several times, an object a name for each member.
fn add_query(name: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Array(items) => {
            out.extend(items.iter().map(|item| (name.to_owned(), plain(item))));
        }
        Value::Object(members) => {
            for (member, value) in members {
                out.push((format!("{name}[{member}]"), plain(value)));
            }
        }
        other => out.push((name.to_owned(), plain(other))),
    }
}

/// A value as text: a list with commas, anything deeper as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) if items.iter().all(|item| !item.is_object()) => {
            items.iter().map(plain).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// Headers hold ASCII on one line.
fn header_text(text: &str) -> String {
    text.chars().filter(|letter| (' '..='~').contains(letter)).collect::<String>().trim().to_owned()
}

/// Escapes as libraries do: of a form, space is `+`.
fn escaped(text: &str, is_form: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' if is_form => out.push('+'),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

fn upload(chance: &mut Chance, boundary: &str, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let is_file = ["file", "image", "attachment", "document", "photo", "upload", "data"]
            .iter()
            .any(|word| name.to_ascii_lowercase().contains(word));
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        if is_file {
            let file =
                chance.pick(&["photo 1.jpg", "Rechnung Größe M.pdf", "data.csv", "notes.txt"]);
            let head = format!(
                "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            out.extend_from_slice(head.as_bytes());
            let length = chance.between(20, 600);
            out.extend_from_slice(&chance.bytes(length));
        } else {
            let head = format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(plain(value).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    if !out.is_empty() {
        out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    }
    out
}

fn element(name: &str, value: &Value, out: &mut String) {
    let name: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    let name = if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name
    } else {
        format!("e{name}")
    };
    match value {
        Value::Array(items) => {
            for item in items {
                element(&name, item, out);
            }
            return;
        }
        Value::Object(members) => {
            let _ = write!(out, "<{name}>");
            for (member, value) in members {
                element(member, value, out);
            }
        }
        other => {
            let text = plain(other).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = write!(out, "<{name}>{text}");
        }
    }
    let _ = write!(out, "</{name}>");
}
