//! Texts with macros in them, such as `%{TX.0} found in %{MATCHED_VAR_NAME}`.

use crate::variable::{Selector, Variable};

/// A text that may hold macros.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    /// Its pieces, in order.
    pub(crate) pieces: Box<[Piece]>,
}

/// A piece of a [`Text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As it stands.
    Literal(Box<[u8]>),
    /// The value of a variable; of a collection, of the first member that the selector fits.
    Macro(Variable, Selector),
}

/// Gives macros their values.
pub(crate) trait Expand {
    /// Appends the value of a macro to `out`; nothing where there is none.
    fn expand(&self, variable: Variable, selector: &Selector, out: &mut Vec<u8>);

    /// Something cannot be judged: whatever the rules say, the exchange must not pass for judged.
    fn give_up(&self);

    /// More work was done than the operator says in general.
    fn spend(&self, _work: usize) {}
}

impl Text {
    /// A text without macros.
    pub(crate) fn literal(text: impl Into<Box<[u8]>>) -> Self {
        let text = text.into();
        let pieces = if text.is_empty() { [].into() } else { [Piece::Literal(text)].into() };
        Self { pieces }
    }

    /// The text itself, where there are no macros in it.
    pub(crate) fn as_literal(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(&[]),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text as it is written in rule files, for people.
    pub(crate) fn written(&self) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(&String::from_utf8_lossy(text)),
                Piece::Macro(variable, selector) => {
                    out.push_str("%{");
                    out.push_str(variable.name());
                    match selector {
                        Selector::All => {}
                        Selector::Name(name) => {
                            out.push('.');
                            out.push_str(&String::from_utf8_lossy(name));
                        }
                        Selector::Pattern(pattern) => {
                            out.push_str("./");
                            out.push_str(pattern);
                            out.push('/');
                        }
                    }
                    out.push('}');
                }
            }
        }
        out
    }

    /// Appends the text to `out`, with every macro replaced.
    pub(crate) fn write(&self, source: &dyn Expand, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Macro(variable, selector) => source.expand(*variable, selector, out),
            }
        }
    }
}
