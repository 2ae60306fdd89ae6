//! Descriptions that no `protoc` makes: they are refused, or translated by, and stop nobody.

use crate::form::RANGES_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::descriptor_proto::{ExtensionRange, ReservedRange};
use prost_reflect::prost_types::uninterpreted_option::NamePart;
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FieldOptions, FileDescriptorProto, FileDescriptorSet, MessageOptions, MethodDescriptorProto,
    OneofDescriptorProto, ServiceDescriptorProto, UninterpretedOption,
};
use serde_json::{Value, json};

use super::*;

fn encoded(files: Vec<FileDescriptorProto>) -> String {
    STANDARD.encode(FileDescriptorSet { file: files }.encode_to_vec())
}

/// Translates with all methods, both ways.
fn use_all(protos: &Protos) {
    let samples: [&[u8]; 5] = [
        &[],
        &[0x08, 1, 0x10, 1],
        &[0x0a, 2, 0x08, 1],
        &[0x0a, 4, 0x0a, 0, 0x12, 0],
        &[0x0d, 0, 0, 0, 0],
    ];
    let values =
        [json!(1), json!("1"), json!([]), json!({}), json!([{}]), json!({ "1": {} }), json!(true)];
    for service in protos.pool.services() {
        for method in service.methods() {
            let Ok(found) = protos.method(service.full_name(), method.name()) else { continue };
            for defaults in [Defaults::Auto, Defaults::All, Defaults::None] {
                for bytes in samples {
                    let _ = found.output(bytes, Style { defaults, ..Style::default() });
                }
            }
            let _ = found.input(&json!({}));
            for field in method.input().fields() {
                for value in &values {
                    let members = [(field.name().to_owned(), value.clone())].into_iter().collect();
                    let _ = found.input(&Value::Object(members));
                }
                let _ = found.input_of_parameters([(field.json_name(), "1")]);
            }
        }
    }
}

fn try_all(content: &str) {
    if let Ok(protos) = Protos::compile(content) {
        use_all(&protos);
    }
}

fn name() -> impl Strategy<Value = Option<String>> {
    option::weighted(0.9, prop_oneof!["[A-C]", "[a-c]{0,2}", Just("A.B".to_owned())])
}

fn type_name() -> impl Strategy<Value = Option<String>> {
    option::of(prop_oneof!["\\.?[A-C]", "\\.?[A-C]\\.[A-C]", Just(".a.A".to_owned())])
}

fn options() -> impl Strategy<Value = Vec<UninterpretedOption>> {
    let option = (name(), any::<bool>(), option::of(Just("{".repeat(2_000))), option::of("[a-c]"));
    let option = option.prop_map(|(name, is_extension, aggregate_value, identifier_value)| {
        let name_part = name.unwrap_or_default();
        let name = vec![NamePart { name_part, is_extension }];
        UninterpretedOption { name, aggregate_value, identifier_value, ..Default::default() }
    });
    vec(option, 0..2)
}

prop_compose! {
    fn field()(
        name in name(),
        number in option::weighted(0.9, prop_oneof![4 => 1..4, 1 => any::<i32>()]),
        label in option::of(0..5),
        r#type in option::weighted(0.9, 0..20),
        type_name in type_name(),
        extendee in option::weighted(0.1, "\\.?[A-C]"),
        default_value in option::of(prop_oneof!["-?[0-9]{1,12}", "inf|nan|true", "[A-C]", ".*"]),
        oneof_index in option::weighted(0.3, -1..3),
        json_name in name(),
        proto3_optional in option::weighted(0.2, any::<bool>()),
        packed in option::of(any::<bool>()),
        uninterpreted_option in options(),
    ) -> FieldDescriptorProto {
        let options = FieldOptions { packed, uninterpreted_option, ..Default::default() };
        FieldDescriptorProto {
            name, number, label, r#type, type_name, extendee, default_value, oneof_index,
            json_name, proto3_optional, options: Some(options),
        }
    }
}

prop_compose! {
    fn enumeration()(name in name(), numbers in vec((name(), option::of(-1..3)), 0..3))
        -> EnumDescriptorProto
    {
        let value = |(name, number)| EnumValueDescriptorProto { name, number, options: None };
        let value = numbers.into_iter().map(value).collect();
        EnumDescriptorProto { name, value, ..Default::default() }
    }
}

