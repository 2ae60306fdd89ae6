//! What the node sees of its own: what protects its routes, what it refused, where it sends to.

use std::ops::Range;
use std::sync::Arc;

use bartizan_audit::{Event, RecentDenials};
use bartizan_config::ObjectName;
use bartizan_core::ServerHealth;
use bartizan_store::{Key, Object, Snapshot};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::answer::{Answer, Done};
use super::asked::{Asked, Query};
use super::{Api, What, references};
use crate::coverage::{Column, Filter, Selection, Wanted};
use crate::found;
use crate::health;
use crate::operators::Operator;
use crate::plane::Plane;

/// Most bytes of a text of strangers that are shown.
const SHOWN_MAX: usize = 256;

impl Filter {
    /// Reads `q`, `gap`, `page` and `page_size`.
    pub(crate) fn read(query: &Query) -> Result<Self, Answer> {
        let gap = query.find("gap").unwrap_or_default();
        let wanted = Wanted::read(gap).ok_or_else(|| {
            let words: Vec<&str> = Wanted::all().map(Wanted::code).skip(1).collect();
            Answer::bad(format!("`gap` must be one of {}", words.join(", ")))
        })?;
        let mut filter = Self::new(query.find("q").unwrap_or_default(), wanted);
        if let Some(page) = query.find("page") {
            filter.page = page.parse().map_err(|_| Answer::bad("`page` must be a number"))?;
        }
        if let Some(size) = query.find("page_size") {
            let size = size.parse().ok().filter(|size| (10..=500).contains(size));
            filter.size =
                size.ok_or_else(|| Answer::bad("`page_size` must be between 10 and 500"))?;
        }
        Ok(filter)
    }
}

impl Api {
    /// What protects the routes in force.
    pub(crate) async fn coverage(&self, asked: &Asked) -> Done {
        asked.allow(&What::read("coverage"))?;
        let found = self.selected(Filter::read(&asked.query)?).await?;
        let list: Vec<Value> = found.rows.iter().map(crate::coverage::Row::to_json).collect();
        let totals = &found.totals;
        let gaps: serde_json::Map<String, Value> = Column::ALL
            .iter()
            .zip(totals.gaps)
            .map(|(column, count)| (column.code().to_owned(), count.into()))
            .collect();
        Ok(Answer::ok(&json!({
            "list": list, "total": found.total, "page": found.page, "pages": found.pages,
            "totals": {
                "routes": totals.routes, "served": totals.served, "open": totals.open,
                "any_gap": totals.any, "gaps": gaps,
            },
        })))
    }

    /// The routes that a filter admits, found where no other request waits for it.
    pub(crate) async fn selected(&self, filter: Filter) -> Result<Selection, Answer> {
        let none = |what: &str| Answer::error(http::StatusCode::SERVICE_UNAVAILABLE, what);
        let coverage = self.0.plane.coverage();
        let coverage = coverage.ok_or_else(|| none("no configuration is in force"))?;
        let api = self.clone();
        let found =
            tokio::task::spawn_blocking(move || Selection::of(&coverage, &api.0.matrices, &filter));
        found.await.map_err(|_| Answer::failed())
    }

    /// What was refused lately: counts for everyone who may know how the node is, single events for
    /// who may read what happened.
    pub(crate) fn denials(&self, asked: &Asked) -> Done {
        asked.allow(&What::read("denials"))?;
        let recent = self.recent_denials(asked);
        let counts = recent.counts.iter().map(
            |one| json!({ "reason": one.reason.code(), "plugin": one.plugin, "count": one.count }),
        );
        let latest: Vec<Value> = recent.latest.iter().map(told).collect();
        let mut value = json!({
            "since": recent.since.to_rfc3339(),
            "total": recent.total,
            "lost": recent.lost,
            "counts": counts.collect::<Vec<_>>(),
        });
        if Self::sees_events(asked) {
            value.as_object_mut().map(|value| value.insert("latest".to_owned(), latest.into()));
        }
        Ok(Answer::ok(&value))
    }

    /// The same, without the events that this operator may not read.
    pub(crate) fn recent_denials(&self, asked: &Asked) -> RecentDenials {
        let mut recent = self.0.audit.recent();
        if !Self::sees_events(asked) {
            recent.latest.clear();
        }
        recent
    }

    /// How often was refused, as far as it is written.
    #[cfg(test)]
    pub(crate) fn recent_total(&self) -> u64 {
        self.0.audit.recent().total
    }

    /// Whether an operator reads single events.
    pub(crate) fn sees_events(asked: &Asked) -> bool {
        What::read("events").judged(|act| asked.operator.could(act))
    }

    /// The upstreams, their nodes, and which objects send to them.
    pub(crate) async fn upstreams(&self, asked: &Asked) -> Done {
        let (list, total) = self.upstream_list(asked, |total| 0..total).await?;
        Ok(Answer::ok(&json!({ "total": total, "list": list })))
    }

    /// Those of them that are wanted, by how many this operator may see, and how many those are.
    /// They are found where no other request waits for it.
    pub(crate) async fn upstream_list(
        &self,
        asked: &Asked,
        wanted: impl FnOnce(usize) -> Range<usize> + Send + 'static,
    ) -> Result<(Vec<Value>, usize), Answer> {
        let snapshot = self.snapshot().await?;
        asked.allow(&What::read("upstreams"))?;
        let (operator, plane) = (asked.operator.clone(), Arc::clone(&self.0.plane));
        let find = move || upstreams_of(&operator, &snapshot, &*plane, wanted);
        tokio::task::spawn_blocking(find).await.map_err(|_| Answer::failed())
    }
}

