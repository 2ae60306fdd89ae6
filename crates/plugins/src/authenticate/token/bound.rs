//! Tokens that only their sender can use (RFC 7800 §3.1).

use bartizan_chain::IdentityParts;
use bartizan_core::{Denial, Reason};

/// Refuses a token that says in `cnf` what it is bound to: it is worth nothing without it (RFC 8705
/// §3, RFC 9449 §7), and the plugins that ask here see no proof of possession.
pub(crate) fn refuse_bound(parts: &IdentityParts) -> Result<(), Denial> {
    let is_bound = parts.claims.as_ref().is_some_and(|claims| claims.get("cnf").is_some());
    if is_bound {
        let detail = "the token is bound to its sender, of which no proof is looked for here";
        return Err(Denial::new(Reason::InvalidCredential, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn whatever_a_token_is_bound_to_it_is_no_bearer_token() {
        let of = |claims: Value| {
            let claims = Some(Arc::new(claims));
            refuse_bound(&IdentityParts { claims, ..IdentityParts::default() }).is_ok()
        };
        assert!(of(json!({ "sub": "a" })));
        for cnf in [json!({ "jkt": "a" }), json!({ "x5t#S256": "a" }), json!({}), json!(null)] {
            assert!(!of(json!({ "cnf": cnf })), "{cnf}");
        }
    }
}
