//! What was written when by whom, and what it changed.

use http::StatusCode;
use serde_json::Value;

use crate::api::{Api, Asked, What};
use crate::dashboard::Shown;
use crate::dashboard::html::Html;
use crate::dashboard::layout::{Frame, Paged, and_more, table, table_about, time};
use crate::dashboard::members::Members as _;

/// Objects that are named of a revision in the list.
const OBJECTS: usize = 5;
/// Differences that are shown of an object.
const CHANGES_MAX: usize = 200;
/// Objects that the page of a revision shows.
const OBJECTS_MAX: usize = 50;
/// Before what is said in passing.
const MUTED: &str = "<p class=\"muted\">";
/// Longest value that is shown whole, in bytes.
const VALUE_MAX: usize = 8 * 1_024;

/// The list.
pub(in crate::dashboard) async fn revisions(api: &Api, asked: &Asked) -> Shown {
    asked.allow(&What::read("revisions"))?;
    let of = |total| Paged::of(asked.query.find("page"), total);
    let (list, total) = api.revision_list(|total| of(total).range(total)).await?;
    let paged = of(total);
    let mut html = Html::default();
    if list.is_empty() {
        html.raw("<p class=\"note\">No revisions are kept: the store has none yet, or its ")
            .raw("documents are written by hand.</p>");
    } else {
        let heads = ["Revision", "Time (UTC)", "Author", "Objects"];
        table(&mut html, "list", "Revisions, the newest first", &heads, |html| {
            for revision in &list {
                line(html, revision);
            }
        });
    }
    paged.links(&mut html, "/ui/revisions", &[]);
    let operator = Some(&asked.operator);
    let frame = Frame { title: "Revisions", place: "/ui/revisions", operator };
    Ok(frame.around(StatusCode::OK, &html))
}

fn line(html: &mut Html, revision: &Value) {
    let written = revision.at("revision").as_u64().unwrap_or_default();
    html.raw("<tr><th scope=\"row\"><a href=\"/ui/revisions/").show(written).raw("\">Revision ");
    html.show(written).raw("</a></th><td>");
    about(html, revision);
    html.raw("</td><td>")
        .text(revision.at("author").as_str().unwrap_or("unknown"))
        .raw("</td><td>");
    let objects = revision.list("objects");
    html.joined(objects.iter().take(OBJECTS), ", ", |html, object| {
        html.raw("<code>").text(object.at("object").as_str().unwrap_or_default()).raw("</code>");
        if object.at("removed") == true {
            html.raw(" removed");
        }
    });
    and_more(html, objects.len().saturating_sub(OBJECTS), " ", "");
    html.raw("</td></tr>");
}

fn about(html: &mut Html, revision: &Value) {
    match revision.at("at").as_str() {
        Some(at) => time(html, at),
        None => _ = html.raw("unknown"),
    }
}

/// What a revision changed.
pub(in crate::dashboard) async fn difference(api: &Api, asked: &Asked, revision: &str) -> Shown {
    // Also of a number that is none: whoever may not read them learns nothing of them.
    asked.allow(&What::read("revisions"))?;
    let (told, more) = api.difference(asked, revision, OBJECTS_MAX).await?;
    let mut html = Html::default();
    html.raw("<p>Written by <strong>")
        .text(told.at("author").as_str().unwrap_or("somebody unknown"));
    html.raw("</strong>, ");
    about(&mut html, &told);
    html.raw(" (UTC). <a href=\"/ui/revisions\">All revisions</a></p>");
    for object in told.list("objects") {
        let changes = object.list("changes");
        html.raw("<section><h2><code>").text(object.at("object").as_str().unwrap_or_default());
        html.raw("</code></h2>");
        if changes.is_empty() {
            html.raw("<p class=\"muted\">Written anew with the content that it had.</p>");
        } else {
            changed(&mut html, object.at("object").as_str().unwrap_or_default(), changes);
        }
        html.raw("</section>");
    }
    and_more(&mut html, more, MUTED, " objects, which the API tells.</p>");
    let title = format!("Revision {revision}");
    let operator = Some(&asked.operator);
    let frame = Frame { title: &title, place: "/ui/revisions", operator };
    Ok(frame.around(StatusCode::OK, &html))
}

fn changed(html: &mut Html, object: &str, changes: &[Value]) {
    let heads = ["Place", "Before", "After"];
    table_about(html, "diff", ("What changed", object), &heads, |html| {
        for change in changes.iter().take(CHANGES_MAX) {
            let path = change.at("path").as_str().filter(|path| !path.is_empty());
            html.raw("<tr><th scope=\"row\"><code>").text(path.unwrap_or("the whole object"));
            html.raw("</code></th><td>");
            value(html, change.at("before"), "<del>", "</del>");
            html.raw("</td><td>");
            value(html, change.at("after"), "<ins>", "</ins>");
            html.raw("</td></tr>");
        }
    });
    and_more(html, changes.len().saturating_sub(CHANGES_MAX), MUTED, ", which the API tells.</p>");
}

fn value(html: &mut Html, value: &Value, before: &'static str, after: &'static str) {
    if value.is_null() {
        html.raw("<span class=\"muted\">nothing</span>");
        return;
    }
    let text = match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    let shown = text.get(..text.floor_char_boundary(VALUE_MAX)).unwrap_or_default();
    html.raw("<pre>").raw(before).text(shown).raw(after).raw("</pre>");
    if shown.len() < text.len() {
        html.raw("<small>cut; the API tells all of it</small>");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn so_many_differences_are_shown_and_the_others_counted() {
        for (count, more) in [
            (CHANGES_MAX - 1, None),
            (CHANGES_MAX, None),
            (CHANGES_MAX + 1, Some("and 1 more, which the API tells.")),
        ] {
            let changes: Vec<Value> = (0..count)
                .map(|n| json!({ "path": format!("/p{n}"), "before": null, "after": n }))
                .collect();
            let mut html = Html::default();
            changed(&mut html, "routes/a", &changes);
            let text = html.into_string();
            assert_eq!(text.matches("<tr><th scope=\"row\">").count(), count.min(CHANGES_MAX));
            assert_eq!(text.contains(" more, "), more.is_some(), "{count}");
            assert!(more.is_none_or(|more| text.contains(more)), "{text}");
        }
    }

    #[test]
    fn so_much_of_a_value_is_shown_and_that_it_is_cut_is_told() {
        for (length, is_cut) in [(VALUE_MAX - 1, false), (VALUE_MAX, false), (VALUE_MAX + 1, true)]
        {
            let mut html = Html::default();
            value(&mut html, &json!("x".repeat(length)), "<ins>", "</ins>");
            let text = html.into_string();
            assert_eq!(text.matches('x').count(), length.min(VALUE_MAX));
            assert_eq!(text.contains("cut; the API tells all of it"), is_cut, "{length}");
        }
    }
}
