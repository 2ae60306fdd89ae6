//! Questions that only the outside can answer: `@rbl` asks a name server, `@geoLookup` a database of
//! places. Stock rules hold them where a set-up has to turn them on first, so they are read; nothing
//! is asked. An exchange in which such a rule has its turn counts as not judged, and is refused where
//! rules may refuse.
//!
//! Use `geo-restriction`, or `ip-restriction` with a list that is fetched.

use super::{Ask, Captures, OperatorFault, Source};
use crate::text::Expand;

/// `@rbl` and `@geoLookup`.
#[derive(Debug)]
pub(crate) struct Outside(&'static str);

impl Ask for Outside {
    fn compile(name: &str, _source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self(if name == "rbl" { "rbl" } else { "geoLookup" }))
    }

    fn name(&self) -> &'static str {
        self.0
    }

    fn holds(&self, _input: &[u8], text: &dyn Expand, _: Option<&mut Captures>) -> bool {
        text.give_up();
        false
    }
}
