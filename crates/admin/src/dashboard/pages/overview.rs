//! How the node is.

use std::collections::BTreeMap;

use bartizan_store::OWN_COLLECTION;
use http::StatusCode;
use serde_json::Value;

use crate::api::{Answer, Api, Asked, Kind, What};
use crate::coverage::{Column, Filter, Totals, Wanted};
use crate::dashboard::Shown;
use crate::dashboard::html::Html;
use crate::dashboard::layout::{Frame, could, number, table, time};
use crate::dashboard::members::Members as _;

/// Reasons that are shown.
const REASONS: usize = 5;

/// The first page.
pub(in crate::dashboard) async fn overview(api: &Api, asked: &Asked) -> Shown {
    asked.allow(&What::read("status"))?;
    let status = api.plane().status();
    let mut totals = None;
    if could(&asked.operator, "coverage") {
        let filter = Filter::new("", Wanted::All);
        totals = api.selected(filter).await.ok().map(|found| found.totals);
    }
    let mut html = Html::default();
    html.raw("<dl class=\"cards\">");
    node(&mut html, &status);
    card(&mut html, "In quarantine", |html| {
        let count = &status.at("node").at("quarantined_count");
        let count = count.as_u64().unwrap_or(0);
        link(html, "/ui/quarantine", count, if count > 0 { "bad" } else { "" });
    });
    if let Some(totals) = &totals {
        routes(&mut html, totals);
    }
    let recent = api.recent_denials(asked);
    card(&mut html, "Refused since start", |html| {
        link(html, "/ui/denials", recent.total, "");
    });
    html.raw("</dl>");
    last_error(&mut html, &status);
    html.raw("<div class=\"columns\">");
    if let Some(totals) = &totals {
        gaps(&mut html, totals);
    }
    if !recent.counts.is_empty() {
        table(
            &mut html,
            "narrow",
            "Most frequent refusals",
            &["Reason", "Plugin", "Count"],
            |html| {
                for one in recent.counts.iter().take(REASONS) {
                    html.raw("<tr><th scope=\"row\"><code>").text(one.reason.code());
                    html.raw("</code></th><td>").text(one.plugin.unwrap_or("–"));
                    html.raw("</td><td class=\"number\">");
                    number(html, one.count);
                    html.raw("</td></tr>");
                }
            },
        );
    }
    objects(&mut html, api, asked).await?;
    html.raw("</div>");
    let frame = Frame { title: "Overview", place: "/ui/", operator: Some(&asked.operator) };
    Ok(frame.around(StatusCode::OK, &html))
}

fn card(html: &mut Html, name: &'static str, value: impl FnOnce(&mut Html)) {
    html.raw("<div><dt>").raw(name).raw("</dt><dd>");
    value(html);
    html.raw("</dd></div>");
}

fn link(html: &mut Html, path: &'static str, count: impl TryInto<u64>, class: &'static str) {
    html.raw("<a href=\"").raw(path).raw("\" class=\"").raw(class).raw("\">");
    number(html, count);
    html.raw("</a>");
}

fn node(html: &mut Html, status: &Value) {
    let node = &status.at("node");
    card(html, "State", |html| {
        let is_draining = node.at("draining") == true;
        match node.at("ready") == true {
            true => html.raw("<span class=\"ok\">ready</span>"),
            false if is_draining => html.raw("<span class=\"bad\">draining</span>"),
            false => html.raw("<span class=\"bad\">not ready</span>"),
        };
    });
    card(html, "Generation", |html| {
        match node.at("generation").as_u64() {
            Some(generation) => number(html, generation),
            None => _ = html.raw("none"),
        }
        if let Some(at) = node.at("loaded_at").as_str() {
            html.raw("<small>since ");
            time(html, at);
            html.raw("</small>");
        }
    });
    card(html, "Store", |html| {
        html.text(status.at("store").as_str().unwrap_or("–"));
        let is_writable = status.at("writable") == true;
        html.raw(if is_writable {
            "<small>written here</small>"
        } else {
            "<small>written elsewhere</small>"
        });
    });
    if let Some(version) = status.at("version").as_str() {
        card(html, "Version", |html| _ = html.text(version));
    }
}

fn routes(html: &mut Html, totals: &Totals) {
    card(html, "Routes in service", |html| {
        link(html, "/ui/routes", totals.served, "");
        if totals.served < totals.routes {
            html.raw("<small>of ");
            number(html, totals.routes);
            html.raw("</small>");
        }
    });
    card(html, "Open to everyone", |html| {
        let class = if totals.open > 0 { "open" } else { "" };
        link(html, "/ui/routes?gap=open", totals.open, class);
    });
}

fn last_error(html: &mut Html, status: &Value) {
    let node = &status.at("node");
    let Some(error) = node.at("last_error").as_str() else { return };
    html.raw("<section aria-labelledby=\"refused\" class=\"note bad\">");
    html.raw("<h2 id=\"refused\">The last change was refused</h2><p>");
    html.raw(if node.at("generation").is_null() {
        "Nothing is in force. "
    } else {
        "What was in force before is served still. "
    });
    if let Some(at) = node.at("last_error_at").as_str() {
        time(html, at);
    }
    html.raw("</p><pre>").text(error).raw("</pre></section>");
}

fn gaps(html: &mut Html, totals: &Totals) {
    let caption = "Protections that routes lack";
    table(html, "narrow", caption, &["Protection", "Routes without"], |html| {
        for (column, count) in Column::ALL.into_iter().zip(totals.gaps) {
            html.raw("<tr><th scope=\"row\">")
                .raw(column.title())
                .raw("</th><td class=\"number\">");
            if count == 0 {
                html.raw("none");
            } else {
                html.raw("<a href=\"/ui/routes?gap=").raw(column.code()).raw("\">");
                number(html, count);
                html.raw("</a>");
            }
            html.raw("</td></tr>");
        }
    });
}

/// How many objects of each kind the store holds, for who may read all kinds. Documents would have
/// to be read anew for that.
async fn objects(html: &mut Html, api: &Api, asked: &Asked) -> Result<(), Answer> {
    let is_shown = could(&asked.operator, "configs") && api.plane().store().read_only.is_none();
    if !is_shown {
        return Ok(());
    }
    let snapshot = api.plane().snapshot().await.map_err(|error| Answer::of_store(&error))?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for object in &snapshot.objects {
        let key = &object.key;
        if key.collection() != OWN_COLLECTION {
            let kind = Kind::of(key).map_or(key.collection(), |kind| kind.segment);
            *counts.entry(kind).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Ok(());
    }
    table(html, "narrow", "Objects in the store", &["Kind", "Count"], |html| {
        for (kind, count) in counts {
            html.raw("<tr><th scope=\"row\">").text(kind).raw("</th><td class=\"number\">");
            number(html, count);
            html.raw("</td></tr>");
        }
    });
    Ok(())
}
