//! Making and ending the keys of callers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::EventKind;
use bartizan_core::{Clock, HashKeys};
use bartizan_store::{Commit, Key, Snapshot, Write};

use super::credential::{Credential, written};
use super::uses::SharedUses;
use super::{CallerKeyView, MadeCallerKey, Paste, Undone};
use crate::api::references;
use crate::key_text::NewKey;
use crate::operators::{Author, LIFETIME_MAX, LIFETIME_MIN, OVERLAP_MAX, Operators, Second};
use crate::plane::{Plane, Proposal, Refused};

/// Most keys of one consumer, ended ones included.
const OF_CONSUMER_MAX: usize = 64;
/// How long ended keys stay, so that what they did can be told from events.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

/// Tells the second in which the key of a digest was last used.
pub type FindUse = Arc<dyn Fn(&[u8; 32]) -> Option<u64> + Send + Sync>;

/// What is needed to make keys.
#[derive(Clone)]
pub struct CallerKeySettings {
    /// The node.
    pub plane: Arc<dyn Plane>,
    /// Who tells events.
    pub operators: Operators,
    /// What keys are hashed with.
    pub hash_keys: HashKeys,
    /// What keys begin with.
    pub prefix: String,
    /// The time by which keys end.
    pub clock: Clock,
    /// When keys were used.
    pub uses: FindUse,
}

/// The keys of callers, as the local socket and the schedule change them.
#[derive(Clone)]
pub struct CallerKeys(CallerKeySettings);

impl fmt::Debug for CallerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerKeys").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

/// A change of keys, before it is made.
struct Plan<T> {
    writes: Vec<Write>,
    /// For people who have to make it themselves.
    lines: Vec<String>,
    outcome: T,
}

impl CallerKeys {
    /// The keys of a node.
    pub fn new(settings: CallerKeySettings) -> Self {
        Self(settings)
    }

    /// The keys of a consumer, or of all; those of one consumer together, good ones first.
    pub async fn list(&self, consumer: Option<&str>) -> Result<Vec<CallerKeyView>, Undone> {
        let snapshot = self.snapshot().await?;
        let now = self.now();
        let found = snapshot.objects.iter().filter_map(Credential::read);
        let found = found.filter(|key| consumer.is_none_or(|name| key.consumer() == name));
        let shared = self.shared(&snapshot);
        let mut views: Vec<CallerKeyView> =
            found.map(|key| self.view(&key, now, &shared)).collect();
        views.sort_by(|a, b| {
            let order = |view: &CallerKeyView| {
                (view.consumer.clone(), view.over.is_some(), view.created.clone(), view.id.clone())
            };
            order(a).cmp(&order(b))
        });
        Ok(views)
    }

    /// Makes a key of a consumer.
    pub async fn create(
        &self,
        consumer: &str,
        lifetime: Duration,
        by: &Author,
    ) -> Result<MadeCallerKey, Undone> {
        let made = self.make(by, |snapshot, now| {
            let of = keys_of(snapshot, consumer)?;
            let (key, credential) = self.fresh(consumer, &of, None, (now, lifetime))?;
            let outcome = (key, credential.clone(), None);
            Ok(Plan {
                writes: [vec![credential.write()], forgotten(&of, now)].concat(),
                lines: vec![under(consumer), credential.line()],
                outcome,
            })
        });
        let made = made.await;
        self.told(by, &made, &format!("make a key of the consumer `{consumer}`"), |made| {
            let view = &made.view;
            let (id, ends) = (&view.id, until(view));
            format!("made the key `{id}` of the consumer `{consumer}`{}{ends}", unless_stored(made))
        });
        made
    }

    /// Makes the key that succeeds another, which is good for the overlap still.
    pub async fn rotate(
        &self,
        (id, consumer): (&str, Option<&str>),
        overlap: Duration,
        lifetime: Option<Duration>,
        by: &Author,
    ) -> Result<MadeCallerKey, Undone> {
        let made = self.make(by, |snapshot, now| {
            check_overlap(overlap)?;
            let mut old = good(snapshot, id, consumer, now)?;
            let consumer = old.consumer().to_owned();
            let of = keys_of(snapshot, &consumer)?;
            if let Some(other) =
                of.iter().find(|key| key.succeeds() == Some(id) && !key.is_over(now))
            {
                let problem = format!("the key `{id}` was rotated: `{}` succeeds it", other.id());
                return Err(Undone::new(
                    problem,
                    "rotate that one; where it was lost, retire it first with `--overlap 0s`",
                ));
            }
            let lifetime =
                lifetime.or(old.lifetime().map(Duration::from_secs)).ok_or_else(|| {
                    let problem = format!("it is not known how long the key `{id}` was made for");
                    Undone::new(problem, "say how long the new one is good, as in `--expires 90d`")
                })?;
            let (key, credential) = self.fresh(&consumer, &of, Some(id), (now, lifetime))?;
            let date = old.retire(now.plus(overlap), now);
            let lines = vec![
                under(&consumer),
                credential.line(),
                beside(&old),
                format!("retires_at: {}", written(date)),
            ];
            let writes = [vec![credential.write(), old.write()], forgotten(&of, now)].concat();
            Ok(Plan { writes, lines, outcome: (key, credential, Some(old)) })
        });
        let made = made.await;
        self.told(by, &made, &format!("rotate the key `{id}`"), |made| {
            let view = &made.view;
            let old = made.old.as_ref().and_then(|old| old.ends.as_deref()).unwrap_or_default();
            format!(
                "rotated the key `{id}` of the consumer `{}`{}, which ends {old}: next is `{}`{}",
                view.consumer,
                unless_stored(made),
                view.id,
                until(view)
            )
        });
        made
    }

