//! The form in which Apache APISIX encrypts secrets: AES-CBC, whose first block is chained to the
//! key itself, in Base64. It protects against reading alone: whoever can write can change it.

use std::fmt;

use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes of a block, and of what the first one is chained to.
const BLOCK: usize = 16;

/// The keys of APISIX, each of 16 or 32 bytes. The first encrypts, all decrypt.
#[derive(Clone, Default)]
pub struct ApisixKeyring(Vec<Secret>);

impl fmt::Debug for ApisixKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApisixKeyring({})", self.0.len())
    }
}

impl ApisixKeyring {
    /// A keyring; `None` where a key has neither 16 nor 32 bytes.
    pub fn new(keys: Vec<Secret>) -> Option<Self> {
        keys.iter().all(|key| matches!(key.len(), 16 | 32)).then_some(Self(keys))
    }

    /// Whether there is no key in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn seal(&self, clear: &str) -> Option<String> {
        let key = self.0.first()?;
        let mut bytes = clear.as_bytes().to_vec();
        let sealing = PaddedBlockEncryptingKey::cbc_pkcs7(unbound(key)?).ok()?;
        let start = EncryptionContext::Iv128(FixedLength::from(start(key)?));
        sealing.less_safe_encrypt(&mut bytes, start).ok()?;
        Some(STANDARD.encode(bytes))
    }

    /// What a text says under the first key that opens it.
    pub(super) fn open(&self, text: &str) -> Option<String> {
        let bytes = STANDARD.decode(text).ok()?;
        self.0.iter().find_map(|key| open(key, &bytes))
    }

    /// Whether the first key opens a text.
    pub(super) fn is_of_first(&self, text: &str) -> bool {
        let bytes = STANDARD.decode(text).ok();
        let first = self.0.first();
        looks_sealed(text)
            && first.zip(bytes).is_some_and(|(key, bytes)| open(key, &bytes).is_some())
    }
}

/// Whether a text is whole blocks in Base64, as everything that APISIX encrypts.
pub fn looks_sealed(text: &str) -> bool {
    text.len() >= BLOCK * 4 / 3
        && STANDARD.decode(text).is_ok_and(|bytes| !bytes.is_empty() && bytes.len() % BLOCK == 0)
}

fn open(key: &Secret, bytes: &[u8]) -> Option<String> {
    let opening = PaddedBlockDecryptingKey::cbc_pkcs7(unbound(key)?).ok()?;
    let mut bytes = bytes.to_vec();
    let start = DecryptionContext::Iv128(FixedLength::from(start(key)?));
    let clear = opening.decrypt(&mut bytes, start).ok()?;
    let text = std::str::from_utf8(clear).ok()?;
    // What another key opens by chance is hardly ever text.
    (!text.is_empty()).then(|| text.to_owned())
}

fn unbound(key: &Secret) -> Option<UnboundCipherKey> {
    let algorithm = if key.len() == 16 { &AES_128 } else { &AES_256 };
    UnboundCipherKey::new(algorithm, key.expose()).ok()
}

fn start(key: &Secret) -> Option<[u8; BLOCK]> {
    key.expose().get(..BLOCK)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(keys: &[&str]) -> ApisixKeyring {
        ApisixKeyring::new(keys.iter().map(|key| Secret::new(*key)).collect()).unwrap()
    }

    /// `openssl enc -aes-128-cbc -a -K $(printf 0123456789abcdef | xxd -p) -iv (the same)`, and with
    /// a key of 32 bytes, of which the first 16 are the start.
    #[test]
    fn what_openssl_encrypts_that_way_is_read_and_written_alike() {
        for (key, clear, sealed) in [
            ("0123456789abcdef", "hunter2", SEALED_128),
            ("0123456789abcdef0123456789ABCDEF", "a longer text of two blocks", SEALED_256),
        ] {
            let keyring = keyring(&[key]);
            assert_eq!(keyring.seal(clear).as_deref(), Some(sealed));
            assert_eq!(keyring.open(sealed).as_deref(), Some(clear));
            assert!(looks_sealed(sealed) && keyring.is_of_first(sealed));
        }
    }

    const SEALED_128: &str = "5WrPd8556C66kUtoGbal5g==";
    const SEALED_256: &str = "wBC1Hfja7X1hxG4Wj2EssDfp5YR0uszQ5snFCnwKQY4=";

    #[test]
    fn any_key_of_the_ring_opens_and_only_the_first_encrypts() {
        let (old, both) =
            (keyring(&["0123456789abcdef"]), keyring(&["fedcba9876543210", "0123456789abcdef"]));
        let sealed = old.seal("hunter2").unwrap();
        assert_eq!(both.open(&sealed).as_deref(), Some("hunter2"));
        assert!(!both.is_of_first(&sealed));
        assert_ne!(both.seal("hunter2").unwrap(), sealed);
        assert_eq!(keyring(&["fedcba9876543210"]).open(&sealed), None);
    }

    #[test]
    fn clear_text_does_not_look_encrypted() {
        for text in
            ["", "hunter2", "not base64 at all, but long enough", "aGVsbG8gd29ybGQ=", "$env://KEY"]
        {
            assert!(!looks_sealed(text), "{text}");
        }
        assert!(ApisixKeyring::new(vec![Secret::new("short")]).is_none());
    }
}
