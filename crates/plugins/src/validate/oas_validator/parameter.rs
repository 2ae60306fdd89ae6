//! The parameters of an operation, and reading them from a request.

use std::cell::RefCell;
use std::sync::Arc;

use bartizan_chain::{JsonLimits, Proven, parse_strict};
use bartizan_wire::Fields;
use serde_json::{Map, Value};

use super::check::{Schemas, Slot};
use super::pairs::Pairs;
use super::shape::{Kinds, Shape};
use super::style::{Encoding, Misfit, Reading, Style, Writing};
use super::{deep, paths};

/// A parameter of an operation, or a property of a form.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    /// Its name; of a header field in lower case.
    pub(super) name: Box<str>,
    pub(super) style: Style,
    pub(super) explodes: bool,
    /// What its text is, where it has a media type of its own.
    pub(super) content: Option<Content>,
    /// It may stand there without a value.
    pub(super) allows_empty: bool,
    pub(super) shape: Arc<Shape>,
    /// Its schema by itself, where it can be read in more than one way.
    pub(super) slot: Option<Slot>,
}

/// What the text of a parameter with a media type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// JSON.
    Json,
    /// Anything else, of which nothing is known.
    Text,
}

/// A parameter that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) name: String,
    pub(super) misfit: Misfit,
}

/// What values are read with.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) schemas: &'a Schemas,
    pub(super) limits: JsonLimits,
    /// Takes what can do no harm, if somebody wants to know.
    pub(super) proven: Option<&'a RefCell<Proven>>,
}

impl Parameter {
    /// A map whose members are parameters by themselves.
    pub(super) fn is_spread(&self) -> bool {
        self.style == Style::Form
            && self.explodes
            && self.content.is_none()
            && self.shape.kinds == Kinds::MAP
    }

    /// True if it is one number or flag, whatever else is known of it.
    pub(super) fn is_plain(&self) -> bool {
        let others = [Kinds::TEXT, Kinds::LIST, Kinds::MAP];
        self.content.is_none() && !others.iter().any(|kind| self.shape.kinds.has(*kind))
    }

    fn unreadable(&self, misfit: Misfit) -> Unreadable {
        Unreadable { name: self.name.to_string(), misfit }
    }

    /// The value of the texts that stand under its name.
    fn value(
        &self,
        raws: &[&str],
        encoding: Encoding,
        reader: Reader<'_>,
    ) -> Result<Value, Misfit> {
        if let Some(content) = self.content {
            let [raw] = raws else { return Err(Misfit::Repeated) };
            let text = encoding.decode(raw).ok_or(Misfit::Encoding)?;
            return match content {
                Content::Json => {
                    parse_strict(text.as_bytes(), reader.limits).map_err(|_| Misfit::Json)
                }
                Content::Text => Ok(Value::String(text.into_owned())),
            };
        }
        let (style, explodes) = (self.style, self.explodes);
        let (name, shape) = (&*self.name, &*self.shape);
        let reading = Writing { name, style, explodes, encoding, shape }.read(raws)?;
        self.settle(reading, reader)
    }

    /// The one value of a reading.
    fn settle(&self, reading: Reading, reader: Reader<'_>) -> Result<Value, Misfit> {
        let accepts = |value: &Value| {
            let accepts = |slot| reader.schemas.accepts(slot, value.clone());
            self.slot.as_ref().is_none_or(accepts)
        };
        match reading {
            Reading::One(value) => Ok(value),
            Reading::Either(values) => {
                let fitting = values.iter().position(accepts).unwrap_or_default();
                values.into_iter().nth(fitting).ok_or(Misfit::Style)
            }
            Reading::Both(value, other) if accepts(&other) => Ok(value),
            Reading::Both(..) => Err(Misfit::Delimiter),
        }
    }
}

/// The values of a query or form.
pub(super) fn read_pairs(
    parameters: &[Parameter],
    pairs: &mut Pairs<'_>,
    reader: Reader<'_>,
) -> Result<Map<String, Value>, Unreadable> {
    let mut values = Map::new();
    for parameter in parameters.iter().filter(|parameter| !parameter.is_spread()) {
        let raws = pairs.take(&parameter.name);
        let value = if parameter.style == Style::DeepObject {
            let deep = pairs.take_deep(&parameter.name);
            if raws.is_empty() && deep.is_empty() {
                continue;
            }
            deep::read(&raws, deep, &parameter.shape)
        } else if raws.is_empty() {
            continue;
        } else if parameter.allows_empty && raws.as_slice() == [""] {
            Ok(Value::String(String::new()))
        } else {
            parameter.value(&raws, Encoding::Form, reader)
        };
        let value = value.map_err(|misfit| parameter.unreadable(misfit))?;
        values.insert(parameter.name.to_string(), value);
    }
    for parameter in parameters.iter().filter(|parameter| parameter.is_spread()) {
        let map = spread(parameter, pairs)?;
        if !map.is_empty() {
            values.insert(parameter.name.to_string(), Value::Object(map));
        }
    }
    Ok(values)
}

