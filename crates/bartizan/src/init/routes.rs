//! The paths of a document as routes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;

use bartizan_plugins::openapi::{OperationOutline, Outline, PathOutline};
use serde_json::Value;

use super::access::Access;
use super::notes::Notes;

/// Longest id of a route.
const ID_MAX: usize = 60;

/// A route: operations of one path that ask for the same.
#[derive(Debug)]
pub(super) struct Route {
    id: String,
    /// Whole paths, or what they begin with.
    uris: Vec<String>,
    /// What the whole path has to look like, where it is a template.
    pattern: Option<String>,
    methods: Vec<&'static str>,
    pub(super) access: Access,
}

/// The routes of a document.
pub(super) fn routes(outline: &Outline, notes: &mut Notes) -> Vec<Route> {
    let (mut routes, mut ids) = (Vec::new(), HashSet::new());
    for path in &outline.paths {
        // Operations with other servers, or that ask for something else, are other routes.
        let mut groups: BTreeMap<(Vec<String>, Access), Vec<&OperationOutline>> = BTreeMap::new();
        for operation in &path.operations {
            let label = format!("{} {}", operation.method, path.template);
            if operation.method == "TRACE" {
                notes.add("TRACE is never served", &label);
                continue;
            }
            let security = operation.security.as_ref();
            let access = Access::of(&label, security, &outline.schemes, notes);
            let bases = operation.bases.as_ref().unwrap_or(&outline.bases).clone();
            groups.entry((bases, access)).or_default().push(operation);
        }
        for ((bases, access), operations) in groups {
            let id = unique(&mut ids, &name(path, &operations));
            routes.push(route(path, id, &bases, access, &operations));
        }
    }
    routes
}

fn route(
    path: &PathOutline,
    id: String,
    bases: &[String],
    access: Access,
    operations: &[&OperationOutline],
) -> Route {
    let mut methods: Vec<&'static str> = operations.iter().map(|o| o.method).collect();
    if methods.contains(&"GET") && !methods.contains(&"HEAD") {
        methods.push("HEAD");
    }
    let none = [String::new()];
    let bases = if bases.is_empty() { &none } else { bases };
    let template = Template::of(&path.template);
    let mut uris: Vec<String> = bases.iter().map(|base| template.uri(base)).collect();
    uris.dedup();
    Route { id, uris, pattern: template.pattern(bases), methods, access }
}

/// The name of the one operation, or of the path.
fn name(path: &PathOutline, operations: &[&OperationOutline]) -> String {
    if let [OperationOutline { id: Some(id), .. }] = operations {
        return id.clone();
    }
    let words = path.template.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "root".to_owned() } else { words.join("-") }
}

/// Makes an id of a name: characters that ids have, and not taken yet.
pub(super) fn unique(ids: &mut HashSet<String>, name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain = name.chars().map(|c| if is_plain(c) { c } else { '-' });
    let base: String = plain.take(ID_MAX).collect();
    let mut id = base.clone();
    let mut count = 2;
    while !ids.insert(id.clone()) {
        let end = base.len().min(ID_MAX - 6);
        id = format!("{}-{count}", base.get(..end).unwrap_or_default());
        count += 1;
    }
    id
}

impl Route {
    /// The route as text; `plugins` is the id of the plugins of its access.
    pub(super) fn text(&self, plugins: &str) -> String {
        let mut text = format!("  - id: {}\n", self.id);
        let quoted = |text: &str| Value::from(text).to_string();
        // Writing to a string cannot fail.
        let _ = match self.uris.as_slice() {
            [one] => writeln!(text, "    uri: {}", quoted(one)),
            several => writeln!(text, "    uris: {}", Value::from(several.to_vec())),
        };
        if let Some(pattern) = &self.pattern {
            let _ = writeln!(text, "    vars: [[uri, \"~~\", {}]]", quoted(pattern));
        }
        let _ = writeln!(text, "    methods: [{}]", self.methods.join(", "));
        let _ = writeln!(text, "    service_id: api\n    plugin_config_id: {plugins}");
        text
    }
}