    /// Lets a key be good only until the overlap is over.
    pub async fn retire(
        &self,
        (id, consumer): (&str, Option<&str>),
        overlap: Duration,
        by: &Author,
    ) -> Result<CallerKeyView, Undone> {
        let retired = self.change(by, |snapshot, now| {
            check_overlap(overlap)?;
            let mut key = good(snapshot, id, consumer, now)?;
            let date = key.retire(now.plus(overlap), now);
            let lines = vec![beside(&key), format!("retires_at: {}", written(date))];
            Ok(Plan { writes: vec![key.write()], lines, outcome: key })
        });
        let retired = match retired.await {
            Ok((key, None, shared)) => Ok(self.view(&key, self.now(), &shared)),
            Ok((_, Some(Paste { why, lines }), _)) => Err(Undone::new(why, lines.join(" "))),
            Err(undone) => Err(undone),
        };
        self.told(by, &retired, &format!("retire the key `{id}`"), |view| {
            format!("retired the key `{id}` of the consumer `{}`{}", view.consumer, until(view))
        });
        retired
    }

    /// A key that nobody has, and the credential that holds its hash.
    pub(super) fn fresh(
        &self,
        consumer: &str,
        of: &[Credential],
        succeeds: Option<&str>,
        (now, lifetime): (Second, Duration),
    ) -> Result<(NewKey, Credential), Undone> {
        if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&lifetime) {
            let problem = "a key is good for at least a minute and at most 366 days";
            return Err(Undone::new(problem, "write, for example, `--expires 90d`"));
        }
        let kept = of.iter().filter(|key| !is_forgotten(key, now)).count();
        if kept >= OF_CONSUMER_MAX {
            let problem = format!("the consumer `{consumer}` has {OF_CONSUMER_MAX} keys");
            return Err(Undone::new(problem, "remove those that are over by the Admin API"));
        }
        let Some(hash_key) = self.0.hash_keys.first() else {
            return Err(Undone::new(
                "this node has nothing to hash keys with",
                "add `api_keys: {hash_keys: [{id: \"1\", key: $env://HASH_KEY}]}` to the node file; \
                 `openssl rand -hex 32` makes the key",
            ));
        };
        let key = NewKey::random(&self.0.prefix)
            .map_err(|none| Undone::new(none.to_string(), "try again"))?;
        let digest = hash_key.hash(key.text.expose());
        let names = (consumer, key.id.as_str());
        let dates = (now, now.plus(lifetime));
        let credential = Credential::new(names, (hash_key, &digest), succeeds, dates)?;
        Ok((key, credential))
    }

    async fn make(
        &self,
        by: &Author,
        plan: impl FnOnce(
            &Snapshot,
            Second,
        ) -> Result<Plan<(NewKey, Credential, Option<Credential>)>, Undone>,
    ) -> Result<MadeCallerKey, Undone> {
        let ((key, credential, old), paste, shared) = self.change(by, plan).await?;
        let now = self.now();
        let view = self.view(&credential, now, &shared);
        let old = old.map(|old| self.view(&old, now, &shared));
        Ok(MadeCallerKey { key: key.text, view, old, paste })
    }

    /// Plans a change, and makes it or says how a person does. Gives what the store says of uses too.
    async fn change<T>(
        &self,
        by: &Author,
        plan: impl FnOnce(&Snapshot, Second) -> Result<Plan<T>, Undone>,
    ) -> Result<(T, Option<Paste>, SharedUses), Undone> {
        let snapshot = self.snapshot().await?;
        let shared = self.shared(&snapshot);
        let Plan { writes, lines, outcome } = plan(&snapshot, self.now())?;
        let facts = self.0.plane.store();
        if facts.read_only.is_some() {
            let why = format!(
                "nothing was changed: the store is `{}`, which this node only reads",
                facts.kind
            );
            return Ok((outcome, Some(Paste { why, lines }), shared));
        }
        self.propose(writes, by).await?;
        Ok((outcome, None, shared))
    }

    pub(super) async fn propose(&self, writes: Vec<Write>, by: &Author) -> Result<(), Undone> {
        let commit = Commit { author: Arc::clone(&by.name), writes };
        let proposal = Proposal { commit, is_dry: false, is_forced: false };
        self.0.plane.propose(proposal).await.map(|_| ()).map_err(|refused| undone(&refused))
    }

    pub(super) fn operators(&self) -> &Operators {
        &self.0.operators
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(super) async fn snapshot(&self) -> Result<Snapshot, Undone> {
        self.0.plane.snapshot().await.map_err(|error| {
            Undone::new(format!("the store cannot be read: {error}"), "see the node's log")
        })
    }

    fn view(&self, key: &Credential, now: Second, shared: &SharedUses) -> CallerKeyView {
        key.view(now, |digest| (self.0.uses)(digest).max(shared.last(digest)))
    }

    /// What the store says of the uses of keys on every node.
    fn shared(&self, snapshot: &Snapshot) -> SharedUses {
        SharedUses::read(snapshot, self.0.clock.now())
    }

    pub(super) fn now(&self) -> Second {
        Second::of(self.0.clock.now())
    }

    /// Records how a change ended.
    fn told<T>(
        &self,
        by: &Author,
        outcome: &Result<T, Undone>,
        what: &str,
        tell: impl FnOnce(&T) -> String,
    ) {
        match outcome {
            Ok(done) => self.0.operators.tell(EventKind::Change, tell(done), by),
            Err(undone) => {
                let detail = format!("did not {what}: {undone}");
                self.0.operators.tell(EventKind::Denied, detail, by);
            }
        }
    }
}

