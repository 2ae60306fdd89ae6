//! Objects that are at fault.

use http::StatusCode;

use crate::api::{Api, Asked, What};
use crate::dashboard::Shown;
use crate::dashboard::html::Html;
use crate::dashboard::layout::{Frame, Paged};

/// The page.
pub(in crate::dashboard) fn quarantine(api: &Api, asked: &Asked) -> Shown {
    asked.allow(&What::read("quarantine"))?;
    let aside = api.plane().aside();
    let paged = Paged::of(asked.query.find("page"), aside.len());
    let mut html = Html::default();
    if aside.is_empty() {
        html.raw("<p class=\"note good\">Nothing is in quarantine: every object is in force.</p>");
    } else {
        html.raw("<p class=\"muted\">Objects with an error. The last good version of each stands ")
            .raw("in for it; one that never had any is out of service, and its paths answer 503.</p>");
    }
    for object in paged.items(&aside) {
        html.raw("<article class=\"fault\"><h2><code>").text(&object.object).raw("</code></h2>");
        html.raw(if object.stands_in {
            "<p><strong class=\"badge open\">its last good version is in force</strong></p>"
        } else {
            "<p><strong class=\"badge gap\">out of service</strong></p>"
        });
        html.raw("<ul>");
        for problem in &object.problems {
            html.raw("<li>").text(problem).raw("</li>");
        }
        html.raw("</ul></article>");
    }
    paged.links(&mut html, "/ui/quarantine", &[]);
    let operator = Some(&asked.operator);
    let frame = Frame { title: "Quarantine", place: "/ui/quarantine", operator };
    Ok(frame.around(StatusCode::OK, &html))
}
