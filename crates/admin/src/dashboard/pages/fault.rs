//! Why a page is not shown.

use http::StatusCode;

use crate::api::Answer;
use crate::dashboard::html::Html;
use crate::dashboard::layout::Frame;
use crate::operators::Operator;

/// An error of the API, for people.
pub(in crate::dashboard) fn fault(answer: &Answer, operator: &Operator) -> Answer {
    let title = match answer.status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "Not permitted",
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::BAD_REQUEST => "Not understood",
        _ => "Not available",
    };
    let mut html = Html::default();
    html.raw("<p class=\"note bad\">").text(&answer.problem()).raw("</p>");
    html.raw("<p><a href=\"/ui/\">Back to the overview</a></p>");
    Frame { title, place: "", operator: Some(operator) }.around(answer.status, &html)
}
