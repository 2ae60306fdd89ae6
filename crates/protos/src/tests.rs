use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions,
};

use super::*;

const ECHO: &str = r#"
syntax = "proto3";
package shop.v1;
import "google/protobuf/timestamp.proto";

// A question.
message Ask {
  string name = 1;
  repeated int64 sizes = 2;
  map<string, Ask> parts = 3;
  oneof how { bool loud = 4; bytes raw = 5; }
  google.protobuf.Timestamp at = 6;
}
message Answer { Kind kind = 1; }
enum Kind { NONE = 0; SOME = 1; }
service Echo {
  rpc Say(Ask) returns (Answer);
  rpc Watch(Ask) returns (stream Answer);
}
"#;

fn told(content: &str) -> String {
    Protos::compile(content).expect_err("it compiles").to_string()
}

fn set_of(files: Vec<FileDescriptorProto>) -> String {
    STANDARD.encode(FileDescriptorSet { file: files }.encode_to_vec())
}

fn file(name: &str, imports: &[&str]) -> FileDescriptorProto {
    FileDescriptorProto {
        name: Some(name.to_owned()),
        syntax: Some("proto3".to_owned()),
        dependency: imports.iter().map(|&import| import.to_owned()).collect(),
        ..FileDescriptorProto::default()
    }
}

/// Messages in messages.
fn nested(levels: usize) -> DescriptorProto {
    let inner = (levels > 1).then(|| nested(levels - 1));
    DescriptorProto {
        name: Some("M".to_owned()),
        nested_type: inner.into_iter().collect(),
        ..DescriptorProto::default()
    }
}

#[test]
fn a_text_and_the_set_that_is_made_of_it_hold_the_same() {
    let of_text = Protos::compile(ECHO).unwrap();
    assert_eq!(of_text.services().collect::<Vec<_>>(), ["shop.v1.Echo"]);
    let files: Vec<_> =
        of_text.pool.files().map(|file| file.file_descriptor_proto().clone()).collect();
    let encoded = set_of(files);
    let of_set = Protos::compile(&encoded).unwrap();
    assert_eq!(of_set.services().collect::<Vec<_>>(), ["shop.v1.Echo"]);
    // As `base64` breaks lines.
    let broken = encoded.as_bytes().chunks(76).map(String::from_utf8_lossy).collect::<Vec<_>>();
    assert!(Protos::compile(&format!("{}\n", broken.join("\n"))).is_ok());
    // Without what every `protoc` brings along.
    let own = of_text.pool.get_file_by_name("content.proto").unwrap();
    assert!(Protos::compile(&set_of(vec![own.file_descriptor_proto().clone()])).is_ok());
}

#[test]
fn a_fault_of_a_text_is_told_with_line_and_column() {
    for (content, expected) in [
        ("message", "line 1, column 1: "),
        ("message A {\n  string a 1;\n}", "line 2, column 12: "),
        ("syntax = \"proto3\";\nmessage A {\n  Nosuch a = 1;\n}", "line 3, column 3: "),
        ("message A { optional string a = 1; optional string b = 1; }", "line 1, column "),
        ("syntax = \"proto9\";", "line 1, column 10: "),
        ("message A {}\n message A {}", "line 2, column 10: "),
        ("import \"other.proto\";", "line 1, column 8: there is no file `other.proto` to import"),
        ("message A {} /* never", "line 1, column 14: a comment without end"),
        ("message A {} /* a /* b */", "line 1, column 14: a comment inside a comment"),
        ("syntax = \"proto3", "line 1, column 10: a string without end"),
        ("option go_package = \"a\\q\";", "line 1, column 23: no escape of this name"),
        ("# a\nmessage A {}", "line 1, column 1: a comment begins with `//`"),
        ("message A {\0}", "line 1, column 12: a zero byte"),
        ("service S { rpc A(B) returns (B); }", "line 1, column 19: "),
    ] {
        let told = told(content);
        if content != "message" {
            assert!(told.starts_with(expected), "{content}: {told}");
        }
    }
}

#[test]
fn what_is_neither_a_text_nor_a_set_is_told_so() {
    assert_eq!(told("abcde"), "neither the text of a `.proto` file nor base64");
    assert!(told("////").starts_with("no set of files: "), "{}", told("////"));
    let missing = set_of(vec![file("a.proto", &["b.proto"])]);
    assert_eq!(told(&missing), "`a.proto` imports `b.proto`, which is not before it in the set");
    assert!(
        Protos::compile(&set_of(vec![file("b.proto", &[]), file("a.proto", &["b.proto"])])).is_ok()
    );
    let circular = set_of(vec![file("a.proto", &["b.proto"]), file("b.proto", &["a.proto"])]);
    assert_eq!(told(&circular), told(&missing));
}

