use proptest::prelude::*;
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
use serde_json::{Map, Value, json};

use super::*;

const TYPES: &str = r#"
syntax = "proto3";
package t;
message Every {
  double d = 1; float f = 2; int32 i32 = 3; int64 i64 = 4; uint32 u32 = 5; uint64 u64 = 6;
  sint32 s32 = 7; sint64 s64 = 8; fixed32 x32 = 9; fixed64 x64 = 10; sfixed32 y32 = 11;
  sfixed64 y64 = 12; bool b = 13; string text = 14; bytes raw = 15; Kind kind = 16;
  Every inner = 17; repeated int32 list = 18; repeated string texts = 19;
  map<int32, string> names = 20; map<string, Every> parts = 21;
  oneof how { string by_name = 22; int32 by_number = 23; Every by_part = 24; }
  optional int32 maybe = 25; repeated Kind kinds = 26; repeated sint64 wide = 27 [packed = false];
}
enum Kind { NONE = 0; ONE = 1; LESS = -1; }
message Nothing {}
service S {
  rpc Call(Every) returns (Every);
  rpc Up(stream Every) returns (Every);
  rpc Down(Every) returns (stream Every);
}
"#;

const OLD: &str = r#"
syntax = "proto2";
message Old { required string name = 1; optional int32 size = 2 [default = 7]; repeated int32 all = 3; }
service S { rpc Call(Old) returns (Old); }
"#;

fn call() -> Method {
    Protos::compile(TYPES).unwrap().method("t.S", "Call").unwrap()
}

fn refused(method: &Method, value: &Value) -> String {
    method.input(value).expect_err(&value.to_string()).to_string()
}

fn everything() -> Value {
    json!({
        "d": -1.5, "f": 0.1, "i32": -5, "i64": -6, "u32": 7, "u64": u64::MAX, "s32": i32::MIN,
        "s64": i64::MIN, "x32": 9, "x64": 10, "y32": -11, "y64": -12, "b": true, "text": "ü",
        "raw": "AAH/", "kind": "LESS", "inner": { "i32": 1 }, "list": [1, -2, 3], "texts": ["", "x"],
        "names": { "-1": "a", "2": "b" }, "parts": { "p": { "b": true }, "": {} },
        "by_number": 0, "maybe": 0, "kinds": ["ONE", "NONE"], "wide": [1, -1],
    })
}

const BARE: Style = Style { enums_as_numbers: false, wide: Wide::Number, defaults: Defaults::None };

#[test]
fn what_is_written_is_what_prost_reads_and_comes_back_as_it_was() {
    let method = call();
    let bytes = method.input(&everything()).unwrap();
    let kind = Protos::compile(TYPES).unwrap().pool.get_message_by_name("t.Every").unwrap();
    let read = DynamicMessage::decode(kind, &*bytes).unwrap();
    assert_eq!(read.get_field_by_name("u64").unwrap().as_u64(), Some(u64::MAX));
    assert_eq!(read.get_field_by_name("s32").unwrap().as_i32(), Some(i32::MIN));
    assert_eq!(read.get_field_by_name("kind").unwrap().as_enum_number(), Some(-1));
    assert_eq!(read.get_field_by_name("list").unwrap().as_list().unwrap().len(), 3);
    assert_eq!(read.get_field_by_name("raw").unwrap().as_bytes().unwrap()[..], [0, 1, 255]);
    assert!(read.has_field_by_name("by_number") && read.has_field_by_name("maybe"));
    assert_eq!(read.unknown_fields().count(), 0);
    assert_eq!(method.output(&bytes, BARE).unwrap(), everything());
    assert_eq!(method.output(&read.encode_to_vec(), BARE).unwrap(), everything());
}

