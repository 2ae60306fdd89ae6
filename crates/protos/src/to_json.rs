//! From a message to a value of JSON.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Number, Value};

use crate::misfit::Misfit;
use crate::outline::Outlines;
use crate::to_wire::{LEVELS_MAX, map_entry, wire_kind};
use crate::wire::{Raw, Reader, WireKind};

/// Most values in one message, with those in what it holds.
pub const VALUES_MAX: usize = 100_000;

/// How whole numbers of 64 bits are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wide {
    /// As numbers.
    #[default]
    Number,
    /// As decimal digits in a string.
    Text,
    /// As `0x` and hexadecimal digits in a string.
    Hex,
}

/// Which fields are written that a message does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defaults {
    /// Those of proto3 that cannot be told from absent ones.
    #[default]
    Auto,
    /// All but messages and alternatives.
    All,
    /// None.
    None,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Values of enums as numbers, in place of their names.
    pub enums_as_numbers: bool,
    /// Whole numbers of 64 bits.
    pub wide: Wide,
    /// Fields that are not there.
    pub defaults: Defaults,
}

/// Writes one message.
pub(crate) struct Writer<'o> {
    outlines: &'o Outlines,
    style: Style,
    room: usize,
}

impl<'o> Writer<'o> {
    pub(crate) fn new(outlines: &'o Outlines, style: Style) -> Self {
        Self { outlines, style, room: VALUES_MAX }
    }

    fn spend(&mut self) -> Result<(), Misfit> {
        self.room = self
            .room
            .checked_sub(1)
            .ok_or_else(|| Misfit::new(format!("more than {VALUES_MAX} values")))?;
        Ok(())
    }

    /// The message of that type that the bytes are.
    pub(crate) fn message(
        &mut self,
        kind: &MessageDescriptor,
        bytes: &[u8],
        level: usize,
    ) -> Result<Value, Misfit> {
        if level > LEVELS_MAX {
            return Err(Misfit::new(format!("more than {LEVELS_MAX} messages in messages")));
        }
        let mut met = Vec::new();
        let mut reader = Reader::new(bytes);
        let mut chosen = HashMap::new();
        while let Some((number, raw)) = reader.next()? {
            let Some(field) = kind.get_field(number) else { continue };
            self.spend()?;
            // Of alternatives the last one counts.
            if let Some(oneof) = field.containing_oneof() {
                chosen.insert(oneof.full_name().to_owned(), number);
            }
            met.push((number, raw));
        }
        met.sort_by_key(|(number, _)| *number);
        let mut unset =
            self.outlines.unset(kind.full_name(), self.style.defaults).iter().peekable();
        let mut members = Map::new();
        for same in met.chunk_by(|(one, _), (other, _)| one == other) {
            let Some(field) = same.first().and_then(|(number, _)| kind.get_field(*number)) else {
                continue;
            };
            while let Some(before) = unset.next_if(|before| **before < field.number()) {
                self.absent(kind, *before, &mut members)?;
            }
            unset.next_if_eq(&&field.number());
            let is_chosen = field
                .containing_oneof()
                .is_none_or(|oneof| chosen.get(oneof.full_name()) == Some(&field.number()));
            if is_chosen {
                let value = self.field(&field, same, level);
                let value = value.map_err(|misfit| misfit.in_field(field.name()))?;
                members.insert(field.name().to_owned(), value);
            }
        }
        for number in unset {
            self.absent(kind, *number, &mut members)?;
        }
        Ok(Value::Object(members))
    }

    /// Writes what stands for a field that is not there.
    fn absent(
        &mut self,
        kind: &MessageDescriptor,
        number: u32,
        members: &mut Map<String, Value>,
    ) -> Result<(), Misfit> {
        let Some(field) = kind.get_field(number) else { return Ok(()) };
        self.spend()?;
        let value = if field.is_map() {
            Value::Object(Map::new())
        } else if field.is_list() {
            Value::Array(Vec::new())
        } else {
            self.default_of(&field)
        };
        members.insert(field.name().to_owned(), value);
        Ok(())
    }

    fn default_of(&self, field: &FieldDescriptor) -> Value {
        use prost_reflect::Value as Held;
        match field.default_value() {
            Held::Bool(value) => Value::Bool(value),
            Held::I32(value) => Value::from(value),
            Held::U32(value) => Value::from(value),
            Held::I64(value) => self.wide(value.into()),
            Held::U64(value) => self.wide(value.into()),
            Held::F32(value) => single(value),
            Held::F64(value) => float(value),
            Held::String(value) => Value::String(value),
            Held::Bytes(value) => Value::String(STANDARD.encode(value)),
            Held::EnumNumber(value) => self.enum_value(&field.kind(), value),
            Held::Message(_) | Held::List(_) | Held::Map(_) => Value::Null,
        }
    }

