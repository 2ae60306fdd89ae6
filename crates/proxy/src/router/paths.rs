//! A radix tree over path patterns, whose copies share the nodes that do not change.

use std::sync::Arc;

use bartizan_chain::make_room;
use smallvec::SmallVec;

use super::Leaf;

/// The table of one host.
pub(super) struct Paths<T>(Arc<Node<T>>);

struct Node<T> {
    /// What the path must go on with to get from the parent here.
    label: Box<[u8]>,
    /// By the first byte of their labels, sorted.
    children: Vec<(u8, Arc<Node<T>>)>,
    /// Leaves of patterns that end here, the first to be tried first.
    exact: Vec<Leaf<T>>,
    /// Leaves of patterns that end here with a `*`.
    prefix: Vec<Leaf<T>>,
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
        }
    }
}

/// The text of a pattern, and whether what goes on matches too.
fn split(uri: &str) -> (&[u8], bool) {
    match uri.strip_suffix('*') {
        Some(text) => (text.as_bytes(), true),
        None => (uri.as_bytes(), false),
    }
}

impl<T> Paths<T> {
    /// True if there is no leaf.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_spent()
    }

    /// Adds a leaf.
    pub(super) fn add(&mut self, uri: &str, leaf: Leaf<T>) {
        let (text, is_prefix) = split(uri);
        Arc::make_mut(&mut self.0).put(text, is_prefix, leaf);
    }

    /// Takes a leaf out.
    pub(super) fn remove(&mut self, uri: &str, route: &Arc<T>) {
        let (text, is_prefix) = split(uri);
        Arc::make_mut(&mut self.0).take_out(text, is_prefix, route);
    }

    /// The first leaf that fits: of the exact path, then of prefixes, the longest first.
    pub(super) fn find<E>(
        &self,
        path: &str,
        fits: &mut impl FnMut(&T) -> Result<bool, E>,
    ) -> Result<Option<&Leaf<T>>, E> {
        let mut prefixes: SmallVec<[&[Leaf<T>]; 8]> = SmallVec::new();
        let mut rest = path.as_bytes();
        let mut exact: &[Leaf<T>] = &[];
        let mut node = Some(&*self.0);
        while let Some(here) = node {
            if !here.prefix.is_empty() {
                prefixes.push(&here.prefix);
            }
            let Some(first) = rest.first() else {
                exact = &here.exact;
                break;
            };
            node = here.child(*first);
            match node.and_then(|child| rest.strip_prefix(&*child.label)) {
                Some(remaining) => rest = remaining,
                None => break,
            }
        }
        for leaves in std::iter::once(exact).chain(prefixes.into_iter().rev()) {
            for leaf in leaves {
                if fits(&leaf.route)? {
                    return Ok(Some(leaf));
                }
            }
        }
        Ok(None)
    }

    /// The number of nodes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        fn size<T>(node: &Node<T>) -> usize {
            1 + node.children.iter().map(|(_, child)| size(child)).sum::<usize>()
        }
        size(&self.0)
    }
}

impl<T> Node<T> {
    fn of(label: Box<[u8]>) -> Self {
        Self { label, children: Vec::new(), exact: Vec::new(), prefix: Vec::new() }
    }

    fn leaves(&mut self, is_prefix: bool) -> &mut Vec<Leaf<T>> {
        if is_prefix { &mut self.prefix } else { &mut self.exact }
    }

    fn child(&self, first: u8) -> Option<&Self> {
        let found = self.children.binary_search_by_key(&first, |(byte, _)| *byte).ok()?;
        self.children.get(found).map(|(_, child)| &**child)
    }

    fn has_leaves(&self) -> bool {
        !self.exact.is_empty() || !self.prefix.is_empty()
    }

    fn is_spent(&self) -> bool {
        self.children.is_empty() && !self.has_leaves()
    }

    /// Adds a leaf at exactly this text below this node.
    fn put(&mut self, text: &[u8], is_prefix: bool, leaf: Leaf<T>) {
        let Some(&first) = text.first() else {
            let leaves = self.leaves(is_prefix);
            let at = leaves.partition_point(|known| known.rank <= leaf.rank);
            make_room(leaves);
            leaves.insert(at, leaf);
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
        child.put(text.get(common..).unwrap_or_default(), is_prefix, leaf);
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
    fn take_out(&mut self, text: &[u8], is_prefix: bool, route: &Arc<T>) {
        let Some(&first) = text.first() else {
            self.leaves(is_prefix).retain(|leaf| !Arc::ptr_eq(&leaf.route, route));
            return;
        };
        let found = self.children.binary_search_by_key(&first, |(byte, _)| *byte);
        let Ok(at) = found else { return };
        let Some((_, child)) = self.children.get_mut(at) else { return };
        let Some(rest) = text.strip_prefix(&*child.label) else { return };
        let child = Arc::make_mut(child);
        child.take_out(rest, is_prefix, route);
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
