//! The book at work: read by every request, changed by few, written down.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bartizan_audit::{AuditLog, Caller, Event, EventKind};
use bartizan_core::Clock;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::book::{Book, NewOperator};
use super::entry::{Entry, Second, Use};
use super::file::{BookError, BookFile};
use super::operator::{Operator, Refusal};
use super::rights::Unfit;
use super::throttle::Throttle;
use super::view::{KeyView, MadeKey};
use crate::key_text::{KeyId, NewKey};

/// How long uses of keys wait before they are written down together.
const LAZINESS: Duration = Duration::from_secs(60);

/// What the book of keys is made of.
#[derive(Clone, Debug)]
pub struct OperatorSettings<'a> {
    /// The file; it is made where there is none.
    pub path: &'a Path,
    /// The time by which keys end.
    pub clock: Clock,
    /// Where changes and refusals are told.
    pub audit: AuditLog,
}

/// Tells what happened.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    pub(super) audit: AuditLog,
    pub(super) clock: Clock,
}

/// Who changes the book, over the local socket.
#[derive(Clone, Debug)]
pub struct Author {
    /// The user, such as `uid 0`.
    pub name: Arc<str>,
    /// The socket.
    pub listener: Arc<str>,
}

/// Why the book was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Unfit(#[from] Unfit),
    /// The book could not be written.
    #[error("the operators' keys cannot be written: {0}")]
    Disk(io::Error),
    /// The key is refused from now on, but the book could not be written.
    #[error(
        "the key is refused by this process from now on, but the operators' keys cannot be \
         written, so that it is good again after the next start: {0}"
    )]
    OnlyHere(io::Error),
}

pub(super) struct Inner {
    /// What requests read. Replaced whole.
    book: RwLock<Arc<Book>>,
    /// Held while the book is changed and written.
    file: Mutex<BookFile>,
    throttle: Throttle,
    pub(super) voice: Voice,
    /// Told when there is something to write down that nobody waits for.
    unwritten: Notify,
}

/// The operators of a node. Clones share everything.
#[derive(Clone)]
pub struct Operators(pub(super) Arc<Inner>);

impl std::fmt::Debug for Operators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operators").field("file", &self.0.file).finish_non_exhaustive()
    }
}

impl Operators {
    /// Opens the book, which no other process may have open.
    pub fn open(settings: OperatorSettings<'_>) -> Result<Self, BookError> {
        let (file, book) = BookFile::open(settings.path)?;
        Ok(Self(Arc::new(Inner {
            book: RwLock::new(Arc::new(book)),
            file: Mutex::new(file),
            throttle: Throttle::default(),
            voice: Voice { audit: settings.audit, clock: settings.clock },
            unwritten: Notify::new(),
        })))
    }

    /// Who shows a key, or why it is refused. A refusal is an event.
    pub fn judge(&self, key: Option<&[u8]>, peer: IpAddr) -> Result<Operator, Refusal> {
        let Some(key) = key else {
            self.refuse(Refusal::Missing, peer, None);
            return Err(Refusal::Missing);
        };
        let book = self.book();
        let now = self.now();
        let entry = book.find(key);
        let refusal = match entry {
            Some(entry) if !entry.is_over(now) => return Ok(self.welcome(entry, peer, now)),
            Some(entry) => Refusal::Over { why: entry.over() },
            None => Refusal::Wrong,
        };
        let (refusal, entry) = match self.0.throttle.fail(peer) {
            Ok(()) => (refusal, entry),
            Err(retry_after) => (Refusal::Throttled { retry_after }, None),
        };
        self.refuse(refusal, peer, entry);
        Err(refusal)
    }

    /// What is known of each key, those that are good first.
    pub fn list(&self) -> Vec<KeyView> {
        let now = self.now();
        let mut keys: Vec<KeyView> =
            self.book().entries().map(|entry| KeyView::of(entry, now)).collect();
        keys.sort_by(|a, b| {
            let order = |key: &KeyView| (key.over.is_some(), key.name.clone(), key.created.clone());
            order(a).cmp(&order(b))
        });
        keys
    }

