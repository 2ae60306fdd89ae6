//! The attacks that cases name: requests that must be refused.

use std::path::Path;

use super::file::{CaseFile, Kind, Section};
use super::suite::every_case;

/// The attacks of one case file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attacks {
    /// The file, below the folder of all cases.
    pub file: String,
    /// What they have in common: the first line of the file.
    pub title: String,
    /// Their names.
    pub names: Vec<String>,
    /// What does not hold of an attack: that it is refused, told to the audit log and kept from the
    /// upstream; that it has a name of its own; that what is good passes before and after all.
    pub problems: Vec<String>,
}

/// The attacks of all case files under a folder.
pub fn attacks(folder: &Path) -> Vec<Attacks> {
    let cases = every_case(folder);
    cases.iter().filter_map(|case| of_case(case, folder)).collect()
}

fn of_case(case: &CaseFile, folder: &Path) -> Option<Attacks> {
    let exchanges = exchanges(case);
    let named: Vec<&Exchange<'_>> =
        exchanges.iter().filter(|exchange| exchange.asked.kind == Kind::Attack).collect();
    if named.is_empty() {
        return None;
    }
    let names: Vec<String> = named.iter().map(|exchange| exchange.asked.name.clone()).collect();
    let mut problems = Vec::new();
    for (at, exchange) in named.iter().enumerate() {
        let name = &exchange.asked.name;
        if !exchange.is_refused() {
            problems.push(format!("`{name}` is not refused"));
        }
        if name.is_empty() || name.contains([',', '|', '`']) || names[..at].contains(name) {
            problems.push(format!("`{name}` is no name of its own"));
        }
    }
    let passes = |exchange: Option<&Exchange<'_>>| exchange.is_some_and(Exchange::passes);
    if !passes(exchanges.first()) || !passes(exchanges.last()) {
        problems.push("nothing good passes before and after them".to_owned());
    }
    let file = case.path.strip_prefix(folder).unwrap_or(&case.path).display().to_string();
    Some(Attacks { file, title: case.title().to_owned(), names, problems })
}

/// A request, and what came of it.
struct Exchange<'c> {
    asked: &'c Section,
    outcomes: Vec<&'c Section>,
}

fn exchanges(case: &CaseFile) -> Vec<Exchange<'_>> {
    let mut found: Vec<Exchange<'_>> = Vec::new();
    for section in &case.sections {
        match section.kind {
            Kind::Request | Kind::Attack => {
                found.push(Exchange { asked: section, outcomes: Vec::new() });
            }
            kind if kind.is_outcome() => {
                found.iter_mut().last().into_iter().for_each(|last| last.outcomes.push(section));
            }
            _ => {}
        }
    }
    found
}

impl Exchange<'_> {
    fn outcome(&self, kind: Kind) -> Option<&str> {
        let found = self.outcomes.iter().find(|section| section.kind == kind);
        found.map(|section| section.text.as_str())
    }

    fn begins_with(&self, digit: char) -> bool {
        self.outcome(Kind::Response).is_some_and(|text| text.starts_with(digit))
    }

    /// By the client's fault, with an event, and nothing reached the upstream.
    fn is_refused(&self) -> bool {
        self.begins_with('4')
            && self.outcome(Kind::Event).is_some()
            && self.outcome(Kind::Upstream).is_none()
    }

    fn passes(&self) -> bool {
        self.asked.kind == Kind::Request
            && self.begins_with('2')
            && self.outcome(Kind::Upstream).is_some_and(|text| text != "nothing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "--- request\nGET /\n--- response\n200 @upstream\n--- upstream\nGET /\n";
    const EVENT: &str = "--- event\nreason: auth.missing_credential\n";

    fn problems(attack: &str) -> Vec<String> {
        let text = format!("# a title\n\n{GOOD}{attack}{GOOD}");
        let case = CaseFile::parse(Path::new("cases/key-auth/a.case"), &text);
        let found = of_case(&case, Path::new("cases")).unwrap();
        assert_eq!((&*found.file, &*found.title), ("key-auth/a.case", "a title"));
        found.problems
    }

    #[test]
    fn an_attack_is_refused_and_told_and_reaches_nobody() {
        let refused = format!("--- attack one\nGET /\n--- response\n401 @problem x\n{EVENT}");
        assert_eq!(problems(&refused), [""; 0]);
        assert_eq!(problems(&refused.replace("401", "200")), ["`one` is not refused"]);
        assert_eq!(problems(&refused.replace("401", "503")), ["`one` is not refused"]);
        assert_eq!(problems(&refused.replace(EVENT, "")), ["`one` is not refused"]);
        let reaches = format!("{refused}--- upstream\nGET /\n");
        assert_eq!(problems(&reaches), ["`one` is not refused"]);
        assert_eq!(problems(&format!("{refused}{refused}")), ["`one` is no name of its own"]);
        assert_eq!(problems(&refused.replace("one", "a, b")), ["`a, b` is no name of its own"]);
    }

    #[test]
    fn what_is_good_passes_before_and_after_attacks() {
        let refused = format!("--- attack one\nGET /\n--- response\n401 @problem x\n{EVENT}");
        for text in [format!("{refused}{GOOD}"), format!("{GOOD}{refused}")] {
            let case = CaseFile::parse(Path::new("cases/key-auth/a.case"), &text);
            let found = of_case(&case, Path::new("cases")).unwrap();
            assert_eq!(found.problems, ["nothing good passes before and after them"]);
        }
    }

    #[test]
    fn a_file_without_attacks_has_none() {
        let case = CaseFile::parse(Path::new("cases/key-auth/a.case"), GOOD);
        assert_eq!(of_case(&case, Path::new("cases")), None);
    }
}
