//! Where requests are sent to.

use http::StatusCode;
use serde_json::Value;

use crate::api::{Api, Asked, What};
use crate::dashboard::Shown;
use crate::dashboard::html::Html;
use crate::dashboard::layout::{Frame, Paged, and_more, table};
use crate::dashboard::members::Members as _;

/// Nodes and users that are shown of an upstream.
const SHOWN: usize = 8;

/// The page.
pub(in crate::dashboard) async fn upstreams(api: &Api, asked: &Asked) -> Shown {
    asked.allow(&What::read("upstreams"))?;
    let page = asked.query.find("page").map(str::to_owned);
    let of = |page: Option<&str>, total| Paged::of(page, total);
    let wanted = page.clone();
    let (list, total) =
        api.upstream_list(asked, move |total| of(wanted.as_deref(), total).range(total)).await?;
    let paged = of(page.as_deref(), total);
    let mut html = Html::default();
    if list.is_empty() {
        html.raw("<p class=\"note\">There is no upstream.</p>");
    } else {
        let heads = ["Upstream", "Scheme", "Choice", "Nodes", "Health", "Used by"];
        table(&mut html, "list", "Upstreams and their nodes", &heads, |html| {
            for upstream in &list {
                line(html, upstream);
            }
        });
    }
    paged.links(&mut html, "/ui/upstreams", &[]);
    let operator = Some(&asked.operator);
    let frame = Frame { title: "Upstreams", place: "/ui/upstreams", operator };
    Ok(frame.around(StatusCode::OK, &html))
}

fn line(html: &mut Html, upstream: &Value) {
    let text = |name: &str| upstream.at(name).as_str().unwrap_or_default();
    html.raw("<tr><th scope=\"row\"><code>").text(text("object")).raw("</code></th><td>");
    html.text(text("scheme")).raw("</td><td>").text(text("type")).raw("</td><td>");
    let found = upstream.at("found");
    if let Some(service) = found.at("service").as_str() {
        html.raw("<code>").text(service).raw("</code> ");
        match (found.at("failing").as_str(), found.at("nodes").is_null()) {
            (Some(failing), _) => html.text("failing: ").text(failing).raw(" "),
            (None, true) => html.text("not asked yet "),
            (None, false) => html,
        };
    }
    let nodes = nodes(if found.is_null() { upstream.at("nodes") } else { found.at("nodes") });
    several(html, &nodes);
    html.raw("</td><td>").text(&text("health").replace('_', "\u{a0}")).raw(" ");
    let troubled: Vec<String> = upstream.list("servers").iter().filter_map(trouble).collect();
    if !troubled.is_empty() {
        several(html, &troubled);
    }
    html.raw("</td><td>");
    let users = upstream.list("used_by");
    let users: Vec<String> =
        users.iter().filter_map(|user| user.as_str().map(str::to_owned)).collect();
    several(html, &users);
    html.raw("</td></tr>");
}

/// What is wrong with a server, if anything is.
fn trouble(server: &Value) -> Option<String> {
    let count = |name: &str| server.at(name).as_u64().unwrap_or_default();
    let counts = [
        ("bad answers", count("http_failures")),
        ("failed connections", count("tcp_failures")),
        ("timeouts", count("timeouts")),
    ];
    let fault = server.at("last_probe").at("fault").as_str();
    let health = server.at("health").as_str().unwrap_or_default();
    let counted = counts.iter().filter(|(_, count)| *count > 0);
    let counted = counted.map(|(what, count)| format!("{count} {what}"));
    let said: Vec<String> = counted.chain(fault.map(str::to_owned)).collect();
    if health != "unhealthy" && said.is_empty() {
        return None;
    }
    let server = server.at("server").as_str().unwrap_or_default();
    let health = health.replace('_', " ");
    Some([format!("{server} {health}")].into_iter().chain(said).collect::<Vec<_>>().join(", "))
}

fn several(html: &mut Html, texts: &[String]) {
    if texts.is_empty() {
        html.raw("<span class=\"muted\">none</span>");
        return;
    }
    for text in texts.iter().take(SHOWN) {
        html.raw("<code class=\"item\">").text(text).raw("</code> ");
    }
    and_more(html, texts.len().saturating_sub(SHOWN), "", "");
}

/// The nodes in words, in either form in which they are written.
fn nodes(written: &Value) -> Vec<String> {
    match written {
        Value::Object(members) => members
            .iter()
            .map(
                |(node, weight)| {
                    if *weight == 1 { node.clone() } else { format!("{node}, weight {weight}") }
                },
            )
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|node| {
                let host = node.at("host").as_str().unwrap_or_default();
                let port =
                    node.at("port").as_u64().map_or_else(String::new, |port| format!(":{port}"));
                let weight = match node.at("weight").as_u64() {
                    None | Some(1) => String::new(),
                    Some(weight) => format!(", weight {weight}"),
                };
                format!("{host}{port}{weight}")
            })
            .collect(),
        _ => Vec::new(),
    }
}