    /// Whether some key that is good may do everything.
    pub fn has_admin(&self) -> bool {
        self.book().has_admin(self.now())
    }

    /// Makes a key. Blocks until it is on disk, as all changes do.
    pub fn create(&self, new: &NewOperator, by: &Author) -> Result<MadeKey, ChangeError> {
        let made = self.change(|book, now| {
            let key = book.create(new, now)?;
            Ok(made(book, &key, None, now))
        });
        let made = made.and_then(|made| made.ok_or_else(gone));
        let tell = |made: &MadeKey| {
            let view = &made.view;
            let capability = if view.rights.secrets { ", reads secrets" } else { "" };
            let confinement = &view.rights.confinement;
            let confinement = if confinement.is_none() {
                String::new()
            } else {
                let written = serde_json::to_string(confinement).unwrap_or_default();
                format!(" confined to {written}")
            };
            format!(
                "made the key `{}` of `{}`: {}{confinement}{capability}, until {}",
                view.id, view.name, view.rights.role, view.ends
            )
        };
        self.told(made, by, &format!("make a key of `{}`", new.name), tell)
    }

    /// Makes the key that succeeds another, which is good for the overlap still.
    pub fn rotate(
        &self,
        id: KeyId,
        overlap: Duration,
        lifetime: Option<Duration>,
        by: &Author,
    ) -> Result<MadeKey, ChangeError> {
        let made = self.change(|book, now| {
            let key = book.rotate(id, overlap, lifetime, now)?;
            Ok(made(book, &key, Some(id), now))
        });
        let made = made.and_then(|made| made.ok_or_else(gone));
        let tell = |made: &MadeKey| {
            let ends = made.old.as_ref().map_or("", |old| &old.ends);
            let view = &made.view;
            format!(
                "rotated the key `{id}` of `{}`, which ends {ends}: next is `{}`, until {}",
                view.name, view.id, view.ends
            )
        };
        self.told(made, by, &format!("rotate the key `{id}`"), tell)
    }

    /// Lets a key be good only until the overlap is over.
    pub fn retire(
        &self,
        id: KeyId,
        overlap: Duration,
        by: &Author,
    ) -> Result<KeyView, ChangeError> {
        let retired = self.change(|book, now| {
            book.retire(id, overlap, now)?;
            Ok(seen(book, id, now))
        });
        let retired = retired.and_then(|view| view.ok_or_else(gone));
        let tell = |view: &KeyView| {
            format!("retired the key `{id}` of `{}`, which ends {}", view.name, view.ends)
        };
        self.told(retired, by, &format!("retire the key `{id}`"), tell)
    }

    /// Ends a key at once: also where the book cannot be written, as long as this process lives.
    pub fn revoke(&self, id: KeyId, by: &Author) -> Result<KeyView, ChangeError> {
        let revoked = self.revoke_everywhere(id);
        let tell = |view: &KeyView| format!("revoked the key `{id}` of `{}`", view.name);
        self.told(revoked, by, &format!("revoke the key `{id}`"), tell)
    }

    fn revoke_everywhere(&self, id: KeyId) -> Result<KeyView, ChangeError> {
        let file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let mut book = Book::clone(&self.book());
        book.revoke(id, now)?;
        let view = seen(&book, id, now).ok_or_else(gone)?;
        let written = file.write(&book);
        self.replace(book);
        written.map(|()| view).map_err(|cause| {
            self.0.unwritten.notify_one();
            ChangeError::OnlyHere(cause)
        })
    }

