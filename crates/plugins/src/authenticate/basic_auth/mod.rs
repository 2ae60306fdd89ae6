//! Proves who calls by user name and password (HTTP Basic; RFC 7617).
//!
//! The user name belongs to a consumer or to one of its credentials; two cannot have the same. The
//! password is either written as it is, or as its hash, which is what a configuration that others
//! may read should hold:
//!
//! | `password` begins with | it is |
//! |---|---|
//! | `$argon2id$` | an argon2id hash in PHC form: version 19, at most 64 MiB, 16 passes and 4 lanes, memory times passes at most 256 MiB |
//! | `$2a$`, `$2b$`, `$2y$` | a bcrypt hash of cost 4 to 14; passwords over 72 bytes never match it |
//! | anything else | the password itself |
//!
//! ```yaml
//! basic-auth:
//!   realm: orders
//! ```
//!
//! and on the consumer:
//!
//! ```yaml
//! basic-auth: {username: alice, password: $env://ALICE_PASSWORD_HASH}
//! ```
//!
//! Everything after the first `:` is the password, so it may hold more of them; nothing is trimmed
//! or folded. Empty user names and passwords are refused, and so are control characters.
//!
//! **Nobody learns which names exist.** A name that does not is worked on like one that does: the
//! password sent is hashed against that of some consumer, which a keyed digest of the name decides,
//! and the answer is the same. Plain passwords are kept and compared as keyed digests.
//!
//! Refusals are 401 with `WWW-Authenticate: Basic` and the realm. What was read is taken out of the
//! request, unless `hide_credentials: false` (in compatibility mode it stays, unless `true`). With
//! `anonymous_consumer`, callers without a valid password become that consumer; this proves
//! nothing, so the route needs `anonymous-access` too.
//!
//! # Headers
//!
//! `Authorization` is read, and taken out of the request. A 401 has `WWW-Authenticate: Basic` with
//! the realm.
//!
//! # What it costs
//!
//! One or two HMACs for a plain password. A hash takes as long as its parameters say, on the node's
//! CPU pool, so that no event loop waits; where the pool is full the answer is 503
//! (`limits.cpu_queue`, `limits.cpu_wait`). A success is remembered for a minute (4,096 of them),
//! as a keyed digest of hash and password; a changed password counts at once.
//!
//! # What it cannot do
//!
//! It does not stop guessing, and who guesses makes the pool work: put `auth-throttle` beside it.
//! Passwords cross the network with every request, so that TLS is needed.
//!
//! # How it differs from Apache APISIX
//!
//! Passwords may hold `:` and white space, hashes are understood, empty passwords are not,
//! comparisons take the same time whatever they find, and a request with two `Authorization` fields
//! is refused with 400.

mod password;
mod shown;
mod successes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bartizan_chain::{
    Attempt, BodyNeed, CompileCx, ConsumerIndex, CpuPool, CredentialEntry, CredentialRef, Flow,
    Identity, IdentityKey, IdentityParts, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use bartizan_core::{Clock, Denial, NodeKey, Reason, Secret, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;

use super::carrier::{self, Realm, StandIn, settle};
use super::strength;
use password::{Stored, Verifier};
use shown::{Shown, ShownFault};
use successes::Successes;

const AUTHORIZATION: &str = "authorization";
/// APISIX's answer to a name or password that is wrong.
const WRONG: &str = "Invalid user authorization";

/// The configuration of `basic-auth`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether the credential is taken out of what the upstream sees. Left out, it is; in
    /// compatibility mode it is not.
    hide_credentials: Option<bool>,
    /// The realm that a 401 names; `basic` if left out.
    realm: Option<Realm>,
    /// The consumer that callers without a valid password become.
    #[schemars(length(min = 1))]
    anonymous_consumer: Option<String>,
}

/// The user name and password of a consumer or credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// The user name, without `:` and control characters. It belongs to one consumer only.
    #[schemars(length(min = 1, max = 256))]
    username: String,
    /// The password, or its argon2id or bcrypt hash.
    password: Secret,
    /// Accepts a password that can be guessed.
    #[serde(default)]
    danger_weak_secret: bool,
}

/// Compiled `basic-auth`.
pub struct BasicAuth {
    hides: bool,
    challenge: String,
    stand_in: Option<StandIn>,
    node_key: Box<NodeKey>,
    cpu: CpuPool,
    clock: Clock,
    successes: Arc<Successes>,
}

