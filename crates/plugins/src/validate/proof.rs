//! What a body proves, for plugins that look for attacks.

use bartizan_chain::Proven;

use super::plan::Leaf;

/// Adds what is known of the values of a JSON body.
pub(super) fn note(proven: &mut Proven, leaves: Vec<Leaf>) {
    for leaf in leaves {
        if leaf.is_named {
            proven.json_names.push(leaf.range.clone());
        }
        if leaf.is_harmless {
            proven.json.push(leaf.range);
        }
    }
}
