//! Following etcd: list once, then watch, and start over where the watch is lost.
//!
//! A watch resumes where it ended, if etcd's past is still the one that was read: it knows the same
//! number of keys at that revision, and the newest object as it was. Otherwise everything is listed
//! again. An etcd that is empty without having told so is not believed: what was read stays.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Backoff;
use bytes::BytesMut;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::client::{Client, Fault, Repeat};
use super::mirror::{Kind, Mirror, kind, object};
use super::wire::{
    Bytes, KeyValue, Number, RangeRequest, RangeResponse, WatchCreate, WatchLine, WatchRequest,
};
use super::{Shared, State};
use crate::object::Object;

/// Objects in the first answer, and the fewest that are asked for unless they are too large.
const PAGE: u64 = 256;

/// Most objects in one answer.
const PAGE_MAX: u64 = 16_384;

/// Bytes of objects that an answer should have: etcd looks at every key for each answer, so that few
/// large ones cost it less than many small ones.
const PAGE_BYTES: usize = 2 * 1_024 * 1_024;

/// Where the keys below the prefix are cut into parts that are read at once: consumers come before the
/// first, routes before the second, services and upstreams after it.
const CUTS: [&str; 2] = ["d", "s"];

/// Longest line of a watch: a commit of many large objects.
const LINE_MAX: usize = 512 * 1_024 * 1_024;

/// The waits between attempts.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Follows for ever.
pub(super) async fn follow(shared: Arc<Shared>) {
    let mut backoff = Backoff::new(BACKOFF_MIN, BACKOFF_MAX);
    loop {
        let mut found = None;
        let fault = match session(&shared, &mut found).await {
            Ok(never) => match never {},
            Err(fault) => fault,
        };
        shared.lost(&fault);
        shared.client.move_on();
        let well = found.map_or(Duration::ZERO, |since: Instant| since.elapsed());
        sleep(backoff.after(well)).await;
    }
}

enum Never {}

/// Follows one member until it is lost; notes when it was found.
async fn session(shared: &Shared, found: &mut Option<Instant>) -> Result<Never, Fault> {
    let past = past(shared).await?;
    if past != Past::Same {
        list(shared, past).await?;
    }
    let mut watch = Watch::open(shared).await?;
    shared.found();
    *found = Some(Instant::now());
    let mut heartbeat = interval(shared.client.time);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat.tick().await;
    let (mut different_at, mut quiet_at) = (None, None);
    loop {
        tokio::select! {
            // What has come counts before what is asked whether it should have.
            biased;
            line = watch.next() => Watch::take(shared, &line?)?,
            _ = heartbeat.tick() => {
                // A watch that is silent may be dead: TCP alone does not tell.
                let (known, at) = {
                    let state = shared.lock();
                    (state.mirror.count, state.mirror.revision)
                };
                let now = count(shared, 0).await?;
                let moved = now.header.revision.0;
                // The dearer question only where etcd has moved: it reads every key for it.
                let is_behind = now.count.0 != known
                    || (quiet_at != Some(moved) && is_changed_after(shared, at).await?);
                // A line that is still coming in is no silence.
                let seen = (at, watch.received.len());
                if is_behind && different_at == Some(seen) {
                    return Err(Fault::Broken("the watch has lost changes".to_owned()));
                }
                different_at = is_behind.then_some(seen);
                quiet_at = if is_behind { None } else { Some(moved) };
            }
        }
    }
}

fn range(shared: &Shared) -> RangeRequest {
    let prefix = &shared.prefix;
    RangeRequest {
        key: Bytes::of(&format!("{prefix}/")),
        // The byte after `/`.
        range_end: Some(Bytes::of(&format!("{prefix}0"))),
        ..RangeRequest::default()
    }
}

async fn count(shared: &Shared, revision: u64) -> Result<RangeResponse, Fault> {
    let request = RangeRequest { count_only: true, revision: Number(revision), ..range(shared) };
    shared.client.ask_first("/v3/kv/range", &request).await
}

/// Whether an object was changed after a revision.
async fn is_changed_after(shared: &Shared, revision: u64) -> Result<bool, Fault> {
    let request = RangeRequest {
        keys_only: true,
        limit: Number(1),
        min_mod_revision: Number(revision.saturating_add(1)),
        ..range(shared)
    };
    let answer: RangeResponse = shared.client.ask_first("/v3/kv/range", &request).await?;
    Ok(!answer.kvs.is_empty())
}

/// What etcd knows of the past that was read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// All of it: the watch can go on where it ended.
    Same,
    /// Nothing any more, or nothing was read yet.
    Unknown,
    /// Another one: it is not the etcd that was read.
    Other,
}

