//! Changes to the fields of a message: removed, set, added, in this order.

use bartizan_chain::RequestCx;
use bartizan_config::{Invalid, PathStep};
use bartizan_wire::{Fields, QueryFault, is_field_name, is_field_value, is_identity_field};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::rewrite_text::{Escape, RewriteText};

/// Most fields that one configuration may change.
const CHANGES_MAX: usize = 256;

/// The value of a header: text with variables, or a number.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum HeaderValue {
    /// Text.
    Text(String),
    /// A number.
    Number(serde_json::Number),
}

impl HeaderValue {
    /// As it was written.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// What the gateway itself says of the caller.
const OWN: [&str; 3] = ["x-consumer-username", "x-consumer-custom-id", "x-credential-identifier"];

/// Which side of the exchange the message is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// Names and the values that they get in one message.
type Rendered = Vec<(Bytes, Bytes)>;

/// A value that fields get.
#[derive(Debug)]
enum Text {
    /// PERF: `cargo xtask bench`, secured: most are the same for every message, which then shares
    /// the bytes that were looked at when the configuration was compiled.
    Same(Bytes),
    /// Made anew for each.
    Varies(RewriteText),
}

/// Compiled changes.
#[derive(Debug, Default)]
pub(crate) struct FieldChange {
    removed: Vec<Bytes>,
    set: Vec<(Bytes, Text)>,
    added: Vec<(Bytes, Text)>,
}

/// Why a change could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangeFault {
    #[error("a variable in the value of a header: {0}")]
    Variable(#[from] QueryFault),
    #[error("the value of a header would hold what no header may")]
    Value,
}

/// Collects changes; each fault is at the key of the configuration that `at` names.
pub(crate) struct FieldChanges {
    side: Side,
    captures_max: usize,
    change: FieldChange,
}

impl FieldChanges {
    pub(crate) fn new(side: Side, captures_max: usize) -> Self {
        Self { side, captures_max, change: FieldChange::default() }
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Invalid> {
        let name = self.name(name)?;
        self.change.removed.push(name);
        Ok(())
    }

    /// Puts these values in place of whatever there is.
    pub(crate) fn set(&mut self, name: &str, values: &[String]) -> Result<(), Invalid> {
        let (name, texts) = self.compiled(name, values)?;
        self.change.set.extend(texts.into_iter().map(|text| (name.clone(), text)));
        Ok(())
    }

    pub(crate) fn add(&mut self, name: &str, values: &[String]) -> Result<(), Invalid> {
        let (name, texts) = self.compiled(name, values)?;
        self.change.added.extend(texts.into_iter().map(|text| (name.clone(), text)));
        Ok(())
    }

    pub(crate) fn build(self) -> Result<FieldChange, Invalid> {
        let FieldChange { removed, set, added } = &self.change;
        if removed.len() + set.len() + added.len() > CHANGES_MAX {
            return Err(Invalid::new(format!("changes more than {CHANGES_MAX} headers")));
        }
        Ok(self.change)
    }

    fn compiled(&self, name: &str, values: &[String]) -> Result<(Bytes, Vec<Text>), Invalid> {
        let lower = self.name(name)?;
        let at_name = |fault: Invalid| fault.under(PathStep::Key(name.to_owned()));
        if self.side == Side::Request && is_identity_field(&lower) {
            return Err(at_name(
                Invalid::new(format!("`{name}` says who calls"))
                    .with_help("only what authenticated the caller may say so"),
            ));
        }
        let text = |value: &String| {
            let text = RewriteText::parse(value, self.captures_max).map_err(at_name)?;
            if text.as_literal().is_some_and(|text| !is_field_value(text.as_bytes())) {
                return Err(at_name(Invalid::new(
                    "the value of a header has no line ends, no \
                    control characters, and no white space at its ends",
                )));
            }
            if self.side == Side::Request && text.vars().any(bartizan_chain::Var::needs_answer) {
                return Err(at_name(Invalid::new("the request is sent before there is an answer")));
            }
            let same = text.as_literal().map(|text| Bytes::copy_from_slice(text.as_bytes()));
            Ok(same.map_or_else(|| Text::Varies(text), Text::Same))
        };
        Ok((lower, values.iter().map(text).collect::<Result<_, _>>()?))
    }

    fn name(&self, name: &str) -> Result<Bytes, Invalid> {
        let at_name = |fault: Invalid| fault.under(PathStep::Key(name.to_owned()));
        let lower = name.to_ascii_lowercase();
        if !is_field_name(lower.as_bytes()) {
            return Err(at_name(Invalid::new(format!("`{name}` is not the name of a header"))));
        }
        if self.side == Side::Request && lower == "host" {
            return Err(at_name(Invalid::new("the host is not changed as a header"))
                .with_help("use `host` of `proxy-rewrite`"));
        }
        if is_framing(&lower) {
            let problem = format!("`{name}` belongs to the connection, which the gateway keeps");
            return Err(at_name(Invalid::new(problem)));
        }
        Ok(Bytes::from(lower))
    }
}

impl FieldChange {
    /// Makes the changes, or none of them.
    pub(crate) fn apply(
        &self,
        cx: &RequestCx,
        captures: &[String],
        fields: &mut Fields,
    ) -> Result<(), ChangeFault> {
        let (set, added) = self.render(cx, captures)?;
        self.make(set, added, fields);
        Ok(())
    }