fn message() -> impl Strategy<Value = DescriptorProto> {
    let of = |inner: BoxedStrategy<Vec<DescriptorProto>>| {
        (name(), vec(field(), 0..4), inner, vec(enumeration(), 0..2), 0..3_usize, any::<u8>())
            .prop_map(|(name, field, nested_type, enum_type, oneofs, flags)| DescriptorProto {
                name,
                field,
                nested_type,
                enum_type,
                oneof_decl: vec![OneofDescriptorProto::default(); oneofs],
                options: (flags < 80).then(|| MessageOptions {
                    map_entry: Some(flags < 60),
                    message_set_wire_format: Some(flags < 20),
                    ..Default::default()
                }),
                ..Default::default()
            })
            .boxed()
    };
    of(vec(of(Just(Vec::new()).boxed()), 0..3).boxed())
}

prop_compose! {
    fn any_file()(
        name in name(),
        package in option::weighted(0.3, "a|\\.|a\\.b|"),
        syntax in option::of(prop_oneof![Just("proto2"), Just("proto3"), Just("editions")]),
        dependency in vec(prop_oneof!["[a-c]", Just("google/protobuf/any.proto".to_owned())], 0..2),
        public_dependency in vec(-1..2, 0..2),
        message_type in vec(message(), 0..4),
        enum_type in vec(enumeration(), 0..2),
        extension in vec(field(), 0..2),
        methods in vec((name(), type_name(), type_name()), 0..3),
    ) -> FileDescriptorProto {
        let method = |(name, input_type, output_type)| MethodDescriptorProto {
            name, input_type, output_type, ..Default::default()
        };
        let method = methods.into_iter().map(method).collect();
        let service = ServiceDescriptorProto { name: Some("S".to_owned()), method, options: None };
        FileDescriptorProto {
            name, package, dependency, public_dependency, message_type, enum_type, extension,
            service: vec![service], syntax: syntax.map(str::to_owned), ..Default::default()
        }
    }
}

