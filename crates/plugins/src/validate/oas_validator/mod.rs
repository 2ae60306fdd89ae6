//! Holds requests against an OpenAPI document (3.0 or 3.1).
//!
//! ```yaml
//! oas-validator:
//!   spec: |
//!     openapi: 3.1.0
//!     info: {title: Orders, version: "1"}
//!     paths:
//!       /orders/{id}:
//!         put:
//!           parameters:
//!             - {name: id, in: path, required: true, schema: {type: integer}}
//!             - {name: notify, in: query, schema: {type: boolean}}
//!           requestBody:
//!             required: true
//!             content:
//!               application/json:
//!                 schema:
//!                   type: object
//!                   required: [amount]
//!                   properties: {amount: {type: integer, minimum: 1}}
//!                   additionalProperties: false
//! ```
//!
//! or `spec_file: api/openapi.yaml`, a file that is read when the configuration is loaded and
//! watched from then on. Write it on a service whose routes are those of the document, or on one
//! route for all of them: each place where it stands reads the document, and all of them share what
//! it compiles to. `bartizan init --openapi FILE` writes such a configuration.
//!
//! # What is checked
//!
//! * **Path and method.** Paths begin where the document's `servers` say (their hosts do not
//!   matter), or at `base_path`. What is written out comes before what is a template, segment by
//!   segment. The first path that matches decides: if it has not the method, no other path is
//!   tried. HEAD is checked like GET where the document has no HEAD. What is not in the document is
//!   refused.
//! * **Parameters** in path, query, header fields and cookies, in all styles (`matrix`, `label`,
//!   `simple`, `form`, `spaceDelimited`, `pipeDelimited`, `deepObject`, exploded or not) or with a
//!   `content` of JSON or text. Numbers are written as JSON writes them. A single value that comes
//!   twice is refused. Lists and deeper levels in `deepObject`, which the specification leaves
//!   open, are `a[]=1`, `a[0]=1`, `a[b][c]=1`. Where a schema leaves several kinds of values, text
//!   is read as the first one that fits. A comma that is encoded inside of a list can be a comma or
//!   the end of an item: both readings must fit. `allowReserved` changes how text is written, not
//!   what it is.
//! * **Query parameters that the operation does not name** are refused, except credentials: those
//!   that an authentication plugin has taken out of the request, and those of the document's
//!   `apiKey` schemes. Nothing else would say that nobody has looked at them, and they are a way
//!   to reach what a backend reads besides. `reject_undeclared_query: false` lets them pass, as
//!   compatibility mode does. Header fields and cookies that are not named pass: browsers and
//!   proxies add their own.
//! * **Bodies** by content type: JSON and `+json`, `application/x-www-form-urlencoded` (with
//!   `encoding`), `multipart/form-data` (fields, JSON parts, presence and types of files), and text
//!   whose schema is a string. JSON is read strictly: names that come twice, depth, number of items
//!   and invalid UTF-8 are refused. A body without a content type, or with one that the operation
//!   does not have, is refused, and so is a body where the operation has none. Other types (XML,
//!   images) must be among those of the operation and are not looked into. The bytes that are
//!   forwarded are those received; no default is put in.
//!
//! Schemas of 3.1 are JSON Schema 2020-12; those of 3.0 mean what that version says: `nullable`
//! counts beside `type` only, what stands beside `$ref` is ignored but for `readOnly`, and a
//! `discriminator` chooses among the schemas of `oneOf` and `anyOf`. In both, properties that are
//! `readOnly` are not required in requests, and refused there unless `reject_read_only: false`:
//! clients that send back what they got need that. `format` is checked where it is known; integers
//! of a format such as `int32` have its bounds. `pattern` is matched in linear time, so look-around
//! and back-references are refused, unless `danger_skip_unsupported_patterns` leaves them out.
//!
//! `$ref` leads to places in the same document and in the files of `ref_files`, in circles if need
//! be. Nothing is ever fetched, and `spec_url` is not supported yet.
//!
//! # Answers
//!
//! 404 for a path, 405 for a method (with `Allow`) and 415 for a content type that the document
//! does not have, 400 for everything else, or `rejection_status_code` for all. `detail` tells the
//! client what does not fit: `body at `/lines/0/amount`: minimum; query at `/notify`: type`, at
//! most eight places, which name parameters, properties and rules, never values;
//! `verbose_errors: false` keeps it to the audit log, which has the operation too. In compatibility
//! mode the answer is 400 and `failed to validate request.`, with the places only if
//! `verbose_errors: true`.
//!
//! # Headers
//!
//! Those that the operation has as parameters are read. A 405 has `Allow`.
//!
//! # What it costs
//!
//! A look-up in a tree of segments, some small allocations for the parameters that there are, and
//! reading the body, on routes whose document has bodies: as much as `request-validation`. The
//! document is compiled once and kept until it changes: GitHub's (845 operations, 5.7 MB) in less
//! than half a second and with at most 70 MiB, in a build without optimisation.
//!
//! # What it cannot do
//!
//! It does not enforce the document's `security`: that is what authentication plugins are for.
//! It does not look at answers, callbacks and webhooks. `matrix` parameters are read, but no
//! request has one, since the gateway refuses `;` in paths. A header field that an authentication
//! plugin takes out of the request cannot be a required parameter; describe it as a security
//! scheme. Not supported yet: `$id`, `$anchor` and `$dynamicRef` in schemas, other dialects of
//! JSON Schema, OpenAPI 3.2, Swagger 2.0.
//!
//! # How it differs from Apache APISIX
//!
//! Apache APISIX looks at neither servers nor cookies, checks only the top level of a body for
//! `readOnly`, tries other paths if the method does not fit, ignores a slash at the end, and takes
//! YAML for no document. `reject_if_not_match: false` is called `danger_reject_if_not_match`. The
//! limit of a body is that of the node. It is in the same place as `request-validation`: before
//! requests are rewritten.

