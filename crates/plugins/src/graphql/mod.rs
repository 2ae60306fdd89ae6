//! GraphQL requests, as far as it must be known what they ask for: read strictly, in one pass, with
//! bounds on everything.
//!
//! Only executable documents are read (GraphQL, October 2021, §2): operations and fragments. What
//! an operation asks for is summed up while it is read; there is no tree that could be deep.
//! Fragments are put in by arithmetic, so that a few lines which expand to millions cost nothing.

mod document;
mod lexer;
mod price;
#[cfg(test)]
mod price_tests;
#[cfg(test)]
mod tests;

pub(crate) use document::{Document, Kind, Measure};
pub(crate) use price::{PriceFault, STEPS_MAX, Way, price};

/// Most tokens of a document.
pub(crate) const TOKENS_MAX: usize = 20_000;
/// Deepest nesting of anything: selections, values, types.
pub(crate) const NESTING_MAX: usize = 100;

/// Why a text is not an executable document with one meaning. It names no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a character that GraphQL does not have")]
    Character,
    #[error("a text that does not end, or an escape that there is not")]
    Text,
    #[error("a number that cannot be read in one way")]
    Number,
    #[error("more than 20000 tokens")]
    TooManyTokens,
    #[error("nested more than 100 deep")]
    TooDeep,
    #[error("a token where it cannot stand")]
    Unexpected,
    #[error("it ends too early")]
    End,
    #[error("a name is defined twice, or an operation without a name is not alone")]
    Duplicate,
    #[error("a fragment that is not there")]
    UnknownFragment,
    #[error("a fragment that leads into itself")]
    Cycle,
    #[error("there is no operation, or it is not said which")]
    NoOperation,
}

/// What must hold for every input, for fuzzers and the replay of their corpora.
pub(crate) fn law(text: &str) {
    let read = Document::parse(text);
    let again: Vec<&str> = lexer::Lexer::new(text).map_while(Result::ok).map(|t| t.text).collect();
    let Ok(document) = read else { return };
    // Commas, comments and white space have no meaning.
    let spaced = again.join("\n#,}\n");
    let spaced = Document::parse(&spaced);
    for name in document.names().map(Some).chain([None]) {
        let measure = document.measure(name);
        let same = spaced.as_ref().map_err(|fault| *fault).and_then(|other| other.measure(name));
        assert_eq!(measure, same, "white space has a meaning");
        if let Ok(measure) = measure {
            assert!(measure.depth >= 1 && measure.fields >= 1, "an operation asks for something");
            // Where no field has a cost of its own, both readings count the same.
            let plain = bartizan_config::CostTree::default();
            for (way, count) in [(Way::All, measure.fields), (Way::Deepest, measure.depth)] {
                let cost = price(text, name, None, (&plain, way), &mut { STEPS_MAX });
                let is_same = cost.map_or_else(
                    |fault| fault == PriceFault::TooMuch,
                    |cost| cost == u128::from(count) * price::WHOLE,
                );
                assert!(is_same, "{way:?}: {cost:?} for {count}");
            }
        }
    }
}
