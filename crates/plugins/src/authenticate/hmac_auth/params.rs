//! The parameters of a signature: `Signature keyId="…",algorithm="…",headers="…",signature="…"`.
//!
//! One reading or none: each parameter stands once, quoted, without escapes; unknown ones are
//! refused, since one that restricts the signature (`expires`) would otherwise be passed over.

use bartizan_wire::is_token_byte;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smallvec::SmallVec;

/// What stands for method and target in the list of what is signed.
pub(super) const TARGET: &str = "@request-target";
/// Longest name of a key.
pub(super) const KEY_ID_MAX: usize = 256;
/// Most things that one signature covers.
const HEADERS_MAX: usize = 32;

/// The parameters, as a client wrote them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Params<'f> {
    pub(super) key_id: &'f str,
    pub(super) algorithm: &'f str,
    /// What is signed, in order, in the spelling that is signed.
    pub(super) headers: SmallVec<[&'f str; 8]>,
    pub(super) signature: Vec<u8>,
}

/// Why a field holds no parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParamFault {
    #[error("the field `authorization` is of another scheme")]
    OtherScheme,
    #[error("the parameters are not `name=\"value\"` with commas between them")]
    Syntax,
    #[error("the parameter `{0}` occurs twice")]
    Twice(&'static str),
    #[error("a parameter is not known")]
    Unknown,
    #[error("the parameter `{0}` is missing")]
    Missing(&'static str),
    #[error("the parameter `keyId` is empty or too long")]
    KeyId,
    #[error("the parameter `headers` is no list of names, or names one twice")]
    Headers,
    #[error("the parameter `signature` is not canonical base64")]
    Signature,
}

impl<'f> Params<'f> {
    /// Reads the value of an `Authorization` field.
    pub(super) fn read(field: &'f [u8]) -> Result<Self, ParamFault> {
        let end = field.iter().position(|byte| *byte == b' ').unwrap_or(field.len());
        let (scheme, rest) = field.split_at_checked(end).unwrap_or((field, &[]));
        if !scheme.eq_ignore_ascii_case(b"signature") {
            return Err(ParamFault::OtherScheme);
        }
        let is_plain = rest.iter().all(|byte| matches!(byte, b' '..=b'~'));
        let text = std::str::from_utf8(rest).ok().filter(|_| is_plain);
        let mut rest = text.ok_or(ParamFault::Syntax)?.trim_matches(' ');
        let mut found = Found::default();
        loop {
            rest = found.take(rest)?;
            let Some(more) = rest.strip_prefix(',') else { break };
            rest = more.trim_start_matches(' ');
        }
        if rest.is_empty() { found.params() } else { Err(ParamFault::Syntax) }
    }

    /// Whether something is signed.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.headers.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

#[derive(Default)]
struct Found<'f> {
    key_id: Option<&'f str>,
    algorithm: Option<&'f str>,
    headers: Option<&'f str>,
    signature: Option<&'f str>,
}

impl<'f> Found<'f> {
    /// Reads one parameter; what follows it comes back, without spaces.
    fn take(&mut self, text: &'f str) -> Result<&'f str, ParamFault> {
        let (name, rest) = text.split_once('=').ok_or(ParamFault::Syntax)?;
        let rest = rest.strip_prefix('"').ok_or(ParamFault::Syntax)?;
        let (value, rest) = rest.split_once('"').ok_or(ParamFault::Syntax)?;
        if value.contains('\\') || name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(ParamFault::Syntax);
        }
        let (slot, name) = match name {
            "keyId" => (&mut self.key_id, "keyId"),
            "algorithm" => (&mut self.algorithm, "algorithm"),
            "headers" => (&mut self.headers, "headers"),
            "signature" => (&mut self.signature, "signature"),
            _ => return Err(ParamFault::Unknown),
        };
        match slot.replace(value) {
            None => Ok(rest.trim_start_matches(' ')),
            Some(_) => Err(ParamFault::Twice(name)),
        }
    }

    fn params(self) -> Result<Params<'f>, ParamFault> {
        let key_id = self.key_id.ok_or(ParamFault::Missing("keyId"))?;
        if !(1..=KEY_ID_MAX).contains(&key_id.len()) {
            return Err(ParamFault::KeyId);
        }
        let signature = self.signature.ok_or(ParamFault::Missing("signature"))?;
        let signature = STANDARD.decode(signature).map_err(|_| ParamFault::Signature)?;
        Ok(Params {
            key_id,
            algorithm: self.algorithm.ok_or(ParamFault::Missing("algorithm"))?,
            headers: names(self.headers.unwrap_or_default())?,
            signature,
        })
    }
}

fn names(list: &str) -> Result<SmallVec<[&str; 8]>, ParamFault> {
    let mut names: SmallVec<[&str; 8]> = SmallVec::new();
    if list.is_empty() {
        return Ok(names);
    }
    for name in list.split(' ') {
        let is_twice = names.iter().any(|other| other.eq_ignore_ascii_case(name));
        if is_twice || !is_signable(name) || names.len() >= HEADERS_MAX {
            return Err(ParamFault::Headers);
        }
        names.push(name);
    }
    Ok(names)
}

/// True for what can be signed: a header field, or the request's target.
pub(super) fn is_signable(name: &str) -> bool {
    name == TARGET || !name.is_empty() && name.bytes().all(is_token_byte)
}