async fn past(shared: &Shared) -> Result<Past, Fault> {
    let (revision, known, newest) = {
        let state = shared.lock();
        if !state.is_listed {
            return Ok(Past::Unknown);
        }
        let newest = state.mirror.newest().map(|object| (object.key.clone(), object.revision));
        (state.mirror.revision, state.mirror.count, newest)
    };
    match count(shared, revision).await {
        Ok(now) if now.count.0 == known => {}
        Ok(_) | Err(Fault::Future) => return Ok(Past::Other),
        Err(Fault::Compacted) => return Ok(Past::Unknown),
        Err(fault) => return Err(fault),
    }
    let Some((key, written)) = newest else { return Ok(Past::Same) };
    let key = shared.path(&key);
    let request = RangeRequest { key, revision: Number(revision), ..RangeRequest::default() };
    match shared.client.ask_first::<RangeResponse>("/v3/kv/range", &request).await {
        Ok(read) if read.kvs.first().is_some_and(|pair| pair.mod_revision.0 == written) => {
            Ok(Past::Same)
        }
        Ok(_) | Err(Fault::Future) => Ok(Past::Other),
        Err(Fault::Compacted) => Ok(Past::Unknown),
        Err(fault) => Err(fault),
    }
}

/// Reads everything at one revision.
async fn list(shared: &Shared, past: Past) -> Result<(), Fault> {
    // The revision is known first, so that several parts can be read at it at once: etcd takes
    // longer for an answer than we for reading it.
    let now = count(shared, 0).await?;
    let revision = now.header.revision.0;
    let [first, second, third] = parts(shared, revision);
    let (first, second, third) =
        tokio::try_join!(pages(shared, first), pages(shared, second), pages(shared, third))?;
    let read = [first, second, third];
    let count = read.iter().map(|part| part.count).sum();
    let (mut objects, mut strays) = (Vec::new(), Vec::new());
    for part in read {
        objects.extend(part.objects);
        strays.push(part.strays);
    }
    let mut state = shared.lock();
    // Whoever removes everything does it under our eyes, or in the past that we have read.
    let is_other = past == Past::Other || revision <= state.mirror.revision;
    if objects.is_empty() && !state.mirror.is_empty() && is_other {
        return Err(Fault::Wiped);
    }
    state.mirror.replace(revision, objects, count);
    for strays in strays {
        state.mirror.take_strays(strays);
    }
    state.is_listed = true;
    drop(state);
    shared.revision.send_replace(revision);
    Ok(())
}

/// The range of all keys in three parts.
fn parts(shared: &Shared, revision: u64) -> [RangeRequest; 3] {
    let all = range(shared);
    let cut = |at| Bytes::of(&format!("{}/{at}", shared.prefix));
    let [first, second] = CUTS.map(cut);
    let part = |key: &Bytes, end: Option<&Bytes>| RangeRequest {
        key: key.clone(),
        range_end: end.or(all.range_end.as_ref()).cloned(),
        revision: Number(revision),
        limit: Number(PAGE),
        ..RangeRequest::default()
    };
    [part(&all.key, Some(&first)), part(&first, Some(&second)), part(&second, None)]
}

/// What was read of a range.
#[derive(Default)]
struct Part {
    objects: Vec<Object>,
    strays: Mirror,
    /// How many keys there are.
    count: u64,
}

/// Reads a range in pages.
async fn pages(shared: &Shared, mut request: RangeRequest) -> Result<Part, Fault> {
    let mut part = Part::default();
    let mut most = PAGE_MAX;
    loop {
        let page = match shared.client.ask_first::<RangeResponse>("/v3/kv/range", &request).await {
            Ok(page) => page,
            Err(Fault::TooLarge) if request.limit.0 > 1 => {
                request.limit.0 /= 2;
                most = request.limit.0;
                continue;
            }
            Err(fault) => return Err(fault),
        };
        request.limit = Number(next_page(&page.kvs).min(most));
        for pair in &page.kvs {
            part.count += 1;
            match kind(&shared.prefix, pair) {
                Kind::Object(key) => {
                    part.strays.note(&shared.prefix, &key, pair);
                    part.objects.push(object(key, pair));
                }
                Kind::Foreign => {}
            }
        }
        match page.kvs.last() {
            Some(last) if page.more => {
                request.key = last.key.clone();
                request.key.0.push(0);
            }
            _ => return Ok(part),
        }
    }
}

