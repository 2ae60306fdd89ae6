//! Passwords as they are stored: plain, or hashed with argon2id or bcrypt.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use bartizan_config::Invalid;
use bartizan_core::{NodeKey, Secret};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, STANDARD_NO_PAD};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq;

/// Most memory of argon2id in KiB: each thread of the CPU pool may need it.
const MEMORY_MAX: u32 = 64 * 1024;
/// Most passes of argon2id over its memory.
const PASSES_MAX: u32 = 16;
/// Most memory times passes, in KiB: about a third of a second.
const WORK_MAX: u32 = 256 * 1024;
/// Most lanes of argon2id; one thread computes them all.
const LANES_MAX: u32 = 4;
/// Costs of bcrypt; 14 takes about a second.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=14;
/// bcrypt reads no more of a password.
const BCRYPT_MAX: usize = 72;
/// bcrypt has a base64 of its own, in which some tools leave bits behind the last byte.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, LOOSE);
const LOOSE: GeneralPurposeConfig = NO_PAD.with_decode_allow_trailing_bits(true);

/// Other forms of hashes, which would otherwise be taken for passwords: whoever had seen the hash
/// could log in with it.
const OTHER_FORMS: [&str; 12] = [
    "$argon2", "$2$", "$2x$", "$apr1$", "$scrypt$", "$pbkdf2", "$1$", "$5$", "$6$", "$y$", "{SHA",
    "{SSHA",
];

/// How a password is recognised.
#[derive(Debug)]
pub(super) enum Verifier {
    /// The digest of the password itself under the node's key.
    Plain([u8; 32]),
    /// Argon2id.
    Argon2id { params: Params, salt: Box<[u8]>, hash: Box<[u8]> },
    /// bcrypt; of its 24 bytes the encoded form holds 23.
    Bcrypt { cost: u32, salt: [u8; 16], hash: [u8; 23] },
}

/// The password of a consumer, as the credential index holds it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) verifier: Arc<Verifier>,
    /// Changes with name, password and hash.
    generation: [u8; 32],
}

impl Stored {
    /// Reads the `password` of a configuration.
    pub(super) fn read(password: &Secret, name: &str, key: &NodeKey) -> Result<Self, Invalid> {
        let verifier = Verifier::read(password, key).map_err(Unusable::under_password)?;
        let named = Secret::new([name.as_bytes(), b":", password.expose()].concat());
        let generation = key.digest("basic-auth generation", named.expose());
        Ok(Self { verifier: Arc::new(verifier), generation })
    }

    /// What is remembered when this password is shown and right.
    pub(super) fn success(&self, password: &Secret, key: &NodeKey) -> [u8; 32] {
        let both = Secret::new([&self.generation[..], password.expose()].concat());
        key.digest("basic-auth success", both.expose())
    }
}

/// Why a text is not a password that can be stored.
pub(super) struct Unusable(&'static str, &'static str);

impl Unusable {
    fn under_password(self) -> Invalid {
        Invalid::at("password", self.0).with_help(self.1)
    }
}

const SHAPE: &str = "copy it whole, from `$` to its last character, and quote it";

impl Verifier {
    fn read(password: &Secret, key: &NodeKey) -> Result<Self, Unusable> {
        let text = password.expose_str().unwrap_or_default();
        if text.is_empty() {
            return Err(Unusable("the password is empty", "choose a long one"));
        }
        if let Some(rest) = text.strip_prefix("$argon2id$") {
            return argon2id(rest);
        }
        if let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|id| text.strip_prefix(*id)) {
            return bcrypt(rest);
        }
        if OTHER_FORMS.iter().any(|form| text.starts_with(form)) {
            return Err(Unusable(
                "this form of password hash is not supported",
                "use argon2id (`$argon2id$`) or bcrypt (`$2b$`)",
            ));
        }
        if text.contains(char::is_control) {
            return Err(Unusable(
                "the password has control characters, which no request can show",
                "a line end at the end of a file is one of them",
            ));
        }
        Ok(Self::Plain(plain_digest(password.expose(), key)))
    }

    /// Whether a password hashes to this; `None` where there is no memory for it. Takes long on
    /// purpose.
    pub(super) fn hashes_to(&self, password: &Secret) -> Option<bool> {
        match self {
            // Needs the node's key; see `is_digest_of`.
            Self::Plain(_) => Some(false),
            Self::Argon2id { params, salt, hash } => {
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
                let mut made = vec![0_u8; hash.len()];
                argon2.hash_password_into(password.expose(), salt, &mut made).ok()?;
                Some(made.ct_eq(hash).into())
            }
            Self::Bcrypt { cost, salt, hash } => {
                let is_whole = password.len() <= BCRYPT_MAX;
                // As C reads it: up to its end, which counts where there is room for it.
                let terminated = Secret::new([password.expose(), b"\0"].concat());
                let read = terminated.expose();
                let read = read.get(..BCRYPT_MAX).unwrap_or(read);
                let made = bcrypt::bcrypt(*cost, *salt, read);
                let equal: bool =
                    made.iter().zip(hash).fold(0, |sum, (a, b)| sum | (a ^ b)).ct_eq(&0).into();
                Some(equal && is_whole)
            }
        }
    }
}

