//! In which order the leaves are tried that a path leads to, in one table or in several.

use smallvec::SmallVec;

use super::Leaf;
use super::paths::Node;

/// What a path passes in one table.
pub(super) struct Walk<'t, 'p, T> {
    /// The leaves of the path itself.
    pub(super) exact: &'t [Leaf<T>],
    /// The nodes where patterns go on, the one of the longest literal text last, with what is left
    /// of the path there.
    pub(super) open: SmallVec<[(&'t Node<T>, &'p [u8]); 8]>,
}

/// Lists of leaves, each in the order of trial.
pub(super) struct Lists<'t, T>(SmallVec<[&'t [Leaf<T>]; 8]>);

impl<'t, T> Lists<'t, T> {
    fn empty() -> Self {
        Self(SmallVec::new())
    }

    /// Adds a list.
    pub(super) fn push(&mut self, leaves: &'t [Leaf<T>]) {
        if !leaves.is_empty() {
            self.0.push(leaves);
        }
    }

    /// The first leaf that fits, of all lists by rank. Only as many are looked at as are tried.
    fn first<E>(
        mut self,
        fits: &mut impl FnMut(&Leaf<T>) -> Result<bool, E>,
    ) -> Result<Option<&'t Leaf<T>>, E> {
        // The list that begins with what is to be tried first stands last.
        if self.0.len() > 1 {
            self.0.sort_by(|a, b| rank_of(b).cmp(&rank_of(a)));
        }
        while let Some(list) = self.0.pop() {
            let Some((leaf, left)) = list.split_first() else { continue };
            if fits(leaf)? {
                return Ok(Some(leaf));
            }
            if !left.is_empty() {
                let at = self.0.partition_point(|other| rank_of(other) >= rank_of(left));
                self.0.insert(at, left);
            }
        }
        Ok(None)
    }
}

fn rank_of<T>(list: &[Leaf<T>]) -> Option<&super::Rank> {
    list.first().map(|leaf| &leaf.rank)
}

/// The first leaf that fits: of the exact path, then of the patterns that go on after literal text,
/// the longest first. What has the same literal text is tried by rank, whichever table it is in.
pub(super) fn first_of<'t, T, E>(
    walks: &mut [Walk<'t, '_, T>],
    fits: &mut impl FnMut(&Leaf<T>) -> Result<bool, E>,
) -> Result<Option<&'t Leaf<T>>, E> {
    let mut lists = Lists::empty();
    for walk in &*walks {
        lists.push(walk.exact);
    }
    if let Some(leaf) = lists.first(fits)? {
        return Ok(Some(leaf));
    }
    while let Some(left) = walks.iter().filter_map(Walk::left).min() {
        let mut lists = Lists::empty();
        for walk in walks.iter_mut().filter(|walk| walk.left() == Some(left)) {
            if let Some((node, rest)) = walk.open.pop() {
                node.going_on(rest, &mut lists);
            }
        }
        if let Some(leaf) = lists.first(fits)? {
            return Ok(Some(leaf));
        }
    }
    Ok(None)
}

impl<T> Walk<'_, '_, T> {
    /// How much of the path is left after the longest literal text that was not tried yet.
    fn left(&self) -> Option<usize> {
        self.open.last().map(|(_, rest)| rest.len())
    }
}