#[test]
fn what_does_not_fit_is_refused_with_its_path() {
    let method = call();
    for (value, expected) in [
        (json!([]), "expected an object, found a list"),
        (json!({ "nosuch": 1 }), "there is no such field (at nosuch)"),
        (json!({ "inner": { "inner": { "x": 1 } } }), "there is no such field (at inner.inner.x)"),
        (json!({ "i32": 2_147_483_648_u32 }), "the number is out of range (at i32)"),
        (json!({ "i32": -2_147_483_649_i64 }), "the number is out of range (at i32)"),
        (json!({ "u32": -1 }), "the number is out of range (at u32)"),
        (json!({ "i64": 9_223_372_036_854_775_808_u64 }), "the number is out of range (at i64)"),
        (json!({ "u64": "18446744073709551616" }), "the number is out of range (at u64)"),
        (json!({ "u64": "1e3" }), "expected a whole number (at u64)"),
        (json!({ "i64": "--1" }), "expected a whole number (at i64)"),
        (json!({ "i32": "1" }), "expected a whole number, found a string (at i32)"),
        (json!({ "i32": 1.5 }), "expected a whole number of at most 64 bits (at i32)"),
        (json!({ "f": 1e39 }), "the number is out of range (at f)"),
        (json!({ "d": "x" }), "expected a number (at d)"),
        (json!({ "b": 1 }), "expected `true` or `false`, found a number (at b)"),
        (json!({ "b": "true" }), "expected `true` or `false`, found a string (at b)"),
        (json!({ "text": 1 }), "expected a string, found a number (at text)"),
        (json!({ "raw": "_" }), "expected base64 (at raw)"),
        (json!({ "kind": "TWO" }), "no value of the enum (at kind)"),
        (json!({ "kind": 9 }), "no value of the enum (at kind)"),
        (json!({ "kind": true }), "expected a name or number, found a truth value (at kind)"),
        (json!({ "inner": 1 }), "expected an object, found a number (at inner)"),
        (json!({ "list": 1 }), "expected a list, found a number (at list)"),
        (json!({ "list": [1, null] }), "expected a whole number, found null (at list[1])"),
        (json!({ "wide": [1, "x"] }), "expected a whole number (at wide[1])"),
        (json!({ "names": [] }), "expected an object, found a list (at names)"),
        (json!({ "names": { "x": "a" } }), "expected a whole number (at names.x)"),
        (json!({ "names": { "1": "a", "01": "a" } }), "the key is given twice (at names.01)"),
        (json!({ "names": { "1": 1 } }), "expected a string, found a number (at names.1)"),
        (
            json!({ "parts": { "a": { "list": [{}] } } }),
            "expected a whole number, found an object (at parts.a.list[0])",
        ),
        (
            json!({ "by_name": "a", "by_number": 1 }),
            "only one of this and `by_name` may be given (at by_number)",
        ),
        (
            json!({ "by_name": "a", "byName": "a" }),
            "the field is given by both of its names (at byName)",
        ),
    ] {
        assert_eq!(refused(&method, &value), expected, "{value}");
    }
    // `null` is as absent as nothing.
    assert_eq!(method.input(&json!({ "i32": null, "inner": null })).unwrap(), [0_u8; 0]);
    let old = Protos::compile(OLD).unwrap().method("S", "Call").unwrap();
    assert_eq!(refused(&old, &json!({})), "the field is required (at name)");
    assert!(old.input(&json!({ "name": "" })).is_ok());
}

#[test]
fn numbers_have_exactly_the_range_of_their_type() {
    let method = call();
    for (field, least, most) in [
        ("i32", i128::from(i32::MIN), i128::from(i32::MAX)),
        ("s32", i32::MIN.into(), i32::MAX.into()),
        ("y32", i32::MIN.into(), i32::MAX.into()),
        ("u32", 0, u32::MAX.into()),
        ("x32", 0, u32::MAX.into()),
        ("i64", i64::MIN.into(), i64::MAX.into()),
        ("s64", i64::MIN.into(), i64::MAX.into()),
        ("y64", i64::MIN.into(), i64::MAX.into()),
        ("u64", 0, u64::MAX.into()),
        ("x64", 0, u64::MAX.into()),
    ] {
        for (number, fits) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
            let value: Value = serde_json::from_str(&format!("{{\"{field}\":{number}}}")).unwrap();
            let made = method.input(&value);
            assert_eq!(made.is_ok(), fits, "{field} {number}");
            if let Ok(bytes) = made {
                assert_eq!(method.output(&bytes, BARE).unwrap(), value);
            }
        }
    }
}

