//! Templates of paths by their segments, from the first parameter on.

use std::sync::Arc;

use bartizan_core::{PathSegment, path_segments};

use super::Leaf;
use super::paths::{erase, insert};

/// The templates that have the same segments up to here.
pub(super) struct Templates<T> {
    /// Those that go on with a literal segment, by its text, sorted.
    literal: Vec<(Box<str>, Arc<Self>)>,
    /// Those that go on with a parameter.
    parameter: Option<Arc<Self>>,
    /// Those that are complete.
    complete: Vec<Leaf<T>>,
    /// Those that take whatever follows.
    rest: Vec<Leaf<T>>,
}

impl<T> Default for Templates<T> {
    fn default() -> Self {
        Self { literal: Vec::new(), parameter: None, complete: Vec::new(), rest: Vec::new() }
    }
}

impl<T> Clone for Templates<T> {
    fn clone(&self) -> Self {
        Self {
            literal: self.literal.clone(),
            parameter: self.parameter.clone(),
            complete: self.complete.clone(),
            rest: self.rest.clone(),
        }
    }
}

impl<T> Templates<T> {
    /// True if there is none.
    pub(super) fn is_spent(&self) -> bool {
        self.literal.is_empty()
            && self.parameter.is_none()
            && self.complete.is_empty()
            && self.rest.is_empty()
    }

    /// Adds a leaf under these segments.
    pub(super) fn add(&mut self, tail: &str, leaf: Leaf<T>) {
        let mut here = self;
        for segment in path_segments(tail) {
            let next = match segment {
                PathSegment::Rest(_) => return insert(&mut here.rest, leaf),
                PathSegment::Parameter(_) => here.parameter.get_or_insert_default(),
                PathSegment::Literal(text) => {
                    let at = here.place_of(text).unwrap_or_else(|at| {
                        here.literal.insert(at, (text.into(), Arc::default()));
                        at
                    });
                    let Some((_, next)) = here.literal.get_mut(at) else { return };
                    next
                }
            };
            here = Arc::make_mut(next);
        }
        insert(&mut here.complete, leaf);
    }

    /// Takes a leaf out, and whatever is then for nothing.
    pub(super) fn remove(&mut self, tail: &str, route: &Arc<T>) {
        let segments: Vec<_> = path_segments(tail).collect();
        self.take_out(&segments, route);
    }

    fn take_out(&mut self, segments: &[PathSegment<'_>], route: &Arc<T>) {
        match segments.split_first() {
            None => erase(&mut self.complete, route),
            Some((PathSegment::Rest(_), _)) => erase(&mut self.rest, route),
            Some((PathSegment::Parameter(_), after)) => {
                let Some(next) = &mut self.parameter else { return };
                let next = Arc::make_mut(next);
                next.take_out(after, route);
                if next.is_spent() {
                    self.parameter = None;
                }
            }
            Some((PathSegment::Literal(text), after)) => {
                let Ok(at) = self.place_of(text) else { return };
                let Some((_, next)) = self.literal.get_mut(at) else { return };
                let next = Arc::make_mut(next);
                next.take_out(after, route);
                if next.is_spent() {
                    self.literal.remove(at);
                }
            }
        }
    }

    /// The leaves whose segments are those of `path`, which is `None` after the last one. No node
    /// is looked at twice, since what leads to it tells which segments are behind it.
    pub(super) fn find<'t>(&'t self, path: Option<&str>, found: &mut impl FnMut(&'t [Leaf<T>])) {
        let Some(path) = path else { return found(&self.complete) };
        found(&self.rest);
        let (segment, after) = match path.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (path, None),
        };
        if let Ok(at) = self.place_of(segment)
            && let Some((_, next)) = self.literal.get(at)
        {
            next.find(after, found);
        }
        if let Some(next) = self.parameter.as_ref().filter(|_| !segment.is_empty()) {
            next.find(after, found);
        }
    }

    /// The number of nodes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        let below = self.literal.iter().map(|(_, next)| next).chain(&self.parameter);
        1 + below.map(|next| next.size()).sum::<usize>()
    }

    fn place_of(&self, text: &str) -> Result<usize, usize> {
        self.literal.binary_search_by(|(known, _)| (**known).cmp(text))
    }
}
