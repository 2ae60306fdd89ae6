//! Where somebody shows a key.

use http::StatusCode;

use crate::api::Answer;
use crate::dashboard::html::Html;
use crate::dashboard::layout::Frame;

/// The form, with what was wrong.
pub(in crate::dashboard) fn sign_in(status: StatusCode, problem: Option<&'static str>) -> Answer {
    let mut html = Html::default();
    if let Some(problem) = problem {
        html.raw("<p id=\"problem\" class=\"note bad\" role=\"alert\">").raw(problem).raw("</p>");
    }
    html.raw("<form class=\"sign-in\" method=\"post\" action=\"/ui/session\">")
        .raw("<label for=\"key\">Key of an operator</label>")
        .raw("<input id=\"key\" name=\"key\" type=\"password\" required autocomplete=\"off\" ")
        .raw("spellcheck=\"false\" maxlength=\"200\" ")
        .raw(match problem {
            Some(_) => "aria-invalid=\"true\" aria-describedby=\"problem hint\" autofocus>",
            None => "aria-describedby=\"hint\" autofocus>",
        })
        .raw("<p id=\"hint\" class=\"muted\">On the machine of this node, ")
        .raw("<code>bartizan admin key create</code> makes one.</p>")
        .raw("<button type=\"submit\">Sign in</button></form>");
    Frame { title: "Sign in", place: "", operator: None }.around(status, &html)
}
