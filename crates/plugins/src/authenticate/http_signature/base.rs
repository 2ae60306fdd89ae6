//! What is signed: the signature base (RFC 9421 §2.5).

use bartizan_chain::RequestCx;
use bartizan_wire::is_field_name;

use super::fault::Fault;
use super::parameter;
use super::structured::{Bare, Item, Parameters, write_item, write_list};
use crate::authenticate::binding::spoke_tls;

/// Longest text that is signed.
pub(super) const BASE_MAX: usize = 64 * 1024;

/// What stands for itself, and what it implies.
const DERIVED: [(&str, &[&str]); 7] = [
    ("@method", &[]),
    ("@target-uri", &["@scheme", "@authority", "@path", "@query", "@request-target"]),
    ("@authority", &[]),
    ("@scheme", &[]),
    ("@request-target", &["@path", "@query"]),
    ("@path", &[]),
    ("@query", &[]),
];

/// Parameters that change what of a field is signed, or of which message it is. None of them is
/// understood here.
const PARAMETERS: [&str; 5] = ["sf", "key", "bs", "tr", "req"];

/// True for the name of something that a signature can cover here.
pub(super) fn is_component(name: &str) -> bool {
    match name.strip_prefix('@') {
        Some(_) if parameter::named(name).is_some() => true,
        Some(_) => DERIVED.iter().any(|(known, _)| *known == name),
        None => is_field_name(name.as_bytes()),
    }
}

/// The names that a signature covers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Covered(Vec<String>);

impl Covered {
    /// Reads the list.
    pub(super) fn read(items: &[Item]) -> Result<Self, Fault> {
        let mut names: Vec<String> = Vec::with_capacity(items.len());
        for item in items {
            let name = component(item)?;
            if names.contains(&name) {
                return Err(Fault::CoveredTwice);
            }
            names.push(name);
        }
        Ok(Self(names))
    }

    /// Whether something is signed, by its name or by something that it is part of.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|own| {
            let implied = DERIVED.iter().find(|(known, _)| known == own);
            let is_part = implied.is_some_and(|(own, implied)| {
                let is_of_query = *own == "@query" || implied.contains(&"@query");
                implied.contains(&name) || is_of_query && parameter::named(name).is_some()
            });
            own == name || is_part
        })
    }
}

/// What an item of the list stands for.
fn component(item: &Item) -> Result<String, Fault> {
    let Bare::Text(name) = &item.bare else { return Err(Fault::Components) };
    let known =
        PARAMETERS.iter().find(|known| item.parameters.iter().any(|(own, _)| own == *known));
    if let Some(parameter) = known {
        return Err(Fault::ComponentParameter(parameter));
    }
    match (name.as_str(), item.parameters.as_slice()) {
        ("@query-param", [(parameter, Bare::Text(encoded))]) if parameter == "name" => {
            let is_good = parameter::is_encoded(encoded);
            if is_good { Ok(parameter::known_as(encoded)) } else { Err(Fault::ParameterName) }
        }
        ("@query-param", _) => Err(Fault::ParameterName),
        ("@status", _) => Err(Fault::OfResponses),
        (plain, []) if !plain.contains(';') && is_component(plain) => Ok(plain.to_owned()),
        _ => Err(Fault::Components),
    }
}

/// The text that was signed.
pub(super) fn signature_base(
    cx: &RequestCx,
    items: &[Item],
    parameters: &Parameters,
) -> Result<String, Fault> {
    let mut base = String::new();
    let mut query = None;
    for item in items {
        let Bare::Text(name) = &item.bare else { return Err(Fault::Components) };
        write_item(item, &mut base);
        base.push_str(": ");
        match item.parameters.first() {
            Some((_, Bare::Text(encoded))) => {
                let read = match query.take() {
                    Some(read) => read,
                    None => parameter::Query::read(split(path_and_query(cx)?).1)?,
                };
                base.push_str(&query.insert(read).value(encoded)?);
            }
            _ => write_value(cx, name, &mut base)?,
        }
        base.push('\n');
        if base.len() > BASE_MAX {
            return Err(Fault::TooLong);
        }
    }
    base.push_str("\"@signature-params\": ");
    write_list(items, parameters, &mut base);
    Ok(base)
}

fn write_value(cx: &RequestCx, name: &str, out: &mut String) -> Result<(), Fault> {
    let canonical = cx.canonical();
    let scheme = if spoke_tls(cx) { "https" } else { "http" };
    match name {
        "@method" => out.push_str(canonical.method().as_str()),
        "@scheme" => out.push_str(scheme),
        "@authority" => out.push_str(authority(cx, scheme)),
        "@request-target" => out.push_str(raw_target(cx)?),
        "@target-uri" => {
            out.extend([scheme, "://", authority(cx, scheme), path_and_query(cx)?]);
        }
        "@path" => out.push_str(split(path_and_query(cx)?).0),
        "@query" => out.extend(["?", split(path_and_query(cx)?).1]),
        _ => write_field(cx, name, out)?,
    }
    Ok(())
}

/// Host and port, without the port that the scheme has anyway (RFC 9421 §2.2.3).
fn authority<'r>(cx: &'r RequestCx, scheme: &str) -> &'r str {
    let authority = cx.canonical().authority();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    authority.strip_suffix(usual).unwrap_or(authority)
}

fn raw_target(cx: &RequestCx) -> Result<&str, Fault> {
    std::str::from_utf8(cx.canonical().raw_target()).map_err(|_| Fault::NotText)
}

/// Path and query as the client sent them.
fn path_and_query(cx: &RequestCx) -> Result<&str, Fault> {
    let target = raw_target(cx)?;
    if target.starts_with('/') {
        return Ok(target);
    }
    // The absolute form, whose authority the codec has compared with `Host`.
    let after = target.split_once("://").map_or("", |(_, rest)| rest);
    let start = after.find(['/', '?']).unwrap_or(after.len());
    match after.get(start..) {
        Some(path) if path.starts_with('/') => Ok(path),
        _ => Err(Fault::NotText),
    }
}

fn split(path_and_query: &str) -> (&str, &str) {
    path_and_query.split_once('?').unwrap_or((path_and_query, ""))
}

/// The lines of a field, each without spaces around it, with `, ` between (RFC 9421 §2.1).
fn write_field(cx: &RequestCx, name: &str, out: &mut String) -> Result<(), Fault> {
    let mut lines = cx.fields.all(name).peekable();
    if lines.peek().is_none() {
        return Err(Fault::AbsentField);
    }
    for (index, line) in lines.enumerate() {
        let text = std::str::from_utf8(line.trim_ascii()).map_err(|_| Fault::NotText)?;
        if !text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            return Err(Fault::NotText);
        }
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(text);
    }
    Ok(())
}
