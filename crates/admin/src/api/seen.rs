//! What the node sees of its own: what protects its routes, what it refused, where it sends to.

use std::sync::Arc;

use bartizan_audit::{Event, RecentDenials};
use bartizan_config::ObjectName;
use serde_json::{Value, json};

use super::answer::{Answer, Done};
use super::asked::{Asked, Query};
use super::{Api, What, references};
use crate::coverage::{Column, Filter, Selection, Wanted};
use crate::health::{self, ServerHealth};

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
        let list = self.upstream_list(asked).await?;
        Ok(Answer::ok(&json!({ "total": list.len(), "list": list })))
    }

    /// The same, as far as this operator may see them.
    pub(crate) async fn upstream_list(&self, asked: &Asked) -> Result<Vec<Value>, Answer> {
        let snapshot = self.snapshot().await?;
        asked.allow(&What::read("upstreams"))?;
        let users = references::users_of_upstreams(&snapshot);
        let mut list = Vec::new();
        for object in &snapshot.objects {
            let Some(value) = object.value() else { continue };
            let is_shared = object.key.collection() == "upstreams";
            let used_by = users.get(object.key.id()).filter(|_| is_shared);
            let upstream = match object.key.collection() {
                "upstreams" => Some(&value),
                "routes" | "services" => value.get("upstream"),
                _ => None,
            };
            let Some(upstream) = upstream else { continue };
            let what =
                What::object(object.key.collection(), object.key.id(), Some(&value), &snapshot);
            if !what.judged(|act| asked.operator.could(act)) {
                continue;
            }
            let servers = self.servers(object.key.collection(), object.key.id(), upstream);
            let mut row = json!({
                "object": object.key.as_str(),
                "scheme": upstream.get("scheme").cloned().unwrap_or_else(|| json!("http")),
                "type": upstream.get("type").cloned().unwrap_or_else(|| json!("roundrobin")),
                "nodes": upstream.get("nodes"),
                "health": health::word(&servers),
                "used_by": used_by.map(Vec::as_slice).unwrap_or_default(),
            });
            if !servers.is_empty() {
                let told = servers.iter().map(health::told).collect();
                row.as_object_mut().map(|row| row.insert("servers".to_owned(), told));
            }
            list.push(row);
        }
        Ok(list)
    }

    /// How the servers of an upstream with checks stand.
    fn servers(&self, collection: &str, id: &str, upstream: &Value) -> Vec<ServerHealth> {
        if upstream.get("checks").is_none() {
            return Vec::new();
        }
        let object = ObjectName { collection: collection.into(), id: id.into() };
        self.0.plane.health(&object).unwrap_or_default()
    }
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