impl Plugin for BasicAuth {
    const NAME: &'static str = "basic-auth";
    const PRIORITY: i32 = 2520;
    const KINSHIP: Kinship = Kinship::Different(
        "passwords may be hashed, known and unknown users take the same time, the credential \
         is hidden from upstreams by default",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate]);
    const IS_AUTHENTICATION: bool = true;

    type Config = Config;
    type ConsumerConfig = ConsumerConfig;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        let mut challenge = Realm::challenge(config.realm.as_ref(), "Basic", "basic");
        if !is_apisix {
            challenge.push_str(", charset=\"UTF-8\"");
        }
        Ok(Self {
            hides: config.hide_credentials.unwrap_or(!is_apisix),
            challenge,
            stand_in: StandIn::compile(config.anonymous_consumer, cx)?,
            node_key: Box::new(cx.node.key.clone()),
            cpu: cx.node.cpu.clone(),
            clock: cx.node.clock.clone(),
            successes: node_memory(cx),
        })
    }

    fn traits(&self) -> Traits {
        carrier::traits(self.stand_in.as_ref(), BodyNeed::None)
    }

    fn credential(
        config: ConsumerConfig,
        cx: &mut CompileCx<'_>,
    ) -> Result<CredentialEntry, Invalid> {
        let name = config.username;
        if name.is_empty() {
            return Err(Invalid::at("username", "the user name is empty"));
        }
        if name.contains(|c: char| c == ':' || c.is_control()) {
            return Err(Invalid::at(
                "username",
                "a user name has no `:` and no control characters",
            )
            .with_help("in a request the first `:` ends the name"));
        }
        let stored = Stored::read(&config.password, &name, &cx.node.key)?;
        // What is behind a hash cannot be judged.
        if matches!(&*stored.verifier, Verifier::Plain(_)) {
            let mut names = strength::names(cx);
            names.push(&name);
            let danger = config.danger_weak_secret;
            strength::PASSWORD.check(&config.password, "password", &names, danger)?;
        }
        Ok(CredentialEntry::new(name.into_bytes(), stored))
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let field = cx.fields.single(AUTHORIZATION).map_err(|_| {
            let detail = format!("the field `{AUTHORIZATION}` occurs more than once");
            Denial::new(Reason::AmbiguousCredential, detail)
        })?;
        let proof = match Shown::read(field) {
            Ok(shown) => {
                let secret = shown.password.expose();
                let attempt = Attempt::password(Self::NAME, shown.user.as_bytes(), secret);
                // Before any work on it.
                let judging = cx.judge(attempt)?;
                let proof = self.prove(cx.consumers(), &shown).await;
                judging.settle(proof)
            }
            Err(fault) => Err(self.unreadable(fault)),
        };
        let proof = proof.map(|parts| (parts, ()));
        let (parts, ()) = settle(proof, self.stand_in.as_ref(), cx.consumers())?;
        if self.hides {
            cx.fields.remove(AUTHORIZATION);
        }
        cx.identify(Identity::new(key, Self::NAME, parts))?;
        Ok(Flow::Continue)
    }
}

impl BasicAuth {
    /// Whose name and password these are.
    async fn prove(
        &self,
        consumers: &ConsumerIndex,
        shown: &Shown,
    ) -> Result<IdentityParts, Denial> {
        let name = shown.user.as_bytes();
        let owner = consumers.find(Self::NAME, name);
        let own = owner.as_ref().and_then(CredentialRef::data::<Stored>);
        // Without anybody's password there is nobody whose name could be told.
        let decoy = || consumers.decoy::<Stored>(Self::NAME, self.seed(name));
        let Some(stored) = own.or_else(decoy) else {
            return Err(self.refusal(
                Reason::InvalidCredential,
                "nobody has a password here",
                WRONG,
            ));
        };
        let holds = self.holds(stored, shown, own.is_some()).await?;
        match owner {
            Some(owner) if own.is_some() && holds => Ok(IdentityParts {
                consumer: Some(owner.consumer.clone()),
                credential: owner.credential.cloned(),
                ..IdentityParts::default()
            }),
            Some(owner) => {
                let detail = format!("a wrong password for `{}`", owner.consumer.username());
                Err(self.refusal(Reason::InvalidCredential, detail, WRONG))
            }
            // Names that nobody has are not told: people type passwords into the wrong field.
            None => {
                Err(self.refusal(Reason::InvalidCredential, "nobody has this user name", WRONG))
            }
        }
    }

    /// Whether the password shown is the one stored.
    async fn holds(&self, stored: &Stored, shown: &Shown, is_known: bool) -> Result<bool, Denial> {
        if let Verifier::Plain(digest) = &*stored.verifier {
            return Ok(password::is_digest_of(digest, &shown.password, &self.node_key));
        }
        let success = stored.success(&shown.password, &self.node_key);
        if is_known && self.successes.has(&success, self.clock.now()) {
            return Ok(true);
        }
        let (verifier, successes) = (stored.verifier.clone(), self.successes.clone());
        let (clock, password) = (self.clock.clone(), shown.password.clone());
        let work = move || {
            // The same password may have been hashed while this one waited.
            if is_known && successes.has(&success, clock.now()) {
                return Some(true);
            }
            verifier.hashes_to(&password)
        };
        let holds = self.cpu.run(work).await.map_err(Denial::from)?;
        let holds =
            holds.ok_or_else(|| Denial::new(Reason::Internal, "there was no memory for a hash"))?;
        // By whoever waited for it: what is given up leaves no trace of what it would have been.
        if holds && is_known {
            self.successes.note(success, self.clock.now());
        }
        Ok(holds)
    }

    /// Decides which password a name is worked on with that nobody has.
    fn seed(&self, name: &[u8]) -> u64 {
        let digest = self.node_key.digest("basic-auth decoy", name);
        digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn unreadable(&self, fault: ShownFault) -> Denial {
        let (reason, message) = match fault {
            ShownFault::Missing => (Reason::MissingCredential, "Missing authorization in request"),
            ShownFault::OtherScheme => {
                (Reason::MissingCredential, "Invalid authorization in request")
            }
            _ => (Reason::MalformedCredential, "Invalid authorization in request"),
        };
        self.refusal(reason, fault.to_string(), message)
    }

    fn refusal(
        &self,
        reason: Reason,
        detail: impl Into<bartizan_core::Detail>,
        apisix: &'static str,
    ) -> Denial {
        Denial::new(reason, detail)
            .with_apisix_message(apisix)
            .with_field("www-authenticate", self.challenge.clone())
    }
}

/// One memory for all routes of the node: a success is about a consumer, not about a route.
fn node_memory(cx: &CompileCx<'_>) -> Arc<Successes> {
    let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(BasicAuth::NAME) };
    cx.node.registry.state(&node, BasicAuth::NAME, "successes".to_owned(), Successes::default)
}