    /// Makes the changes to the request itself, or none of them. Every value is read from the
    /// request as it was before.
    pub(crate) fn apply_to_request(
        &self,
        cx: &mut RequestCx,
        captures: &[String],
    ) -> Result<(), ChangeFault> {
        let (set, added) = self.render(cx, captures)?;
        self.make(set, added, &mut cx.fields);
        Ok(())
    }

    /// What is set, and what is added.
    fn render(
        &self,
        cx: &RequestCx,
        captures: &[String],
    ) -> Result<(Rendered, Rendered), ChangeFault> {
        let rendered = |list: &[(Bytes, Text)]| {
            list.iter()
                .map(|(name, text)| {
                    let text = match text {
                        Text::Same(value) => return Ok((name.clone(), value.clone())),
                        Text::Varies(text) => text,
                    };
                    let mut out = String::new();
                    text.render(cx, captures, Escape::None, &mut out)?;
                    if is_field_value(out.as_bytes()) {
                        Ok((name.clone(), Bytes::from(out)))
                    } else {
                        Err(ChangeFault::Value)
                    }
                })
                .collect::<Result<Vec<_>, ChangeFault>>()
        };
        Ok((rendered(&self.set)?, rendered(&self.added)?))
    }

    fn make(&self, set: Vec<(Bytes, Bytes)>, added: Vec<(Bytes, Bytes)>, fields: &mut Fields) {
        let goes = |name: &[u8]| {
            self.removed.iter().any(|own| own == name) || set.iter().any(|(own, _)| own == name)
        };
        fields.retain(|field| !goes(field.name));
        for (name, value) in set.into_iter().chain(added) {
            fields.append(name, value);
        }
    }
}

/// The name of a header in which a plugin alone tells the upstream who calls, in lower case.
pub(crate) fn owned_name(name: &str) -> Result<Bytes, String> {
    let lower = name.to_ascii_lowercase();
    if !is_field_name(lower.as_bytes()) {
        return Err(format!("`{name}` is not the name of a header"));
    }
    if lower == "host" || is_framing(&lower) {
        return Err(format!("`{name}` belongs to the connection, which the gateway keeps"));
    }
    if OWN.iter().any(|own| is_same_field(own.as_bytes(), lower.as_bytes())) {
        return Err(format!("in `{name}` the gateway itself says who calls"));
    }
    Ok(Bytes::from(lower))
}

/// True if two names in lower case are the same to servers that take `_` for `-`.
pub(crate) fn is_same_field(a: &[u8], b: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
    a.len() == b.len() && a.iter().map(folded).eq(b.iter().map(folded))
}

/// Fields that say how long a message is and what becomes of the connection.
pub(crate) fn is_framing(name: &str) -> bool {
    matches!(
        name,
        "content-length"
            | "transfer-encoding"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "upgrade"
            | "expect"
            | "http2-settings"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> FieldChanges {
        FieldChanges::new(Side::Request, 0)
    }

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let mut changes = changes();
        changes.remove("X-Old").unwrap();
        changes.set("X-Id", &["2".into()]).unwrap();
        changes.add("X-Old", &["new".into()]).unwrap();
        let change = changes.build().unwrap();
        let literal = |list: &[(Bytes, Text)]| {
            list.iter()
                .map(|(name, text)| match text {
                    Text::Same(value) => (name.clone(), value.clone()),
                    Text::Varies(text) => panic!("{text:?} is the same for every message"),
                })
                .collect::<Vec<_>>()
        };
        let mut fields = Fields::new();
        for (name, value) in [("x-old", "1"), ("x-id", "1"), ("x-id", "0"), ("accept", "*/*")] {
            fields.append(name, value);
        }
        change.make(literal(&change.set), literal(&change.added), &mut fields);
        let names: Vec<_> = fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
        let text = |text: &str| text.as_bytes().to_vec();
        assert_eq!(
            names,
            [("accept", "*/*"), ("x-id", "2"), ("x-old", "new")].map(|(n, v)| (text(n), text(v)))
        );
    }

    #[test]
    fn what_the_gateway_keeps_cannot_be_changed() {
        for name in ["Host", "Content-Length", "transfer-encoding", "Connection", "TE", "a b", ""] {
            assert!(changes().set(name, &["1".into()]).is_err(), "{name}");
            assert!(changes().remove(name).is_err(), "{name}");
        }
        for name in ["X-Consumer-Username", "x_userinfo", "X-SSL-Client-Verify"] {
            assert!(changes().add(name, &["1".into()]).is_err(), "{name}");
            assert!(changes().remove(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_header_that_tells_who_calls_is_neither_the_connections_nor_the_gateways() {
        for (name, told) in [
            ("X-User", Ok("x-user")),
            ("X-Consumer-Plan", Ok("x-consumer-plan")),
            ("a b", Err("not the name")),
            ("", Err("not the name")),
            ("Host", Err("belongs to the connection")),
            ("TE", Err("belongs to the connection")),
            ("X_Consumer-Username", Err("the gateway itself")),
            ("x-credential_identifier", Err("the gateway itself")),
        ] {
            match (owned_name(name), told) {
                (Ok(name), Ok(expected)) => assert_eq!(name, expected),
                (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem}"),
                (made, told) => panic!("{name}: {made:?}, not {told:?}"),
            }
        }
    }

    #[test]
    fn values_that_could_end_the_line_are_refused() {
        for value in ["a\r\nb: c", "a\0", " a", "$status", "$1", "$nope"] {
            assert!(changes().set("x-a", &[value.to_owned()]).is_err(), "{value:?}");
        }
    }
}
