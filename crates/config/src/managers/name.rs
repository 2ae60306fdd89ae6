//! References to secrets, taken apart.

use std::fmt;
use std::sync::Arc;

use crate::words::quoted;

/// Longest reference, in bytes.
const REFERENCE_MAX: usize = 1_024;

/// What a reference names: `$secret://vault/<id>/<path>/<key>`,
/// `$secret://aws/<id>/<secret>[/<key>]` or `$secret://gcp/<id>/<secret>[/<key>]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName {
    /// The id of the secret manager, as in `vault/1`.
    pub manager: Arc<str>,
    /// The secret: in a Vault its path behind the prefix, elsewhere its name.
    pub path: Arc<str>,
    /// The key in it; nothing where the secret as a whole is meant.
    pub key: Option<Arc<str>>,
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$secret://{}/{}", self.manager, self.path)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, "/{key}"))
    }
}

impl SecretName {
    /// Takes apart what stands behind `$secret://`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > REFERENCE_MAX {
            return Err(format!("the reference is longer than {REFERENCE_MAX} bytes"));
        }
        let (manager, rest) = text.split_once('/').unwrap_or((text, ""));
        let form = match manager {
            "aws" => "$secret://aws/<id>/<secret>/<key>",
            "gcp" => "$secret://gcp/<id>/<secret>/<key>",
            _ => "$secret://vault/<id>/<path>/<key>",
        };
        let Some((id, (path, key))) = rest
            .split_once('/')
            .filter(|_| matches!(manager, "vault" | "aws" | "gcp"))
            .and_then(|(id, rest)| Some((id, parts(manager, rest)?)))
            .filter(|(id, _)| !id.is_empty())
        else {
            let shown = quoted(&format!("$secret://{text}"));
            return Err(format!("the reference {shown} is not of the form `{form}`"));
        };
        let manager = format!("{manager}/{id}").into();
        Ok(Self { manager, path: path.into(), key: key.map(Into::into) })
    }
}

/// The secret and the key in what follows the id.
fn parts<'t>(manager: &str, text: &'t str) -> Option<(&'t str, Option<&'t str>)> {
    let (path, key) = match text.rsplit_once('/') {
        Some((path, key)) => (path, Some(key)),
        None if manager == "vault" => return None,
        None => (text, None),
    };
    let is_name = match manager {
        "aws" => is_aws_name(path),
        "gcp" => is_gcp_name(path),
        _ => is_path(path),
    };
    (is_name && key != Some("")).then_some((path, key))
}

/// Whether a path leads somewhere, and only down.
pub(crate) fn is_path(path: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    path.split('/').all(is_part) && !path.chars().any(char::is_control)
}

/// Whether Secrets Manager of AWS can have a secret of that name; those of other accounts are named
/// by an ARN.
fn is_aws_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-:!".contains(&b);
    (1..=512).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Whether Secret Manager of Google Cloud can have a secret of that name.
fn is_gcp_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    (1..=255).contains(&name.len()) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_manager_a_secret_and_a_key() {
        for (text, manager, path, key) in [
            ("vault/1/jack/auth-key", "vault/1", "jack", Some("auth-key")),
            ("vault/main/teams/a b/jack/k", "vault/main", "teams/a b/jack", Some("k")),
            ("aws/1/jack/k", "aws/1", "jack", Some("k")),
            ("aws/1/teams/jack/k", "aws/1", "teams/jack", Some("k")),
            ("aws/1/jack", "aws/1", "jack", None),
            ("gcp/a.b/jack_1/a key", "gcp/a.b", "jack_1", Some("a key")),
            ("gcp/1/jack", "gcp/1", "jack", None),
        ] {
            let name = SecretName::parse(text).unwrap();
            assert_eq!(
                (&*name.manager, &*name.path, name.key.as_deref()),
                (manager, path, key),
                "{text}"
            );
            assert_eq!(name.to_string(), format!("$secret://{text}"));
        }
    }

    #[test]
    fn what_leads_nowhere_is_no_reference() {
        for text in [
            "",
            "vault",
            "vault/",
            "vault/1",
            "vault/1/key",
            "vault//a/b",
            "vault/1//b",
            "vault/1/a/",
            "vault/1/../sys/b",
            "vault/1/a/./b",
            "vault/1/a\n/b",
            "env/1/a/b",
            "azure/1/a",
            "aws",
            "aws/1",
            "aws//a/b",
            "aws/1/a/",
            "aws/1//b",
            "aws/1/a b/c",
            "aws/1/a\"/c",
            "gcp/1/",
            "gcp/1/a/b/c",
            "gcp/1/../b",
            "gcp/1/a:access/b",
        ] {
            let problem = SecretName::parse(text).unwrap_err();
            assert!(problem.contains("is not of the form"), "{text}: {problem}");
        }
    }

    #[test]
    fn references_and_names_have_a_greatest_length() {
        for (before, after, max) in [
            ("vault/1/", "/k", REFERENCE_MAX - "vault/1//k".len()),
            ("aws/1/", "/k", 512),
            ("gcp/1/", "/k", 255),
        ] {
            for (length, is_read) in [(max - 1, true), (max, true), (max + 1, false)] {
                let text = format!("{before}{}{after}", "x".repeat(length));
                assert_eq!(SecretName::parse(&text).is_ok(), is_read, "{before} {length}");
            }
        }
    }
}
