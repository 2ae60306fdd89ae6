//! From a value of JSON to a message, strictly: what the message does not have is refused, with its
//! path, and so is what does not fit into a field.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Number, Value};

use crate::misfit::Misfit;
use crate::outline::Outlines;
use crate::wire::{WireKind, put_long, put_tag, put_varint};

/// Deepest messages in messages.
pub const LEVELS_MAX: usize = 64;

/// Makes messages out of values.
#[derive(Clone, Copy)]
pub(crate) struct Encoder<'o> {
    outlines: &'o Outlines,
}

impl<'o> Encoder<'o> {
    pub(crate) fn new(outlines: &'o Outlines) -> Self {
        Self { outlines }
    }

    /// The message of that type that a value describes, as it travels.
    pub(crate) fn message(
        self,
        kind: &MessageDescriptor,
        value: &Value,
        level: usize,
    ) -> Result<Vec<u8>, Misfit> {
        if level > LEVELS_MAX {
            return Err(Misfit::new(format!("more than {LEVELS_MAX} messages in messages")));
        }
        let Value::Object(members) = value else { return Err(expected("an object", value)) };
        let mut fields = Vec::with_capacity(members.len());
        for (name, value) in members {
            let field = kind.get_field_by_name(name).or_else(|| kind.get_field_by_json_name(name));
            let Some(field) = field else {
                return Err(Misfit::new("there is no such field").in_field(name));
            };
            // As absent as a member that is not there.
            if !value.is_null() {
                fields.push((field, name, value));
            }
        }
        self.check(kind, &fields)?;
        // In the order of their numbers, as every encoder writes them.
        fields.sort_by_key(|(field, ..)| field.number());
        let mut out = Vec::new();
        for (field, name, value) in fields {
            self.put(&mut out, &field, value, level).map_err(|misfit| misfit.in_field(name))?;
        }
        Ok(out)
    }

    /// No field twice, of alternatives one, and all that are required.
    fn check(
        self,
        kind: &MessageDescriptor,
        fields: &[(FieldDescriptor, &String, &Value)],
    ) -> Result<(), Misfit> {
        let mut given = HashSet::with_capacity(fields.len());
        let mut chosen = HashMap::new();
        for (field, name, _) in fields {
            if !given.insert(field.number()) {
                return Err(Misfit::new("the field is given by both of its names").in_field(name));
            }
            let Some(oneof) = field.containing_oneof() else { continue };
            if let Some(other) = chosen.insert(oneof.full_name().to_owned(), field) {
                let problem = format!("only one of this and `{}` may be given", other.name());
                return Err(Misfit::new(problem).in_field(name));
            }
        }
        let required = self.outlines.required(kind.full_name());
        let missing = required.iter().find(|number| !given.contains(number));
        match missing.and_then(|number| kind.get_field(*number)) {
            Some(field) => Err(Misfit::new("the field is required").in_field(field.name())),
            None => Ok(()),
        }
    }

    fn put(
        self,
        out: &mut Vec<u8>,
        field: &FieldDescriptor,
        value: &Value,
        level: usize,
    ) -> Result<(), Misfit> {
        if let Some(entry) = map_entry(field) {
            let Value::Object(members) = value else { return Err(expected("an object", value)) };
            return self.put_map(out, field.number(), &entry, members, level);
        }
        if !field.is_list() {
            return self.put_one(out, field, value, level);
        }
        let Value::Array(items) = value else { return Err(expected("a list", value)) };
        if !field.is_packed() {
            for (index, item) in items.iter().enumerate() {
                self.put_one(out, field, item, level).map_err(|misfit| misfit.in_item(index))?;
            }
            return Ok(());
        }
        let mut packed = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            scalar(&mut packed, &field.kind(), item).map_err(|misfit| misfit.in_item(index))?;
        }
        if !items.is_empty() {
            put_tag(out, field.number(), WireKind::Long);
            put_long(out, &packed);
        }
        Ok(())
    }

    fn put_map(
        self,
        out: &mut Vec<u8>,
        number: u32,
        entry: &MessageDescriptor,
        members: &Map<String, Value>,
        level: usize,
    ) -> Result<(), Misfit> {
        let fields = entry.get_field(1).zip(entry.get_field(2));
        let (key_field, value_field) = fields.ok_or_else(broken)?;
        let mut met = HashSet::with_capacity(members.len());
        for (key, value) in members {
            let told = |misfit: Misfit| misfit.in_field(key);
            let mut made = Vec::new();
            let text = of_text(&key_field.kind(), key).map_err(told)?;
            self.put_one(&mut made, &key_field, &text, level).map_err(told)?;
            // `1` and `01` are one number.
            if !met.insert(made.clone()) {
                return Err(told(Misfit::new("the key is given twice")));
            }
            self.put_one(&mut made, &value_field, value, level).map_err(told)?;
            put_tag(out, number, WireKind::Long);
            put_long(out, &made);
        }
        Ok(())
    }

    fn put_one(
        self,
        out: &mut Vec<u8>,
        field: &FieldDescriptor,
        value: &Value,
        level: usize,
    ) -> Result<(), Misfit> {
        let kind = field.kind();
        if let Kind::Message(inner) = &kind {
            let made = self.message(inner, value, level + 1)?;
            put_tag(out, field.number(), WireKind::Long);
            put_long(out, &made);
            return Ok(());
        }
        put_tag(out, field.number(), wire_kind(&kind));
        scalar(out, &kind, value)
    }
}

/// The entries' type of a field that is a map.
pub(crate) fn map_entry(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => Some(entry),
        _ => None,
    }
}

