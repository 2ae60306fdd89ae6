//! Service accounts of Google Cloud, in a secret manager or in a file that it names.

use super::managers::Common;
use super::{Reader, Site};
use crate::diagnostic::{Invalid, PathStep};
use crate::managers::{Gcp, Keeper, SecretManager, ServiceAccount};
use crate::reference::Unresolved;
use crate::wire::{GcpWire, ServiceAccountFile, ServiceAccountWire};
use crate::words::quoted;

/// Longest file of an account, in bytes.
const ACCOUNT_FILE_MAX: usize = 64 * 1_024;
/// Longest key, in bytes of PEM: one of 8192 bits has less than 7,000.
const PRIVATE_KEY_MAX: usize = 16 * 1_024;
/// Longest name of an account, in characters.
const EMAIL_MAX: usize = 320;
/// What a token may be good for, at most.
const SCOPES_MAX: usize = 32;
/// Longest of them, in bytes.
const SCOPE_MAX: usize = 256;

impl Reader<'_> {
    pub(super) fn read_gcp(&mut self, site: &Site<'_>, id: &str) -> Option<SecretManager> {
        let wire: GcpWire = self.manager_wire(site, id)?;
        let before = self.diagnostics.len();
        let danger_plaintext = wire.danger_plaintext;
        let account = match (wire.auth_config, wire.auth_file) {
            (Some(account), None) => self.account(site, account, danger_plaintext, |field| {
                ["auth_config", field].map(|key| PathStep::Key(key.to_owned())).to_vec()
            }),
            (None, Some(path)) => {
                let account = self.account_of_file(site, &path)?;
                let before = self.diagnostics.len();
                let account = self.account(site, account, danger_plaintext, |_| {
                    vec![PathStep::Key("auth_file".to_owned())]
                });
                let told = self.diagnostics.get_mut(before..).unwrap_or_default();
                for diagnostic in told {
                    let problem = &diagnostic.problem;
                    diagnostic.problem = format!("in the file {}: {problem}", quoted(&path));
                }
                account
            }
            (Some(_), Some(_)) => {
                let problem = "only one of `auth_config` and `auth_file` may be given";
                self.invalid(site, &Invalid::at("auth_file", problem));
                None
            }
            (None, None) => {
                self.invalid(site, &Invalid::new("`auth_config` or `auth_file` is required"));
                None
            }
        };
        let danger_verify_off = !wire.danger_ssl_verify;
        if danger_verify_off && wire.tls.is_some() {
            let problem = "nothing is verified, so that `tls` would have no effect";
            self.invalid(site, &Invalid::at("danger_ssl_verify", problem));
        }
        if let Some(account) = &account {
            let uris = [account.token_uri.as_str(), &account.entries_uri];
            self.judge_tls(site, wire.tls.as_ref(), &uris);
            if danger_verify_off && uris.iter().all(|uri| uri.starts_with("http://")) {
                let key = "danger_ssl_verify";
                let problem = format!("`{key}` has no effect without `https`");
                self.invalid(site, &Invalid::at(key, problem));
            }
        }
        let common = Common {
            tls: wire.tls,
            refresh: wire.refresh,
            stale_max: wire.stale_max,
            timeout: wire.timeout,
        };
        let keeper = account.map(|account| Keeper::Gcp(Gcp { account, danger_verify_off }));
        self.finish_manager(site, id, before, keeper, common)
    }

    /// The service account in a file, as far as that may be read.
    fn account_of_file(&mut self, site: &Site<'_>, path: &str) -> Option<ServiceAccountWire> {
        let folder = self.sources.folder(site.node.place.source).to_owned();
        let text = match self.rules.resolver.resolve(&format!("$file://{path}"), &folder) {
            Ok(text) => text,
            Err(Unresolved::Because(problem)) => {
                self.invalid(site, &Invalid::at("auth_file", problem));
                return None;
            }
            Err(Unresolved::Later) => return None,
        };
        if text.len() > ACCOUNT_FILE_MAX {
            let problem =
                format!("the file {} has more than {ACCOUNT_FILE_MAX} bytes", quoted(path));
            self.invalid(site, &Invalid::at("auth_file", problem));
            return None;
        }
        // What is in it is not repeated.
        let read: Result<ServiceAccountFile, _> = serde_json::from_str(&text);
        if read.is_err() {
            let problem = format!(
                "the file {} is no JSON object with the texts `client_email`, `private_key` and \
                 `project_id`",
                quoted(path)
            );
            self.invalid(site, &Invalid::at("auth_file", problem));
        }
        read.ok().map(Into::into)
    }

    /// Judges what a service account says, wherever it stands.
    fn account(
        &mut self,
        site: &Site<'_>,
        wire: ServiceAccountWire,
        danger_plaintext: bool,
        path: impl Fn(&str) -> Vec<PathStep>,
    ) -> Option<ServiceAccount> {
        let mut problems = Vec::new();
        let mut tell = |field: &str, problem: String, help: Option<&str>| {
            let help = help.map(str::to_owned);
            problems.push(Invalid {
                path: path(field),
                problem: format!("`{field}` {problem}"),
                help,
            });
        };
        if !wire.private_key.expose_str().is_some_and(|pem| pem.contains("-----BEGIN ")) {
            tell("private_key", "is no PEM text of a private key".to_owned(), None);
        } else if wire.private_key.len() > PRIVATE_KEY_MAX {
            tell("private_key", format!("has more than {PRIVATE_KEY_MAX} bytes"), None);
        }
        if !is_project(&wire.project_id) {
            tell("project_id", "is no project such as `shop-4711`".to_owned(), None);
        }
        if wire.client_email.is_empty() || wire.client_email.chars().any(char::is_control) {
            tell("client_email", "is no name of an account".to_owned(), None);
        } else if wire.client_email.chars().count() > EMAIL_MAX {
            tell("client_email", format!("has more than {EMAIL_MAX} characters"), None);
        }
        if !(1..=SCOPES_MAX).contains(&wire.scope.len()) {
            tell("scope", format!("has not 1 to {SCOPES_MAX} items"), None);
        } else if !wire.scope.iter().all(|scope| is_scope(&scope.0)) {
            let form = format!("is not of scopes of up to {SCOPE_MAX} characters without spaces");
            tell("scope", form, None);
        }
        for (field, uri) in [("token_uri", &wire.token_uri), ("entries_uri", &wire.entries_uri)] {
            if !is_address(uri) {
                let form = "is not of the form `https://host:port/path`";
                tell(field, form.to_owned(), None);
            } else if is_in_clear(uri) && !danger_plaintext {
                let help = "write `https://`, or `danger_plaintext: true`";
                let problem = "is on another machine and not `https`";
                tell(field, problem.to_owned(), Some(help));
            }
        }
        for problem in &problems {
            self.invalid(site, problem);
        }
        problems.is_empty().then(|| ServiceAccount {
            client_email: wire.client_email,
            private_key: wire.private_key,
            project_id: wire.project_id,
            token_uri: wire.token_uri,
            entries_uri: wire.entries_uri.trim_end_matches('/').to_owned(),
            scope: wire.scope.into_iter().map(|scope| scope.0).collect(),
        })
    }
}

