//! What is written in a style reads back as what it was.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::shape::Shape;
use super::style::{Encoding, Misfit, Reading, Style, Writing};

fn read(
    schema: &Value,
    (style, explodes, encoding): (Style, bool, Encoding),
    raws: &[&str],
) -> Result<Reading, Misfit> {
    let shape = Shape::of(schema, &[]);
    Writing { name: "color", style, explodes, encoding, shape: &shape }.read(raws)
}

fn list() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn map() -> Value {
    let level = json!({"type": "integer"});
    json!({"type": "object", "properties": {"R": level, "G": level, "B": level}})
}

#[test]
fn the_examples_of_the_specification_are_read() {
    use Encoding::{Form, Percent, Plain};
    let (text, list, map) = (json!({"type": "string"}), list(), map());
    let (blue, colors, rgb) =
        (json!("blue"), json!(["blue", "black", "brown"]), json!({"R": 100, "G": 200, "B": 150}));
    for (style, explodes, encoding, schema, raws, value) in [
        (Style::Matrix, false, Percent, &text, &[";color=blue"][..], &blue),
        (Style::Matrix, false, Percent, &text, &[";color"], &json!("")),
        (Style::Matrix, false, Percent, &list, &[";color=blue,black,brown"], &colors),
        (Style::Matrix, true, Percent, &list, &[";color=blue;color=black;color=brown"], &colors),
        (Style::Matrix, false, Percent, &map, &[";color=R,100,G,200,B,150"], &rgb),
        (Style::Matrix, true, Percent, &map, &[";R=100;G=200;B=150"], &rgb),
        (Style::Label, false, Percent, &text, &[".blue"], &blue),
        (Style::Label, false, Percent, &list, &[".blue,black,brown"], &colors),
        (Style::Label, true, Percent, &list, &[".blue.black.brown"], &colors),
        (Style::Label, false, Percent, &map, &[".R,100,G,200,B,150"], &rgb),
        (Style::Label, true, Percent, &map, &[".R=100.G=200.B=150"], &rgb),
        (Style::Simple, false, Plain, &list, &["blue, black,brown"], &colors),
        (Style::Simple, false, Percent, &map, &["R,100,G,200,B,150"], &rgb),
        (Style::Simple, true, Plain, &map, &["R=100, G=200,B=150"], &rgb),
        (Style::Form, false, Form, &list, &["blue,black,brown"], &colors),
        (Style::Form, true, Form, &list, &["blue", "black", "brown"], &colors),
        (Style::Form, false, Form, &map, &["R,100,G,200,B,150"], &rgb),
        (Style::SpaceDelimited, false, Form, &list, &["blue%20black+brown"], &colors),
        (Style::SpaceDelimited, false, Form, &map, &["R%20100%20G%20200%20B%20150"], &rgb),
        (Style::PipeDelimited, false, Form, &list, &["blue%7Cblack|brown"], &colors),
        (Style::PipeDelimited, false, Form, &map, &["R|100|G|200|B|150"], &rgb),
        (Style::PipeDelimited, true, Form, &list, &["blue", "black", "brown"], &colors),
    ] {
        let reading = read(schema, (style, explodes, encoding), raws);
        assert_eq!(reading, Ok(Reading::One(value.clone())), "{style:?} {explodes} {raws:?}");
    }
}

#[test]
fn what_is_not_written_in_the_style_is_refused() {
    use Encoding::{Form, Percent};
    let (text, list, map) = (json!({"type": "string"}), list(), map());
    for (style, explodes, encoding, schema, raws, misfit) in [
        (Style::Matrix, false, Percent, &text, &["blue"][..], Misfit::Style),
        (Style::Matrix, false, Percent, &text, &[";colour=blue"], Misfit::Style),
        (Style::Label, false, Percent, &text, &["blue"], Misfit::Style),
        (Style::Form, true, Form, &text, &["blue", "blue"], Misfit::Repeated),
        (Style::Form, false, Form, &list, &["blue", "black"], Misfit::Repeated),
        (Style::Form, false, Form, &map, &["R,100,G"], Misfit::Style),
        (Style::Form, false, Form, &map, &["R,100,R,200"], Misfit::Repeated),
        (Style::Simple, true, Percent, &map, &["R,100"], Misfit::Style),
        (Style::Form, true, Form, &text, &["%FF"], Misfit::Encoding),
    ] {
        let reading = read(schema, (style, explodes, encoding), raws);
        assert_eq!(reading, Err(misfit), "{style:?} {explodes} {raws:?}");
    }
}

#[test]
fn numbers_are_what_json_calls_a_number() {
    let number = json!({"type": "integer"});
    for (raw, value) in [
        ("5", json!(5)),
        ("-5", json!(-5)),
        ("1e2", json!(1e2)),
        ("+5", json!(" 5")),
        ("05", json!("05")),
        ("0x5", json!("0x5")),
        ("%205", json!(" 5")),
        ("5.", json!("5.")),
        ("", json!("")),
        ("1e999", json!("1e999")),
        ("Infinity", json!("Infinity")),
    ] {
        let reading = read(&number, (Style::Form, true, Encoding::Form), &[raw]);
        assert_eq!(reading, Ok(Reading::One(value)), "{raw}");
    }
}

#[test]
fn a_schema_of_several_kinds_leaves_several_readings() {
    let schema = json!({"anyOf": [{"type": "string"}, {"type": "integer"}, list()]});
    let Ok(Reading::Either(all)) = read(&schema, (Style::Form, false, Encoding::Form), &["1"])
    else {
        panic!("one reading")
    };
    assert_eq!(all.to_vec(), [json!(1), json!("1"), json!(["1"])]);
    let reading = read(&schema, (Style::Form, true, Encoding::Form), &["1", "2"]);
    assert_eq!(reading, Ok(Reading::One(json!(["1", "2"]))));
}