mod body;
mod check;
mod compile;
mod config;
mod deep;
pub(crate) mod fuzz;
mod media;
mod metrics;
mod multipart;
mod operation;
mod pairs;
mod parameter;
mod paths;
mod refusal;
mod shape;
mod source;
mod style;
#[cfg(test)]
mod style_tests;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::Arc;

use bartizan_chain::{
    BodyNeed, CompileCx, Flow, JsonLimits, Kinship, Nothing, Plugin, Proofs, Proven, RequestCx,
    Traits, Unsupported,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};

use crate::node_state::node_metrics;
use crate::openapi::{DocumentFault, Documents};
use compile::Options;
pub use config::Config;
use metrics::OasMetrics;
use operation::{Request, Scope};
use refusal::Answers;
use source::Shared;

/// Compiled `oas-validator`.
pub struct OasValidator {
    document: Shared,
    scope: Scope,
    body: BodyNeed,
    limits: JsonLimits,
    answers: Answers,
    /// Whether requests that do not fit are refused.
    refuses: bool,
    metrics: Arc<OasMetrics>,
}

const NEVER_FETCHED: Unsupported = Unsupported::NotYet(
    "documents are not fetched; save it into a file and name that in `spec_file`",
);

impl Plugin for OasValidator {
    const NAME: &'static str = "oas-validator";
    const PRIORITY: i32 = 512;
    const KINSHIP: Kinship = Kinship::Different(
        "documents are compiled once and nothing is fetched; repeated and undeclared \
         parameters are refused; bodies are parsed strictly",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Validate]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
        ("spec_url", NEVER_FETCHED),
        ("spec_url_request_headers", NEVER_FETCHED),
        ("ssl_verify", NEVER_FETCHED),
        ("timeout", NEVER_FETCHED),
    ];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        let body_max = body_max(&config, cx)?;
        let document = source::load(&config, cx)?;
        let has_bodies = document.api().is_some_and(operation::Api::has_bodies);
        let scope = Scope {
            path: !config.skip_path_params_validation,
            query: !config.skip_query_param_validation,
            headers: !config.skip_request_header_validation,
            body: !config.skip_request_body_validation,
            closed_query: config.reject_undeclared_query.unwrap_or(!is_apisix),
            closed_body: config.reject_undeclared_body.unwrap_or(!is_apisix),
        };
        let body = match (scope.body, has_bodies) {
            (true, true) => BodyNeed::Bytes { max: body_max },
            // None is due, and the first byte of one ends the request.
            (true, false) if scope.closed_body => BodyNeed::Bytes { max: 0 },
            _ => BodyNeed::None,
        };
        let limits = &cx.node.limits;
        let usual = is_apisix.then_some(400);
        Ok(Self {
            document,
            scope,
            body,
            limits: limits.into(),
            answers: Answers {
                status: config.rejection_status_code.or(usual),
                is_verbose: config.verbose_errors.unwrap_or(!is_apisix),
                is_apisix,
            },
            refuses: config.danger_reject_if_not_match,
            metrics: node_metrics(cx, OasMetrics::default),
        })
    }

    fn traits(&self) -> Traits {
        let proves = Proofs { schema: self.scope.body && self.refuses, ..Proofs::default() };
        Traits { body: self.body, proves, ..Traits::in_stages(&[Stage::Validate]) }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        // What is forwarded whether it fits or not proves nothing.
        let proven = (self.refuses && cx.wants_proven()).then(RefCell::<Proven>::default);
        match self.check(&Request::of(cx), proven.as_ref()) {
            Err(_) if !self.refuses => self.metrics.unmatched(),
            verdict => verdict?,
        }
        if let Some(proven) = proven {
            cx.prove(proven.into_inner());
        }
        Ok(Flow::Continue)
    }
}

impl OasValidator {
    fn check(&self, request: &Request<'_>, proven: Option<&RefCell<Proven>>) -> Result<(), Denial> {
        let Some(api) = self.document.api() else {
            return Err(Denial::new(Reason::Internal, "a document that was never compiled"));
        };
        api.check(request, self.scope, self.limits, proven)
            .map_err(|(operation, refusal)| self.answers.denial(operation, &refusal))
    }
}

/// Says what of a description `oas-validator` would refuse when it compiles it.
pub fn check_document(documents: &Documents) -> Result<(), DocumentFault> {
    let options = Options { base_path: None, rejects_read_only: true, skips_patterns: false };
    compile::compile(documents, &options).map(drop)
}

/// The largest body that is read.
fn body_max(config: &Config, cx: &CompileCx<'_>) -> Result<usize, Invalid> {
    const KEY: &str = "max_req_body_size";
    if config.max_req_body_size.is_some() && config.skip_request_body_validation {
        return Err(Invalid::at(KEY, "no body is read with `skip_request_body_validation`"));
    }
    let limits = &cx.node.limits;
    let body_max = config.max_req_body_size.unwrap_or(limits.inspected_body.0);
    if body_max > limits.body_max.0 {
        let problem = format!("{body_max} bytes are more than `limits.body_max` allows");
        return Err(Invalid::at(KEY, problem).with_help(format!("at most {}", limits.body_max)));
    }
    Ok(usize::try_from(body_max).unwrap_or(usize::MAX))
}
