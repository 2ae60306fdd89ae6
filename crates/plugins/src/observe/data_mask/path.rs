//! Places in a JSON body: `$.user.password`, `$.cards[*].number`, `$..token`.

use bartizan_config::Invalid;

/// Most steps of one place.
const STEPS_MAX: usize = 64;

/// One step from a value to a part of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The member of this name.
    Member(Box<str>),
    /// The item of this number.
    Item(usize),
    /// Every member or item.
    Every,
    /// Any number of steps, also none.
    Deep,
}

/// A part of an object or a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    Member(&'a str),
    Item(usize),
}

/// A compiled place.
#[derive(Debug)]
pub(super) struct Path(Box<[Step]>);

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let refused = || {
            Invalid::new(format!("`{text}` is not a place in a body"))
                .with_help("such as `$.user.password`, `$.cards[*].number` or `$..token`")
        };
        let mut rest = text.strip_prefix('$').ok_or_else(refused)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("..") {
                steps.push(Step::Deep);
                rest = if after.starts_with('[') {
                    after
                } else {
                    member(after, &mut steps).ok_or_else(refused)?
                };
            } else if let Some(after) = rest.strip_prefix('.') {
                rest = member(after, &mut steps).ok_or_else(refused)?;
            } else {
                let (inside, after) = rest
                    .strip_prefix('[')
                    .and_then(|rest| rest.split_once(']'))
                    .ok_or_else(refused)?;
                steps.push(bracket(inside).ok_or_else(refused)?);
                rest = after;
            }
        }
        if steps.is_empty() || steps.len() > STEPS_MAX || steps.last() == Some(&Step::Deep) {
            return Err(refused());
        }
        Ok(Self(steps.into()))
    }

    /// True if a place is reached after so many steps.
    pub(super) fn ends_at(&self, done: usize) -> bool {
        done == self.0.len()
    }

    /// Where one is in a part, having done so many steps before it.
    pub(super) fn enter(&self, done: usize, part: Part<'_>, mut put: impl FnMut(usize)) {
        let (at, is_deep) = match self.0.get(done) {
            Some(Step::Deep) => (done + 1, true),
            _ => (done, false),
        };
        if is_deep {
            put(done);
        }
        let leads = match (self.0.get(at), part) {
            (Some(Step::Member(name)), Part::Member(own)) => **name == *own,
            (Some(Step::Item(index)), Part::Item(own)) => *index == own,
            (Some(Step::Every), _) => true,
            _ => false,
        };
        if leads {
            put(at + 1);
        }
    }
}

/// A name or `*`, and what follows it.
fn member<'t>(text: &'t str, steps: &mut Vec<Step>) -> Option<&'t str> {
    let (name, rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    if name == "*" {
        steps.push(Step::Every);
    } else if !name.is_empty() && name.chars().all(is_plain) {
        steps.push(Step::Member(name.into()));
    } else {
        return None;
    }
    Some(rest)
}

/// `*`, a number, or a quoted name.
fn bracket(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::Every);
    }
    for quote in ['\'', '"'] {
        let name = inside.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(name) = name {
            return (!name.contains(['\\', quote])).then(|| Step::Member(name.into()));
        }
    }
    let is_number = !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_digit());
    inside.parse().ok().filter(|_| is_number).map(Step::Item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let member = |name: &str| Step::Member(name.into());
        for (text, expected) in [
            ("$.a.b-c", vec![member("a"), member("b-c")]),
            ("$.a[0][*]", vec![member("a"), Step::Item(0), Step::Every]),
            ("$.*.b", vec![Step::Every, member("b")]),
            ("$..b", vec![Step::Deep, member("b")]),
            ("$.a..['b c']", vec![member("a"), Step::Deep, member("b c")]),
        ] {
            assert_eq!(*Path::parse(text).unwrap().0, expected, "{text}");
        }
        for text in ["", "$", "a", "$a", "$.", "$..", "$.a[", "$.a[-1]", "$.a[?(@.b)]", "$.a[0:2]"]
        {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }
}
