//! What becomes of each plugin of Apache APISIX.

use std::collections::BTreeMap;
use std::fmt::Write;

use bartizan_chain::Kinship;
use bartizan_config::Standing;
use bartizan_plugins::{CATALOGUE, Catalogue};

use super::fields::one_line;

/// A row: the answer, and why or how.
type Row = (&'static str, &'static str);

/// Every plugin of Apache APISIX by name.
fn rows() -> BTreeMap<&'static str, Row> {
    let here = CATALOGUE.iter().filter_map(|entry| match entry.kinship {
        Kinship::Ours => None,
        Kinship::Same => Some((entry.name, ("same", ""))),
        Kinship::Different(how) => Some((entry.name, ("different", how))),
    });
    let elsewhere = Catalogue::elsewhere().filter_map(|(name, standing)| match standing {
        Standing::NotYet(why) => Some((name, ("not yet", why))),
        Standing::Refused(why) => Some((name, ("refused", why))),
        Standing::Known | Standing::Unknown => None,
    });
    here.chain(elsewhere).collect()
}

/// The page.
pub(super) fn page() -> String {
    let rows = rows();
    let count = |answer| rows.values().filter(|(given, _)| *given == answer).count();
    let text = format!(
        "All {} plugins of Apache APISIX 3.18: {} same, {} different, {} refused, {} not yet. What \
         differs most is told here, all of it on the plugin's page. A plugin that is refused or \
         not there yet is an error with these words, never skipped.",
        rows.len(),
        count("same"),
        count("different"),
        count("refused"),
        count("not yet"),
    );
    let mut page = super::page("Plugins of Apache APISIX", &text);
    page.push_str("| plugin | | how, or why and what there is instead |\n|---|---|---|\n");
    for (name, (answer, why)) in &rows {
        let is_here = matches!(*answer, "same" | "different");
        let name =
            if is_here { format!("[`{name}`](plugins/{name}.md)") } else { format!("`{name}`") };
        // Writing to a string does not fail.
        let _ = writeln!(page, "| {name} | {answer} | {} |", one_line(why));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Apache APISIX 3.18 comes with so many.
    const PLUGINS: usize = 119;

    #[test]
    fn every_plugin_of_apisix_has_an_answer() {
        assert_eq!(rows().len(), PLUGINS);
    }

    #[test]
    fn no_plugin_is_both_here_and_elsewhere() {
        for (name, _) in Catalogue::elsewhere() {
            assert!(bartizan_plugins::find(name).is_none(), "{name}");
        }
    }
}
