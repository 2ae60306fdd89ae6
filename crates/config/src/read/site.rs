//! A value in its document, for problems that are found in it.

use crate::diagnostic::{Diagnostic, Invalid, PathStep, Place};
use crate::document::{Member, Node};
use crate::field_path::{push_index, push_key};
use crate::resources::ResourceKind;
use crate::sources::at_value;

/// A value, where problems of it as a whole are shown, and its path.
#[derive(Clone)]
pub(crate) struct Site<'n> {
    /// The value.
    pub(crate) node: &'n Node,
    /// Its key, or itself.
    pub(crate) here: Place,
    /// The dotted path.
    pub(crate) path: String,
}

/// An object in its list.
#[derive(Clone)]
pub(crate) struct Placed<'n> {
    /// What it is.
    pub(crate) kind: ResourceKind,
    /// The object.
    pub(crate) site: Site<'n>,
    /// Its position in its list, which stands for an id that is not given.
    pub(crate) index: usize,
}

impl<'n> Site<'n> {
    /// The whole of a document.
    pub(crate) fn root(node: &'n Node) -> Self {
        Self { node, here: node.place, path: String::new() }
    }

    /// A member of this map.
    pub(crate) fn member(&self, member: &'n Member) -> Self {
        let mut path = self.path.clone();
        push_key(&mut path, &member.key);
        Self { node: &member.value, here: member.key_place, path }
    }

    /// The member with that key.
    pub(crate) fn child(&self, key: &str) -> Option<Self> {
        self.node.member(key).map(|member| self.member(member))
    }

    /// An item of this list.
    pub(crate) fn item(&self, index: usize, item: &'n Node) -> Self {
        let mut path = self.path.clone();
        push_index(&mut path, index);
        Self { node: item, here: item.place, path }
    }

    /// Where the value of a key is shown.
    pub(crate) fn at(&self, key: &str) -> Place {
        self.node.member(key).map_or(self.here, |member| at_value(&member.value, member.key_place))
    }

    /// The problem with its place, as far as its path leads.
    pub(crate) fn diagnostic(&self, invalid: &Invalid) -> Diagnostic {
        let mut place = self.here;
        let mut path = self.path.clone();
        let mut node = Some(self.node);
        for step in &invalid.path {
            match step {
                PathStep::Key(key) => {
                    push_key(&mut path, key);
                    let member = node.and_then(|node| node.member(key));
                    if let Some(member) = member {
                        place = at_value(&member.value, member.key_place);
                    }
                    node = member.map(|member| &member.value);
                }
                PathStep::Index(index) => {
                    push_index(&mut path, *index);
                    node = node.and_then(|node| node.items().get(*index));
                    if let Some(item) = node {
                        place = item.place;
                    }
                }
            }
        }
        Diagnostic {
            place: Some(place),
            path: path.into(),
            problem: invalid.problem.clone(),
            help: invalid.help.clone(),
        }
    }
}
