//! What an `Authorization` field shows: a user name and a password, or why not.

use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A user name and a password. Not yet believed.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) user: String,
    pub(super) password: Secret,
}

/// Why a field shows neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ShownFault {
    #[error("no field `authorization`")]
    Missing,
    #[error("the field `authorization` is of another scheme")]
    OtherScheme,
    #[error("the credential is not canonical base64")]
    Encoding,
    #[error("the credential has no `:`")]
    NoColon,
    #[error("the user name or the password is empty")]
    Empty,
    #[error("the user name is not UTF-8")]
    NotText,
    #[error("the credential has control characters")]
    Control,
}

impl Shown {
    /// Reads `Basic base64(name ":" password)`. The scheme may be in any case; the name ends at the
    /// first colon.
    pub(super) fn read(field: Option<&[u8]>) -> Result<Self, ShownFault> {
        let field = field.ok_or(ShownFault::Missing)?;
        let end = field.iter().position(|byte| *byte == b' ').unwrap_or(field.len());
        let (scheme, token) = field.split_at_checked(end).unwrap_or((field, &[]));
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return Err(ShownFault::OtherScheme);
        }
        // Wiped when dropped, like the password that is taken out of it.
        let decoded = STANDARD.decode(token.trim_ascii_start());
        let decoded = Secret::new(decoded.map_err(|_| ShownFault::Encoding)?);
        let text = decoded.expose();
        let colon = text.iter().position(|byte| *byte == b':').ok_or(ShownFault::NoColon)?;
        let (user, password) = text.split_at_checked(colon).unwrap_or_default();
        let password = password.get(1..).unwrap_or_default();
        if user.is_empty() || password.is_empty() {
            return Err(ShownFault::Empty);
        }
        if text.iter().any(u8::is_ascii_control) {
            return Err(ShownFault::Control);
        }
        let user = std::str::from_utf8(user).map_err(|_| ShownFault::NotText)?.to_owned();
        Ok(Self { user, password: Secret::new(password) })
    }
}
