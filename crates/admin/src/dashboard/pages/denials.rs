//! What was refused lately.

use bartizan_audit::{Caller, Event, RecentDenials};
use bartizan_core::Stage;
use http::StatusCode;
use http::header::REFRESH;

use crate::api::{Answer, Api, Asked, What, cut};
use crate::dashboard::Shown;
use crate::dashboard::html::Html;
use crate::dashboard::layout::{Frame, number, table, time};

/// The page, which is loaded anew every five seconds for who wants that.
pub(in crate::dashboard) fn denials(api: &Api, asked: &Asked) -> Shown {
    asked.allow(&What::read("denials"))?;
    let recent = api.recent_denials(asked);
    let is_refreshed = asked.query.find("refresh") == Some("5");
    let mut html = Html::default();
    html.raw("<p>");
    number(&mut html, recent.total);
    html.raw(" refused or failed since ");
    time(&mut html, &recent.since.to_rfc3339());
    html.raw(" (UTC). ");
    html.raw(if is_refreshed {
        "This page loads anew every 5 seconds. <a href=\"/ui/denials\" autofocus>Stop that</a>"
    } else {
        "<a href=\"/ui/denials?refresh=5\">Load anew every 5 seconds</a>"
    });
    html.raw("</p>");
    if recent.lost > 0 {
        html.raw("<p class=\"note bad\">");
        number(&mut html, recent.lost);
        html.raw(
            " more had no room in the queue of the audit log, and are in none of these counts.</p>",
        );
    }
    counts(&mut html, &recent);
    if !Api::sees_events(asked) {
        html.raw("<p class=\"note\">Single events are for auditors and admins.</p>");
    } else if !recent.latest.is_empty() {
        latest(&mut html, &recent);
    }
    let frame = Frame { title: "Denials", place: "/ui/denials", operator: Some(&asked.operator) };
    let answer: Answer = frame.around(StatusCode::OK, &html);
    Ok(if is_refreshed { answer.with(REFRESH, "5") } else { answer })
}

fn counts(html: &mut Html, recent: &RecentDenials) {
    if recent.counts.is_empty() {
        html.raw("<p class=\"note good\">Nothing was refused yet.</p>");
        return;
    }
    let heads = ["Reason", "Status", "Plugin", "Count"];
    table(html, "narrow counts", "By reason and plugin", &heads, |html| {
        for one in &recent.counts {
            html.raw("<tr><th scope=\"row\"><code>").text(one.reason.code());
            html.raw("</code></th><td>").show(one.reason.status()).raw("</td><td>");
            plugin(html, one.plugin, None);
            html.raw("</td><td class=\"number\">");
            number(html, one.count);
            html.raw("</td></tr>");
        }
    });
}

fn plugin(html: &mut Html, name: Option<&str>, stage: Option<Stage>) {
    match name {
        Some(name) => _ = html.raw("<code>").text(name).raw("</code>"),
        None => _ = html.raw("<span class=\"muted\">none</span>"),
    }
    if let Some(stage) = stage {
        html.raw(" <small>").raw(stage.name()).raw("</small>");
    }
}

fn latest(html: &mut Html, recent: &RecentDenials) {
    let heads = ["Time (UTC)", "Reason", "Plugin", "Route", "Request", "Client", "Who", "Detail"];
    table(html, "list events", "The latest, the newest first", &heads, |html| {
        for event in &recent.latest {
            line(html, event);
        }
    });
}

fn line(html: &mut Html, event: &Event) {
    html.raw("<tr><th scope=\"row\">");
    time(html, &event.time.to_rfc3339());
    if event.count > 1 {
        html.raw(" <strong>× ");
        number(html, event.count);
        html.raw("</strong>");
    }
    html.raw("</th><td><code>").text(event.reason.map_or("", bartizan_core::Reason::code));
    html.raw("</code>");
    if let Some(status) = event.status {
        html.raw(" ").show(status);
    }
    html.raw("</td><td>");
    plugin(html, event.plugin, event.stage);
    html.raw("</td><td>");
    cell(html, event.route.as_deref());
    html.raw("</td><td class=\"request\">");
    request(html, event);
    html.raw("</td><td>");
    cell(html, event.client.map(|client| client.to_string()).as_deref());
    html.raw("</td><td>");
    cell(html, who(event).as_deref());
    html.raw("</td><td class=\"detail\">");
    cell(html, event.detail.as_deref().map(cut));
    html.raw("</td></tr>");
}

fn cell(html: &mut Html, text: Option<&str>) {
    match text {
        Some(text) => _ = html.text(text),
        None => _ = html.raw("<span class=\"muted\">none</span>"),
    }
}

fn request(html: &mut Html, event: &Event) {
    let parts =
        [event.method.as_deref(), event.host.as_deref(), event.path()].map(|part| part.map(cut));
    if parts.iter().all(Option::is_none) {
        return cell(html, None);
    }
    html.raw("<code>");
    html.joined(parts.into_iter().flatten(), " ", |html, text| _ = html.text(text));
    html.raw("</code>");
}

/// Who called, as far as that was proved: an operator, an account, the subject of a token, or a key.
fn who(event: &Event) -> Option<String> {
    let caller = event.caller.as_ref();
    let part = |part: fn(&Caller) -> Option<&str>| caller.and_then(part).map(cut);
    let name = event
        .operator
        .as_deref()
        .or_else(|| part(|caller| caller.consumer.as_deref()))
        .or_else(|| part(|caller| caller.subject.as_deref()));
    let credential = part(|caller| caller.credential.as_deref());
    match (name, credential) {
        (Some(name), Some(credential)) => Some(format!("{name} (key {credential})")),
        (Some(name), None) => Some(name.to_owned()),
        (None, credential) => credential.map(|credential| format!("key {credential}")),
    }
}