fn plain_digest(password: &[u8], key: &NodeKey) -> [u8; 32] {
    key.digest("basic-auth password", password)
}

/// Whether a plain password is the one with this digest.
pub(super) fn is_digest_of(digest: &[u8; 32], password: &Secret, key: &NodeKey) -> bool {
    plain_digest(password.expose(), key).ct_eq(digest).into()
}

/// Reads what follows `$argon2id$`: `v=19$m=…,t=…,p=…$salt$hash`.
fn argon2id(rest: &str) -> Result<Verifier, Unusable> {
    const BROKEN: Unusable = Unusable("not an argon2id hash of version 19 in PHC form", SHAPE);
    let mut parts = rest.split('$');
    let mut part = || parts.next().ok_or(BROKEN);
    let (version, costs, salt, hash) = (part()?, part()?, part()?, part()?);
    if version != "v=19" || parts.next().is_some() {
        return Err(BROKEN);
    }
    let mut numbers = costs.split(',');
    let mut number = |name: &str| {
        let digits = numbers.next()?.strip_prefix(name)?.strip_prefix('=')?;
        let is_plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        digits.parse::<u32>().ok().filter(|_| is_plain)
    };
    let (Some(memory), Some(passes), Some(lanes), None) =
        (number("m"), number("t"), number("p"), numbers.next())
    else {
        return Err(BROKEN);
    };
    if memory > MEMORY_MAX
        || passes > PASSES_MAX
        || lanes > LANES_MAX
        || memory.saturating_mul(passes) > WORK_MAX
    {
        return Err(Unusable(
            "the hash takes more work than a request may cause",
            "at most m=65536, t=16 and p=4, and m times t at most 262144",
        ));
    }
    let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|_| BROKEN);
    let (salt, hash) = (decode(salt)?, decode(hash)?);
    if !(8..=64).contains(&salt.len()) || !(16..=64).contains(&hash.len()) {
        return Err(Unusable(
            "the hash's salt or output is too short or too long",
            "a salt has 8 to 64 bytes, an output 16 to 64",
        ));
    }
    let params = Params::new(memory, passes, lanes, Some(hash.len())).map_err(|_| BROKEN)?;
    Ok(Verifier::Argon2id { params, salt: salt.into(), hash: hash.into() })
}

/// Reads what follows `$2b$`: a cost of two digits, `$`, 22 characters of salt, 31 of hash.
fn bcrypt(rest: &str) -> Result<Verifier, Unusable> {
    const BROKEN: Unusable = Unusable("not a bcrypt hash", SHAPE);
    let (cost, rest) = rest.split_once('$').ok_or(BROKEN)?;
    let is_number = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
    let cost: u32 = cost.parse().ok().filter(|_| is_number).ok_or(BROKEN)?;
    if !BCRYPT_COSTS.contains(&cost) {
        return Err(Unusable(
            "the cost of the bcrypt hash is out of range",
            "it is 4 to 14; each step doubles the work",
        ));
    }
    let (salt, hash) = rest.split_at_checked(22).ok_or(BROKEN)?;
    let decode = |text: &str| BCRYPT_BASE64.decode(text).map_err(|_| BROKEN);
    let salt = decode(salt)?.try_into().map_err(|_| BROKEN)?;
    let hash = decode(hash)?.try_into().map_err(|_| BROKEN)?;
    Ok(Verifier::Bcrypt { cost, salt, hash })
}
