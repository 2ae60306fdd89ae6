//! Tokens: an end and a keyed digest over it, the host and whose session it is.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Separates these digests from whatever else a key may be used for.
const DOMAIN: &[u8] = b"bartizan csrf 1";
/// Bytes of the end.
const END: usize = 8;
/// Bytes of an end and a digest of SHA-256.
const TOKEN: usize = END + 32;
/// Bytes of a browser's name: too many to guess.
const BROWSER: usize = 16;

/// Whose session a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Session<'r> {
    /// Who calls, proved.
    Caller { consumer: Option<&'r str>, subject: Option<&'r str> },
    /// Nobody in particular, in this browser.
    Browser(String),
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenFault {
    #[error("the token cannot be read")]
    Unreadable,
    #[error("the token belongs to another session, host or key")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token ends later than any that is given out")]
    TooLong,
}

/// Makes and checks tokens.
pub(super) struct TokenKey(Box<hmac::Key>);

impl TokenKey {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The token that ends at `end`, in seconds since the epoch.
    pub(super) fn sign(&self, session: &Session<'_>, host: &str, end: u64) -> String {
        let mut token = Vec::with_capacity(TOKEN);
        token.extend_from_slice(&end.to_be_bytes());
        token.extend_from_slice(self.context(session, host, end).sign().as_ref());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// When a token of this session ends; it must, within `lifetime` seconds from now.
    pub(super) fn check(
        &self,
        session: &Session<'_>,
        host: &str,
        token: &str,
        now: u64,
        lifetime: u64,
    ) -> Result<u64, TokenFault> {
        let mut bytes = [0; TOKEN];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes);
        if length != Ok(TOKEN) {
            return Err(TokenFault::Unreadable);
        }
        let (end, digest) = bytes.split_first_chunk::<END>().ok_or(TokenFault::Unreadable)?;
        let end = u64::from_be_bytes(*end);
        let own = self.context(session, host, end).sign();
        if !bool::from(subtle::ConstantTimeEq::ct_eq(own.as_ref(), digest)) {
            return Err(TokenFault::Signature);
        }
        if end <= now {
            return Err(TokenFault::Expired);
        }
        // Of a time when `expires` was longer.
        if end - now > lifetime {
            return Err(TokenFault::TooLong);
        }
        Ok(end)
    }

    /// Every part has its length before it, so that no two sessions are the same text.
    fn context(&self, session: &Session<'_>, host: &str, end: u64) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.0);
        let mut part = |bytes: Option<&[u8]>| {
            let length = bytes.map_or(u64::MAX, |bytes| bytes.len() as u64);
            context.update(&length.to_be_bytes());
            context.update(bytes.unwrap_or_default());
        };
        part(Some(DOMAIN));
        part(Some(&end.to_be_bytes()));
        part(Some(host.as_bytes()));
        match session {
            Session::Caller { consumer, subject } => {
                part(Some(b"caller"));
                part(consumer.map(str::as_bytes));
                part(subject.map(str::as_bytes));
            }
            Session::Browser(name) => {
                part(Some(b"browser"));
                part(Some(name.as_bytes()));
            }
        }
        context
    }
}

/// A new name for a browser; `None` where the system has no randomness.
pub(super) fn new_browser() -> Option<String> {
    let mut bytes = [0; BROWSER];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// True for what [`new_browser`] can have made.
pub(super) fn is_browser(name: &str) -> bool {
    let mut bytes = [0; BROWSER];
    URL_SAFE_NO_PAD.decode_slice(name, &mut bytes) == Ok(BROWSER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn caller<'r>(consumer: Option<&'r str>, subject: Option<&'r str>) -> Session<'r> {
        Session::Caller { consumer, subject }
    }

    #[test]
    fn a_token_is_good_for_one_session_host_and_key_until_its_end() {
        let key = TokenKey::new(&[1; 32]);
        let alice = caller(Some("alice"), None);
        let token = key.sign(&alice, "a.test", NOW + 60);
        let check = |key: &TokenKey, session: &Session<'_>, host: &str, now| {
            key.check(session, host, &token, now, 60)
        };
        assert_eq!(check(&key, &alice, "a.test", NOW), Ok(NOW + 60));
        assert_eq!(check(&key, &alice, "a.test", NOW + 59), Ok(NOW + 60));
        assert_eq!(check(&key, &alice, "a.test", NOW + 60), Err(TokenFault::Expired));
        assert_eq!(check(&key, &alice, "a.test", NOW - 1), Err(TokenFault::TooLong));
        assert_eq!(check(&key, &alice, "b.test", NOW), Err(TokenFault::Signature));
        let other = TokenKey::new(&[2; 32]);
        assert_eq!(check(&other, &alice, "a.test", NOW), Err(TokenFault::Signature));
        for session in [
            caller(Some("bob"), None),
            caller(None, Some("alice")),
            caller(Some("alice"), Some("")),
            caller(None, None),
            Session::Browser("alice".into()),
        ] {
            assert_eq!(check(&key, &session, "a.test", NOW), Err(TokenFault::Signature));
        }
    }

    #[test]
    fn browsers_have_names_that_differ() {
        let (one, other) = (new_browser().unwrap(), new_browser().unwrap());
        assert!(is_browser(&one) && is_browser(&other) && one != other);
        for name in ["", "alice", &one[1..], &format!("{one}a"), "AAAAAAAAAAAAAAAAAAAAA;"] {
            assert!(!is_browser(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_two_sessions_share_a_token(
            (a, b) in ("[ab]{0,3}", "[ab]{0,3}"),
            (c, d) in ("[ab]{0,3}", "[ab]{0,3}"),
            (one, other) in ("[ab]{1,2}", "[ab]{1,2}"),
        ) {
            let key = TokenKey::new(&[1; 32]);
            let first = (caller(Some(&a), Some(&b)), one);
            let second = (caller(Some(&c), Some(&d)), other);
            let token = key.sign(&first.0, &first.1, NOW + 1);
            let is_good = key.check(&second.0, &second.1, &token, NOW, 9).is_ok();
            prop_assert_eq!(is_good, first == second);
        }

        #[test]
        fn no_changed_token_is_good(at in 0_usize..53, letter in "[A-Za-z0-9_-]") {
            let key = TokenKey::new(&[1; 32]);
            let session = caller(Some("alice"), None);
            let token = key.sign(&session, "a.test", NOW + 60);
            let mut changed = token.clone();
            changed.replace_range(at..=at, &letter);
            prop_assume!(changed != token);
            prop_assert!(key.check(&session, "a.test", &changed, NOW, u64::MAX).is_err());
        }
    }
}