/// A sound set, to be spoilt.
fn sound() -> Vec<u8> {
    let text = r#"
        syntax = "proto2"; package t; import "google/protobuf/timestamp.proto";
        message A {
          required string name = 1; repeated int64 sizes = 2 [packed = true];
          map<string, A> parts = 3;
          oneof how { bool loud = 4; bytes raw = 5; } optional google.protobuf.Timestamp at = 6;
          optional Kind kind = 7 [default = SOME]; optional float f = 8 [default = inf];
          reserved 10 to 12; extensions 100 to 200; message B { optional A a = 1; }
        }
        enum Kind { NONE = 0; SOME = 1; reserved 5; }
        extend A { optional int32 more = 100; }
        service S { rpc Say(A) returns (A); rpc Tell(A.B) returns (A.B); }
    "#;
    let pool = Protos::compile(text).unwrap().pool;
    let files = pool.files().map(|file| file.file_descriptor_proto().clone()).collect();
    FileDescriptorSet { file: files }.encode_to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn sets_of_anything_stop_nobody(files in vec(any_file(), 1..3)) {
        try_all(&encoded(files));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn spoilt_sets_stop_nobody(
        cuts in vec((any::<prop::sample::Index>(), 0_usize..6, vec(any::<u8>(), 0..6)), 1..4)
    ) {
        let mut bytes = sound();
        for (at, out, into) in cuts {
            let at = at.index(bytes.len());
            let end = (at + out).min(bytes.len());
            bytes.splice(at..end, into);
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        try_all(&STANDARD.encode(bytes));
    }
}

#[test]
fn each_byte_of_a_set_may_be_another() {
    let sound = sound();
    for at in 0..sound.len() {
        for flip in [0x01, 0x08, 0x80, 0xff] {
            let mut bytes = sound.clone();
            bytes[at] ^= flip;
            try_all(&STANDARD.encode(bytes));
        }
        try_all(&STANDARD.encode(&sound[..at]));
    }
}

#[test]
fn a_text_that_goes_on_and_on_ends_nowhere_but_in_a_fault() {
    for (before, part, after) in [
        ("// ", "a", "\nmessage A {}"),
        ("/* ", "a", "*/ message A {}"),
        ("/* ", "*", "*/ message A {}"),
        ("", " ", "message A {}"),
        ("", "\n", "message A {}"),
        ("option a = \"", "a", "\";"),
        ("option a = \"", "\\n", "\";"),
        ("option a = ", "-", "1;"),
        ("option a", ".b", " = 1;"),
        ("option a = ", "\"a\" ", ";"),
        ("message ", "a.", "b {}"),
        ("package a", ".b", ";"),
        ("", ";", ""),
        ("enum E { ", "option allow_alias = true;", "A = 0; }"),
        ("message A { reserved 1", ", 1", "; }"),
        ("message A { optional .", "a.", "A b = 1; }"),
        ("", "import \"google/protobuf/any.proto\";", ""),
        ("message A { optional int32 a = 1 [default = ", "1", "]; }"),
        ("package a", " .b", ";"),
        ("package a", "/**/.b", ";"),
        ("message A { optional int32 a = 1 [default = 1.", "1", "]; }"),
        ("message A { optional int32 a = 1 [default = 1e", "1", "]; }"),
        ("message A { optional int32 a = 0x", "1", "; }"),
        ("message ", "a", " {}"),
        ("syntax = \"proto3\"; message A { int32 a = 1 [", "a = 1, ", "a = 1]; }"),
        ("", "/**/", ""),
        ("", "// \n", "message A {}"),
    ] {
        let count = (CONTENT_MAX / 16 - before.len() - after.len()) / part.len();
        try_all(&format!("{before}{}{after}", part.repeat(count)));
    }
}

#[test]
fn imports_of_imports_are_followed_only_so_often() {
    const LEVELS: u32 = 12;
    let file = |name: String, imports: &[String], public: usize| FileDescriptorProto {
        name: Some(name),
        dependency: imports.to_vec(),
        public_dependency: (0..).take(public).collect(),
        ..Default::default()
    };
    // Two files a level, each of which passes both of the level below on: as many ways again.
    let doubling = |levels: usize| {
        let mut files = Vec::new();
        for level in 0..levels {
            let below =
                level.checked_sub(1).map(|below| ["a", "b"].map(|side| format!("{side}{below}")));
            let imports = below.as_ref().map_or(&[][..], |below| below);
            for side in ["a", "b"] {
                files.push(file(format!("{side}{level}"), imports, imports.len()));
            }
        }
        files
    };
    let told = |content: &str| Protos::compile(content).unwrap_err().to_string();
    assert_eq!(told(&encoded(doubling(100))), "more than 100000 ways along imports of imports");
    // From a file of a level it is so many ways; further files make up for what is missing.
    let ways = |level: u32| (2_usize << level) - 1;
    let filled = |total: usize| {
        let mut files = doubling(12);
        let mut missing = total - (1..LEVELS).map(|level| 4 * ways(level - 1)).sum::<usize>();
        while let Some(level) = (0..LEVELS).rev().find(|level| ways(*level) <= missing) {
            missing -= ways(level);
            files.push(file(format!("c{missing}"), &[format!("a{level}")], 0));
        }
        encoded(files)
    };
    assert!(Protos::compile(&filled(WAYS_MAX)).is_ok());
    assert_eq!(told(&filled(WAYS_MAX + 1)), "more than 100000 ways along imports of imports");
    let twice = |public| {
        let name = |name: &str| name.to_owned();
        let files = vec![file(name("a"), &[], 0), file(name("b"), &[name("a"), name("a")], public)];
        told(&encoded(files))
    };
    assert_eq!(twice(0), "`b` imports a file twice");
    let many = vec![file("a".to_owned(), &[], 0), file("b".to_owned(), &["a".to_owned()], 2)];
    assert_eq!(told(&encoded(many)), "`b` imports a file twice");
}

#[test]
fn a_name_is_no_longer_than_its_bound_with_all_around_it() {
    let told = |content: &str| Protos::compile(content).unwrap_err().to_string();
    let long = |length: usize| "a".repeat(length);
    let word = |length: usize| format!("message {} {{}}", long(length));
    assert!(Protos::compile(&word(NAME_MAX)).is_ok());
    assert_eq!(told(&word(NAME_MAX + 1)), "line 1, column 9: a word of more than 1024 bytes");
    let set = |more: FileDescriptorProto| {
        encoded(vec![FileDescriptorProto { name: Some("a".to_owned()), ..more }])
    };
    let message = |name: String, inner: &[String], fields: &[String]| DescriptorProto {
        name: Some(name),
        nested_type: inner
            .iter()
            .map(|name| DescriptorProto { name: Some(name.clone()), ..Default::default() })
            .collect(),
        field: fields
            .iter()
            .map(|name| FieldDescriptorProto {
                name: Some(name.clone()),
                number: Some(1),
                r#type: Some(5),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let file = |package: &str, message_type: DescriptorProto| {
        let package = Some(package.to_owned());
        set(FileDescriptorProto { package, message_type: vec![message_type], ..Default::default() })
    };
    let cases: [&dyn Fn(usize) -> String; 5] = [
        &|length| file("", message(long(length), &[], &[])),
        &|length| file(&long(length - 2), message(long(1), &[], &[])),
        &|length| file("p", message(long(10), &[long(length - 13)], &[])),
        &|length| file("p", message(long(10), &[], &[long(length - 13)])),
        &|length| {
            let value = EnumValueDescriptorProto {
                name: Some(long(length - 2)),
                number: Some(0),
                options: None,
            };
            let value = EnumDescriptorProto {
                name: Some(long(1)),
                value: vec![value],
                ..Default::default()
            };
            set(FileDescriptorProto { enum_type: vec![value], ..Default::default() })
        },
    ];
    for (at, made) in cases.iter().enumerate() {
        assert!(Protos::compile(&made(NAME_MAX)).is_ok(), "{at}");
        assert_eq!(told(&made(NAME_MAX + 1)), "a name of more than 1024 bytes", "{at}");
    }
    assert_eq!(told(&format!("package a{};", " .a".repeat(512))), "a name of more than 1024 bytes");
}

#[test]
fn numbers_are_reserved_once() {
    let told = |content: &str| Protos::compile(content).unwrap_err().to_string();
    for (content, expected) in [
        ("message A { reserved 1 to 9; reserved 9; }", "`A` reserves 9 twice"),
        ("message A { message B { reserved 3, 3; } }", "`B` reserves 3 twice"),
        ("message A { enum E { V = 0; reserved 1 to 5, 2; } }", "`E` reserves 2 twice"),
        ("enum E { V = 0; reserved 1 to max, 7; }", "`E` reserves 7 twice"),
    ] {
        assert_eq!(told(content), expected);
    }
    let apart =
        "message A { reserved 5 to 9, 10, 1 to 4; enum E { V = 0; reserved 2, 1, 3 to max; } }";
    assert!(Protos::compile(apart).is_ok());
    // Each of these fields in each of these ranges would be a fault of its own.
    let range = ReservedRange { start: Some(1), end: Some(50_000) };
    let field = |at: i32| FieldDescriptorProto {
        name: Some(format!("f{at:x}")),
        number: Some(at),
        r#type: Some(5),
        ..Default::default()
    };
    let of = |reserved: Vec<ReservedRange>, open: Vec<ExtensionRange>| {
        let message = DescriptorProto {
            name: Some("A".to_owned()),
            field: (1..20_000).map(field).collect(),
            reserved_range: reserved,
            extension_range: open,
            ..Default::default()
        };
        let file = FileDescriptorProto { message_type: vec![message], ..Default::default() };
        told(&encoded(vec![file]))
    };
    assert_eq!(of(vec![range; RANGES_MAX], Vec::new()), "`A` reserves 1 twice");
    let many = format!("`A` reserves more than {RANGES_MAX} ranges");
    assert_eq!(of(vec![range; RANGES_MAX + 1], Vec::new()), many);
    let nothing = ReservedRange { start: Some(5), end: Some(5) };
    assert_eq!(of(vec![nothing], Vec::new()), "`A` reserves from 5 to 4, which is nothing");
    let open = ExtensionRange { start: Some(30_000), end: Some(30_002), options: None };
    let twice = "`A` gives extensions 30000 twice";
    assert_eq!(of(Vec::new(), vec![open.clone(); RANGES_MAX]), twice);
    let many = format!("`A` gives extensions more than {RANGES_MAX} ranges");
    assert_eq!(of(Vec::new(), vec![open; RANGES_MAX + 1]), many);
}
