//! The deepObject style: `filter[color]=blue`, and what people make of it, `ids[]=1&ids[]=2`,
//! `lines[0][price]=5`. The specification leaves lists and nesting open; they are read as every
//! widely used parser reads them.

use serde_json::{Map, Value};

use super::pairs::{Deep, Raws};
use super::shape::{Kinds, Shape};
use super::style::{Encoding, Misfit, scalar};

/// Most brackets behind a name.
const DEPTH_MAX: usize = 8;

/// Reads what stands under one name, with and without brackets.
pub(super) fn read(plain: &Raws<'_>, deep: &[Deep<'_>], shape: &Shape) -> Result<Value, Misfit> {
    let mut tree = Value::Null;
    for raw in plain {
        put(&mut tree, "", raw, 0)?;
    }
    for (rest, raw) in deep {
        put(&mut tree, rest, raw, 0)?;
    }
    typed(tree, shape)
}

/// Puts a text where its brackets lead. Until it is typed, a tree is maps with lists of texts at
/// their ends.
fn put(tree: &mut Value, rest: &str, raw: &str, depth: usize) -> Result<(), Misfit> {
    if depth > DEPTH_MAX {
        return Err(Misfit::Style);
    }
    if rest.is_empty() {
        let text = Encoding::Form.decode(raw).ok_or(Misfit::Encoding)?;
        return match tree {
            Value::Null => {
                *tree = Value::Array(vec![Value::String(text.into_owned())]);
                Ok(())
            }
            Value::Array(texts) => {
                texts.push(Value::String(text.into_owned()));
                Ok(())
            }
            // A value and members under one name.
            _ => Err(Misfit::Repeated),
        };
    }
    let inner = rest.strip_prefix('[').ok_or(Misfit::Style)?;
    let (key, rest) = inner.split_once(']').ok_or(Misfit::Style)?;
    if key.contains('[') {
        return Err(Misfit::Style);
    }
    if tree.is_null() {
        *tree = Value::Object(Map::new());
    }
    let Value::Object(members) = tree else { return Err(Misfit::Repeated) };
    let member = members.entry(key.to_owned()).or_insert(Value::Null);
    put(member, rest, raw, depth + 1)
}

/// A tree as a value of a shape.
fn typed(tree: Value, shape: &Shape) -> Result<Value, Misfit> {
    match tree {
        Value::Array(texts) => leaf(texts, shape),
        Value::Object(members) if is_list(&members, shape) => list(members, shape),
        Value::Object(members) => {
            let text = Shape::text();
            let typed = members.into_iter().map(|(name, tree)| {
                let value = typed(tree, shape.property(&name).unwrap_or(&text))?;
                Ok((name, value))
            });
            typed.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        other => Ok(other),
    }
}

fn leaf(mut texts: Vec<Value>, shape: &Shape) -> Result<Value, Misfit> {
    let of = |text: Value, shape: &Shape| match text {
        Value::String(text) => scalar(text, shape),
        other => other,
    };
    if shape.kinds.has(Kinds::LIST) && (texts.len() > 1 || !shape.kinds.has_scalar()) {
        let text = Shape::text();
        let items = shape.items.as_deref().unwrap_or(&text);
        return Ok(texts.into_iter().map(|text| of(text, items)).collect());
    }
    match (texts.pop(), texts.is_empty()) {
        (Some(text), true) => Ok(of(text, shape)),
        _ => Err(Misfit::Repeated),
    }
}

/// True if the members are the items of a list: `[]`, or numbers.
fn is_list(members: &Map<String, Value>, shape: &Shape) -> bool {
    let is_index = |key: &String| key.is_empty() || key.bytes().all(|b| b.is_ascii_digit());
    shape.kinds.has(Kinds::LIST) && members.keys().all(is_index)
}

fn list(members: Map<String, Value>, shape: &Shape) -> Result<Value, Misfit> {
    let text = Shape::text();
    let items = shape.items.as_deref().unwrap_or(&text);
    if members.contains_key("") {
        let mut members = members.into_iter();
        return match (members.next(), members.next()) {
            (Some((_, Value::Array(texts))), None) => {
                let of = |text| leaf(vec![text], items);
                texts.into_iter().map(of).collect()
            }
            // Which item a member in `[]` belongs to is read differently by different parsers.
            _ => Err(Misfit::Style),
        };
    }
    let mut indexed = members
        .into_iter()
        .map(|(key, tree)| Ok((key.parse::<usize>().map_err(|_| Misfit::Style)?, tree)))
        .collect::<Result<Vec<_>, Misfit>>()?;
    indexed.sort_unstable_by_key(|(index, _)| *index);
    let is_whole = indexed.iter().enumerate().all(|(place, (index, _))| place == *index);
    if !is_whole {
        return Err(Misfit::Style);
    }
    indexed.into_iter().map(|(_, tree)| typed(tree, items)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::pairs::Pairs;
    use super::*;

    fn of(schema: &Value, query: &str) -> Result<Value, Misfit> {
        let mut pairs = Pairs::parse(query, 100).unwrap();
        let plain = pairs.take("f");
        read(&plain, pairs.take_deep("f"), &Shape::of(schema, &[]))
    }

    #[test]
    fn brackets_make_maps_and_lists() {
        let number = json!({"type": "integer"});
        let schema = json!({
            "properties": {
                "gt": number, "in": {"type": "array", "items": number}, "eq": {"type": "boolean"},
            },
        });
        let expected = json!({"gt": 5, "in": [1, 2], "eq": true, "x": "7"});
        let query = "f[gt]=5&f[in][]=1&f[in][]=2&f[eq]=true&f%5Bx%5D=7";
        assert_eq!(of(&schema, query), Ok(expected));
        let lines = json!({"type": "array", "items": {"properties": {"price": number}}});
        let query = "f[1][price]=6&f[0][price]=5";
        assert_eq!(of(&lines, query), Ok(json!([{"price": 5}, {"price": 6}])));
        assert_eq!(of(&lines, "f[]=a"), Ok(json!(["a"])));
        let either = json!({"anyOf": [number, schema]});
        assert_eq!(of(&either, "f=5"), Ok(json!(5)));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let (map, list) = (json!({"type": "object"}), json!({"type": "array"}));
        for (schema, query, misfit) in [
            (&map, "f[a]=1&f[a]=2", Misfit::Repeated),
            (&map, "f[a]=1&f[a][b]=2", Misfit::Repeated),
            (&map, "f[a][b]=1&f[a]=2", Misfit::Repeated),
            (&map, "f[a=1", Misfit::Style),
            (&map, "f[a]b=1", Misfit::Style),
            (&map, "f[a[b]]=1", Misfit::Style),
            (&map, "f[a]=%FF", Misfit::Encoding),
            (&map, "f[1][2][3][4][5][6][7][8][9]=1", Misfit::Style),
            (&list, "f[0]=1&f[2]=1", Misfit::Style),
            (&list, "f[0]=1&f[00]=1", Misfit::Style),
            (&list, "f[]=1&f[0]=2", Misfit::Style),
            (&list, "f[][a]=1", Misfit::Style),
        ] {
            assert_eq!(of(schema, query), Err(misfit), "{query}");
        }
    }
}
