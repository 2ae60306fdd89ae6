//! From a path and a method to an operation: a tree of segments, in which what is written out is
//! tried before what is a template.

use std::borrow::Cow;
use std::collections::HashMap;

use smallvec::SmallVec;

/// The values of a template's parameters, still encoded, in the order of the path.
pub(super) type Captures<'p> = SmallVec<[&'p str; 4]>;

/// Why a request has no operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// No path of the description matches.
    Path,
    /// The path is there with other methods, which are listed.
    Method(Box<str>),
}

/// Why a path cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathFault {
    /// A brace without its partner.
    Brace,
    /// A parameter without a name.
    Nameless,
    /// Two parameters in one segment, with nothing between them.
    Adjacent,
    /// Another path matches the same and has the same method.
    Taken,
}

/// The paths of a description.
#[derive(Debug)]
pub(super) struct Paths {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// Segments that are written out, decoded.
    literals: HashMap<Box<str>, usize>,
    /// Segments with text around parameters, the most text first.
    patterns: Vec<(Pattern, usize)>,
    /// A segment that is one parameter.
    any: Option<usize>,
    /// Operations by method, where a path ends here.
    methods: Vec<(Box<str>, usize)>,
}

/// Text before, between and after parameters: one piece more than there are parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(Box<[Box<str>]>);

impl Paths {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// Adds an operation. Returns the names of the path's parameters, in order.
    pub(super) fn add(
        &mut self,
        path: &str,
        method: &str,
        operation: usize,
    ) -> Result<Vec<String>, PathFault> {
        let (mut at, mut names) = (0, Vec::new());
        for segment in path.split('/').skip(1) {
            let pattern = Pattern::parse(segment, &mut names)?;
            at = self.child(at, pattern);
        }
        let node = self.nodes.get_mut(at).ok_or(PathFault::Taken)?;
        if node.methods.iter().any(|(known, _)| **known == *method) {
            return Err(PathFault::Taken);
        }
        node.methods.push((method.into(), operation));
        Ok(names)
    }

    /// The node for a segment below a node, made where it is missing.
    fn child(&mut self, at: usize, pattern: Pattern) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return at };
        let child = match pattern.kind() {
            Kind::Literal(text) => *node.literals.entry(text).or_insert(new),
            Kind::Any => *node.any.get_or_insert(new),
            Kind::Mixed => {
                let known = node.patterns.iter().find(|(known, _)| *known == pattern);
                if let Some((_, child)) = known {
                    *child
                } else {
                    let weight = pattern.weight();
                    let place = node.patterns.partition_point(|(p, _)| p.weight() >= weight);
                    node.patterns.insert(place, (pattern, new));
                    new
                }
            }
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    /// The operation of a request, with the values of the path's parameters.
    pub(super) fn find<'p>(
        &self,
        path: &'p str,
        method: &str,
    ) -> Result<(usize, Captures<'p>), Miss> {
        let segments: SmallVec<[&str; 16]> = path.split('/').skip(1).collect();
        let mut captures = Captures::new();
        let node = self.seek(0, &segments, &mut captures).ok_or(Miss::Path)?;
        let by = |method: &str| node.methods.iter().find(|(known, _)| **known == *method);
        // HEAD is GET without the body of the answer (RFC 9110 §9.3.2).
        let found = by(method).or_else(|| (method == "HEAD").then(|| by("GET")).flatten());
        if let Some((_, operation)) = found {
            return Ok((*operation, captures));
        }
        let names: Vec<&str> = node.methods.iter().map(|(method, _)| &**method).collect();
        Err(Miss::Method(names.join(", ").into()))
    }

    /// The node where a path ends. Each node has one way to it, so that the search is at most as
    /// long as the description; its depth is that of the path written in it.
    fn seek<'p>(
        &self,
        at: usize,
        segments: &[&'p str],
        captures: &mut Captures<'p>,
    ) -> Option<&Node> {
        let node = self.nodes.get(at)?;
        let Some((segment, rest)) = segments.split_first() else {
            return (!node.methods.is_empty()).then_some(node);
        };
        let text = decoded(segment)?;
        let before = captures.len();
        if let Some(child) = node.literals.get(&*text)
            && let Some(found) = self.seek(*child, rest, captures)
        {
            return Some(found);
        }
        for (pattern, child) in &node.patterns {
            captures.truncate(before);
            if pattern.capture(segment, captures)
                && let Some(found) = self.seek(*child, rest, captures)
            {
                return Some(found);
            }
        }
        captures.truncate(before);
        if segment.is_empty() {
            return None;
        }
        captures.push(segment);
        self.seek(node.any?, rest, captures)
    }
}

