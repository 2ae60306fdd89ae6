//! What must hold for every input: the laws that fuzzers and the replay of their corpora check.
//!
//! Each function takes raw bytes and panics if a law is broken. They are here, and not beside the
//! fuzz targets, so that the stable toolchain compiles and runs them too.

use crate::authenticate::hmac_auth;
use crate::jose;
pub use crate::validate::oas_validator::fuzz::openapi;

/// Inputs are cut off here: longer ones show nothing that shorter ones do not.
const INPUT_MAX: usize = 4_096;

fn cut(data: &[u8]) -> &[u8] {
    data.get(..INPUT_MAX).unwrap_or(data)
}

/// The parameters of an HTTP signature have one reading or none.
pub fn hmac_params(data: &[u8]) {
    hmac_auth::fuzz_params(cut(data));
}

/// An encrypted token has one reading or none, and opens with its own key only.
pub fn jwe(data: &[u8]) {
    jose::fuzz_jwe(cut(data));
}

/// A GraphQL document is read or refused, and what has no meaning in it changes nothing.
pub fn graphql_query(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(cut(data)) {
        crate::graphql::law(text);
    }
}

/// A signed token verifies as it was signed, or not at all.
pub fn jwt(data: &[u8]) {
    jose::fuzz_jwt(cut(data));
}

/// A JSON Schema is refused with a place in it, or judges any value.
pub fn json_schema(data: &[u8]) {
    crate::validate::request_validation::law::law(data);
}
