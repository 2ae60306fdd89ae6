//! Whether a value looks like an injection into SQL, as libinjection decides it.
//!
//! Example: `@detectSQLi` holds for `1' or 1=1 --`. `TX.0` is the fingerprint, such as `s&1c`.

use libinjectionrs::{SqliFlags, SqliState};

use super::{Ask, Captures, Needs, OperatorFault, Source, without_zeros};
use crate::byte_mask::ByteMask;
use crate::text::Expand;

/// `@detectSQLi`.
#[derive(Debug)]
pub(crate) struct DetectSqli;

/// A value of letters, digits and underscores alone is numbers with at most one word behind them. The
/// only fingerprint of that form is `1U`, which libinjection lets pass where it is all there is.
const OUTSIDE_WORDS: ByteMask = ByteMask::of_range(0, b'/')
    .or(ByteMask::of_range(b':', b'@'))
    .or(ByteMask::of_bytes(b"[\\]^`{|}~\x7f"))
    .or(ByteMask::of_range(0x80, 0xff));

impl Ask for DetectSqli {
    fn compile(_name: &str, _source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self)
    }

    fn name(&self) -> &'static str {
        "detectSQLi"
    }

    fn needs(&self) -> Needs {
        Needs { masks: vec![OUTSIDE_WORDS], length_min: 2, ..Needs::default() }
    }

    fn cost(&self, length: usize) -> usize {
        // It reads a value in several ways.
        length.saturating_mul(16)
    }

    fn holds(&self, input: &[u8], _text: &dyn Expand, captures: Option<&mut Captures>) -> bool {
        // PERF: the crate's shortcut computes the fingerprint of what it found a second time.
        let mut state = SqliState::new(input, SqliFlags::FLAG_NONE);
        if state.detect() {
            return found(&state, captures);
        }
        // A zero ends a name for libinjection, for the crate it is part of one.
        let Some(input) = without_zeros(input) else { return false };
        let mut state = SqliState::new(&input, SqliFlags::FLAG_NONE);
        state.detect() && found(&state, captures)
    }
}

fn found(state: &SqliState<'_>, captures: Option<&mut Captures>) -> bool {
    if let Some(captures) = captures {
        captures.push(state.fingerprint_string().as_bytes());
    }
    true
}