#[test]
fn parameters_are_fields_of_the_message_itself() {
    let method = call();
    let pairs = [
        ("i32", "-5"),
        ("text", "5"),
        ("b", "true"),
        ("list", "1"),
        ("list", "2"),
        ("kind", "ONE"),
        ("u64", "18446744073709551615"),
        ("d", "NaN"),
        ("byName", "x"),
    ];
    let made = method.input_of_parameters(pairs).unwrap();
    let expected = json!({ "d": "NaN", "i32": -5, "u64": u64::MAX, "b": true, "text": "5",
        "kind": "ONE", "list": [1, 2], "by_name": "x" });
    assert_eq!(method.output(&made, BARE).unwrap(), expected);
    for (pairs, expected) in [
        (&[("i32", "1"), ("i32", "1")][..], "the parameter is given twice (at i32)"),
        (&[("i32", "")], "expected a whole number (at i32)"),
        (&[("i32", "+1")], "expected a whole number (at i32)"),
        (&[("b", "1")], "expected `true` or `false` (at b)"),
        (&[("x", "1")], "there is no such field (at x)"),
        (&[("inner", "{}")], "a message cannot be written as a parameter (at inner)"),
        (&[("names", "{}")], "a message cannot be written as a parameter (at names)"),
        (&[("d", "one")], "expected a number (at d)"),
    ] {
        let told = method.input_of_parameters(pairs.iter().copied()).unwrap_err().to_string();
        assert_eq!(told, expected);
    }
}

#[test]
fn each_style_writes_its_own() {
    let method = call();
    let bytes =
        method.input(&json!({ "i64": -255, "u64": 255, "kind": "ONE", "by_number": 0 })).unwrap();
    let text = Style { enums_as_numbers: true, wide: Wide::Text, ..BARE };
    let expected = json!({ "i64": "-255", "u64": "255", "kind": 1, "by_number": 0 });
    assert_eq!(method.output(&bytes, text).unwrap(), expected);
    let hex = method.output(&bytes, Style { wide: Wide::Hex, ..BARE }).unwrap();
    assert_eq!((&hex["i64"], &hex["u64"]), (&json!("-0xff"), &json!("0xff")));
    let auto = method.output(&[], Style::default()).unwrap();
    assert_eq!(auto["i32"], 0);
    assert_eq!(
        (&auto["list"], &auto["names"], &auto["kind"]),
        (&json!([]), &json!({}), &json!("NONE"))
    );
    for absent in ["inner", "by_name", "maybe"] {
        assert!(auto.get(absent).is_none(), "{absent}");
    }
    let old = Protos::compile(OLD).unwrap().method("S", "Call").unwrap();
    assert_eq!(old.output(&[], Style::default()).unwrap(), json!({}));
    let all = Style { defaults: Defaults::All, ..BARE };
    assert_eq!(old.output(&[], all).unwrap(), json!({ "name": "", "size": 7, "all": [] }));
}

#[test]
fn what_a_message_costs_is_what_it_holds_and_not_what_its_type_has() {
    // So many looks at fields would take minutes.
    const FIELDS: usize = 20_000;
    let fields =
        (2..FIELDS).map(|at| format!("Wide f{at} = {};", at + 20_000)).collect::<Vec<_>>().concat();
    let text = format!(
        "syntax = \"proto3\"; message Wide {{ repeated Wide all = 1; {fields} }}
         service S {{ rpc Call(Wide) returns (Wide); }}"
    );
    let method = Protos::compile(&text).unwrap().method("S", "Call").unwrap();
    let bytes = [0x0a, 0].repeat(VALUES_MAX + 1);
    for style in [BARE, Style { defaults: Defaults::All, ..BARE }, Style::default()] {
        // Each of the list, and where it is written each empty list inside.
        let most = if style.defaults == Defaults::None { VALUES_MAX } else { VALUES_MAX / 2 };
        let (fits, over) = (&bytes[..2 * most], &bytes[..2 * most + 2]);
        let value = method.output(fits, style).unwrap();
        assert_eq!(value["all"].as_array().unwrap().len(), most);
        assert!(method.output(over, style).is_err());
    }
}