/// What must hold for every input; called by the fuzzer and by the replay of its corpus.
pub(super) fn law(field: &[u8]) {
    let Ok(params) = Params::read(field) else { return };
    assert!(!params.key_id.is_empty() && params.key_id.len() <= KEY_ID_MAX);
    assert!(params.headers.iter().all(|name| is_signable(name) && params.covers(name)));
    // What was read, written again, reads the same.
    let written = format!(
        "Signature signature=\"{}\", headers=\"{}\",algorithm=\"{}\" ,keyId=\"{}\"",
        STANDARD.encode(&params.signature),
        params.headers.join(" "),
        params.algorithm,
        params.key_id
    );
    let again = Params::read(written.as_bytes());
    assert!(again.is_ok_and(|again| is_same(&again, &params)), "read in two ways");
}

fn is_same(a: &Params<'_>, b: &Params<'_>) -> bool {
    (a.key_id, a.algorithm) == (b.key_id, b.algorithm)
        && a.headers.as_slice() == b.headers.as_slice()
        && a.signature == b.signature
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Signature keyId=\"alice\",algorithm=\"hmac-sha256\",\
                        headers=\"@request-target date\",signature=\"AAEC\"";

    #[test]
    fn parameters_are_read_in_any_order_and_spacing() {
        let params = Params::read(GOOD.as_bytes()).unwrap();
        assert_eq!((params.key_id, params.algorithm), ("alice", "hmac-sha256"));
        assert_eq!(params.headers.as_slice(), ["@request-target", "date"]);
        assert_eq!(params.signature, [0, 1, 2]);
        let other = "SIGNATURE  signature=\"AAEC\" ,  headers=\"@request-target date\" , \
                     keyId=\"alice\", algorithm=\"hmac-sha256\" ";
        assert_eq!(Params::read(other.as_bytes()), Ok(params));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (from, to, fault) in [
            ("Signature ", "Bearer ", ParamFault::OtherScheme),
            ("Signature ", "Signature", ParamFault::OtherScheme),
            ("Signature ", "Signature ,", ParamFault::Syntax),
            ("keyId=\"alice\"", "keyId=alice", ParamFault::Syntax),
            ("keyId=\"alice\"", "keyId=\"al\\\"ice\"", ParamFault::Syntax),
            ("keyId=\"alice\"", "keyId =\"alice\"", ParamFault::Syntax),
            ("keyId=\"alice\"", "keyId=\"alicé\"", ParamFault::Syntax),
            ("keyId=\"alice\"", "keyId=\"\"", ParamFault::KeyId),
            ("keyId=\"alice\",", "", ParamFault::Missing("keyId")),
            ("keyId=\"alice\",", "keyId=\"alice\",keyId=\"bob\",", ParamFault::Twice("keyId")),
            ("keyId=\"alice\",", "keyId=\"alice\",expires=\"1\",", ParamFault::Unknown),
            ("keyId=", "KeyId=", ParamFault::Unknown),
            ("algorithm=\"hmac-sha256\",", "", ParamFault::Missing("algorithm")),
            (",signature=\"AAEC\"", "", ParamFault::Missing("signature")),
            ("AAEC\"", "AAEC\",", ParamFault::Syntax),
            ("AAEC\"", "AAEC\" x", ParamFault::Syntax),
            ("AAEC", "AAE", ParamFault::Signature),
            ("AAEC", "AB==", ParamFault::Signature),
            ("@request-target date", "date  host", ParamFault::Headers),
            ("@request-target date", " date", ParamFault::Headers),
            ("@request-target date", "date Date", ParamFault::Headers),
            ("@request-target date", "(created)", ParamFault::Headers),
            ("@request-target date", "@method", ParamFault::Headers),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            assert_eq!(Params::read(text.as_bytes()), Err(fault), "{text}");
        }
    }

    #[test]
    fn names_of_keys_and_lists_are_bounded() {
        let long = GOOD.replace("alice", &"a".repeat(KEY_ID_MAX + 1));
        assert_eq!(Params::read(long.as_bytes()), Err(ParamFault::KeyId));
        let many: Vec<String> = (0..=HEADERS_MAX).map(|n| format!("x{n}")).collect();
        let many = GOOD.replace("@request-target date", &many.join(" "));
        assert_eq!(Params::read(many.as_bytes()), Err(ParamFault::Headers));
    }

    proptest::proptest! {
        #[test]
        fn every_text_has_one_reading_or_none(text in "Signature [a-zA-Z=\", @-]{0,60}") {
            law(text.as_bytes());
        }

        #[test]
        fn parameters_that_are_written_are_read(
            key_id in "[ !#-\\[\\]-~]{1,20}",
            headers in proptest::collection::hash_set("[a-z]{1,5}", 0..5),
            signature: Vec<u8>,
        ) {
            let headers: Vec<String> = headers.into_iter().collect();
            let (list, encoded) = (headers.join(" "), STANDARD.encode(&signature));
            let text = format!(
                "Signature keyId=\"{key_id}\",algorithm=\"x\",headers=\"{list}\",\
                 signature=\"{encoded}\""
            );
            let params = Params::read(text.as_bytes()).unwrap();
            proptest::prop_assert_eq!(params.key_id, key_id);
            proptest::prop_assert_eq!(params.headers.to_vec(), headers);
            proptest::prop_assert_eq!(params.signature, signature);
            law(text.as_bytes());
        }
    }
}