/// How many objects the next answer should have, if they are as long as these.
fn next_page(seen: &[KeyValue]) -> u64 {
    let bytes: usize = seen.iter().map(|pair| pair.key.0.len() + pair.value.0.len()).sum();
    let each = (bytes / seen.len().max(1)).max(1);
    u64::try_from(PAGE_BYTES / each).unwrap_or(PAGE_MAX).clamp(PAGE, PAGE_MAX)
}

/// A watch that was opened.
struct Watch {
    streamed: bartizan_net::Streamed,
    received: BytesMut,
}

impl Watch {
    /// Opens a watch from where the mirror is; waits until etcd says that it has begun.
    async fn open(shared: &Shared) -> Result<Self, Fault> {
        let all = range(shared);
        let start = shared.lock().mirror.revision.saturating_add(1);
        let create_request = WatchCreate {
            key: all.key,
            range_end: all.range_end.unwrap_or_default(),
            start_revision: Number(start),
        };
        let client: &Client = &shared.client;
        let streamed = client.open("/v3/watch", &WatchRequest { create_request }).await?;
        let mut watch = Self { streamed, received: BytesMut::new() };
        let first = timeout(client.time, watch.next()).await;
        let silent = || Fault::Unreachable("a watch that does not begin".to_owned());
        let line = first.map_err(|_| silent())??;
        Self::take(shared, &line)?;
        Ok(watch)
    }

    /// The next line. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<BytesMut, Fault> {
        let mut searched = 0;
        loop {
            let unseen = self.received.get(searched..).unwrap_or_default();
            if let Some(end) = unseen.iter().position(|byte| *byte == b'\n') {
                let line = self.received.split_to(searched + end + 1);
                if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                    return Ok(line);
                }
                searched = 0;
                continue;
            }
            searched = self.received.len();
            in_bounds(searched)?;
            match self.streamed.next().await {
                Ok(Some(part)) => self.received.extend_from_slice(&part),
                Ok(None) => return Err(Fault::Unreachable("the watch ended".to_owned())),
                Err(error) => return Err(Fault::Unreachable(format!("the watch: {error}"))),
            }
        }
    }

    /// Takes a line into the mirror.
    fn take(shared: &Shared, line: &[u8]) -> Result<(), Fault> {
        let read: WatchLine = serde_json::from_slice(line)
            .map_err(|error| Fault::Broken(format!("a watch that is not etcd's: {error}")))?;
        if let Some(error) = read.error {
            return Err(Fault::Unreachable(format!("the watch: {error}")));
        }
        let Some(result) = read.result else { return Ok(()) };
        if result.compact_revision.0 > 0 {
            shared.lock().is_listed = false;
            return Err(Fault::Compacted);
        }
        if result.canceled {
            shared.client.forget_token();
            return Err(Fault::Refused(format!("the watch: {}", result.cancel_reason)));
        }
        if result.events.is_empty() {
            return Ok(());
        }
        let mut state = shared.lock();
        let State { mirror, .. } = &mut *state;
        mirror.apply(&shared.prefix, &result.events);
        let revision = mirror.revision;
        drop(state);
        shared.revision.send_replace(revision);
        Ok(())
    }
}

/// Fails where a line has begun that is too long, without its end.
fn in_bounds(begun: usize) -> Result<(), Fault> {
    if begun > LINE_MAX { Err(Fault::TooLarge) } else { Ok(()) }
}

/// Reads one key at a revision.
pub(super) async fn read_at(
    shared: &Shared,
    key: &crate::key::Key,
    revision: u64,
) -> Result<RangeResponse, Fault> {
    let key = shared.path(key);
    let request = RangeRequest { key, revision: Number(revision), ..RangeRequest::default() };
    shared.client.ask("/v3/kv/range", &request, Repeat::Freely).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_as_large_as_their_objects_let_them() {
        let pair = |length| KeyValue {
            key: Bytes::of("/k"),
            value: Bytes(vec![b'x'; length]),
            create_revision: Number(1),
            mod_revision: Number(1),
        };
        let page = |length: usize| next_page(&[pair(length), pair(length)]);
        assert_eq!(page(1_022), 2_048);
        assert_eq!(page(8), PAGE_MAX);
        assert_eq!(page(PAGE_BYTES), PAGE);
        assert_eq!(next_page(&[]), PAGE_MAX);
    }

    #[test]
    fn a_line_is_of_a_length_at_most() {
        for (begun, is_in) in [(LINE_MAX - 1, true), (LINE_MAX, true), (LINE_MAX + 1, false)] {
            assert_eq!(in_bounds(begun).is_ok(), is_in, "{begun}");
        }
    }
}