/// The members of a map that are parameters by themselves. A map that says that it has others
/// takes what no other parameter has taken.
fn spread(parameter: &Parameter, pairs: &mut Pairs<'_>) -> Result<Map<String, Value>, Unreadable> {
    let mut map = Map::new();
    for (name, shape) in &parameter.shape.properties {
        let raws = pairs.take(name);
        if !raws.is_empty() {
            map.insert(name.to_string(), member(name, &raws, shape)?);
        }
    }
    if let Some(shape) = &parameter.shape.additional {
        for (name, raws) in pairs.take_rest() {
            let value = member(&name, &raws, shape)?;
            map.insert(name, value);
        }
    }
    Ok(map)
}

fn member(name: &str, raws: &[&str], shape: &Shape) -> Result<Value, Unreadable> {
    let (style, explodes, encoding) = (Style::Form, true, Encoding::Form);
    let reading = Writing { name, style, explodes, encoding, shape }.read(raws);
    let first = |reading| match reading {
        Reading::One(value) | Reading::Both(value, _) => value,
        Reading::Either(values) => values.into_iter().next().unwrap_or_default(),
    };
    reading.map(first).map_err(|misfit| Unreadable { name: name.to_owned(), misfit })
}

/// The values of a path's parameters; `places` says which parameter each value of the path is.
pub(super) fn read_path(
    parameters: &[Parameter],
    places: &[usize],
    captures: &[&str],
    reader: Reader<'_>,
) -> Result<Map<String, Value>, Unreadable> {
    let mut values = Map::new();
    for (place, raw) in places.iter().zip(captures) {
        let Some(parameter) = parameters.get(*place) else { continue };
        let value = parameter.value(&[raw], Encoding::Percent, reader);
        let value = value.map_err(|misfit| parameter.unreadable(misfit))?;
        values.insert(parameter.name.to_string(), value);
    }
    Ok(values)
}

/// The values of header fields. A list may be spread over several fields (RFC 9110 §5.3).
pub(super) fn read_headers(
    parameters: &[Parameter],
    fields: &Fields,
    reader: Reader<'_>,
) -> Result<Map<String, Value>, Unreadable> {
    let mut values = Map::new();
    for parameter in parameters {
        let fault = |misfit| parameter.unreadable(misfit);
        let texts = fields.all(&parameter.name).map(std::str::from_utf8);
        let texts: Vec<&str> =
            texts.collect::<Result<_, _>>().map_err(|_| fault(Misfit::Encoding))?;
        let joined;
        let raw = match texts.as_slice() {
            [] => continue,
            [one] => one,
            _ if parameter.shape.kinds.has_scalar() || parameter.content.is_some() => {
                return Err(fault(Misfit::Repeated));
            }
            several => {
                joined = several.join(",");
                joined.as_str()
            }
        };
        let value = parameter.value(&[raw], Encoding::Plain, reader).map_err(fault)?;
        values.insert(parameter.name.to_string(), value);
    }
    Ok(values)
}

/// The values of cookies.
pub(super) fn read_cookies(
    parameters: &[Parameter],
    fields: &Fields,
    reader: Reader<'_>,
) -> Result<Map<String, Value>, Unreadable> {
    let mut values = Map::new();
    if parameters.is_empty() {
        return Ok(values);
    }
    let unreadable = |_| Unreadable { name: "cookie".to_owned(), misfit: Misfit::Encoding };
    let lines = fields.all("cookie").map(std::str::from_utf8);
    let lines: Vec<&str> = lines.collect::<Result<_, _>>().map_err(unreadable)?;
    let crumbs = || lines.iter().flat_map(|line| line.split(';')).map(str::trim);
    for parameter in parameters {
        let named = crumbs().filter_map(|crumb| {
            let (name, value) = crumb.split_once('=').unwrap_or((crumb, ""));
            (paths::decoded(name.trim())? == *parameter.name).then(|| unquoted(value.trim()))
        });
        let raws: Vec<&str> = named.collect();
        if raws.is_empty() {
            continue;
        }
        let value = parameter.value(&raws, Encoding::Percent, reader);
        let value = value.map_err(|misfit| parameter.unreadable(misfit))?;
        values.insert(parameter.name.to_string(), value);
    }
    Ok(values)
}

/// A cookie's value without the quotes that may stand around it (RFC 6265 §4.1.1).
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value)
}
