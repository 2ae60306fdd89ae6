//! How parameters are written (OpenAPI 3.1.1 §4.8.12, RFC 6570), read back.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};
use smallvec::SmallVec;

use super::shape::{Kinds, Shape};

/// How a parameter is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `;color=blue`, in paths.
    Matrix,
    /// `.blue`, in paths.
    Label,
    /// `blue`, in paths and header fields.
    Simple,
    /// `color=blue`, in queries, forms and cookies.
    Form,
    /// `color=blue%20black`, in queries and forms.
    SpaceDelimited,
    /// `color=blue|black`, in queries and forms.
    PipeDelimited,
    /// `color[R]=100`, in queries and forms.
    DeepObject,
}

impl Style {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "matrix" => Self::Matrix,
            "label" => Self::Label,
            "simple" => Self::Simple,
            "form" => Self::Form,
            "spaceDelimited" => Self::SpaceDelimited,
            "pipeDelimited" => Self::PipeDelimited,
            "deepObject" => Self::DeepObject,
            _ => return None,
        })
    }

    /// What stands between the items of one text.
    fn delimiter(self, explodes: bool) -> char {
        match self {
            Self::Label if explodes => '.',
            Self::Matrix if explodes => ';',
            Self::SpaceDelimited => ' ',
            Self::PipeDelimited => '|',
            _ => ',',
        }
    }
}

/// How text is encoded where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is: header fields.
    Plain,
    /// Percent-encoded: paths and cookies.
    Percent,
    /// Percent-encoded, with `+` for a space: queries and forms.
    Form,
}

impl Encoding {
    /// The text; `None` where the encoding is broken or it is not UTF-8.
    pub(super) fn decode(self, text: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Plain => Some(Cow::Borrowed(text)),
            Self::Percent => super::paths::decoded(text),
            Self::Form if !text.contains(['%', '+']) => Some(Cow::Borrowed(text)),
            Self::Form => bartizan_wire::decode_form(text).map(Cow::Owned),
        }
    }
}

/// Why a text is not what its style writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It occurs more than once, or a name in it does.
    Repeated,
    /// It is not written in this style.
    Style,
    /// Its encoding is broken, or it is not UTF-8.
    Encoding,
    /// It is not JSON with one meaning.
    Json,
    /// A delimiter in it is encoded, and both ways to split it cannot be right.
    Delimiter,
    /// There are more of them than anyone needs.
    TooMany,
}

/// A parameter's text, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading {
    /// It has one value.
    One(Value),
    /// Its schema leaves several kinds of values: it is the first of these that fits.
    Either(SmallVec<[Value; 2]>),
    /// It can be split in two ways, by where a delimiter is encoded: both have to fit, since
    /// nobody knows which one the upstream chooses.
    Both(Value, Value),
}

/// How one parameter is written, and of what shape it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writing<'a> {
    pub(super) name: &'a str,
    pub(super) style: Style,
    pub(super) explodes: bool,
    pub(super) encoding: Encoding,
    pub(super) shape: &'a Shape,
}