/// A path of the document.
struct Template<'t> {
    text: &'t str,
    /// How much of it is written out and can stand in a route.
    literal: usize,
}

impl<'t> Template<'t> {
    fn of(text: &'t str) -> Self {
        let parameter = text.find('{');
        let star = text.find('*');
        // What begins with a colon is a parameter in the resource model.
        let colon = text.find("/:").map(|at| at + 1);
        let literal = [parameter, star, colon].into_iter().flatten().min().unwrap_or(text.len());
        Self { text, literal }
    }

    fn uri(&self, base: &str) -> String {
        let literal = canonical(self.text.get(..self.literal).unwrap_or_default());
        let star = if self.literal < self.text.len() { "*" } else { "" };
        format!("{}{literal}{star}", canonical(base))
    }

    /// What the whole path looks like; `None` where it is written out.
    fn pattern(&self, bases: &[String]) -> Option<String> {
        if self.literal == self.text.len() {
            return None;
        }
        let bases: BTreeSet<String> = bases.iter().map(|base| escaped(&canonical(base))).collect();
        let bases: Vec<String> = bases.into_iter().collect();
        let base = match bases.as_slice() {
            [one] => one.clone(),
            several => format!("(?:{})", several.join("|")),
        };
        let mut pattern = format!("^{base}");
        let mut rest = self.text;
        while let Some((before, after)) = rest.split_once('{') {
            pattern.push_str(&escaped(&canonical(before)));
            pattern.push_str("[^/]+");
            rest = after.split_once('}').map_or("", |(_, rest)| rest);
        }
        pattern.push_str(&escaped(&canonical(rest)));
        pattern.push('$');
        Some(pattern)
    }
}

/// Text of a path as requests have it when they are matched.
fn canonical(text: &str) -> String {
    let is_plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'..=b'/' | b':' | b'=' | b'@'
            )
            || byte == b'%'
    };
    text.bytes().fold(String::new(), |mut out, byte| {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Text as a pattern that matches just it.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if !c.is_ascii_alphanumeric() && !matches!(c, '/' | '-' | '_' | '~' | '%' | ':' | '=' | '@')
        {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(template: &str, bases: &[&str]) -> (Vec<String>, Option<String>) {
        let bases: Vec<String> = bases.iter().map(|base| (*base).to_owned()).collect();
        let template = Template::of(template);
        (bases.iter().map(|base| template.uri(base)).collect(), template.pattern(&bases))
    }

    #[test]
    fn templates_become_prefixes_and_patterns() {
        for (template, bases, uris, pattern) in [
            ("/orders", &["/v1"][..], &["/v1/orders"][..], None),
            ("/orders/{id}", &["/v1"], &["/v1/orders/*"], Some("^/v1/orders/[^/]+$")),
            ("/{a}/x/{b}.json", &[""], &["/*"], Some("^/[^/]+/x/[^/]+\\.json$")),
            ("/a/{b}", &["/v1", "/v2"], &["/v1/a/*", "/v2/a/*"], Some("^(?:/v1|/v2)/a/[^/]+$")),
            ("/a*b", &[""], &["/a*"], Some("^/a\\*b$")),
            ("/a/:b", &[""], &["/a/*"], Some("^/a/:b$")),
            ("/caf\u{e9} x", &[""], &["/caf%C3%A9%20x"], None),
        ] {
            let (found, like) = of(template, bases);
            assert_eq!(found, uris, "{template}");
            assert_eq!(like.as_deref(), pattern, "{template}");
        }
    }

    #[test]
    fn ids_are_plain_and_unique() {
        let mut ids = HashSet::new();
        assert_eq!(unique(&mut ids, "list orders/\u{e9}"), "list-orders--");
        assert_eq!(unique(&mut ids, "list orders/\u{e9}"), "list-orders---2");
        let long = "x".repeat(100);
        assert_eq!(unique(&mut ids, &long).len(), ID_MAX);
        assert!(unique(&mut ids, &long).ends_with("x-2"));
    }
}
