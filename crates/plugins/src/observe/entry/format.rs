//! `log_format` and `log_format_extra`, compiled.

use std::borrow::Cow;

use bartizan_audit::write_json_text;
use bartizan_config::{Invalid, PathStep};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::part::Text;
use super::usual::usual;
use super::write::{Commas, Writer};
use super::{Exchange, TEXT_MAX};

/// Deepest nesting of a format.
const DEPTH_MAX: usize = 8;
/// Most members of a format in all.
const MEMBERS_MAX: usize = 256;

/// A format as configuration writes it: names, and texts in which variables may stand.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct FormatConfig(Map<String, Value>);

impl JsonSchema for FormatConfig {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LogFormat".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": true })
    }
}

#[derive(Debug)]
struct Member {
    name: Box<str>,
    /// The name and its colon, as JSON.
    key: Box<[u8]>,
    value: Shown,
}

#[derive(Debug)]
enum Shown {
    Text(Text),
    /// JSON, as it is.
    Literal(Box<[u8]>),
    Object(Box<[Member]>),
}

impl Member {
    fn new(name: &str, value: Shown) -> Self {
        let mut key = Vec::new();
        write_json_text(&mut key, name.as_bytes(), TEXT_MAX);
        key.push(b':');
        Self { name: name.into(), key: key.into(), value }
    }
}

/// The formats of one place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Formats<'c> {
    pub(crate) own: Option<&'c FormatConfig>,
    pub(crate) extra: Option<&'c FormatConfig>,
}

/// What an entry holds.
#[derive(Debug)]
pub(crate) struct LogFormat {
    /// The usual entry is part of it.
    has_usual: bool,
    members: Box<[Member]>,
}

impl LogFormat {
    /// The format of the configuration, of the metadata or, without one, the usual entry; with the
    /// members of the one or other `extra` besides.
    pub(crate) fn compile(config: Formats<'_>, metadata: Formats<'_>) -> Result<Self, Invalid> {
        let mut count = 0;
        let mut all = Vec::new();
        let has_usual = config.own.or(metadata.own).is_none();
        for (key, here, there) in [
            ("log_format", config.own, metadata.own),
            ("log_format_extra", config.extra, metadata.extra),
        ] {
            let Some(FormatConfig(map)) = here.or(there) else { continue };
            let members = members(map, 0, &mut count).map_err(|fault| match here {
                Some(_) => fault.under(PathStep::Key(key.to_owned())),
                None => Invalid::new(format!("`{key}` of the metadata: {}", fault.problem)),
            })?;
            for member in members {
                // What is said last counts, so that no name is there twice.
                all.retain(|own: &Member| own.name != member.name);
                all.push(member);
            }
        }
        Ok(Self { has_usual, members: all.into() })
    }

    /// Whether it shows fields of the answer, which are kept only then.
    pub(crate) fn reads_answer(&self) -> bool {
        self.has_usual || reads_answer(&self.members)
    }

    /// Appends the entry.
    pub(crate) fn write(&self, exchange: &Exchange<'_>, out: &mut Vec<u8>) {
        Writer::write(out, exchange, |out| {
            out.raw(b"{");
            let mut commas = Commas::default();
            if self.has_usual {
                commas.next(out.out);
                usual(out);
            }
            write(&self.members, commas, out);
            out.raw(b"}");
        });
    }
}

fn reads_answer(members: &[Member]) -> bool {
    members.iter().any(|member| match &member.value {
        Shown::Text(text) => text.reads_answer(),
        Shown::Literal(_) => false,
        Shown::Object(members) => reads_answer(members),
    })
}

fn members(
    map: &Map<String, Value>,
    depth: usize,
    count: &mut usize,
) -> Result<Vec<Member>, Invalid> {
    if depth > DEPTH_MAX {
        return Err(Invalid::new(format!("is nested more than {DEPTH_MAX} deep")));
    }
    let mut all = Vec::new();
    for (name, value) in map {
        *count += 1;
        let at = |fault: Invalid| fault.under(PathStep::Key(name.clone()));
        if *count > MEMBERS_MAX {
            return Err(at(Invalid::new(format!("there are more than {MEMBERS_MAX} members"))));
        }
        let value = match value {
            Value::String(text) => Shown::Text(Text::parse(text).map_err(at)?),
            Value::Object(inner) => {
                Shown::Object(members(inner, depth + 1, count).map_err(at)?.into())
            }
            Value::Array(_) => {
                return Err(at(Invalid::new("a list has no place in a format")
                    .with_help("a text with variables, a number, or a map of those")));
            }
            other => Shown::Literal(other.to_string().into_bytes().into()),
        };
        all.push(Member::new(name, value));
    }
    Ok(all)
}

/// Writes members behind those that are there.
fn write(members: &[Member], mut commas: Commas, out: &mut Writer<'_, '_>) {
    for Member { name, key, value } in members {
        let before = (out.out.len(), commas);
        commas.next(out.out);
        if out.scrubs {
            out.text(name.as_bytes());
            out.raw(b":");
        } else {
            out.raw(key);
        }
        match value {
            Shown::Text(text) => {
                if !text.write(out) {
                    out.out.truncate(before.0);
                    commas = before.1;
                }
            }
            Shown::Literal(json) => out.raw(json),
            Shown::Object(members) => {
                out.raw(b"{");
                write(members, Commas::default(), out);
                out.raw(b"}");
            }
        }
    }
}