enum Kind {
    Literal(Box<str>),
    Mixed,
    Any,
}

impl Pattern {
    /// Reads a segment of a template and collects the names of its parameters.
    fn parse(segment: &str, names: &mut Vec<String>) -> Result<Self, PathFault> {
        let (mut pieces, mut rest) = (Vec::new(), segment);
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            let (name, after) = after
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .ok_or(PathFault::Brace)?;
            if before.contains('}') || name.contains('{') {
                return Err(PathFault::Brace);
            }
            if name.is_empty() {
                return Err(PathFault::Nameless);
            }
            if before.is_empty() && !pieces.is_empty() {
                return Err(PathFault::Adjacent);
            }
            pieces.push(piece(before));
            names.push(name.to_owned());
            rest = after;
        }
        if rest.contains('}') {
            return Err(PathFault::Brace);
        }
        pieces.push(piece(rest));
        Ok(Self(pieces.into()))
    }

    fn kind(&self) -> Kind {
        match &*self.0 {
            [only] => Kind::Literal(only.clone()),
            [before, after] if before.is_empty() && after.is_empty() => Kind::Any,
            _ => Kind::Mixed,
        }
    }

    fn weight(&self) -> usize {
        self.0.iter().map(|piece| piece.len()).sum()
    }

    /// Whether a segment fits; each parameter takes at least one character and, where there is a
    /// choice, as few as possible.
    fn capture<'p>(&self, segment: &'p str, captures: &mut Captures<'p>) -> bool {
        let [first, between @ .., last] = &*self.0 else { return false };
        let Some(rest) = segment.strip_prefix(&**first) else { return false };
        let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
        for piece in between {
            // The parameter has a character of its own before the text that follows it.
            let Some(start) = rest.chars().next().map(char::len_utf8) else { return false };
            let found = rest.get(start..).and_then(|tail| tail.find(&**piece));
            let Some(end) = found.map(|found| found + start) else { return false };
            captures.push(rest.get(..end).unwrap_or_default());
            rest = rest.get(end + piece.len()..).unwrap_or_default();
        }
        captures.push(rest);
        !rest.is_empty()
    }
}

/// Text of a template as a canonical path writes it where it can: characters that need no
/// encoding are never encoded there.
fn piece(text: &str) -> Box<str> {
    decoded(text).map_or_else(|| text.into(), |text| text.into_owned().into())
}

