//! The names and values of a query or form, grouped, so that each is looked at once however many
//! there are.

use std::borrow::Cow;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::style::{Encoding, Misfit};

/// Values of one name, still encoded.
pub(super) type Raws<'q> = SmallVec<[&'q str; 2]>;

/// A name in brackets, from its first bracket on, and its value.
pub(super) type Deep<'q> = (Box<str>, &'q str);

/// The names and values of a query or form.
#[derive(Debug, Default)]
pub(super) struct Pairs<'q> {
    groups: HashMap<Cow<'q, str>, Group<'q>, RandomState>,
}

#[derive(Debug, Default)]
struct Group<'q> {
    plain: Raws<'q>,
    is_taken: bool,
    deep: Vec<Deep<'q>>,
    deep_taken: Vec<bool>,
}

impl<'q> Pairs<'q> {
    /// Reads a query or form of at most `max` pairs.
    pub(super) fn parse(text: &'q str, max: usize) -> Result<Self, Misfit> {
        let mut pairs = Self::default();
        for (count, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if count >= max {
                return Err(Misfit::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = Encoding::Form.decode(name).ok_or(Misfit::Encoding)?;
            match name.find('[') {
                Some(at) if at > 0 => {
                    let rest = name.get(at..).unwrap_or_default().into();
                    let base = Cow::Owned(name.get(..at).unwrap_or_default().to_owned());
                    let group = pairs.groups.entry(base).or_default();
                    group.deep.push((rest, value));
                    group.deep_taken.push(false);
                }
                _ => pairs.groups.entry(name).or_default().plain.push(value),
            }
        }
        Ok(pairs)
    }

    /// The values of a name, which count as known from then on.
    pub(super) fn take(&mut self, name: &str) -> Raws<'q> {
        let at = name.find('[').filter(|at| *at > 0).unwrap_or(name.len());
        let (base, rest) = name.split_at_checked(at).unwrap_or((name, ""));
        let Some(group) = self.groups.get_mut(base) else { return Raws::new() };
        if rest.is_empty() {
            group.is_taken = true;
            return group.plain.clone();
        }
        let mut raws = Raws::new();
        for ((own, raw), is_taken) in group.deep.iter().zip(&mut group.deep_taken) {
            if **own == *rest {
                raws.push(raw);
                *is_taken = true;
            }
        }
        raws
    }

    /// What stands in brackets behind a name, and counts as known from then on.
    pub(super) fn take_deep(&mut self, name: &str) -> &[Deep<'q>] {
        let Some(group) = self.groups.get_mut(name) else { return &[] };
        group.deep_taken.fill(true);
        &group.deep
    }

    /// The names without brackets that nobody has taken, which count as known from then on.
    pub(super) fn take_rest(&mut self) -> Vec<(String, Raws<'q>)> {
        let free = self.groups.iter_mut().filter(|(_, g)| !g.is_taken && !g.plain.is_empty());
        free.map(|(name, group)| {
            group.is_taken = true;
            (name.clone().into_owned(), group.plain.clone())
        })
        .collect()
    }

    /// A name that nobody has taken, in the order of the alphabet; `None` where all are known.
    pub(super) fn unknown(&self) -> Option<String> {
        let names = self.groups.iter().filter_map(|(name, group)| {
            let deep = group.deep.iter().zip(&group.deep_taken).find(|(_, taken)| !**taken);
            match deep {
                _ if !group.is_taken && !group.plain.is_empty() => Some(name.to_string()),
                Some(((rest, _), _)) => Some(format!("{name}{rest}")),
                None => None,
            }
        });
        names.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_known() {
        let mut pairs = Pairs::parse("a=1&b=x%20y&a=2&f[x]=3&f%5By%5D=4&g[]=5&h", 10).unwrap();
        assert_eq!(pairs.take("a").to_vec(), ["1", "2"]);
        assert_eq!(pairs.take("b").to_vec(), ["x%20y"]);
        assert_eq!(pairs.take("nothing").to_vec(), [""; 0]);
        assert_eq!(pairs.unknown().unwrap(), "f[x]");
        let deep: Vec<&str> = pairs.take_deep("f").iter().map(|(rest, _)| &**rest).collect();
        assert_eq!(deep, ["[x]", "[y]"]);
        assert_eq!(pairs.take("g[]").to_vec(), ["5"]);
        assert_eq!(pairs.unknown().unwrap(), "h");
        assert_eq!(pairs.take_rest().len(), 1);
        assert_eq!(pairs.unknown(), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(Pairs::parse("%FF=1", 10).unwrap_err(), Misfit::Encoding);
        assert_eq!(Pairs::parse("a&b&c", 2).unwrap_err(), Misfit::TooMany);
    }
}
