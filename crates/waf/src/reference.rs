//! What of SecLang there is, as a page: written from the tables that the reader works with.

use std::fmt::Write as _;

use crate::operators;
use crate::seclang::{self, Standing};
use crate::transformations::Transformation;
use crate::variable::{Shape, Variable};

/// The page, in Markdown, from its second heading on.
pub fn reference() -> String {
    let mut page = String::new();
    for (title, standing, text) in [
        ("Directives", Standing::Works, "What stands in rule files."),
        (
            "Directives without effect",
            Standing::Inert,
            "Read, so that stock files load, and without effect: the gateway has its own way.",
        ),
        ("Directives that are refused", Standing::Refused, "A rule set with one is not loaded."),
    ] {
        table(&mut page, title, text, seclang::directives().filter(|row| row.2 == standing));
    }
    for (title, standing, text) in [
        ("Actions", Standing::Works, "What rules do."),
        ("Actions that are refused", Standing::Refused, "A rule set with one is not loaded."),
    ] {
        table(&mut page, title, text, seclang::actions().filter(|row| row.2 == standing));
    }
    list(
        &mut page,
        "Operators",
        "What rules ask of values. Nothing asks the outside: `@rbl`, and `@geoLookup` without \
         `SecGeoLookupDb`, are read, since stock rules hold them, but where one has its turn the \
         exchange counts as not judged.",
        operators::NAMES.iter().map(|name| format!("@{name}")),
    );
    list(
        &mut page,
        "Transformations",
        "What happens to values first.",
        Transformation::ALL.iter().map(|known| format!("t:{}", known.name())),
    );
    list(
        &mut page,
        "Variables",
        "What rules look at; those with `:` have members that a name or a pattern picks. `DURATION` is \
         always 0: rules are given no clock. `GEO` holds what `@geoLookup` found last: `COUNTRY_CODE`, \
         `COUNTRY_NAME`, `COUNTRY_CONTINENT`, `REGION`, `CITY`, `POSTAL_CODE`, `LATITUDE` and \
         `LONGITUDE`, as far as the database has them.",
        Variable::ALL.iter().filter(|variable| variable.refused().is_none()).map(|variable| {
            match variable.shape() {
                Shape::Single => variable.name().to_owned(),
                Shape::Collection => format!("{}:", variable.name()),
            }
        }),
    );
    page
}

fn table(
    page: &mut String,
    title: &str,
    text: &str,
    rows: impl Iterator<Item = (&'static str, &'static str, Standing)>,
) {
    // Writing to a string cannot fail.
    let _ = write!(page, "## {title}\n\n{text}\n\n| name | |\n|---|---|\n");
    for (name, does, _) in rows {
        let _ = writeln!(page, "| `{name}` | {} |", does.replace('|', "\\|"));
    }
    page.push('\n');
}

fn list(page: &mut String, title: &str, text: &str, names: impl Iterator<Item = String>) {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    let _ = write!(page, "## {title}\n\n{text}\n\n{}.\n\n", names.join(", "));
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn the_page_tells_what_is_refused_and_why() {
        let page = reference();
        for word in ["`SecRuleScript`", "`SecRemoteRules`", "`exec`", "`@rx`", "`t:urlDecodeUni`"] {
            assert!(page.contains(word), "{word}");
        }
    }
}