/// The keys of a consumer, which must be there.
pub(super) fn keys_of(snapshot: &Snapshot, consumer: &str) -> Result<Vec<Credential>, Undone> {
    let is_there = Key::new("consumers", consumer).is_ok_and(|key| snapshot.get(&key).is_some());
    if !is_there || consumer.contains('/') {
        let problem = format!("there is no consumer `{consumer}`");
        return Err(Undone::new(problem, "make it first, by the Admin API or in the documents"));
    }
    Ok(references::credentials(consumer, snapshot).filter_map(Credential::read).collect())
}

/// The key of an id that is good; of several consumers that have one, the one that is named.
fn good(
    snapshot: &Snapshot,
    id: &str,
    consumer: Option<&str>,
    now: Second,
) -> Result<Credential, Undone> {
    let found = snapshot.objects.iter().filter_map(Credential::read).filter(|key| key.id() == id);
    let mut found = found.filter(|key| consumer.is_none_or(|name| key.consumer() == name));
    let key = found.next().ok_or_else(|| {
        Undone::new(format!("there is no key `{id}`"), "`bartizan key list` shows all")
    })?;
    if found.next().is_some() {
        let problem = format!("several consumers have a key `{id}`");
        return Err(Undone::new(problem, "say whose with `--consumer`"));
    }
    if key.is_over(now) {
        let problem = format!("the key `{id}` is over already");
        return Err(Undone::new(problem, "`bartizan key create` makes a new one"));
    }
    Ok(key)
}

fn is_forgotten(key: &Credential, now: Second) -> bool {
    key.end().is_some_and(|end| now >= end.plus(REMEMBERED))
}

/// Removes keys that ended long ago, as many as go into one commit.
fn forgotten(of: &[Credential], now: Second) -> Vec<Write> {
    let gone = of.iter().filter(|key| is_forgotten(key, now)).take(OF_CONSUMER_MAX);
    gone.map(|key| Write { content: None, ..key.write() }).collect()
}

fn check_overlap(overlap: Duration) -> Result<(), Undone> {
    if overlap <= OVERLAP_MAX {
        return Ok(());
    }
    Err(Undone::new("the overlap is longer than 90 days", "write, for example, `--overlap 7d`"))
}

fn under(consumer: &str) -> String {
    format!("under the consumer `{consumer}`, in `credentials`, add:")
}

fn beside(old: &Credential) -> String {
    let (id, consumer) = (old.id(), old.consumer());
    format!("in the `key-auth` of the credential `{id}` of `{consumer}`, add:")
}

/// What a person has still to do.
fn unless_stored(made: &MadeCallerKey) -> &'static str {
    if made.paste.is_some() { " (not stored: this node does not write the store)" } else { "" }
}

fn until(view: &CallerKeyView) -> String {
    view.ends.as_ref().map_or(String::new(), |ends| format!(", until {ends}"))
}

fn undone(refused: &Refused) -> Undone {
    match refused {
        Refused::Invalid(problems) => {
            let told: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
            let help = problems.iter().find_map(|problem| problem.help.clone());
            let problem = format!("the configuration would be wrong: {}", told.join("; "));
            Undone::new(problem, help.unwrap_or_else(|| "see what is said".to_owned()))
        }
        Refused::Store(error) => {
            Undone::new(format!("the store does not take it: {error}"), "try again")
        }
        Refused::Busy => Undone::new("too many changes wait for their turn", "try again"),
    }
}