/// Whether a text is a scope (RFC 6749 §3.3).
fn is_scope(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
    (1..=SCOPE_MAX).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Whether a project can have that name, or number.
fn is_project(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    let is_dots = name.bytes().all(|b| b == b'.');
    (1..=128).contains(&name.len()) && !is_dots && name.bytes().all(is_allowed)
}

/// Whether a text is scheme, host and path of a server, and nothing that does not belong there.
fn is_address(uri: &str) -> bool {
    let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"));
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"?#@\\\"<>^`{|}%".contains(&b);
    let has_host = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', ':']);
    uri.len() <= 2_048 && rest.is_some_and(|rest| has_host(rest) && rest.bytes().all(is_plain))
}

fn is_in_clear(uri: &str) -> bool {
    let rest = uri.strip_prefix("http://");
    rest.is_some_and(|rest| !crate::node::is_local(&rest.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_has_a_length_at_most_and_no_spaces() {
        for (length, is_one) in [(0, false), (1, true), (SCOPE_MAX, true), (SCOPE_MAX + 1, false)] {
            assert_eq!(is_scope(&"a".repeat(length)), is_one, "{length}");
        }
        for text in ["a b", "a\"", "a\\", "é"] {
            assert!(!is_scope(text), "{text}");
        }
    }
}
