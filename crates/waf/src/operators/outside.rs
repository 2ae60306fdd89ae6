//! A question that only the outside can answer: `@rbl` asks a name server. Stock rules hold it where
//! a set-up has to turn it on first, so it is read; nothing is asked. An exchange in which such a
//! rule has its turn counts as not judged, and is refused where rules may refuse.
//!
//! Use `ip-restriction` with a list that is fetched.

use super::{Ask, Captures, OperatorFault, Source};
use crate::text::Expand;

/// `@rbl`.
#[derive(Debug)]
pub(crate) struct Outside;

impl Ask for Outside {
    fn compile(_name: &str, _source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self)
    }

    fn name(&self) -> &'static str {
        "rbl"
    }

    fn holds(&self, _input: &[u8], text: &dyn Expand, _: Option<&mut Captures>) -> bool {
        text.give_up();
        false
    }
}