#[test]
fn everything_that_google_brings_along_can_be_imported() {
    for name in known::KNOWN {
        let text = format!("syntax = \"proto3\";\nimport \"{name}\";\nmessage A {{}}");
        assert!(Protos::compile(&text).is_ok(), "{name}");
    }
    assert!(told("import \"google/protobuf/other.proto\";").contains("there is no file"));
}

#[test]
fn a_text_nests_no_deeper_than_its_bound() {
    let text = |levels: usize| "message A {".repeat(levels) + &"}".repeat(levels);
    assert!(Protos::compile(&text(DEPTH_MAX)).is_ok());
    let deep = text(DEPTH_MAX + 1);
    assert!(told(&deep).ends_with("nests deeper than 32 levels"), "{}", told(&deep));
    // What closes in a comment or a string closes nothing.
    let hidden = "message A { /* } */ // }\n".repeat(DEPTH_MAX + 1);
    assert!(told(&hidden).contains("nests deeper"), "{}", told(&hidden));
    let hidden = "option a = { b: '}' ".repeat(DEPTH_MAX + 1);
    assert!(told(&hidden).contains("nests deeper"), "{}", told(&hidden));
    assert!(told(&"[".repeat(1_000_000)).contains("nests deeper"));
    assert_eq!(told(&"[".repeat(CONTENT_MAX + 1)), "more than 1048576 bytes");
}

#[test]
fn a_set_nests_no_deeper_than_its_bound() {
    let set = |levels: usize| {
        let file =
            FileDescriptorProto { message_type: vec![nested(levels)], ..file("a.proto", &[]) };
        set_of(vec![file])
    };
    assert!(Protos::compile(&set(DEPTH_MAX)).is_ok());
    assert_eq!(told(&set(DEPTH_MAX + 1)), "more than 32 levels of messages in messages");
    assert_eq!(told(&set(200)), "more than 32 levels of messages in messages");
}

#[test]
fn what_a_description_may_hold_is_counted() {
    let text = |count: usize| {
        (0..count).map(|at| format!("message M{at}{{}}")).collect::<Vec<_>>().concat()
    };
    assert!(Protos::compile(&text(TYPES_MAX)).is_ok());
    assert_eq!(
        told(&text(TYPES_MAX + 1)),
        format!("more than {TYPES_MAX} messages, enums and services")
    );
    let values = |count: usize| {
        let values = (0..count).map(|at| format!("v{at:x}=0;")).collect::<Vec<_>>().concat();
        format!("enum E {{ option allow_alias = true; {values} }}")
    };
    assert!(Protos::compile(&values(FIELDS_MAX)).is_ok());
    assert!(told(&values(FIELDS_MAX + 1)).starts_with("more than 100000 fields"));
    let files =
        |count: usize| set_of((0..count).map(|at| file(&format!("{at}.proto"), &[])).collect());
    assert!(Protos::compile(&files(FILES_MAX)).is_ok());
    assert_eq!(told(&files(FILES_MAX + 1)), "more than 256 files");
}

/// So many empty parts, each at the end of the path of those that hold it.
fn parts(path: &[u32], count: usize) -> Vec<u8> {
    let [around @ .., number] = path else { panic!("no path") };
    let mut bytes = Vec::new();
    for _ in 0..count {
        wire::put_tag(&mut bytes, *number, wire::WireKind::Long);
        wire::put_long(&mut bytes, &[]);
    }
    around.iter().rev().fold(bytes, |inner, number| {
        let mut outer = Vec::new();
        wire::put_tag(&mut outer, *number, wire::WireKind::Long);
        wire::put_long(&mut outer, &inner);
        outer
    })
}

#[test]
fn a_set_is_counted_before_it_is_decoded() {
    let types = "more than 10000 messages, enums and services";
    let fields = "more than 100000 fields, enum values and methods";
    // What is cut off behind them is found only where they are not too many.
    let told = |path: &[u32], count| {
        told(&STANDARD.encode([&parts(path, count)[..], &[0x0a, 9]].concat()))
    };
    let beside = |path: &[u32]| path.len().saturating_sub(2);
    for (path, max, expected) in [
        (&[1][..], FILES_MAX, "more than 256 files"),
        (&[1, 4], TYPES_MAX, types),
        (&[1, 5], TYPES_MAX, types),
        (&[1, 6], TYPES_MAX, types),
        (&[1, 4, 3], TYPES_MAX, types),
        (&[1, 4, 4], TYPES_MAX, types),
        (&[1, 7], FIELDS_MAX, fields),
        (&[1, 4, 2], FIELDS_MAX, fields),
        (&[1, 4, 6], FIELDS_MAX, fields),
        (&[1, 4, 8], FIELDS_MAX, fields),
        (&[1, 5, 2], FIELDS_MAX, fields),
        (&[1, 4, 4, 2], FIELDS_MAX, fields),
        (&[1, 6, 2], FIELDS_MAX, fields),
    ] {
        // What is around them counts too, where it is of their kind.
        let fits = if max == TYPES_MAX { max - beside(path) } else { max };
        assert!(told(path, fits).starts_with("no set of files: "), "{path:?}");
        assert_eq!(told(path, fits + 1), expected, "{path:?}");
    }
}

