//! Bodies: which entry of the description one belongs to, and its value.

use std::sync::Arc;

use bartizan_chain::parse_strict;
use serde_json::{Map, Value};

use super::media::MediaType;
use super::multipart::{self, Part};
use super::pairs::Pairs;
use super::parameter::{Parameter, Reader, Unreadable, read_pairs};
use super::refusal::Refusal;
use super::shape::{Kinds, Shape};
use super::style::{Misfit, scalar};

/// The part that violations in bodies name.
const PART: &str = "body";

/// The body of an operation.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) is_required: bool,
    pub(super) entries: Box<[Entry]>,
}

/// A content type of a body.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) media: MediaType,
    /// The property that its schema is, in the schema of the operation; `None` where it has none.
    pub(super) name: Option<Box<str>>,
    /// Which definition that is.
    pub(super) definition: Option<usize>,
    pub(super) shape: Arc<Shape>,
    pub(super) form: FormFields,
}

/// The fields of a form.
#[derive(Debug, Default)]
pub(super) enum FormFields {
    /// It is none.
    #[default]
    None,
    /// `application/x-www-form-urlencoded`.
    Pairs(Box<[Parameter]>),
    /// `multipart/form-data`.
    Parts(Box<[PartField]>),
}

/// A field of a `multipart/form-data`.
#[derive(Clone, Debug)]
pub(super) struct PartField {
    pub(super) name: Box<str>,
    pub(super) shape: Arc<Shape>,
    /// The media types that it may have; any if empty.
    pub(super) media: Box<[MediaType]>,
}

impl Body {
    /// The value of a body and the property that its schema is; `None` where there is nothing
    /// left to hold against a schema.
    pub(super) fn read(
        &self,
        content_type: Option<&str>,
        bytes: &[u8],
        reader: Reader<'_>,
    ) -> Result<Option<(&str, Value)>, Refusal> {
        if bytes.is_empty() {
            return if self.is_required {
                Err(Refusal::violation(PART, None, "required"))
            } else {
                Ok(None)
            };
        }
        // What a body is, is not guessed.
        let stated = content_type.ok_or(Refusal::Media("no content type".into()))?;
        let actual =
            MediaType::parse(stated).ok_or(Refusal::Media("a content type that is none".into()))?;
        let fits = self.entries.iter().filter_map(|entry| Some((entry.media.fit(&actual)?, entry)));
        let best = fits.max_by_key(|(fit, _)| *fit);
        let Some((_, entry)) = best else {
            let types: Vec<String> = self.entries.iter().map(|e| e.media.to_string()).collect();
            return Err(Refusal::Media(format!(
                "the content type is none of {}",
                types.join(", ")
            )));
        };
        let value = entry.value(&actual, bytes, reader)?;
        Ok(entry.name.as_deref().zip(value))
    }
}

impl Entry {
    /// The value; `None` for what is not read, which is everything that is neither JSON nor a form
    /// nor text, and for JSON that certainly fits.
    fn value(
        &self,
        actual: &MediaType,
        bytes: &[u8],
        reader: Reader<'_>,
    ) -> Result<Option<Value>, Refusal> {
        if actual.is_json() {
            let fits = |definition| reader.schemas.accepts_body(definition, bytes, reader);
            if self.definition.is_some_and(fits) {
                return Ok(None);
            }
            let value = parse_strict(bytes, reader.limits);
            let value = value.map_err(|fault| Refusal::Unparsable(format!("JSON: {fault}")))?;
            return Ok(Some(value));
        }
        match &self.form {
            FormFields::Pairs(fields) => form(fields, bytes, reader).map(Some),
            FormFields::Parts(fields) => {
                let parts = multipart::parse(bytes, actual);
                let parts = parts
                    .map_err(|fault| Refusal::Unparsable(format!("form: {}", fault.text())))?;
                multipart_value(fields, &parts, reader).map(|value| Some(Value::Object(value)))
            }
            FormFields::None if actual.is_text() && self.shape.kinds.has(Kinds::TEXT) => {
                let text = std::str::from_utf8(bytes);
                let text = text.map_err(|_| Refusal::Unparsable("text: not UTF-8".into()))?;
                Ok(Some(Value::String(text.to_owned())))
            }
            FormFields::None => Ok(None),
        }
    }
}