/// A segment without its percent-encoding; `None` where that is not text.
pub(super) fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    // `+` is not a space in a path.
    bartizan_wire::decode_form(&segment.replace('+', "%2B")).map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(list: &[&str]) -> Paths {
        let mut paths = Paths::new();
        for (index, path) in list.iter().enumerate() {
            paths.add(path, "GET", index).unwrap();
        }
        paths
    }

    fn find(paths: &Paths, path: &'static str) -> Option<(usize, Vec<&'static str>)> {
        paths.find(path, "GET").ok().map(|(index, captures)| (index, captures.to_vec()))
    }

    #[test]
    fn what_is_written_out_comes_before_templates() {
        let paths =
            paths(&["/pets/{id}", "/pets/mine", "/pets/{id}.json", "/pets/{id}/toys/{toy}"]);
        assert_eq!(find(&paths, "/pets/mine"), Some((1, vec![])));
        assert_eq!(find(&paths, "/pets/7"), Some((0, vec!["7"])));
        assert_eq!(find(&paths, "/pets/7.json"), Some((2, vec!["7"])));
        assert_eq!(find(&paths, "/pets/mine/toys/a%20b"), Some((3, vec!["mine", "a%20b"])));
        for none in ["/pets", "/pets/", "/pets/7/", "/pets/7/toys/", "/", "/pets/7/toys/1/2"] {
            assert_eq!(find(&paths, none), None, "{none}");
        }
    }

    #[test]
    fn a_way_that_leads_nowhere_is_left_again() {
        let paths = paths(&["/a/b/d", "/a/{x}/c", "/{y}/b/e"]);
        assert_eq!(find(&paths, "/a/b/c"), Some((1, vec!["b"])));
        assert_eq!(find(&paths, "/a/b/e"), Some((2, vec!["a"])));
    }

    #[test]
    fn the_first_path_that_matches_decides_the_methods() {
        let mut paths = Paths::new();
        paths.add("/pets/{id}", "DELETE", 0).unwrap();
        paths.add("/pets/mine", "GET", 1).unwrap();
        paths.add("/pets/{pet}", "PATCH", 2).unwrap();
        assert_eq!(paths.find("/pets/mine", "DELETE"), Err(Miss::Method("GET".into())));
        assert_eq!(paths.find("/pets/mine", "HEAD").unwrap().0, 1);
        assert_eq!(paths.find("/pets/7", "GET"), Err(Miss::Method("DELETE, PATCH".into())));
        assert_eq!(paths.add("/pets/{other}", "PATCH", 3), Err(PathFault::Taken));
    }

    #[test]
    fn several_parameters_in_a_segment_share_it() {
        let paths = paths(&["/c/{base}...{head}", "/d/{id}:publish", "/e/x{a}-{b}y"]);
        assert_eq!(find(&paths, "/c/main...dev"), Some((0, vec!["main", "dev"])));
        assert_eq!(find(&paths, "/c/...dev"), None);
        assert_eq!(find(&paths, "/d/7:publish"), Some((1, vec!["7"])));
        assert_eq!(find(&paths, "/d/:publish"), None);
        assert_eq!(find(&paths, "/e/x1-2-3y"), Some((2, vec!["1", "2-3"])));
    }

    #[test]
    fn encoded_text_is_the_text_it_encodes() {
        let paths = paths(&["/caf%C3%A9/{a}", "/a b"]);
        assert_eq!(find(&paths, "/caf%C3%A9/1"), Some((0, vec!["1"])));
        assert_eq!(find(&paths, "/a%20b"), Some((1, vec![])));
    }

    #[test]
    fn templates_that_are_none_are_refused() {
        for (path, fault) in [
            ("/a/{b", PathFault::Brace),
            ("/a/b}", PathFault::Brace),
            ("/a/{{b}}", PathFault::Brace),
            ("/a/{}", PathFault::Nameless),
            ("/a/{b}{c}", PathFault::Adjacent),
        ] {
            assert_eq!(Paths::new().add(path, "GET", 0), Err(fault), "{path}");
        }
    }

    proptest! {
        /// The tree agrees with trying the paths one by one, the most specific first.
        #[test]
        fn the_tree_agrees_with_a_list(
            templates in prop::collection::hash_set("(/([ab]|\\{x\\}|a\\{x\\})){1,3}", 1..8),
            path in "(/[ab]{1,2}){1,3}",
        ) {
            let templates: Vec<String> = templates.into_iter().collect();
            let mut tree = Paths::new();
            for (index, template) in templates.iter().enumerate() {
                tree.add(template, "GET", index).unwrap();
            }
            let rank = |segment: &str| match segment { "{x}" => 2, s if s.contains('{') => 1, _ => 0 };
            let fits = |template: &str| {
                let (t, p): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
                t.len() == p.len() && t.iter().zip(&p).all(|(t, p)| match *t {
                    "{x}" => !p.is_empty(),
                    "a{x}" => p.len() > 1 && p.starts_with('a'),
                    literal => literal == *p,
                })
            };
            let mut fitting: Vec<usize> = (0..templates.len()).filter(|i| fits(&templates[*i])).collect();
            fitting.sort_by_key(|i| templates[*i].split('/').map(rank).collect::<Vec<_>>());
            let found = tree.find(&path, "GET").ok().map(|(index, _)| index);
            prop_assert_eq!(found, fitting.first().copied());
        }
    }
}
