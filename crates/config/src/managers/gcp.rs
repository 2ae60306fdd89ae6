//! Secret Manager of Google Cloud, where references `$secret://gcp/<id>/<secret>/<key>` lead.

use bartizan_core::Secret;

/// Secret Manager, and the account that enters it.
#[derive(Clone, Debug)]
pub struct Gcp {
    /// The account.
    pub account: ServiceAccount,
    /// Its certificates are not verified: whoever sits between reads and changes all.
    pub danger_verify_off: bool,
}

/// A service account.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    /// Its name.
    pub client_email: String,
    /// PEM of its RSA key.
    pub private_key: Secret,
    /// The project that keeps the secrets.
    pub project_id: String,
    /// Where an assertion is exchanged for a token.
    pub token_uri: String,
    /// Where secrets are read, up to `/projects`; without a slash at its end.
    pub entries_uri: String,
    /// What tokens are asked for.
    pub scope: Vec<String>,
}

impl Gcp {
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let (one, another) = (&self.account, &other.account);
        self.danger_verify_off == other.danger_verify_off
            && one.client_email == another.client_email
            && one.private_key.matches(another.private_key.expose())
            && one.project_id == another.project_id
            && one.token_uri == another.token_uri
            && one.entries_uri == another.entries_uri
            && one.scope == another.scope
    }
}
