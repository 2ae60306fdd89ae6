//! Sessions: who has signed in, by a token that a cookie holds.
//!
//! A token is 256 random bits; kept are its digest and the id of the key that was shown. What the
//! key is worth is asked of the book with each request, so that a key which ends takes its sessions
//! with it. Sessions live in memory: they end with the process, after [`IDLE`] without a request,
//! and after [`LIFETIME`] in any case. There are at most [`SESSIONS_MAX`], and [`OF_KEY_MAX`] of one
//! key: a further one ends the one that was quiet longest.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::operators::KeyId;

/// A session ends after so long without a request.
pub(super) const IDLE: Duration = Duration::from_secs(15 * 60);
/// A session ends after so long in any case.
pub(super) const LIFETIME: Duration = Duration::from_secs(8 * 3_600);
/// Sessions at a time.
const SESSIONS_MAX: usize = 256;
/// Sessions of one key at a time.
const OF_KEY_MAX: usize = 16;

/// What a token is known by.
type Mark = [u8; 32];

#[derive(Clone, Copy, Debug)]
struct Session {
    key: KeyId,
    began: Instant,
    seen: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.seen) >= IDLE || now.duration_since(self.began) >= LIFETIME
    }
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSession {
    /// It ended by its time.
    Over,
    /// There is none of that token.
    Unknown,
}

/// How a request comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// Somebody wants it.
    ByHand,
    /// A browser that was told to ask again and again.
    ByItself,
}

/// Everyone who has signed in.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Mark, Session>>);

fn mark(token: &[u8]) -> Mark {
    let mut mark = [0; 32];
    mark.copy_from_slice(digest(&SHA256, token).as_ref());
    mark
}

impl Sessions {
    /// Begins a session of a key, and gives its token; `None` where there is no randomness.
    pub(super) fn begin(&self, key: KeyId) -> Option<Secret> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rand::fill(bytes.as_mut()).ok()?;
        let token = URL_SAFE_NO_PAD.encode(bytes.as_ref());
        let now = Instant::now();
        let mut sessions = self.sessions();
        sessions.retain(|_, session| !session.is_over(now));
        let of_key = sessions.values().filter(|session| session.key == key).count();
        if of_key >= OF_KEY_MAX {
            end_quietest(&mut sessions, |session| session.key == key);
        } else if sessions.len() >= SESSIONS_MAX {
            end_quietest(&mut sessions, |_| true);
        }
        sessions.insert(mark(token.as_bytes()), Session { key, began: now, seen: now });
        Some(Secret::new(token))
    }

    /// Whose session a token is of. By what somebody does it goes on; by what a browser does of
    /// itself, such as to load a page anew, it does not.
    pub(super) fn find(&self, token: &[u8], visit: Visit) -> Result<KeyId, NoSession> {
        let (now, mark) = (Instant::now(), mark(token));
        let mut sessions = self.sessions();
        let session = sessions.get_mut(&mark).ok_or(NoSession::Unknown)?;
        if session.is_over(now) {
            sessions.remove(&mark);
            return Err(NoSession::Over);
        }
        if visit == Visit::ByHand {
            session.seen = now;
        }
        Ok(session.key)
    }

    /// Ends a session.
    pub(super) fn end(&self, token: &[u8]) {
        self.sessions().remove(&mark(token));
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Mark, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end_quietest(sessions: &mut HashMap<Mark, Session>, of: impl Fn(&Session) -> bool) {
    let quietest = sessions.iter().filter(|(_, session)| of(session));
    let quietest = quietest.min_by_key(|(_, session)| session.seen).map(|(mark, _)| *mark);
    if let Some(quietest) = quietest {
        sessions.remove(&quietest);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn key(name: &str) -> KeyId {
        KeyId::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_it_is_idle_when_it_is_old_and_when_it_is_ended() {
        let sessions = Sessions::default();
        let begin = || sessions.begin(key("aaaaaaaa")).unwrap();
        let (idle, old, ended) = (begin(), begin(), begin());
        assert_eq!(sessions.find(ended.expose(), Visit::ByHand), Ok(key("aaaaaaaa")));
        sessions.end(ended.expose());
        assert_eq!(sessions.find(ended.expose(), Visit::ByHand), Err(NoSession::Unknown));
        let step = IDLE.saturating_sub(Duration::from_secs(1));
        advance(step).await;
        assert!(sessions.find(old.expose(), Visit::ByHand).is_ok());
        advance(Duration::from_secs(1)).await;
        assert_eq!(sessions.find(idle.expose(), Visit::ByHand), Err(NoSession::Over));
        assert_eq!(
            sessions.find(idle.expose(), Visit::ByHand),
            Err(NoSession::Unknown),
            "told once"
        );
        let mut passed = IDLE;
        while passed + step < LIFETIME {
            assert!(sessions.find(old.expose(), Visit::ByHand).is_ok());
            advance(step).await;
            passed += step;
        }
        assert!(sessions.find(old.expose(), Visit::ByHand).is_ok());
        advance(LIFETIME.saturating_sub(passed)).await;
        assert_eq!(sessions.find(old.expose(), Visit::ByHand), Err(NoSession::Over));
    }

    #[tokio::test(start_paused = true)]
    async fn a_browser_that_asks_of_itself_keeps_no_session() {
        let sessions = Sessions::default();
        let token = sessions.begin(key("aaaaaaaa")).unwrap();
        for _ in 0..3 {
            assert!(sessions.find(token.expose(), Visit::ByItself).is_ok());
            advance(IDLE / 3).await;
        }
        assert_eq!(sessions.find(token.expose(), Visit::ByItself), Err(NoSession::Over));
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_bounded_in_all_and_for_each_key() {
        let sessions = Sessions::default();
        let first = sessions.begin(key("aaaaaaaa")).unwrap();
        for _ in 0..OF_KEY_MAX {
            advance(Duration::from_millis(1)).await;
            sessions.begin(key("aaaaaaaa")).unwrap();
        }
        assert_eq!(sessions.sessions().len(), OF_KEY_MAX);
        assert_eq!(sessions.find(first.expose(), Visit::ByHand), Err(NoSession::Unknown));
        let digits = b"0123456789abcdefghjkmnpqrstvwxyz";
        for number in 0..SESSIONS_MAX {
            advance(Duration::from_millis(1)).await;
            let pair = [digits[number / 32], digits[number % 32]];
            let name = format!("bbbbbb{}", std::str::from_utf8(&pair).unwrap());
            sessions.begin(key(&name)).unwrap();
        }
        assert_eq!(sessions.sessions().len(), SESSIONS_MAX);
        assert!(sessions.sessions().values().all(|session| session.key != key("aaaaaaaa")));
    }

    #[tokio::test]
    async fn tokens_are_long_and_no_two_are_the_same_and_none_is_kept() {
        let sessions = Sessions::default();
        let tokens: Vec<Secret> =
            (0..10).map(|_| sessions.begin(key("aaaaaaaa")).unwrap()).collect();
        let mut texts: Vec<&[u8]> = tokens.iter().map(Secret::expose).collect();
        assert!(texts.iter().all(|text| text.len() == 43));
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 10);
        assert!(sessions.sessions().keys().all(|mark| !texts.contains(&&mark[..])));
    }
}
