//! What holds for any text.

use std::path::Path;

use bartizan_config::{Content, Format, Node, SourceId, read, render};
use proptest::prelude::*;
use serde_json::Value;

use crate::catalogue::{loader, node};

/// Text that looks a little like a configuration.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "routes",
        "uri",
        "plugins",
        "key-auth",
        "key",
        "upstream",
        "nodes",
        "consumers",
        "id",
        ": ",
        ":",
        "- ",
        "\n",
        "\r\n",
        "\r",
        "  ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        ",",
        "'",
        "\"",
        "|\n",
        ">\n",
        "#",
        "&a ",
        "*a",
        "!t ",
        "---\n",
        "? ",
        "~",
        "1",
        "-1.5e3",
        "true",
        "é",
        "😀",
        "\u{feff}",
        "\u{0}",
        "\\",
        "\\u00e9",
        "$env://ALICE",
        "/a",
        "%YAML 1.2\n",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Every place lies in the text, and those of children in those of their parents.
fn check_places(node: &Node, text: &str) {
    let (start, end) = (node.place.start as usize, node.place.end as usize);
    assert!(text.get(start..end).is_some(), "{:?} in {text:?}", node.place);
    let children: Vec<&Node> = match &node.content {
        Content::List(items) => items.iter().collect(),
        Content::Map(members) => members.iter().map(|member| &member.value).collect(),
        _ => Vec::new(),
    };
    for child in children {
        check_places(child, text);
        assert!(
            child.place.start >= node.place.start,
            "{:?} {:?} {text:?}",
            child.place,
            node.place
        );
        assert!(child.place.end <= node.place.end, "{:?} {:?} {text:?}", child.place, node.place);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_reader_panic(text in prop_oneof![pieces(), any::<String>()]) {
        for format in [Format::Yaml, Format::Json] {
            match read(SourceId(0), &text, format) {
                Ok(root) => check_places(&root, &text),
                Err(problems) => {
                    prop_assert!(!problems.is_empty());
                    for problem in problems {
                        let place = problem.place.unwrap();
                        prop_assert!(text.get(place.start as usize..place.end as usize).is_some());
                    }
                }
            }
        }
    }

    #[test]
    fn json_means_what_the_usual_reader_says(value in any_json(), is_pretty: bool) {
        let text = if is_pretty {
            serde_json::to_string_pretty(&value)
        } else {
            serde_json::to_string(&value)
        };
        let text = text.unwrap();
        let root = read(SourceId(0), &text, Format::Json).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(root.to_json(), expected);
        check_places(&root, &text);
    }

    #[test]
    fn json_is_accepted_only_where_the_usual_reader_does(text in pieces()) {
        if read(SourceId(0), &text, Format::Json).is_ok() {
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            prop_assert!(serde_json::from_str::<Value>(text).is_ok());
        }
    }

    #[test]
    fn scalars_of_yaml_stand_where_their_places_say(
        words in prop::collection::vec("[a-zé😀]{1,6}", 1..8),
        line_end in prop::sample::select(vec!["\n", "\r\n"]),
    ) {
        let block = format!("k: |{line_end}  x é{line_end}{line_end}  y{line_end}");
        let list: Vec<String> = words.iter().map(|word| format!("- {word} # é{line_end}")).collect();
        let list = list.concat();
        let text = format!("{block}'q é': \"a\\u00e9\"{line_end}l:{line_end}{list}");
        let root = read(SourceId(0), &text, Format::Yaml).unwrap();
        for (item, word) in root.get("l").unwrap().items().iter().zip(&words) {
            let place = item.place;
            prop_assert_eq!(&text[place.start as usize..place.end as usize], word);
        }
        let quoted = root.member("q é").unwrap();
        let place = quoted.key_place;
        prop_assert_eq!(&text[place.start as usize..place.end as usize], "'q é'");
    }

    #[test]
    fn every_problem_of_any_configuration_can_be_shown(text in pieces()) {
        let node = node("");
        for name in ["/etc/b/r.yaml", "/etc/b/r.json"] {
            if let Err(failure) = loader().resources_text(&node, Path::new(name), &text) {
                crate::catalogue::lines(&failure);
                prop_assert!(!render(&failure.sources, &failure.diagnostics, true).is_empty());
            }
        }
        if let Err(failure) = loader().node_text(Path::new("/etc/b/n.yaml"), &text) {
            crate::catalogue::lines(&failure);
        }
    }
}