#[test]
fn what_is_given_is_checked_once() {
    // Each with each other would take minutes.
    const FIELDS: usize = 30_000;
    let type_of = |syntax: &str, field: &str| {
        let fields = (1..=FIELDS)
            .map(|at| if at < 19_000 { at } else { at + 1_000 })
            .map(|at| format!("{field} f{at}={at};"))
            .collect::<Vec<_>>()
            .concat();
        let text = format!(
            "syntax = \"{syntax}\"; message Wide {{ {fields} }}
             message Many {{ repeated Wide all = 1; }}
             service S {{ rpc Call(Wide) returns (Wide); rpc All(Many) returns (Many); }}"
        );
        Protos::compile(&text).unwrap()
    };
    let numbers = (1..=FIELDS).map(|at| if at < 19_000 { at } else { at + 1_000 });
    let given: Map<String, Value> = numbers.map(|at| (format!("f{at}"), json!(1))).collect();
    for (syntax, field) in [("proto3", "int32"), ("proto2", "required int32")] {
        let protos = type_of(syntax, field);
        let method = protos.method("S", "Call").unwrap();
        let bytes = method.input(&Value::Object(given.clone())).unwrap();
        assert_eq!(method.output(&bytes, BARE).unwrap(), Value::Object(given.clone()));
        let mut less = given.clone();
        less.remove("f5");
        assert_eq!(method.input(&Value::Object(less)).is_ok(), syntax == "proto3");
    }
    // Nor does what may be given, and is not, cost anything.
    let many = type_of("proto3", "int32").method("S", "All").unwrap();
    let empty = json!({ "all": vec![json!({}); VALUES_MAX] });
    assert_eq!(many.input(&empty).unwrap().len(), 2 * VALUES_MAX);
}

#[test]
fn fields_are_written_in_the_order_of_their_numbers_there_or_not() {
    let text =
        "syntax = \"proto3\"; message M { int32 c = 3; int32 a = 1; int32 d = 4; int32 b = 2; }
                service S { rpc Call(M) returns (M); }";
    let method = Protos::compile(text).unwrap().method("S", "Call").unwrap();
    let value = method.output(&[0x20, 4, 0x10, 2], Style::default()).unwrap();
    assert_eq!(value.to_string(), r#"{"a":0,"b":2,"c":0,"d":4}"#);
}

#[test]
fn a_message_that_is_none_is_refused() {
    let method = call();
    let told = |bytes: &[u8]| method.output(bytes, BARE).unwrap_err().to_string();
    assert_eq!(told(&[0x18]), "it ends in the middle of a value");
    assert_eq!(told(&[0x72, 5, b'a']), "it ends in the middle of a value");
    assert_eq!(told(&[0x72, 1, 0xff]), "a string that is no UTF-8 (at text)");
    assert_eq!(told(&[0x1b]), "a group, which nothing has");
    assert_eq!(told(&[0x00]), "a field of no number");
    assert_eq!(told(&[0x1a, 1, 1]), "a value of another form than the field's (at i32)");
    assert_eq!(told(&[0x70, 1]), "a value of another form than the field's (at text)");
    let long = [&[0x18][..], &[0xff; 9], &[2]].concat();
    assert_eq!(told(&long), "a number of more than 64 bits");
    // What is not known is left out, as every reader does.
    assert_eq!(method.output(&[0x98, 0x06, 1], BARE).unwrap(), json!({}));
    // Of one that comes twice the last counts, and parts of a message are one.
    assert_eq!(method.output(&[0x18, 1, 0x18, 2], BARE).unwrap(), json!({ "i32": 2 }));
    let parts = [0x8a, 1, 2, 0x18, 1, 0x8a, 1, 2, 0x28, 2];
    assert_eq!(method.output(&parts, BARE).unwrap(), json!({ "inner": { "i32": 1, "u32": 2 } }));
    let both = [0xb2, 1, 1, b'a', 0xb8, 1, 5];
    assert_eq!(method.output(&both, BARE).unwrap(), json!({ "by_number": 5 }));
}

#[test]
fn messages_nest_and_hold_no_more_than_their_bounds() {
    let method = call();
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({ "inner": inner }));
    assert!(method.input(&nested(LEVELS_MAX)).is_ok());
    assert!(refused(&method, &nested(LEVELS_MAX + 1)).starts_with("more than 64 messages"));
    let bytes = |levels: usize| {
        let mut bytes = Vec::new();
        for _ in 1..levels {
            let mut outer = Vec::new();
            wire::put_tag(&mut outer, 17, wire::WireKind::Long);
            wire::put_long(&mut outer, &bytes);
            bytes = outer;
        }
        bytes
    };
    assert!(method.output(&bytes(LEVELS_MAX), BARE).is_ok());
    assert!(method.output(&bytes(LEVELS_MAX + 1), BARE).is_err());
    let list = |count: usize| {
        let mut bytes = Vec::new();
        wire::put_tag(&mut bytes, 18, wire::WireKind::Long);
        wire::put_long(&mut bytes, &vec![1; count]);
        bytes
    };
    assert!(method.output(&list(VALUES_MAX - 1), BARE).is_ok());
    let told = method.output(&list(VALUES_MAX), BARE).unwrap_err().to_string();
    assert_eq!(told, "more than 100000 values (at list)");
}

