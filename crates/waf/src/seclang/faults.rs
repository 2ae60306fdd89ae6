//! Collecting faults, and guessing what was meant.

use std::fmt::Write as _;

use crate::fault::RuleFault;

/// The most faults that are reported of one rule set.
pub(super) const FAULTS_MAX: usize = 100;

/// The longest piece of a rule that a message repeats, in characters.
const QUOTE_MAX: usize = 60;

/// The longest name that a likeness is looked for.
const NEAREST_MAX: usize = 64;

/// Faults, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<RuleFault>,
    /// The last fault, where there are too many, and how many there are that the list has no room
    /// for.
    rest: Option<(RuleFault, usize)>,
}

impl Faults {
    /// Adds one.
    pub(super) fn push(&mut self, fault: RuleFault) {
        if self.list.len() + 1 < FAULTS_MAX {
            self.list.push(fault);
        } else if let Some((_, count)) = &mut self.rest {
            *count += 1;
        } else {
            self.rest = Some((fault, 1));
        }
    }

    /// True if there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them; where there are too many, the last one says how many are left out.
    pub(super) fn into_list(mut self) -> Vec<RuleFault> {
        if let Some((mut fault, count)) = self.rest {
            if count > 1 {
                fault.problem = format!("{} (and {} faults more)", fault.problem, count - 1);
            }
            self.list.push(fault);
        }
        self.list
    }
}

/// A piece of a rule for a message: in back-quotes, cut, control characters escaped.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("`");
    for (i, c) in text.chars().enumerate() {
        if i == QUOTE_MAX {
            out.push('…');
            break;
        }
        match c {
            '`' => out.push('\''),
            c if c.is_control() => {
                let _ = write!(out, "{}", c.escape_default());
            }
            c => out.push(c),
        }
    }
    out.push('`');
    out
}

/// The help that names the candidate that was probably meant.
pub(super) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|near| format!("did you mean `{near}`?"))
}

fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NEAREST_MAX {
        return None;
    }
    let wanted = folded(name);
    let distance_max = (1 + wanted.len() / 4).min(3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &folded(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= distance_max && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

fn folded(name: &str) -> String {
    name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// `a`, `b` or `c`, for a message.
pub(super) fn choices(names: &[&str]) -> String {
    let mut out = String::new();
    for (i, name) in names.iter().enumerate() {
        let separator = match i {
            0 => "",
            _ if i + 1 == names.len() => " or ",
            _ => ", ",
        };
        let _ = write!(out, "{separator}`{name}`");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fault::Place;

    #[test]
    fn too_many_faults_are_counted() {
        let mut faults = Faults::default();
        for line in 1..=250 {
            let place = Place { file: Arc::from("a"), line, column: 1 };
            let problem = format!("fault {line}");
            faults.push(RuleFault { place, excerpt: String::new(), problem, help: None });
        }
        let list = faults.into_list();
        assert_eq!(list.len(), FAULTS_MAX);
        assert_eq!(list[99].problem, "fault 100 (and 150 faults more)");
    }

    #[test]
    fn the_nearest_name_is_found_whatever_its_case() {
        let names = ["SecRule", "SecMarker"];
        assert_eq!(did_you_mean("secrul", names).unwrap(), "did you mean `SecRule`?");
        assert_eq!(did_you_mean("SecMaker", names).unwrap(), "did you mean `SecMarker`?");
        assert_eq!(did_you_mean("LoadModule", names), None);
        assert_eq!(did_you_mean(&"x".repeat(999), names), None);
    }

    #[test]
    fn quotes_are_cut_and_escaped() {
        assert_eq!(quoted("a`\tb"), "`a'\\tb`");
        assert_eq!(quoted(&"x".repeat(99)).chars().count(), QUOTE_MAX + 3);
        assert_eq!(choices(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
