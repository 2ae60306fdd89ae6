//! Changing values of a JSON text where they stand, so that all others stay as they were written:
//! numbers keep their digits, members their order, also where a name occurs twice.

use serde::de::IgnoredAny;

use super::path::{Part, Path};

/// Bounds of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) depth: usize,
    pub(super) items: usize,
}

/// What becomes of a value that a place leads to.
pub(super) enum Becomes {
    /// It is left out, with its name.
    Nothing,
    /// This text, which is JSON.
    Json(String),
}

/// The text is not JSON, or beyond its bounds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotJson;

/// The places that lead further from a value: which path, and how many of its steps are done.
type Leads = Vec<(usize, usize)>;

/// The text with the values at `paths` changed; `None` where there are none.
pub(super) fn rewrite(
    text: &[u8],
    paths: &[&Path],
    bounds: Bounds,
    change: &mut dyn FnMut(usize, &str) -> Becomes,
) -> Result<Option<String>, NotJson> {
    let text = std::str::from_utf8(text).map_err(|_| NotJson)?;
    let mut rewriter = Rewriter {
        rest: text,
        out: String::with_capacity(text.len()),
        paths,
        items: bounds.items,
        change,
        has_changed: false,
    };
    let leads = (0..paths.len()).map(|path| (path, 0)).collect();
    rewriter.value(&leads, bounds.depth)?;
    rewriter.space();
    if !rewriter.rest.is_empty() {
        return Err(NotJson);
    }
    Ok(rewriter.has_changed.then_some(rewriter.out))
}

struct Rewriter<'t> {
    rest: &'t str,
    out: String,
    paths: &'t [&'t Path],
    items: usize,
    change: &'t mut dyn FnMut(usize, &str) -> Becomes,
    has_changed: bool,
}

