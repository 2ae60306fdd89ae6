//! Pages for errors that the gateway itself answers with: 404, 500, 502 and 503.
//!
//! ```yaml
//! error-page: {}
//! ```
//!
//! with the pages as metadata of the plugin, once for the node:
//!
//! ```yaml
//! plugin_metadata:
//!   - id: error-page
//!     enable: true
//!     error_404: {body: "<h1>There is nothing here</h1>"}
//!     error_502: {body: '{"error": "try again later"}', content_type: application/json}
//! ```
//!
//! On a route it is about that route; in a global rule it is about requests that match no route as
//! well. Only answers of the gateway are replaced: what an upstream answers goes out as it is. A
//! status without a page keeps its problem details. Status and other headers stay, so that `cors`,
//! `Retry-After` and the like work as ever.
//!
//! A page is the same for everybody: it holds nothing of the request, so that nothing of the request
//! can become part of a page. To show the request's id, use the header of `request-id`.
//!
//! # Headers
//!
//! `Content-Type` is that of the page. All others of the refusal stay.
//!
//! # What it costs
//!
//! Nothing for other answers.
//!
//! # What it cannot do
//!
//! There are pages for 404, 500, 502 and 503 only; `exit-transformer` changes others. What an
//! upstream answers stays as it is.
//!
//! # How it differs from Apache APISIX
//!
//! The page of a status whose `body` is left out names no product. Answers of the upstream are
//! never replaced.

use bartizan_chain::{AnswerHead, CompileCx, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};
use bartizan_wire::is_field_value;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of `error-page`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// The pages, for the whole node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Whether the pages are used at all.
    #[serde(default)]
    enable: bool,
    /// The page for 404.
    error_404: Option<Page>,
    /// The page for 500.
    error_500: Option<Page>,
    /// The page for 502.
    error_502: Option<Page>,
    /// The page for 503.
    error_503: Option<Page>,
}

/// A page.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// The body. Absent: a short page that says what the status means.
    #[schemars(length(max = 1_048_576))]
    body: Option<String>,
    /// What it is.
    #[serde(default = "html")]
    #[schemars(length(min = 1, max = 256))]
    content_type: String,
}

fn html() -> String {
    "text/html".to_owned()
}

struct Compiled {
    status: u16,
    body: Bytes,
    content_type: Bytes,
}

/// Compiled `error-page`.
pub struct ErrorPage {
    pages: Box<[Compiled]>,
}

impl Plugin for ErrorPage {
    const NAME: &'static str = "error-page";
    const PRIORITY: i32 = 450;
    const KINSHIP: Kinship = Kinship::Different(
        "pages are plain text of the configuration, for answers of the gateway only",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Reply]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Metadata;
    type Call = ();

    fn compile(_config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let metadata = cx.metadata::<Metadata>()?.unwrap_or_default();
        let pages = [
            (404, "Not Found", metadata.error_404),
            (500, "Internal Server Error", metadata.error_500),
            (502, "Bad Gateway", metadata.error_502),
            (503, "Service Unavailable", metadata.error_503),
        ];
        let mut compiled = Vec::new();
        for (status, title, page) in pages {
            let Some(page) = page.filter(|_| metadata.enable) else { continue };
            if !is_field_value(page.content_type.as_bytes()) {
                let problem = format!("the `content_type` of `error_{status}` is not one");
                return Err(Invalid::new(problem));
            }
            let body = page.body.unwrap_or_else(|| usual(status, title));
            compiled.push(Compiled {
                status,
                body: body.into(),
                content_type: page.content_type.into(),
            });
        }
        Ok(Self { pages: compiled.into() })
    }

    fn traits(&self) -> Traits {
        Traits { on_response: !self.pages.is_empty(), ..Traits::in_stages(&[Stage::Reply]) }
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        _call: &mut (),
    ) -> Result<(), Denial> {
        let status = answer.status.as_u16();
        let page = self.pages.iter().find(|page| page.status == status && answer.is_local);
        if let Some(page) = page {
            answer.replace(page.body.clone());
            let name = Bytes::from_static(b"content-type");
            answer.fields.set(name, page.content_type.clone());
        }
        Ok(())
    }
}

fn usual(status: u16, title: &str) -> String {
    format!(
        "<html>\n<head><title>{status} {title}</title></head>\n<body>\n<center><h1>{status} \
         {title}</h1></center>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use bartizan_wire::Fields;
    use http::StatusCode;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fixture::{Bench, request};

    proptest! {
        #[test]
        fn only_errors_of_the_gateway_with_a_page_are_replaced(
            status in 200_u16..=599,
            is_local: bool,
            enable: bool,
        ) {
            let mut bench = Bench::new();
            bench.metadata = Some(json!({"enable": enable, "error_404": {}, "error_503": {}}));
            let plugin = bench.compile::<ErrorPage>(&json!({})).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            let mut answer = AnswerHead::new(status, Fields::new(), is_local);
            plugin.on_response_head(&request("/", &[]), &mut answer, &mut ()).unwrap();
            let expected = enable && is_local && matches!(status.as_u16(), 404 | 503);
            prop_assert_eq!(answer.replacement.is_some(), expected);
            prop_assert_eq!(answer.status, status);
        }
    }
}