impl Writing<'_> {
    /// Reads the texts of a parameter: all that stand under its name.
    pub(super) fn read(&self, raws: &[&str]) -> Result<Reading, Misfit> {
        let kinds = self.shape.kinds;
        let mut readings: SmallVec<[Value; 2]> = SmallVec::new();
        let mut failed = None;
        if kinds.has_scalar() {
            match self.scalars(raws) {
                Ok(scalars) => readings.extend(scalars),
                Err(misfit) => failed = Some(misfit),
            }
        }
        if kinds.has(Kinds::LIST) {
            match self.list(raws) {
                Ok(Reading::One(list)) => readings.push(list),
                Ok(both) if !kinds.is_mixed() => return Ok(both),
                Ok(Reading::Both(loose, _)) => readings.push(loose),
                Ok(Reading::Either(_)) => {}
                Err(misfit) => failed = failed.or(Some(misfit)),
            }
        }
        if kinds.has(Kinds::MAP) {
            match self.map(raws) {
                Ok(map) => readings.push(map),
                Err(misfit) => failed = failed.or(Some(misfit)),
            }
        }
        let mut all = readings.into_iter();
        match (all.next(), all.len()) {
            (Some(only), 0) => Ok(Reading::One(only)),
            (Some(first), _) => Ok(Reading::Either(std::iter::once(first).chain(all).collect())),
            (None, _) => Err(failed.unwrap_or(Misfit::Style)),
        }
    }

    /// The one text, without what the style puts before it.
    fn single<'r>(&self, raws: &[&'r str]) -> Result<&'r str, Misfit> {
        let [raw] = raws else { return Err(Misfit::Repeated) };
        match self.style {
            Style::Label => raw.strip_prefix('.').ok_or(Misfit::Style),
            Style::Matrix => raw.strip_prefix(';').ok_or(Misfit::Style),
            _ => Ok(raw),
        }
    }

    /// What stands behind `name=` in the matrix style.
    fn assigned<'r>(&self, part: &'r str) -> Result<&'r str, Misfit> {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        if self.decode(name)? == self.name { Ok(value) } else { Err(Misfit::Style) }
    }

    fn decode<'r>(&self, text: &'r str) -> Result<Cow<'r, str>, Misfit> {
        self.encoding.decode(text).ok_or(Misfit::Encoding)
    }

    fn scalars(&self, raws: &[&str]) -> Result<SmallVec<[Value; 2]>, Misfit> {
        let mut raw = self.single(raws)?;
        if self.style == Style::Matrix {
            raw = self.assigned(raw)?;
        }
        let text = self.decode(raw)?;
        let kinds = self.shape.kinds;
        let typed = typed(&text, kinds);
        let is_text = kinds.has(Kinds::TEXT) || typed.is_none();
        let text = is_text.then(|| Value::String(text.into_owned()));
        Ok(typed.into_iter().chain(text).collect())
    }

    fn list(&self, raws: &[&str]) -> Result<Reading, Misfit> {
        let text = Shape::text();
        let items = self.shape.items.as_deref().unwrap_or(&text);
        let delimiter = self.style.delimiter(self.explodes);
        if self.explodes && !matches!(self.style, Style::Simple | Style::Label | Style::Matrix) {
            return self.items(raws.iter().copied(), items).map(Reading::One);
        }
        let raw = self.single(raws)?;
        if self.style == Style::Matrix && self.explodes {
            let parts: Vec<&str> =
                raw.split(delimiter).map(|part| self.assigned(part)).collect::<Result<_, _>>()?;
            return self.items(parts.into_iter(), items).map(Reading::One);
        }
        let raw = if self.style == Style::Matrix { self.assigned(raw)? } else { raw };
        if self.encoding == Encoding::Plain {
            let parts = raw.split(delimiter).map(str::trim);
            return self.items(parts, items).map(Reading::One);
        }
        let decoded = self.decode(raw)?;
        let loose: Value =
            decoded.split(delimiter).map(|text| scalar(text.to_owned(), items)).collect();
        let is_encoded = decoded.matches(delimiter).count() != raw.matches(delimiter).count();
        if !is_encoded || !items.kinds.has(Kinds::TEXT) || is_always_encoded(delimiter) {
            return Ok(Reading::One(loose));
        }
        Ok(Reading::Both(loose, self.items(raw.split(delimiter), items)?))
    }

    fn items<'r>(
        &self,
        raws: impl Iterator<Item = &'r str>,
        items: &Shape,
    ) -> Result<Value, Misfit> {
        raws.map(|raw| Ok(scalar(self.decode(raw)?.into_owned(), items))).collect()
    }

    fn map(&self, raws: &[&str]) -> Result<Value, Misfit> {
        let mut raw = self.single(raws)?;
        let delimiter = self.style.delimiter(self.explodes);
        let mut map = Map::new();
        if self.explodes {
            for part in raw.split(delimiter) {
                let part = if self.encoding == Encoding::Plain { part.trim() } else { part };
                let (name, value) = part.split_once('=').ok_or(Misfit::Style)?;
                self.put(&mut map, self.decode(name)?, self.decode(value)?)?;
            }
            return Ok(Value::Object(map));
        }
        if self.style == Style::Matrix {
            raw = self.assigned(raw)?;
        }
        let whole =
            if is_always_encoded(delimiter) { self.decode(raw)? } else { Cow::Borrowed(raw) };
        let is_decoded = is_always_encoded(delimiter);
        let mut parts = whole.split(delimiter);
        while let Some(name) = parts.next() {
            let value = parts.next().ok_or(Misfit::Style)?;
            if is_decoded {
                self.put(&mut map, Cow::Borrowed(name), Cow::Borrowed(value))?;
            } else {
                self.put(&mut map, self.decode(name.trim())?, self.decode(value.trim())?)?;
            }
        }
        Ok(Value::Object(map))
    }

    fn put(
        &self,
        map: &mut Map<String, Value>,
        name: Cow<'_, str>,
        value: Cow<'_, str>,
    ) -> Result<(), Misfit> {
        let text = Shape::text();
        let shape = self.shape.property(&name).unwrap_or(&text);
        let value = scalar(value.into_owned(), shape);
        if map.insert(name.into_owned(), value).is_some() { Err(Misfit::Repeated) } else { Ok(()) }
    }
}

/// Spaces and bars cannot stand in a query as they are, so that there is nothing to tell apart.
fn is_always_encoded(delimiter: char) -> bool {
    matches!(delimiter, ' ' | '|')
}

/// A text as a single value of a shape: what it cannot be, it is as text, which the schema then
/// refuses.
pub(super) fn scalar(text: String, shape: &Shape) -> Value {
    typed(&text, shape.kinds).unwrap_or(Value::String(text))
}

/// A text as a number or truth value, where the kinds have these and it is one.
fn typed(text: &str, kinds: Kinds) -> Option<Value> {
    if kinds.has(Kinds::NUMBER)
        && let Some(number) = number(text)
    {
        return Some(Value::Number(number));
    }
    match text {
        "true" if kinds.has(Kinds::FLAG) => Some(Value::Bool(true)),
        "false" if kinds.has(Kinds::FLAG) => Some(Value::Bool(false)),
        _ => None,
    }
}

/// A number as JSON writes it, and no other way: `+5`, `05`, `0x5` and ` 5` are read differently
/// by different servers.
fn number(text: &str) -> Option<Number> {
    let (first, last) = (text.bytes().next()?, text.bytes().next_back()?);
    let is_plain = (first == b'-' || first.is_ascii_digit()) && last.is_ascii_digit();
    is_plain.then(|| text.parse().ok()).flatten()
}
