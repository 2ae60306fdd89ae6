//! Texts: references, lengths, patterns, formats.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::{Map, Value};

use super::walk::{Marks, Walk, at, broken};
use super::{Fault, Findings};
use crate::diagnostic::Place;
use crate::document::Node;
use crate::node::Network;
use crate::reference::{Unresolved, is_reference};
use crate::words::quoted;

impl<'a> Walk<'a> {
    /// Checks a text, or what the reference in it stands for.
    pub(super) fn text(
        &mut self,
        node: &'a Node,
        here: Place,
        text: &'a str,
        schema: &'a Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) {
        let place = at(node, here);
        if is_reference(text) {
            if !marks.is_reference {
                if !is_described_elsewhere(schema) {
                    self.misplaced_reference(place, text, out);
                }
                return;
            }
            match self.rules.resolver.resolve(text, self.subject.folder) {
                Ok(value) => {
                    self.text_limits(place, &value, None, schema, out);
                    out.edits.texts.insert(node.place, value);
                }
                Err(Unresolved::Because(problem)) => {
                    self.tell(out, place, Fault::Value, problem);
                }
                Err(Unresolved::Later) => out.edits.lacks_values = true,
            }
            return;
        }
        if text.contains("${{") {
            let problem = "`${{…}}` is replaced in documents of a `file` store only".to_owned();
            let help = "use `$env://NAME`, which secrets, certificates and keys may hold";
            self.tell_with(out, place, Fault::Value, problem, Some(help.to_owned()));
            return;
        }
        if marks.is_secret {
            out.concealed.push(node.place);
        }
        let shown = (!marks.is_secret).then_some(text);
        self.text_limits(place, text, shown, schema, out);
    }

    /// A reference where the value could leak.
    pub(super) fn misplaced_reference(&self, place: Place, text: &str, out: &mut Findings) {
        let problem =
            format!("the reference {} stands where nothing keeps its value secret", quoted(text));
        let help = "references are accepted in fields for secrets, certificates and keys only";
        self.tell_with(out, place, Fault::Value, problem, Some(help.to_owned()));
    }

    /// Checks what the schema says about a text; `shown` is what a message may repeat of it.
    pub(super) fn text_limits(
        &self,
        place: Place,
        text: &str,
        shown: Option<&str>,
        schema: &Map<String, Value>,
        out: &mut Findings,
    ) {
        let value = || shown.map_or_else(|| "the value".to_owned(), quoted);
        let expects = schema.get("x-expects").and_then(Value::as_str);
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
            match self.rules.pattern(pattern) {
                Ok(regex) if regex.is_match(text) => {}
                Ok(_) => {
                    let problem = match (expects, shown) {
                        (Some(expects), Some(shown)) => {
                            format!("expected {expects}, found {}", quoted(shown))
                        }
                        (Some(expects), None) => format!("the value is not {expects}"),
                        (None, _) => format!("{} does not match {}", value(), quoted(pattern)),
                    };
                    self.tell(out, place, Fault::Value, problem);
                    return;
                }
                Err(_) => self.tell(out, place, Fault::Value, broken("`pattern`")),
            }
        }
        self.length(place, text, schema, out);
        if let Some(format) = schema.get("format").and_then(Value::as_str)
            && let Some(expected) = misses_format(text, format)
        {
            self.tell(out, place, Fault::Value, format!("expected {expected}, found {}", value()));
        }
    }

    fn length(&self, place: Place, text: &str, schema: &Map<String, Value>, out: &mut Findings) {
        let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let (least, most) = (limit("minLength"), limit("maxLength"));
        if least.is_none() && most.is_none() {
            return;
        }
        let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
        if least.is_some_and(|least| length < least) {
            let problem = match least {
                Some(1) => format!("{} is empty", self.name()),
                _ => format!(
                    "{} needs at least {} characters, has {length}",
                    self.name(),
                    least.unwrap_or_default()
                ),
            };
            self.tell(out, place, Fault::Value, problem);
        }
        if let Some(most) = most.filter(|most| length > *most) {
            let problem =
                format!("{} may have at most {most} characters, has {length}", self.name());
            self.tell(out, place, Fault::Value, problem);
        }
    }
}

/// True if a `$ref` or form of this schema may say that references are welcome.
fn is_described_elsewhere(schema: &Map<String, Value>) -> bool {
    ["$ref", "allOf", "anyOf", "oneOf"].iter().any(|keyword| schema.contains_key(*keyword))
}

/// What a text should have been, if it has not the format.
fn misses_format(text: &str, format: &str) -> Option<&'static str> {
    let (is_met, expected) = match format {
        "ip" => (text.parse::<IpAddr>().is_ok(), "an IP address"),
        "ipv4" => (text.parse::<Ipv4Addr>().is_ok(), "an IPv4 address"),
        "ipv6" => (text.parse::<Ipv6Addr>().is_ok(), "an IPv6 address"),
        "network" => {
            (Network::parse(text).is_some(), "an IP address or a network such as `10.0.0.0/8`")
        }
        "socket-address" => {
            (text.parse::<SocketAddr>().is_ok(), "an IP address with port such as `127.0.0.1:8080`")
        }
        // Other formats are annotations.
        _ => return None,
    };
    (!is_met).then_some(expected)
}
