//! The header that most tokens have, read once.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Header;

/// Longest text of a header that is kept; one with certificates is not.
const KNOWN_MAX: usize = 1024;

/// The header of the token that has verified last, by its text. Who signs tokens writes the same
/// header in all of them until the key changes, so that it is read once; any other text is read anew.
#[derive(Debug, Default)]
pub struct KnownHeader(ArcSwapOption<(Box<str>, Arc<Header>)>);

impl KnownHeader {
    /// The header of this text, if it is the one that is known.
    pub(super) fn of(&self, text: &str) -> Option<Arc<Header>> {
        let known = self.0.load();
        let (known, header) = known.as_deref()?;
        (**known == *text).then(|| Arc::clone(header))
    }

    /// Keeps the header of a token that has verified.
    pub(super) fn learn(&self, text: &str, header: &Arc<Header>) {
        if text.len() <= KNOWN_MAX && self.of(text).is_none() {
            self.0.store(Some(Arc::new((text.into(), Arc::clone(header)))));
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::super::Token;
    use super::*;

    #[test]
    fn headers_are_known_up_to_a_length() {
        let token = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
        let header = Arc::new(Token::parse(&token).unwrap().header().clone());
        for (length, is_known) in [(1_023, true), (1_024, true), (1_025, false)] {
            let (known, text) = (KnownHeader::default(), "a".repeat(length));
            known.learn(&text, &header);
            assert_eq!(known.of(&text).is_some(), is_known, "{length}");
        }
    }
}