/// How the servers of an upstream with checks stand.
fn servers(plane: &dyn Plane, key: &Key, upstream: Option<&Value>) -> Vec<ServerHealth> {
    if upstream.is_none_or(|upstream| upstream.get("checks").is_none()) {
        return Vec::new();
    }
    plane.health(&name(key)).unwrap_or_default()
}

/// What a registry says of an upstream that names a service.
fn found(plane: &dyn Plane, key: &Key, upstream: Option<&Value>) -> Option<Value> {
    upstream?.get("service_name")?;
    plane.found(&name(key)).as_ref().map(found::told)
}

fn name(key: &Key) -> ObjectName {
    ObjectName { collection: key.collection().into(), id: key.id().into() }
}

/// What of an object says whether it is an upstream or has one.
#[derive(Deserialize)]
struct Outline {
    upstream: Option<IgnoredAny>,
}

/// The wanted ones of the upstreams that an operator may see, and how many those are. What is not
/// wanted is not read as a whole, but where it takes that to know whether it may be seen.
fn upstreams_of(
    operator: &Operator,
    snapshot: &Snapshot,
    plane: &dyn Plane,
    wanted: impl FnOnce(usize) -> Range<usize>,
) -> (Vec<Value>, usize) {
    let may_see = |object: &Object, value: Option<&Value>| {
        let what = What::object(object.key.collection(), object.key.id(), value, snapshot);
        what.judged(|act| operator.could(act))
    };
    let is_one = |object: &&Object| {
        let is_shared = object.key.collection() == "upstreams";
        let may_have = matches!(object.key.collection(), "routes" | "services")
            && references::mentions(&object.content, &["\"upstream\""]);
        let outline = || serde_json::from_slice::<Outline>(&object.content).ok();
        let has = |outline: Outline| is_shared || outline.upstream.is_some();
        if !(is_shared || may_have) || !outline().is_some_and(has) {
            return false;
        }
        if operator.is_confined() {
            object.value().is_some_and(|value| may_see(object, Some(&value)))
        } else {
            may_see(object, None)
        }
    };
    let all: Vec<&Object> = snapshot.objects.iter().filter(is_one).collect();
    let shown = all.get(wanted(all.len())).unwrap_or_default();
    let shared = shown.iter().filter(|object| object.key.collection() == "upstreams");
    let users = references::users_of_upstreams(snapshot, &shared.map(|one| one.key.id()).collect());
    let list = shown.iter().map(|object| {
        let value = object.value().unwrap_or_default();
        let is_shared = object.key.collection() == "upstreams";
        let upstream = if is_shared { Some(&value) } else { value.get("upstream") };
        let member = |name: &str| upstream.and_then(|upstream| upstream.get(name)).cloned();
        let used_by = users.get(object.key.id()).filter(|_| is_shared);
        let servers = servers(plane, &object.key, upstream);
        let mut row = json!({
            "object": object.key.as_str(),
            "scheme": member("scheme").unwrap_or_else(|| json!("http")),
            "type": member("type").unwrap_or_else(|| json!("roundrobin")),
            "nodes": member("nodes"),
            "health": health::word(&servers),
            "used_by": used_by.map(Vec::as_slice).unwrap_or_default(),
        });
        if !servers.is_empty() {
            let told = servers.iter().map(health::told).collect();
            row.as_object_mut().map(|row| row.insert("servers".to_owned(), told));
        }
        if let Some(found) = found(plane, &object.key, upstream) {
            row.as_object_mut().map(|row| row.insert("found".to_owned(), found));
        }
        row
    });
    (list.collect(), all.len())
}

/// The beginning of what strangers sent: a page of many such texts stays one that can be read.
pub(crate) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(SHOWN_MAX)).unwrap_or_default()
}

/// A denial as its event has it, which holds no secret.
fn told(event: &Arc<Event>) -> Value {
    let caller = event.caller.as_ref();
    json!({
        "time": event.time.to_rfc3339(),
        "count": event.count,
        "id": event.id.map(|id| id.to_string()),
        "reason": event.reason.map(bartizan_core::Reason::code),
        "status": event.status,
        "stage": event.stage.map(bartizan_core::Stage::name),
        "plugin": event.plugin,
        "detail": event.detail.as_deref().map(cut),
        "operator": event.operator.as_deref(),
        "client": event.client.map(|client| client.to_string()),
        "method": event.method.as_deref().map(cut),
        "host": event.host.as_deref().map(cut),
        "path": event.path().map(cut),
        "route": event.route.as_deref(),
        "consumer": caller.and_then(|caller| caller.consumer.as_deref()).map(cut),
        "credential": caller.and_then(|caller| caller.credential.as_deref()).map(cut),
        "subject": caller.and_then(|caller| caller.subject.as_deref()).map(cut),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_strangers_are_cut_between_characters() {
        for (length, shown) in [(255, 255), (256, 256), (257, 256)] {
            assert_eq!(cut(&"x".repeat(length)).len(), shown, "{length}");
        }
        assert_eq!(cut(&("x".repeat(255) + "\u{e9}")).len(), 255);
    }
}