#[test]
fn a_set_and_a_text_hold_as_much_as_each_other() {
    let set = |file| set_of(vec![file]);
    let messages = |count: usize| {
        let message =
            |at| DescriptorProto { name: Some(format!("M{at}")), ..DescriptorProto::default() };
        set(FileDescriptorProto {
            message_type: (0..count).map(message).collect(),
            ..file("a", &[])
        })
    };
    assert!(Protos::compile(&messages(TYPES_MAX)).is_ok());
    assert!(told(&messages(TYPES_MAX + 1)).starts_with("more than 10000 messages"));
    let content = |length: usize| "message A {}".to_owned() + &" ".repeat(length - 12);
    assert!(Protos::compile(&content(CONTENT_MAX)).is_ok());
    assert_eq!(told(&content(CONTENT_MAX + 1)), "more than 1048576 bytes");
}

fn bytes_of_echo() -> Vec<u8> {
    let pool = Protos::compile(ECHO).unwrap().pool;
    let files = pool.files().map(|file| file.file_descriptor_proto().clone()).collect();
    FileDescriptorSet { file: files }.encode_to_vec()
}

#[test]
fn what_no_protoc_makes_is_refused_before_anybody_asks_it() {
    let entry = |fields: Vec<FieldDescriptorProto>| {
        let options = MessageOptions { map_entry: Some(true), ..MessageOptions::default() };
        let message = DescriptorProto {
            name: Some("M".to_owned()),
            field: fields,
            options: Some(options),
            ..DescriptorProto::default()
        };
        set_of(vec![FileDescriptorProto { message_type: vec![message], ..file("a.proto", &[]) }])
    };
    let field = |number, kind: Type| FieldDescriptorProto {
        name: Some(format!("f{number}")),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        ..FieldDescriptorProto::default()
    };
    let expected = "what it describes does not hold together";
    assert_eq!(told(&entry(vec![])), expected);
    assert_eq!(told(&entry(vec![field(1, Type::String)])), expected);
    assert_eq!(told(&entry(vec![field(1, Type::Double), field(2, Type::String)])), expected);
    assert!(Protos::compile(&entry(vec![field(1, Type::Int32), field(2, Type::String)])).is_ok());
}

proptest! {
    #[test]
    fn no_text_panics(cuts in proptest::collection::vec((0_usize..700, ".{0,3}"), 1..4)) {
        let mut text = ECHO.to_owned();
        for (at, with) in cuts {
            let at = text.floor_char_boundary(at.min(text.len()));
            let end = text.ceil_char_boundary((at + 2).min(text.len()));
            text.replace_range(at..end, &with);
        }
        let _ = Protos::compile(&text);
    }

    #[test]
    fn no_set_panics(cuts in proptest::collection::vec((0_usize..1_500, any::<u8>()), 1..4)) {
        let mut bytes = bytes_of_echo();
        let length = bytes.len();
        for (at, with) in cuts {
            bytes[at % length] = with;
        }
        let _ = Protos::compile(&STANDARD.encode(bytes));
    }

    #[test]
    fn tokens_in_any_order_do_not_panic(
        tokens in proptest::collection::vec(prop_oneof![
            Just("message"), Just("enum"), Just("service"), Just("rpc"), Just("returns"),
            Just("oneof"), Just("map"), Just("group"), Just("extend"), Just("extensions"),
            Just("reserved"), Just("option"), Just("optional"), Just("repeated"), Just("A"),
            Just("int32"), Just("="), Just("1"), Just("-2"), Just("1e9"), Just("0x"), Just("\"a\""),
            Just("{"), Just("}"), Just("["), Just("]"), Just("("), Just(")"), Just("<"), Just(">"),
            Just(";"), Just(","), Just("."), Just("to"), Just("max"), Just("stream"), Just("inf"),
        ], 0..40)
    ) {
        let _ = Protos::compile(&tokens.join(" "));
    }
}