#[test]
fn an_encoded_delimiter_is_read_both_ways_where_it_matters() {
    let style = (Style::Form, false, Encoding::Form);
    let both = Reading::Both(json!(["a", "b", "c"]), json!(["a", "b,c"]));
    assert_eq!(read(&list(), style, &["a,b%2Cc"]), Ok(both));
    let numbers = json!({"type": "array", "items": {"type": "integer"}});
    assert_eq!(read(&numbers, style, &["1%2C2"]), Ok(Reading::One(json!([1, 2]))));
}

/// Writes text so that no style can mistake it.
fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric();
    text.bytes().fold(String::new(), |out, byte| match byte {
        byte if plain(&byte) => format!("{out}{}", char::from(byte)),
        byte => format!("{out}%{byte:02X}"),
    })
}

fn written_list(style: Style, explodes: bool, items: &[String]) -> Vec<String> {
    let items: Vec<String> = items.iter().map(|item| encoded(item)).collect();
    match (style, explodes) {
        (Style::Matrix, true) => {
            vec![items.iter().fold(String::new(), |out, item| format!("{out};color={item}"))]
        }
        (Style::Matrix, false) => vec![format!(";color={}", items.join(","))],
        (Style::Label, true) => vec![format!(".{}", items.join("."))],
        (Style::Label, false) => vec![format!(".{}", items.join(","))],
        (Style::Simple, _) | (Style::Form, false) => vec![items.join(",")],
        (Style::SpaceDelimited, false) => vec![items.join("%20")],
        (Style::PipeDelimited, false) => vec![items.join("|")],
        _ => items,
    }
}

fn written_map(style: Style, explodes: bool, members: &[(String, i32)]) -> String {
    let joined = |inner: &str, outer: &str| {
        let parts = members.iter().map(|(name, value)| format!("{}{inner}{value}", encoded(name)));
        parts.collect::<Vec<_>>().join(outer)
    };
    match (style, explodes) {
        (Style::Matrix, true) => format!(";{}", joined("=", ";")),
        (Style::Matrix, false) => format!(";color={}", joined(",", ",")),
        (Style::Label, true) => format!(".{}", joined("=", ".")),
        (Style::Label, false) => format!(".{}", joined(",", ",")),
        (Style::Simple, true) => joined("=", ","),
        (Style::SpaceDelimited, _) => joined("%20", "%20"),
        (Style::PipeDelimited, _) => joined("|", "|"),
        _ => joined(",", ","),
    }
}

fn styles() -> impl Strategy<Value = (Style, bool)> {
    let style = prop::sample::select(vec![
        Style::Matrix,
        Style::Label,
        Style::Simple,
        Style::Form,
        Style::SpaceDelimited,
        Style::PipeDelimited,
    ]);
    (style, any::<bool>())
}

fn encoding_of(style: Style) -> Encoding {
    match style {
        Style::Matrix | Style::Label | Style::Simple => Encoding::Percent,
        _ => Encoding::Form,
    }
}

proptest! {
    #[test]
    fn lists_read_back(
        (style, explodes) in styles(),
        items in prop::collection::vec("[a-zé%&=;+]{1,5}", 1..5),
    ) {
        let raws = written_list(style, explodes, &items);
        let raws: Vec<&str> = raws.iter().map(String::as_str).collect();
        let reading = read(&list(), (style, explodes, encoding_of(style)), &raws);
        prop_assert_eq!(reading, Ok(Reading::One(json!(items))));
    }

    #[test]
    fn whatever_the_items_hold_the_strict_reading_is_the_list(
        items in prop::collection::vec("[a-z,.|/ ]{1,5}", 1..5),
    ) {
        let raws = written_list(Style::Form, false, &items);
        let reading = read(&list(), (Style::Form, false, Encoding::Form), &[&raws[0]]);
        let strict = match reading { Ok(Reading::Both(_, strict)) => strict, Ok(Reading::One(one)) => one, _ => json!(null) };
        prop_assert_eq!(strict, json!(items));
    }

    #[test]
    fn maps_read_back(
        (style, explodes) in styles().prop_filter("their own parameters", |(style, explodes)| {
            !*explodes || matches!(style, Style::Matrix | Style::Label | Style::Simple)
        }),
        members in prop::collection::hash_map("[a-zé]{1,4}", any::<i32>(), 1..4),
    ) {
        let members: Vec<(String, i32)> = members.into_iter().collect();
        let raw = written_map(style, explodes, &members);
        let schema = json!({"type": "object", "additionalProperties": {"type": "integer"}});
        let reading = read(&schema, (style, explodes, encoding_of(style)), &[&raw]);
        let expected: serde_json::Map<String, Value> =
            members.into_iter().map(|(name, value)| (name, json!(value))).collect();
        prop_assert_eq!(reading, Ok(Reading::One(Value::Object(expected))));
    }

    #[test]
    fn nothing_panics(
        (style, explodes) in styles(),
        raws in prop::collection::vec("\\PC{0,12}", 0..3),
    ) {
        let shape = Arc::new(Shape::of(&json!({"anyOf": [list(), map(), {"type": "boolean"}]}), &[]));
        let raws: Vec<&str> = raws.iter().map(String::as_str).collect();
        for encoding in [Encoding::Plain, Encoding::Percent, Encoding::Form] {
            let _ = Writing { name: "color", style, explodes, encoding, shape: &shape }.read(&raws);
        }
    }
}
