//! A radix tree over path patterns, whose copies share the nodes that do not change.

use std::sync::Arc;

use bartizan_chain::make_room;
use bartizan_core::{PathTail, split_path_pattern};
use smallvec::SmallVec;

use super::Leaf;
use super::templates::Templates;
use super::trial::{Lists, Walk};

/// The table of one host.
pub(super) struct Paths<T>(Arc<Node<T>>);

pub(super) struct Node<T> {
    /// What the path must go on with to get from the parent here.
    label: Box<[u8]>,
    /// By the first byte of their labels, sorted.
    children: Vec<(u8, Arc<Node<T>>)>,
    /// Leaves of patterns that end here, the first to be tried first.
    exact: Vec<Leaf<T>>,
    /// Leaves of patterns that end here with a `*`.
    prefix: Vec<Leaf<T>>,
    /// Templates whose first parameter comes here.
    templates: Option<Arc<Templates<T>>>,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self(Arc::new(Node::of(Box::default())))
    }
}

impl<T> Clone for Paths<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Self {
            label: self.label.clone(),
            children: self.children.clone(),
            exact: self.exact.clone(),
            prefix: self.prefix.clone(),
            templates: self.templates.clone(),
        }
    }
}

impl<T> Paths<T> {
    /// True if there is no leaf.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_spent()
    }

    /// Adds a leaf.
    pub(super) fn add(&mut self, uri: &str, leaf: Leaf<T>) {
        let (text, tail) = split_path_pattern(uri);
        Arc::make_mut(&mut self.0).put(text.as_bytes(), tail, leaf);
    }

    /// Takes a leaf out.
    pub(super) fn remove(&mut self, uri: &str, route: &Arc<T>) {
        let (text, tail) = split_path_pattern(uri);
        Arc::make_mut(&mut self.0).take_out(text.as_bytes(), tail, route);
    }

    /// The nodes that a path passes.
    pub(super) fn walk<'t, 'p>(&'t self, path: &'p str) -> Walk<'t, 'p, T> {
        let mut walk = Walk { exact: &[], open: SmallVec::new() };
        let mut rest = path.as_bytes();
        let mut node = Some(&*self.0);
        while let Some(here) = node {
            if here.goes_on() {
                walk.open.push((here, rest));
            }
            let Some(first) = rest.first() else {
                walk.exact = &here.exact;
                break;
            };
            node = here.child(*first);
            match node.and_then(|child| rest.strip_prefix(&*child.label)) {
                Some(remaining) => rest = remaining,
                None => break,
            }
        }
        walk
    }

    /// The number of nodes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        fn size<T>(node: &Node<T>) -> usize {
            let templates = node.templates.as_ref().map_or(0, |templates| templates.size());
            1 + templates + node.children.iter().map(|(_, child)| size(child)).sum::<usize>()
        }
        size(&self.0)
    }
}

/// Adds a leaf where its rank puts it; of the same rank the first stays first.
pub(super) fn insert<T>(leaves: &mut Vec<Leaf<T>>, leaf: Leaf<T>) {
    let at = leaves.partition_point(|known| known.rank <= leaf.rank);
    make_room(leaves);
    leaves.insert(at, leaf);
}

/// Takes the leaves of a route out.
pub(super) fn erase<T>(leaves: &mut Vec<Leaf<T>>, route: &Arc<T>) {
    leaves.retain(|leaf| !Arc::ptr_eq(&leaf.route, route));
}

impl<T> Node<T> {
    fn of(label: Box<[u8]>) -> Self {
        Self { label, children: Vec::new(), exact: Vec::new(), prefix: Vec::new(), templates: None }
    }

    /// The leaves of patterns that go on here and take `rest`, which is what the path has left.
    pub(super) fn going_on<'t>(&'t self, rest: &[u8], lists: &mut Lists<'t, T>) {
        lists.push(&self.prefix);
        if let Some(templates) = &self.templates {
            // What is left of a path is text, as all of it is, since labels are cut where patterns are.
            templates.find(std::str::from_utf8(rest).ok(), &mut |leaves| lists.push(leaves));
        }
    }

    /// True if patterns go on here after their literal text.
    fn goes_on(&self) -> bool {
        !self.prefix.is_empty() || self.templates.is_some()
    }

    fn child(&self, first: u8) -> Option<&Self> {
        let found = self.children.binary_search_by_key(&first, |(byte, _)| *byte).ok()?;
        self.children.get(found).map(|(_, child)| &**child)
    }

    fn has_leaves(&self) -> bool {
        !self.exact.is_empty() || self.goes_on()
    }

    fn is_spent(&self) -> bool {
        self.children.is_empty() && !self.has_leaves()
    }

    /// Adds a leaf at exactly this text below this node.
    fn put(&mut self, text: &[u8], tail: PathTail<'_>, leaf: Leaf<T>) {
        let Some(&first) = text.first() else {
            match tail {
                PathTail::End => insert(&mut self.exact, leaf),
                PathTail::Any => insert(&mut self.prefix, leaf),
                PathTail::Segments(tail) => {
                    Arc::make_mut(self.templates.get_or_insert_default()).add(tail, leaf);
                }
            }
            return;
        };
        let found = self.children.binary_search_by_key(&first, |(byte, _)| *byte);
        let at = found.unwrap_or_else(|at| {
            make_room(&mut self.children);
            self.children.insert(at, (first, Arc::new(Self::of(text.into()))));
            at
        });
        let Some((_, child)) = self.children.get_mut(at) else { return };
        let child = Arc::make_mut(child);
        let common = child.label.iter().zip(text).take_while(|(a, b)| a == b).count();
        if common < child.label.len() {
            child.split(common);
        }
        child.put(text.get(common..).unwrap_or_default(), tail, leaf);
    }

    /// Cuts the label after `at` bytes; what the node was moves into a child.
    fn split(&mut self, at: usize) {
        let (head, tail) = self.label.split_at_checked(at).unwrap_or_default();
        let (head, first) = (head.into(), tail.first().copied().unwrap_or_default());
        let mut lower = std::mem::replace(self, Self::of(head));
        lower.label = lower.label.get(at..).unwrap_or_default().into();
        self.children = vec![(first, Arc::new(lower))];
    }

    /// Takes a leaf out, and every node that is then for nothing.
    fn take_out(&mut self, text: &[u8], tail: PathTail<'_>, route: &Arc<T>) {
        let Some(&first) = text.first() else {
            match tail {
                PathTail::End => erase(&mut self.exact, route),
                PathTail::Any => erase(&mut self.prefix, route),
                PathTail::Segments(tail) => {
                    let Some(templates) = &mut self.templates else { return };
                    let left = Arc::make_mut(templates);
                    left.remove(tail, route);
                    if left.is_spent() {
                        self.templates = None;
                    }
                }
            }
            return;
        };
        let found = self.children.binary_search_by_key(&first, |(byte, _)| *byte);
        let Ok(at) = found else { return };
        let Some((_, child)) = self.children.get_mut(at) else { return };
        let Some(rest) = text.strip_prefix(&*child.label) else { return };
        let child = Arc::make_mut(child);
        child.take_out(rest, tail, route);
        if child.is_spent() {
            self.children.remove(at);
        } else {
            child.absorb_only_child();
        }
    }

    /// A node that only leads to another becomes one with it.
    fn absorb_only_child(&mut self) {
        if self.has_leaves() || self.children.len() != 1 {
            return;
        }
        let Some((_, child)) = self.children.pop() else { return };
        let mut child = Arc::unwrap_or_clone(child);
        child.label = [&*self.label, &*child.label].concat().into();
        *self = child;
    }
}