#[test]
fn only_methods_of_one_message_each_way_are_found() {
    let protos = Protos::compile(TYPES).unwrap();
    assert_eq!(protos.method("t.S", "Call").unwrap().path(), "/t.S/Call");
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(protos.method("S", "Call").unwrap_err(), NoMethod::Service(names(&["t.S"])));
    let methods = NoMethod::Method(names(&["Call", "Up", "Down"]));
    assert_eq!(protos.method("t.S", "call").unwrap_err(), methods);
    assert_eq!(protos.method("t.S", "Up").unwrap_err(), NoMethod::Streams);
    assert_eq!(protos.method("t.S", "Down").unwrap_err(), NoMethod::Streams);
}

#[test]
fn a_status_has_its_details_as_far_as_their_type_is_known() {
    let protos = Protos::compile(TYPES).unwrap();
    let detail = call().input(&json!({ "i32": 7 })).unwrap();
    let mut any = Vec::new();
    wire::put_tag(&mut any, 1, wire::WireKind::Long);
    wire::put_long(&mut any, b"type.googleapis.com/t.Every");
    wire::put_tag(&mut any, 2, wire::WireKind::Long);
    wire::put_long(&mut any, &detail);
    let mut bytes = vec![0x08, 5, 0x12, 2, b'n', b'o'];
    wire::put_tag(&mut bytes, 3, wire::WireKind::Long);
    wire::put_long(&mut bytes, &any);
    let known = protos.details("t.Every").unwrap();
    let expected = json!({ "code": 5, "message": "no", "details": [{ "i32": 7 }] });
    assert_eq!(status(&bytes, Some(&known), BARE).unwrap(), expected);
    let plain = json!([{ "type_url": "type.googleapis.com/t.Every", "value": "GAc=" }]);
    assert_eq!(status(&bytes, None, BARE).unwrap()["details"], plain);
    let other = protos.details("t.Nothing").unwrap();
    assert_eq!(status(&bytes, Some(&other), BARE).unwrap()["details"], plain);
    assert!(protos.details("Every").is_none());
    assert!(status(&[0x08], None, BARE).is_err());
}

proptest! {
    #[test]
    fn what_is_read_of_any_bytes_can_be_written_and_means_the_same(
        bytes in proptest::collection::vec(any::<u8>(), 0..60)
    ) {
        let protos = Protos::compile(TYPES).unwrap();
        let method = protos.method("t.S", "Call").unwrap();
        if let Ok(value) = method.output(&bytes, BARE) {
            // What was read can be written, and means the same.
            if let Ok(again) = method.input(&value) {
                prop_assert_eq!(method.output(&again, BARE).unwrap(), value);
            }
        }
    }
}
