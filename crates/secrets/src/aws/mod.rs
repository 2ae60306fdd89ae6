//! Secrets Manager of AWS: `GetSecretValue`, signed with Signature Version 4.

mod sign;

use std::sync::Arc;

use bartizan_config::{Aws, SecretManager};
use bartizan_core::Clock;
use bartizan_net::Reach;
use bartizan_wire::Fields;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::document::Document;
use crate::fault::Fault;
use crate::line::Line;
use sign::{Signed, Signing};

/// The name of the service in signatures.
const SERVICE: &str = "secretsmanager";
/// What is asked.
const TARGET: &str = "secretsmanager.GetSecretValue";
/// What of a name of an error is looked at, in bytes.
const NAME_MAX: usize = 128;

/// Secrets Manager of one region.
#[derive(Debug)]
pub(crate) struct AwsServer {
    aws: Aws,
    line: Line,
    clock: Clock,
}

/// A secret as it is answered.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "SecretString")]
    text: Option<String>,
    #[serde(rename = "SecretBinary")]
    binary: Option<serde::de::IgnoredAny>,
}

/// An error as it is answered.
#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type")]
    name: String,
}

impl AwsServer {
    pub(crate) fn new(
        manager: &SecretManager,
        aws: Aws,
        reach: Arc<dyn Reach>,
        clock: &Clock,
    ) -> Result<Self, Fault> {
        let line = Line::new(manager, ("endpoint_url", &aws.endpoint), false, reach, clock)?;
        Ok(Self { aws, line, clock: clock.clone() })
    }

    /// Reads the current version of a secret.
    pub(crate) async fn read(&self, name: &str) -> Result<Document, Fault> {
        let body = json!({ "SecretId": name, "VersionStage": "AWSCURRENT" }).to_string();
        let fields = self.fields(body.as_bytes());
        let answered = self.line.call(&Method::POST, "/", &fields, body.as_bytes()).await?;
        let status = answered.status.as_u16();
        if status != 200 {
            let fault = fault_of(status, answered.body());
            self.line.note(&fault);
            return Err(fault);
        }
        let answer: Answer = serde_json::from_slice(answered.body())
            .map_err(|_| Fault::Broken("not that of AWS"))?;
        match (answer.text, answer.binary) {
            (Some(text), _) => Ok(Document::of_text(text)),
            (None, Some(_)) => Err(Fault::Broken("of a secret that is no text")),
            (None, None) => Err(Fault::Broken("without a value")),
        }
    }

    /// The fields of a request with its signature.
    fn fields(&self, body: &[u8]) -> Fields {
        let time = sign::time(self.clock.now());
        let text = |secret: &bartizan_core::Secret| secret.expose().to_vec();
        let token = self.aws.session_token.as_ref().map(text);
        let mut signed: Vec<(&str, &[u8])> = vec![
            ("content-type", b"application/x-amz-json-1.1"),
            ("host", self.line.authority().as_bytes()),
            ("x-amz-date", time.as_bytes()),
        ];
        if let Some(token) = &token {
            signed.push(("x-amz-security-token", token));
        }
        signed.push(("x-amz-target", TARGET.as_bytes()));
        let signing = Signing {
            access_key_id: self.aws.access_key_id.expose_str().unwrap_or_default(),
            secret_access_key: &self.aws.secret_access_key,
            region: &self.aws.region,
            service: SERVICE,
        };
        let request = Signed { method: "POST", path: "/", query: "", fields: &signed, body };
        let authorization = signing.authorization(&time, &request);
        let mut fields = Fields::new();
        for (name, value) in signed.iter().filter(|(name, _)| *name != "host") {
            fields.append(*name, value.to_vec());
        }
        fields.append("authorization", authorization.into_bytes());
        fields
    }
}

/// What an error means: by its name, of which none that is not known here is repeated.
fn fault_of(status: u16, body: &[u8]) -> Fault {
    const OF_KEY: [&str; 7] = [
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
        "ExpiredTokenException",
        "RequestExpired",
    ];
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let name = refusal.map(|refusal| refusal.name).filter(|name| name.len() <= NAME_MAX);
    let name = name.unwrap_or_default();
    // Some servers write the name space before it.
    let name = name.rsplit('#').next().unwrap_or_default();
    if let Some(known) = OF_KEY.into_iter().find(|known| *known == name) {
        return Fault::NotAccepted(known);
    }
    match name {
        "ResourceNotFoundException" => Fault::Absent(""),
        "InvalidRequestException" => Fault::Absent(": it is marked for deletion"),
        "AccessDeniedException" => Fault::MayNotRead(status),
        "DecryptionFailure" => Fault::Broken("that its key in KMS does not open the secret"),
        "ThrottlingException" | "LimitExceededException" => Fault::TooOften,
        _ => match status {
            404 => Fault::Status(404),
            403 => Fault::MayNotRead(status),
            other => Fault::of_status(other),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_its_name_and_one_that_is_not_is_not_repeated() {
        for (status, body, expected) in [
            (400, r#"{"__type":"ResourceNotFoundException"}"#, Fault::Absent("")),
            (400, r#"{"__type":"a.b#ResourceNotFoundException"}"#, Fault::Absent("")),
            (400, r#"{"__type":"AccessDeniedException"}"#, Fault::MayNotRead(400)),
            (
                400,
                r#"{"__type":"ExpiredTokenException","message":"m"}"#,
                Fault::NotAccepted("ExpiredTokenException"),
            ),
            (400, r#"{"__type":"ThrottlingException"}"#, Fault::TooOften),
            (400, r#"{"__type":"<script>"}"#, Fault::Status(400)),
            (400, "<html>", Fault::Status(400)),
            // A path that is not that of the service says nothing of the secret.
            (404, "", Fault::Status(404)),
            (403, "", Fault::MayNotRead(403)),
            (500, r#"{"__type":"InternalServiceError"}"#, Fault::OutOfOrder(500)),
            (503, "", Fault::OutOfOrder(503)),
        ] {
            assert_eq!(fault_of(status, body.as_bytes()), expected, "{status} {body}");
        }
        let known = "ResourceNotFoundException";
        for (length, is_known) in [(NAME_MAX, true), (NAME_MAX + 1, false)] {
            let name = format!("{}#{known}", "x".repeat(length - known.len() - 1));
            let body = json!({ "__type": name }).to_string();
            assert_eq!(fault_of(400, body.as_bytes()) == Fault::Absent(""), is_known, "{length}");
        }
    }
}
