//! Trying a credential: who counts failures, and who may refuse to have it judged.
//!
//! An authentication plugin knows what was shown and what came of it. Whoever counts failures must
//! not have to know how each of them reads requests. So a plugin of an earlier stage posts a guard
//! ([`RequestCx::post`]), and authentication plugins tell of every credential that they judge:
//! [`RequestCx::admit`] before one that could be guessed, [`RequestCx::settle`] after each. What
//! a plugin does not tell is told by the loop that runs it, so that none goes uncounted.

use std::cell::Cell;
use std::sync::Arc;

use bartizan_core::{Denial, Reason};
use smallvec::SmallVec;

use crate::context::RequestCx;

/// Shorter keys and tokens are taken for passwords: whoever chose them may have chosen a word.
const STRONG_MIN: usize = 16;

/// Whether a credential can be found by trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// A password or a short key: to be judged only as often as is stated.
    Guessable,
    /// A long key, a token, certificate or signature: nobody guesses one, however often it is
    /// judged.
    Strong,
}

/// A credential that is shown, as far as it can be told before it is judged.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// The plugin that judges it.
    pub plugin: &'static str,
    /// Whether it can be found by trying.
    pub strength: Strength,
    /// Whose it is by its own words: a user name, the name of a key. What the plugin looks
    /// credentials up by.
    pub name: Option<&'a [u8]>,
    /// The secret as it was shown, where there is one.
    pub secret: Option<&'a [u8]>,
}

impl<'a> Attempt<'a> {
    /// A password.
    pub fn password(plugin: &'static str, name: &'a [u8], secret: &'a [u8]) -> Self {
        let strength = Strength::Guessable;
        Self { plugin, strength, name: Some(name), secret: Some(secret) }
    }

    /// An opaque token. Long ones of one issuer may begin alike, as all that are signed do, so that
    /// only of a short one it is told how.
    pub fn token(plugin: &'static str, secret: &'a [u8]) -> Self {
        let key = Self::key(plugin, secret);
        if key.strength == Strength::Strong { Self::signed(plugin, None) } else { key }
    }

    /// A key, shown as it is; one of less than 16 bytes could be guessed.
    pub fn key(plugin: &'static str, secret: &'a [u8]) -> Self {
        let is_short = secret.len() < STRONG_MIN;
        let strength = if is_short { Strength::Guessable } else { Strength::Strong };
        Self { plugin, strength, name: None, secret: Some(secret) }
    }

    /// Something that only the holder of a key can make, under the name of that key if it is told.
    pub fn signed(plugin: &'static str, name: Option<&'a [u8]>) -> Self {
        Self { plugin, strength: Strength::Strong, name, secret: None }
    }
}

/// Counts credentials that were wrong, and holds others back for it.
pub trait AttemptGuard: Send + Sync {
    /// The plugin whose guard it is.
    fn name(&self) -> &'static str;

