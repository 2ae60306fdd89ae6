//! Assertions: what a service account says of itself, signed with its key (RFC 7523 §3, with
//! `RS256` of RFC 7518 §3.3). They name no subject, as Google asks of an account that speaks for
//! itself.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use bartizan_config::ServiceAccount;
use bartizan_core::{Secret, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;

use crate::fault::Fault;

/// The grant that an assertion stands for.
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion is good, in seconds: the longest time that Google takes.
const LIFETIME: u64 = 3_600;

/// The key of an account.
pub(super) struct AccountKey(RsaKeyPair);

/// Nothing of a key is shown.
impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(…)")
    }
}

impl AccountKey {
    /// Reads a key of 2048 to 8192 bits, in PKCS #8 or PKCS #1.
    pub(super) fn read(pem: &Secret) -> Result<Self, Fault> {
        let unusable =
            || Fault::Unusable("its `private_key` is no RSA key in PEM that can sign".to_owned());
        let key = match PrivateKeyDer::from_pem_slice(pem.expose()) {
            Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            _ => return Err(unusable()),
        };
        key.map(Self).map_err(|_| unusable())
    }

    /// An assertion of this moment.
    pub(super) fn assertion(
        &self,
        account: &ServiceAccount,
        now: Timestamp,
    ) -> Result<String, Fault> {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(json!({ "alg": "RS256", "typ": "JWT" }));
        let claims = part(json!({
            "iss": account.client_email,
            "scope": account.scope.join(" "),
            "aud": account.token_uri,
            "iat": now.as_secs(),
            "exp": now.as_secs().saturating_add(LIFETIME),
        }));
        let signed = format!("{head}.{claims}");
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0
            .sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
            .map_err(|_| Fault::Unusable("its `private_key` does not sign".to_owned()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