fn form(fields: &[Parameter], bytes: &[u8], reader: Reader<'_>) -> Result<Value, Refusal> {
    let unparsable = |text: &str| Refusal::Unparsable(format!("form: {text}"));
    let text = std::str::from_utf8(bytes).map_err(|_| unparsable("not UTF-8"))?;
    let most = usize::try_from(reader.limits.items).unwrap_or(usize::MAX);
    let mut pairs = Pairs::parse(text, most).map_err(|misfit| unparsable(misfit.rule()))?;
    let mut object = read_pairs(fields, &mut pairs, reader).map_err(|fault| refused(&fault))?;
    // The description does not know these; its schema says whether there may be some.
    for (name, raws) in pairs.take_rest() {
        let value = single(&name, &raws)?;
        object.insert(name, Value::String(value));
    }
    if let Some(name) = pairs.unknown() {
        object.insert(name, Value::String(String::new()));
    }
    Ok(Value::Object(object))
}

fn single(name: &str, raws: &[&str]) -> Result<String, Refusal> {
    let fault = |misfit| refused(&Unreadable { name: name.to_owned(), misfit });
    let [raw] = raws else { return Err(fault(Misfit::Repeated)) };
    let text = super::style::Encoding::Form.decode(raw);
    text.map(std::borrow::Cow::into_owned).ok_or_else(|| fault(Misfit::Encoding))
}

fn refused(unreadable: &Unreadable) -> Refusal {
    Refusal::unreadable(PART, unreadable)
}

/// The parts as an object. A file is null there: that it came is all that is known of it.
fn multipart_value(
    fields: &[PartField],
    parts: &[Part<'_>],
    reader: Reader<'_>,
) -> Result<Map<String, Value>, Refusal> {
    let mut object = Map::new();
    for part in parts {
        let fault = |misfit| refused(&Unreadable { name: part.name.clone(), misfit });
        let Some(field) = fields.iter().find(|field| *field.name == *part.name) else {
            let text = std::str::from_utf8(part.content).map_or(Value::Null, Value::from);
            if object.insert(part.name.clone(), text).is_some() {
                return Err(fault(Misfit::Repeated));
            }
            continue;
        };
        if !field.admits(part.media.as_ref()) {
            return Err(Refusal::violation(PART, Some(&part.name), "contentType"));
        }
        let is_list = field.shape.kinds.has(Kinds::LIST);
        let is_json = part.media.as_ref().is_some_and(MediaType::is_json);
        if is_list && !is_json {
            let items = field.shape.items.clone().unwrap_or_else(Shape::text);
            let value = part_value(part, &items, reader).map_err(fault)?;
            let list = object.entry(part.name.clone()).or_insert_with(|| Value::Array(Vec::new()));
            match list {
                Value::Array(items) => items.push(value),
                _ => return Err(fault(Misfit::Repeated)),
            }
            continue;
        }
        let value = part_value(part, &field.shape, reader).map_err(fault)?;
        if object.insert(part.name.clone(), value).is_some() {
            return Err(fault(Misfit::Repeated));
        }
    }
    Ok(object)
}

impl PartField {
    fn admits(&self, media: Option<&MediaType>) -> bool {
        // A part without a type is plain text (RFC 7578 §4.4).
        let plain = || MediaType::parse("text/plain");
        self.media.is_empty()
            || media
                .cloned()
                .or_else(plain)
                .is_some_and(|actual| self.media.iter().any(|entry| entry.fit(&actual).is_some()))
    }
}

fn part_value(part: &Part<'_>, shape: &Shape, reader: Reader<'_>) -> Result<Value, Misfit> {
    if shape.is_open {
        return Ok(Value::Null);
    }
    let is_json = part.media.as_ref().is_some_and(MediaType::is_json);
    if shape.kinds == Kinds::MAP || (is_json && !shape.kinds.has_scalar()) {
        return parse_strict(part.content, reader.limits).map_err(|_| Misfit::Json);
    }
    let text = std::str::from_utf8(part.content).map_err(|_| Misfit::Encoding)?;
    Ok(scalar(text.to_owned(), shape))
}