    /// Refuses to have a credential judged that could be guessed.
    fn admit(&self, cx: &RequestCx, attempt: &Attempt<'_>) -> Result<(), Denial>;

    /// The credential is right. What could be guessed is refused all the same where it must not be
    /// told now: others may have failed while it was judged.
    fn passed(&self, cx: &RequestCx, attempt: &Attempt<'_>) -> Result<(), Denial>;

    /// The credential is right, and no guard refuses it: it may be remembered.
    fn told(&self, cx: &RequestCx, attempt: &Attempt<'_>);

    /// The credential is wrong. What the guard makes of the refusal.
    fn failed(&self, cx: &RequestCx, attempt: &Attempt<'_>, denial: Denial) -> Denial;
}

/// A credential that is being judged. One that is given up before it is settled, as where the client
/// goes away while a password is hashed, counts as wrong: otherwise guesses could be had for nothing.
pub struct Judging<'c, 'a> {
    cx: &'c RequestCx,
    attempt: Attempt<'a>,
    is_settled: bool,
}

impl Judging<'_, '_> {
    /// Tells what came of it, as [`RequestCx::settle`] does.
    pub fn settle<T>(mut self, proof: Result<T, Denial>) -> Result<T, Denial> {
        self.is_settled = true;
        self.cx.settle(&self.attempt, proof)
    }
}

impl Drop for Judging<'_, '_> {
    fn drop(&mut self) {
        if !self.is_settled && self.attempt.strength == Strength::Guessable {
            let denial = Denial::new(Reason::InvalidCredential, "given up while it was judged");
            // Counted; there is nobody to answer.
            drop(self.cx.fail(&self.attempt, denial));
        }
    }
}

/// A guard with the body of what the plugin that posted it refuses.
struct Posted {
    guard: Arc<dyn AttemptGuard>,
    error_response: Option<(Arc<str>, bool)>,
}

impl Posted {
    /// Names the plugin that refuses, which is not the one that asked.
    fn sign(&self, mut denial: Denial) -> Denial {
        denial.plugin = Some(self.guard.name());
        denial.error_response.clone_from(&self.error_response);
        denial
    }
}

/// The guards of a request.
#[derive(Default)]
pub(crate) struct Guards {
    posted: SmallVec<[Posted; 2]>,
    /// The plugin that runs has told what it judged.
    is_told: Cell<bool>,
}

impl Guards {
    pub(crate) fn len(&self) -> usize {
        self.posted.len()
    }

    /// The guards from `first` on were posted by a plugin that refuses with this body.
    pub(crate) fn answer_with(&mut self, first: usize, body: Option<&(Arc<str>, bool)>) {
        for posted in self.posted.iter_mut().skip(first) {
            posted.error_response = body.cloned();
        }
    }

    /// Another plugin runs now.
    pub(crate) fn turn(&self) {
        self.is_told.set(false);
    }
}

impl RequestCx {
    /// Posts a guard, which sees every credential that is judged from then on; for the Admit stage.
    pub fn post(&mut self, guard: Arc<dyn AttemptGuard>) {
        self.guards.posted.push(Posted { guard, error_response: None });
    }

    /// Asks whether a credential may be judged now, before any work on it: what nobody guesses
    /// always may.
    pub fn admit(&self, attempt: &Attempt<'_>) -> Result<(), Denial> {
        if attempt.strength == Strength::Strong {
            return Ok(());
        }
        for posted in &self.guards.posted {
            posted.guard.admit(self, attempt).map_err(|denial| {
                self.guards.is_told.set(true);
                posted.sign(denial)
            })?;
        }
        Ok(())
    }

    /// Begins to judge a credential that takes a while, if [`Self::admit`] lets it.
    pub fn judge<'c, 'a>(&'c self, attempt: Attempt<'a>) -> Result<Judging<'c, 'a>, Denial> {
        self.admit(&attempt)?;
        Ok(Judging { cx: self, attempt, is_settled: false })
    }

    /// Tells what came of a credential, and gives back what is to come of it. Only what is wrong
    /// counts as a failure ([`Reason::InvalidCredential`]), not what has ended, does not suffice,
    /// or could not be judged.
    pub fn settle<T>(&self, attempt: &Attempt<'_>, proof: Result<T, Denial>) -> Result<T, Denial> {
        if self.guards.posted.is_empty() {
            return proof;
        }
        self.guards.is_told.set(true);
        match proof {
            Ok(proof) => {
                for posted in &self.guards.posted {
                    let passed = posted.guard.passed(self, attempt);
                    passed.map_err(|denial| posted.sign(denial))?;
                }
                // Not before: what one of them refuses is known to none.
                self.guards.posted.iter().for_each(|posted| posted.guard.told(self, attempt));
                Ok(proof)
            }
            Err(denial) => Err(self.fail(attempt, denial)),
        }
    }

    /// Tells that the plugins inside of the one that runs tell for themselves.
    pub fn tell_within(&self) {
        self.guards.is_told.set(true);
    }

    fn fail(&self, attempt: &Attempt<'_>, denial: Denial) -> Denial {
        self.guards.posted.iter().fold(denial, |denial, posted| {
            // What another guard has kept from being told is no failure.
            if denial.reason != Reason::InvalidCredential {
                return denial;
            }
            let denial = posted.guard.failed(self, attempt, denial);
            if denial.reason == Reason::InvalidCredential { denial } else { posted.sign(denial) }
        })
    }

    /// Tells of a plugin's refusal what the plugin did not tell itself.
    pub(crate) fn settle_untold<T>(
        &self,
        plugin: &'static str,
        flow: Result<T, Denial>,
    ) -> Result<T, Denial> {
        match flow {
            Err(denial) if !self.guards.is_told.get() => {
                Err(self.fail(&Attempt::signed(plugin, None), denial))
            }
            flow => flow,
        }
    }
}
