//! Keywords that need more than to be copied.

use bartizan_config::{Content, Node};
use serde_json::{Map, Value, json};

/// The dialect that OpenAPI 3.1 calls its own.
pub(super) const OAS_DIALECT: &str = "https://spec.openapis.org/oas/3.1/dialect/base";

/// A part of a form that is a file, as far as its schema says.
pub(super) fn is_file(node: &Node) -> bool {
    let text = |key: &str| node.get(key).and_then(Node::as_text);
    let is_binary = text("format") == Some("binary");
    let is_raw = node.get("contentMediaType").is_some() && node.get("contentEncoding").is_none();
    is_binary || is_raw || node.members().is_empty()
}

/// What must be there, without what only the server sets.
pub(super) fn required(value: &Node, hidden: &[&str]) -> Value {
    let Content::List(names) = &value.content else { return value.to_json() };
    let sent = names.iter().filter(|name| name.as_text().is_none_or(|n| !hidden.contains(&n)));
    sent.map(Node::to_json).collect()
}

/// What 3.0 says differently: `nullable`, and bounds that are exclusive by a flag.
pub(super) fn older(node: &Node, out: &mut Map<String, Value>) {
    let is_nullable = node.get("nullable").is_some_and(|flag| flag.content == Content::Bool(true));
    if is_nullable && let Some(Value::String(name)) = out.get("type") {
        let both = json!([name, "null"]);
        out.insert("type".to_owned(), both);
    }
    for (bound, flag) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        let Some(Value::Bool(is_exclusive)) = out.get(flag).cloned() else { continue };
        out.remove(flag);
        if is_exclusive && let Some(limit) = out.remove(bound) {
            out.insert(flag.to_owned(), limit);
        }
    }
}

/// Formats of numbers are bounds, where the schema has none of its own.
pub(super) fn bound_by_format(out: &mut Map<String, Value>) {
    let Some(format) = out.get("format").and_then(Value::as_str) else { return };
    let (least, most) = match format {
        "int8" => (json!(i8::MIN), json!(i8::MAX)),
        "int16" => (json!(i16::MIN), json!(i16::MAX)),
        "int32" => (json!(i32::MIN), json!(i32::MAX)),
        "int64" => (json!(i64::MIN), json!(i64::MAX)),
        "uint8" => (json!(0), json!(u8::MAX)),
        "uint16" => (json!(0), json!(u16::MAX)),
        "uint32" => (json!(0), json!(u32::MAX)),
        "uint64" => (json!(0), json!(u64::MAX)),
        _ => return,
    };
    if !out.contains_key("minimum") && !out.contains_key("exclusiveMinimum") {
        out.insert("minimum".to_owned(), least);
    }
    if !out.contains_key("maximum") && !out.contains_key("exclusiveMaximum") {
        out.insert("maximum".to_owned(), most);
    }
}