    fn field(
        &mut self,
        field: &FieldDescriptor,
        met: &[(u32, Raw<'_>)],
        level: usize,
    ) -> Result<Value, Misfit> {
        if let Some(entry) = map_entry(field) {
            return self.map(&entry, met, level);
        }
        let kind = field.kind();
        if field.is_list() {
            return self.list(&kind, met, level);
        }
        if let Kind::Message(inner) = &kind {
            // Several are parts of one.
            let mut whole = Vec::new();
            for (_, raw) in met {
                whole.extend_from_slice(long(*raw)?);
            }
            return self.message(inner, &whole, level + 1);
        }
        let last = met.last().ok_or_else(|| Misfit::new("nothing is there"))?;
        self.one(&kind, last.1, level)
    }

    fn list(&mut self, kind: &Kind, met: &[(u32, Raw<'_>)], level: usize) -> Result<Value, Misfit> {
        let mut items = Vec::with_capacity(met.len());
        let wire = wire_kind(kind);
        for (_, raw) in met {
            match raw {
                Raw::Long(packed) if wire != WireKind::Long => {
                    let mut reader = Reader::new(packed);
                    while let Some(raw) = reader.packed(wire)? {
                        self.spend()?;
                        items.push(self.one(kind, raw, level)?);
                    }
                }
                raw => {
                    let item = self.one(kind, *raw, level);
                    items.push(item.map_err(|misfit| misfit.in_item(items.len()))?);
                }
            }
        }
        Ok(Value::Array(items))
    }

    fn map(
        &mut self,
        entry: &MessageDescriptor,
        met: &[(u32, Raw<'_>)],
        level: usize,
    ) -> Result<Value, Misfit> {
        let fields = entry.get_field(1).zip(entry.get_field(2));
        let (key_field, value_field) = fields.ok_or_else(|| Misfit::new("no map"))?;
        let mut members = Map::new();
        for (_, raw) in met {
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            let mut reader = Reader::new(long(*raw)?);
            while let Some((number, raw)) = reader.next()? {
                self.spend()?;
                match number {
                    1 => keys.push((number, raw)),
                    2 => values.push((number, raw)),
                    _ => {}
                }
            }
            let key = match keys.last() {
                Some((_, raw)) => self.one(&key_field.kind(), *raw, level)?,
                None => self.default_of(&key_field),
            };
            let key = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let value = match (values.is_empty(), value_field.kind()) {
                (true, Kind::Message(inner)) => self.message(&inner, &[], level + 1)?,
                (true, _) => self.default_of(&value_field),
                (false, _) => {
                    let value = self.field(&value_field, &values, level);
                    value.map_err(|misfit| misfit.in_field(&key))?
                }
            };
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }

    fn one(&mut self, kind: &Kind, raw: Raw<'_>, level: usize) -> Result<Value, Misfit> {
        let number = match raw {
            Raw::Long(bytes) => {
                return match kind {
                    Kind::Message(inner) => self.message(inner, bytes, level + 1),
                    Kind::Bytes => Ok(Value::String(STANDARD.encode(bytes))),
                    Kind::String => match std::str::from_utf8(bytes) {
                        Ok(text) => Ok(Value::String(text.to_owned())),
                        Err(_) => Err(Misfit::new("a string that is no UTF-8")),
                    },
                    _ => Err(other_form()),
                };
            }
            Raw::Number(number, wire) if wire == wire_kind(kind) => number,
            Raw::Number(..) => return Err(other_form()),
        };
        // Numbers of fewer bits are the lower ones of what travels.
        let [low, ..] = halves(number);
        Ok(match kind {
            Kind::Bool => Value::Bool(number != 0),
            Kind::Int32 | Kind::Sfixed32 => Value::from(low.cast_signed()),
            Kind::Uint32 | Kind::Fixed32 => Value::from(low),
            Kind::Sint32 => Value::from((low >> 1).cast_signed() ^ -(low & 1).cast_signed()),
            Kind::Int64 | Kind::Sfixed64 => self.wide(number.cast_signed().into()),
            Kind::Uint64 | Kind::Fixed64 => self.wide(number.into()),
            Kind::Sint64 => {
                let value = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
                self.wide(value.into())
            }
            Kind::Float => single(f32::from_bits(low)),
            Kind::Double => float(f64::from_bits(number)),
            Kind::Enum(_) => self.enum_value(kind, low.cast_signed()),
            Kind::String | Kind::Bytes | Kind::Message(_) => return Err(other_form()),
        })
    }

    fn enum_value(&self, kind: &Kind, number: i32) -> Value {
        let known = match kind {
            Kind::Enum(kind) if !self.style.enums_as_numbers => kind.get_value(number),
            _ => None,
        };
        known.map_or_else(|| Value::from(number), |known| Value::String(known.name().to_owned()))
    }

    fn wide(&self, value: i128) -> Value {
        match self.style.wide {
            Wide::Number => match i64::try_from(value) {
                Ok(value) => Value::from(value),
                Err(_) => u64::try_from(value).map_or(Value::Null, Value::from),
            },
            Wide::Text => Value::String(value.to_string()),
            Wide::Hex if value < 0 => Value::String(format!("-0x{:x}", -value)),
            Wide::Hex => Value::String(format!("0x{value:x}")),
        }
    }
}

/// The lower and the upper half.
fn halves(number: u64) -> [u32; 2] {
    let half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
    [half(number), half(number >> 32)]
}

fn long(raw: Raw<'_>) -> Result<&[u8], Misfit> {
    match raw {
        Raw::Long(bytes) => Ok(bytes),
        Raw::Number(..) => Err(other_form()),
    }
}

fn other_form() -> Misfit {
    Misfit::new("a value of another form than the field's")
}

fn float(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => Value::String("NaN".to_owned()),
        None if value > 0.0 => Value::String("Infinity".to_owned()),
        None => Value::String("-Infinity".to_owned()),
    }
}

/// With no more digits than tell it from its neighbours.
fn single(value: f32) -> Value {
    let shortest = value.to_string().parse().ok().filter(|_| value.is_finite());
    float(shortest.unwrap_or_else(|| f64::from(value)))
}