    /// Writes down lately used keys, a while after they were used, until `stop` is ready; and then
    /// what is left.
    pub async fn keep(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = self.0.unwritten.notified() => {}
            }
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(LAZINESS) => {}
            }
            self.write_down().await;
        }
        self.write_down().await;
    }

    async fn write_down(&self) {
        let operators = self.clone();
        let written = spawn_blocking(move || {
            let file = operators.0.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write(&operators.book())
        });
        let cause = match written.await {
            Ok(Ok(())) => return,
            Ok(Err(cause)) => cause.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(cause, "the operators' keys cannot be written; it is tried again");
        self.0.unwritten.notify_one();
    }

    /// Changes a copy of the book, writes it, and puts it into force.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Book, Second) -> Result<T, Unfit>,
    ) -> Result<T, ChangeError> {
        let file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut book = Book::clone(&self.book());
        let outcome = change(&mut book, self.now())?;
        file.write(&book).map_err(ChangeError::Disk)?;
        self.replace(book);
        Ok(outcome)
    }

    fn replace(&self, book: Book) {
        *self.0.book.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
    }

    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.0.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn now(&self) -> Second {
        Second::of(self.0.voice.clock.now())
    }

    pub(super) fn welcome(&self, entry: &Entry, peer: IpAddr, now: Second) -> Operator {
        let operator = Operator {
            name: Arc::clone(&entry.name),
            id: entry.id,
            rights: Arc::clone(&entry.rights),
            peer,
            voice: self.0.voice.clone(),
        };
        match entry.last_used.note(now) {
            Use::Known => return operator,
            Use::First => {
                let detail = format!("the key `{}` is used for the first time", entry.id);
                self.0.voice.audit.record(operator.event(EventKind::Change, detail));
            }
            Use::NewHour => {}
        }
        self.0.unwritten.notify_one();
        operator
    }

    pub(super) fn refuse(&self, refusal: Refusal, peer: IpAddr, entry: Option<&Entry>) {
        let detail = match refusal {
            Refusal::Missing => "no key was shown".to_owned(),
            Refusal::Wrong => "there is no such key".to_owned(),
            Refusal::Over { why } => format!("the key is {why}"),
            Refusal::Throttled { retry_after } => {
                format!("the address must wait {} ms", retry_after.as_millis())
            }
        };
        let mut event = Event::new(EventKind::Denied, self.0.voice.clock.now());
        event.reason = Some(refusal.reason());
        event.status = Some(refusal.reason().status());
        event.detail = Some(detail.into());
        event.client = Some(peer);
        if let Some(entry) = entry {
            event.operator = Some(Arc::clone(&entry.name));
            let credential = Some(entry.id.as_str().into());
            event.caller = Some(Caller { credential, ..Caller::default() });
        }
        self.0.voice.audit.record(event);
    }

    /// Tells how a change ended.
    fn told<T>(
        &self,
        outcome: Result<T, ChangeError>,
        by: &Author,
        what: &str,
        tell: impl FnOnce(&T) -> String,
    ) -> Result<T, ChangeError> {
        let (kind, detail) = match &outcome {
            Ok(done) => (EventKind::Change, tell(done)),
            Err(error @ ChangeError::Unfit(_)) => {
                (EventKind::Denied, format!("did not {what}: {error}"))
            }
            Err(error) => (EventKind::Error, format!("could not {what}: {error}")),
        };
        self.tell(kind, detail, by);
        outcome
    }

    /// Records something that happened on the local socket.
    pub(crate) fn tell(&self, kind: EventKind, detail: String, by: &Author) {
        let mut event = Event::new(kind, self.0.voice.clock.now());
        event.detail = Some(detail.into());
        event.operator = Some(Arc::clone(&by.name));
        event.listener = Some(Arc::clone(&by.listener));
        if kind == EventKind::Denied {
            event.reason = Some(bartizan_core::Reason::AdminForbidden);
        }
        self.0.voice.audit.record(event);
    }
}

fn made(book: &Book, key: &NewKey, old: Option<KeyId>, now: Second) -> Option<MadeKey> {
    let view = seen(book, key.id, now)?;
    Some(MadeKey { key: key.text.clone(), view, old: old.and_then(|id| seen(book, id, now)) })
}

fn seen(book: &Book, id: KeyId, now: Second) -> Option<KeyView> {
    book.get(id).map(|entry| KeyView::of(entry, now))
}

/// A key that was just changed is in the book.
fn gone() -> ChangeError {
    ChangeError::Disk(io::Error::other("the key is not in the book any more"))
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
