//! The fixed order in which protections run.

use std::fmt;

/// A step in the life of a request. Operators choose plugins; this order is not theirs to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stage {
    /// Establish facts about the request itself: real client address, request id, https redirect.
    Prepare,
    /// Refuse what needs no identity: addresses, origins, limits per address or route.
    Admit,
    /// Prove who calls.
    Authenticate,
    /// Spend limits that are keyed by who calls, before it is decided what they may do.
    Meter,
    /// Decide whether this caller may do this to this object.
    Authorize,
    /// Check the shape of what was sent.
    Validate,
    /// Look for attacks in what was sent.
    Inspect,
    /// Rewrite what the upstream will see.
    Transform,
    /// Decide what of the answer the client may see.
    Expose,
    /// Shape the answer itself: headers, bodies, encodings.
    Reply,
    /// Record what happened; always runs.
    Observe,
}

impl Stage {
    /// Every stage, in the order they run.
    pub const ALL: [Self; 11] = [
        Self::Prepare,
        Self::Admit,
        Self::Authenticate,
        Self::Meter,
        Self::Authorize,
        Self::Validate,
        Self::Inspect,
        Self::Transform,
        Self::Expose,
        Self::Reply,
        Self::Observe,
    ];

    /// The stages that run before anything is sent upstream.
    pub const REQUEST: [Self; 8] = [
        Self::Prepare,
        Self::Admit,
        Self::Authenticate,
        Self::Meter,
        Self::Authorize,
        Self::Validate,
        Self::Inspect,
        Self::Transform,
    ];

    /// The name used in documents, events and diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Admit => "admit",
            Self::Authenticate => "authenticate",
            Self::Meter => "meter",
            Self::Authorize => "authorize",
            Self::Validate => "validate",
            Self::Inspect => "inspect",
            Self::Transform => "transform",
            Self::Expose => "expose",
            Self::Reply => "reply",
            Self::Observe => "observe",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageSet(u16);

impl StageSet {
    /// The set of exactly these stages.
    pub const fn of(stages: &[Stage]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < stages.len() {
            bits |= 1 << stages[i] as u8;
            i += 1;
        }
        Self(bits)
    }

    /// True if `stage` is in the set.
    pub const fn contains(self, stage: Stage) -> bool {
        self.0 & (1 << stage as u8) != 0
    }

    /// True if every stage of `other` is in this set.
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The stages of the set in running order.
    pub fn iter(self) -> impl Iterator<Item = Stage> {
        Stage::ALL.into_iter().filter(move |s| self.contains(*s))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_listed_in_running_order() {
        assert!(Stage::ALL.is_sorted());
        assert!(Stage::REQUEST.is_sorted());
    }

    #[test]
    fn a_set_holds_what_it_was_made_of_and_nothing_else() {
        let set = StageSet::of(&[Stage::Admit, Stage::Meter]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Stage::Admit, Stage::Meter]);
        assert!(!set.contains(Stage::Authorize));
        assert!(set.covers(StageSet::of(&[Stage::Meter])));
        assert!(!set.covers(StageSet::of(&[Stage::Meter, Stage::Reply])));
    }
}