impl<'t> Rewriter<'t> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, count: usize) -> Result<&'t str, NotJson> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(NotJson)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes this byte, if it is next behind white space.
    fn is_next(&mut self, byte: char) -> bool {
        self.space();
        match self.rest.strip_prefix(byte) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, leads: &Leads, depth: usize) -> Result<(), NotJson> {
        self.items = self.items.checked_sub(1).ok_or(NotJson)?;
        self.space();
        match self.rest.bytes().next().ok_or(NotJson)? {
            b'{' => self.parts(leads, depth, true),
            b'[' => self.parts(leads, depth, false),
            b'"' => {
                let text = self.string()?;
                self.out.push_str(text);
                Ok(())
            }
            _ => {
                let is_token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.');
                let end = self.rest.bytes().position(|b| !is_token(b)).unwrap_or(self.rest.len());
                let token = self.take(end)?;
                serde_json::from_str::<IgnoredAny>(token).map_err(|_| NotJson)?;
                self.out.push_str(token);
                Ok(())
            }
        }
    }

    /// An object or a list.
    fn parts(&mut self, leads: &Leads, depth: usize, is_object: bool) -> Result<(), NotJson> {
        let depth = depth.checked_sub(1).ok_or(NotJson)?;
        let (open, close) = if is_object { ('{', '}') } else { ('[', ']') };
        self.take(1)?;
        self.out.push(open);
        let mut is_first = true;
        let mut index = 0;
        if self.is_next(close) {
            self.out.push(close);
            return Ok(());
        }
        loop {
            let mark = self.out.len();
            if !is_first {
                self.out.push(',');
            }
            let further = if is_object {
                let name = self.name()?;
                self.further(leads, Part::Member(&name))
            } else {
                self.further(leads, Part::Item(index))
            };
            if self.part(&further, depth)? {
                is_first = false;
            } else {
                self.out.truncate(mark);
            }
            index += 1;
            if self.is_next(close) {
                self.out.push(close);
                return Ok(());
            }
            if !self.is_next(',') {
                return Err(NotJson);
            }
        }
    }

    /// A value that may be one to change; false where it is left out.
    fn part(&mut self, leads: &Leads, depth: usize) -> Result<bool, NotJson> {
        let reached = leads
            .iter()
            .find(|(path, done)| self.paths.get(*path).is_some_and(|path| path.ends_at(*done)));
        let Some(&(path, _)) = reached else {
            self.value(leads, depth)?;
            return Ok(true);
        };
        // What is inside of it goes with it.
        let mark = self.out.len();
        self.value(&Leads::new(), depth)?;
        let written = self.out.split_off(mark);
        self.has_changed = true;
        match (self.change)(path, &written) {
            Becomes::Nothing => Ok(false),
            Becomes::Json(text) => {
                self.out.push_str(&text);
                Ok(true)
            }
        }
    }

    fn further(&self, leads: &Leads, part: Part<'_>) -> Leads {
        let mut further = Leads::new();
        for &(path, done) in leads {
            if let Some(steps) = self.paths.get(path) {
                steps.enter(done, part, |done| {
                    if !further.contains(&(path, done)) {
                        further.push((path, done));
                    }
                });
            }
        }
        further
    }

    /// A name and its colon.
    fn name(&mut self) -> Result<String, NotJson> {
        self.space();
        let written = self.string()?;
        self.out.push_str(written);
        if !self.is_next(':') {
            return Err(NotJson);
        }
        self.out.push(':');
        serde_json::from_str(written).map_err(|_| NotJson)
    }

    /// A string as it is written, quotes and all.
    fn string(&mut self) -> Result<&'t str, NotJson> {
        let bytes = self.rest.as_bytes();
        if bytes.first() != Some(&b'"') {
            return Err(NotJson);
        }
        let mut at = 1;
        loop {
            match bytes.get(at).ok_or(NotJson)? {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        let written = self.take(at + 1)?;
        serde_json::from_str::<IgnoredAny>(written).map_err(|_| NotJson)?;
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const BOUNDS: Bounds = Bounds { depth: 8, items: 1_000 };

    fn changed(text: &str, places: &[&str], to: Option<&str>) -> Result<Option<String>, NotJson> {
        let paths: Vec<Path> = places.iter().map(|place| Path::parse(place).unwrap()).collect();
        let paths: Vec<&Path> = paths.iter().collect();
        rewrite(text.as_bytes(), &paths, BOUNDS, &mut |_, _| match to {
            Some(to) => Becomes::Json(to.to_owned()),
            None => Becomes::Nothing,
        })
    }

    #[test]
    fn values_are_replaced_where_they_stand_and_all_else_stays() {
        for (text, place, expected) in [
            (r#"{"a": 1, "b": 2}"#, "$.a", r#"{"a":"*","b":2}"#),
            (r#"{"a": {"b": [1, {"c": 2}]}}"#, "$.a.b[1].c", r#"{"a":{"b":[1,{"c":"*"}]}}"#),
            (r#"{"a": [{"c": 1}, {"c": 2}, 3]}"#, "$.a[*].c", r#"{"a":[{"c":"*"},{"c":"*"},3]}"#),
            (
                r#"{"a": {"x": 1, "y": {"x": 2}}, "x": 3}"#,
                "$..x",
                r#"{"a":{"x":"*","y":{"x":"*"}},"x":"*"}"#,
            ),
            (r#"{"a": 1, "a": 2}"#, "$.a", r#"{"a":"*","a":"*"}"#),
            (r#"{"\u0061": 1}"#, "$.a", r#"{"\u0061":"*"}"#),
            (
                r#"{"n": 12345678901234567890.120, "a": 1}"#,
                "$.a",
                r#"{"n":12345678901234567890.120,"a":"*"}"#,
            ),
            (r#"[[1], {"a": {"b": 1}}]"#, "$[1].a", r#"[[1],{"a":"*"}]"#),
        ] {
            assert_eq!(
                changed(text, &[place], Some("\"*\"")),
                Ok(Some(expected.to_owned())),
                "{text}"
            );
        }
        assert_eq!(changed(r#"{"b": 1 }"#, &["$.a", "$.b.c"], Some("0")), Ok(None));
    }

    #[test]
    fn values_are_left_out_with_their_names() {
        for (text, place, expected) in [
            (r#"{"a": 1, "b": 2, "c": 3}"#, "$.a", r#"{"b":2,"c":3}"#),
            (r#"{"a": 1, "b": 2, "c": 3}"#, "$.c", r#"{"a":1,"b":2}"#),
            (r#"{"a": 1}"#, "$.a", "{}"),
            ("[1, 2, 3]", "$[1]", "[1,3]"),
            (r#"{"a": [1, 2]}"#, "$.a[*]", r#"{"a":[]}"#),
        ] {
            assert_eq!(changed(text, &[place], None), Ok(Some(expected.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_not_passed_off_as_changed() {
        for text in [
            "",
            "{",
            "{\"a\":1",
            "{\"a\":1}}",
            "{a:1}",
            "{\"a\" 1}",
            "[1,]",
            "{\"a\":1,}",
            "\"a",
            "tru",
            "01",
            "[1 2]",
            "{\"a\":\"\\x\"}",
            "\"\u{1}\"",
            "1 2",
            "[[[[[[[[[1]]]]]]]]]",
            "NaN",
        ] {
            assert_eq!(changed(text, &["$.a"], None), Err(NotJson), "{text}");
        }
        let many = format!("[{}1]", "1,".repeat(1_000));
        assert_eq!(changed(&many, &["$.a"], None), Err(NotJson));
    }

    fn trees() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\\\\n€]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same, done the plain way on a tree.
    fn naive(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, inner) in map {
                    if name == "a" { *inner = json!("*") } else { naive(inner) }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(naive),
            _ => {}
        }
    }

    /// Everything below a value, with the steps to it.
    fn places(value: &Value, at: &[String], found: &mut Vec<Vec<String>>) {
        let mut below = |step: String, inner: &Value| {
            let here = [at, &[step]].concat();
            places(inner, &here, found);
            found.push(here);
        };
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(name, inner)| below(format!(".{name}"), inner));
            }
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(n, inner)| below(format!("[{n}]"), inner));
            }
            _ => {}
        }
    }

    /// Whether steps lead along a place: `..` stands for any number of steps.
    fn leads(steps: &[&str], place: &[String]) -> bool {
        match steps.split_first() {
            None => place.is_empty(),
            Some((&"..", rest)) => (0..=place.len()).any(|n| leads(rest, &place[n..])),
            Some((step, rest)) => place.split_first().is_some_and(|(own, further)| {
                (matches!(*step, ".*" | "[*]") || own == step) && leads(rest, further)
            }),
        }
    }

    proptest! {
        #[test]
        fn places_agree_with_trying_them_all(
            tree in trees(),
            steps in prop::collection::vec(
                prop::sample::select(vec![".a", ".b", "[0]", "[1]", ".*", "[*]", ".."]), 1..4),
            end in prop::sample::select(vec![".a", ".c", "[0]", "[*]"]),
        ) {
            let steps: Vec<&str> = steps.into_iter().chain([end]).collect();
            // `..` is written in front of a name without its dot, and not twice in a row.
            prop_assume!(!steps.windows(2).any(|pair| pair == ["..", ".."]));
            let path = format!("${}", steps.concat().replace("...", ".."));
            let mut found = Vec::new();
            places(&tree, &[], &mut found);
            let mut expected = tree.clone();
            // What is replaced has nothing below it any more.
            for place in found.iter().rev().filter(|place| leads(&steps, place)) {
                let steps = place.iter().map(|step| step.trim_matches(['.', '[', ']']));
                let pointer = [""].into_iter().chain(steps).collect::<Vec<_>>().join("/");
                if let Some(value) = expected.pointer_mut(&pointer) {
                    *value = json!("*");
                }
            }
            let masked = changed(&tree.to_string(), &[&path], Some("\"*\"")).unwrap();
            let masked: Value = serde_json::from_str(&masked.unwrap_or(tree.to_string())).unwrap();
            prop_assert_eq!(masked, expected, "{}", path);
        }

        #[test]
        fn it_agrees_with_a_tree(tree in trees(), is_pretty: bool) {
            let text = if is_pretty { format!("{tree:#}") } else { tree.to_string() };
            let mut expected = tree.clone();
            naive(&mut expected);
            let found = changed(&text, &["$..a"], Some("\"*\"")).unwrap();
            let found: Value = serde_json::from_str(&found.unwrap_or(text)).unwrap();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_is_taken_for_json_is_json(text in "[\\[\\]{}\",:a01\\\\ .-]{0,12}") {
            let is_json = serde_json::from_str::<Value>(&text).is_ok();
            prop_assert_eq!(changed(&text, &["$..a"], None).is_ok(), is_json);
        }
    }
}