/// How values of a kind are delimited.
pub(crate) fn wire_kind(kind: &Kind) -> WireKind {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireKind::Eight,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireKind::Four,
        Kind::String | Kind::Bytes | Kind::Message(_) => WireKind::Long,
        _ => WireKind::Varint,
    }
}

fn scalar(out: &mut Vec<u8>, kind: &Kind, value: &Value) -> Result<(), Misfit> {
    match kind {
        Kind::Double => out.extend(float(value)?.to_le_bytes()),
        Kind::Float => out.extend(single(value)?.to_le_bytes()),
        Kind::Int32 => put_varint(out, signed(integer::<i32>(value)?.into())),
        Kind::Int64 => put_varint(out, signed(integer::<i64>(value)?)),
        Kind::Uint32 => put_varint(out, integer::<u32>(value)?.into()),
        Kind::Uint64 => put_varint(out, integer::<u64>(value)?),
        Kind::Sint32 => {
            let value = integer::<i32>(value)?;
            put_varint(out, u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()));
        }
        Kind::Sint64 => {
            let value = integer::<i64>(value)?;
            put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
        }
        Kind::Fixed32 => out.extend(integer::<u32>(value)?.to_le_bytes()),
        Kind::Fixed64 => out.extend(integer::<u64>(value)?.to_le_bytes()),
        Kind::Sfixed32 => out.extend(integer::<i32>(value)?.to_le_bytes()),
        Kind::Sfixed64 => out.extend(integer::<i64>(value)?.to_le_bytes()),
        Kind::Bool => match value {
            Value::Bool(value) => out.push(u8::from(*value)),
            other => return Err(expected("`true` or `false`", other)),
        },
        Kind::String => match value {
            Value::String(text) => put_long(out, text.as_bytes()),
            other => return Err(expected("a string", other)),
        },
        Kind::Bytes => {
            let Value::String(text) = value else { return Err(expected("base64", value)) };
            let bytes = STANDARD.decode(text).map_err(|_| Misfit::new("expected base64"))?;
            put_long(out, &bytes);
        }
        Kind::Enum(kind) => {
            let known = match value {
                Value::String(name) => kind.get_value_by_name(name),
                Value::Number(_) => kind.get_value(integer::<i32>(value)?),
                other => return Err(expected("a name or number", other)),
            };
            let known = known.ok_or_else(|| Misfit::new("no value of the enum"))?;
            put_varint(out, signed(known.number().into()));
        }
        Kind::Message(_) => return Err(broken()),
    }
    Ok(())
}

fn signed(value: i64) -> u64 {
    value.cast_unsigned()
}

/// A whole number within the range of a type; those of 64 bits may also be written as text, since
/// not everybody's numbers hold them.
fn integer<T: TryFrom<i128>>(value: &Value) -> Result<T, Misfit> {
    let is_wide = size_of::<T>() == 8;
    let number = match value {
        Value::Number(number) => whole(number)?,
        Value::String(text) if is_wide => digits(text)?,
        other => return Err(expected("a whole number", other)),
    };
    T::try_from(number).map_err(|_| Misfit::new("the number is out of range"))
}

fn whole(number: &Number) -> Result<i128, Misfit> {
    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    whole.ok_or_else(|| Misfit::new("expected a whole number of at most 64 bits"))
}

fn digits(text: &str) -> Result<i128, Misfit> {
    let bare = text.strip_prefix('-').unwrap_or(text);
    let is_plain = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_plain && bare.len() <= 20 { text.parse().ok() } else { None };
    number.ok_or_else(|| Misfit::new("expected a whole number"))
}

fn float(value: &Value) -> Result<f64, Misfit> {
    match value {
        Value::Number(number) => number.as_f64().ok_or_else(|| Misfit::new("no number")),
        Value::String(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => Err(Misfit::new("expected a number")),
        },
        other => Err(expected("a number", other)),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what does not fit is infinite, and refused")]
fn single(value: &Value) -> Result<f32, Misfit> {
    let wide = float(value)?;
    let single = wide as f32;
    if single.is_infinite() && wide.is_finite() {
        return Err(Misfit::new("the number is out of range"));
    }
    Ok(single)
}

/// The value that a text (of a query, a form, a key of a map) stands for in a field of that kind.
pub(crate) fn of_text(kind: &Kind, text: &str) -> Result<Value, Misfit> {
    Ok(match kind {
        Kind::Bool => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(Misfit::new("expected `true` or `false`")),
        },
        Kind::Double | Kind::Float if !matches!(text, "NaN" | "Infinity" | "-Infinity") => {
            let number = serde_json::from_str::<Number>(text);
            Value::Number(number.map_err(|_| Misfit::new("expected a number"))?)
        }
        Kind::String | Kind::Bytes | Kind::Double | Kind::Float => Value::String(text.to_owned()),
        Kind::Enum(_) => match digits(text).ok().and_then(|number| i64::try_from(number).ok()) {
            Some(number) => Value::from(number),
            None => Value::String(text.to_owned()),
        },
        Kind::Message(_) => return Err(Misfit::new("a message cannot be written as a parameter")),
        _ => {
            let number = digits(text)?;
            let value = i64::try_from(number).map(Value::from);
            let value = value.or_else(|_| u64::try_from(number).map(Value::from));
            value.map_err(|_| Misfit::new("the number is out of range"))?
        }
    })
}

fn expected(what: &str, found: &Value) -> Misfit {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Misfit::new(format!("expected {what}, found {found}"))
}

/// Not in what was rehearsed.
fn broken() -> Misfit {
    Misfit::new("the description does not hold together")
}
