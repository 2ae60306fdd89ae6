//! The names by which a certificate belongs to a consumer.

use bartizan_config::Invalid;
use bartizan_tls::{ClientCertificate, normalise_name};
use schemars::JsonSchema;
use serde::Deserialize;

/// Most names of one kind that are looked at in a certificate.
pub(super) const NAMES_MAX: usize = 64;
/// Longest name that is configured.
const NAME_MAX: usize = 2_048;
/// Longest SPIFFE id (SPIFFE-ID §2.3), and trust domain in it.
const SPIFFE_MAX: usize = 2_048;
const TRUST_DOMAIN_MAX: usize = 255;
/// What a SPIFFE id begins with.
const SCHEME: &str = "spiffe://";

/// A kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum NameKind {
    /// The SHA-256 of the certificate.
    Thumbprint,
    /// The SPIFFE id: the only URI of a certificate.
    SpiffeId,
    /// A URI of the subject alternative name.
    Uri,
    /// A mail address of it.
    Email,
    /// A host name of it.
    Dns,
    /// The subject, as RFC 4514 writes it.
    Subject,
}

impl NameKind {
    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::Thumbprint, Self::SpiffeId, Self::Uri, Self::Email, Self::Dns, Self::Subject];

    /// As configuration writes it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Thumbprint => "thumbprint",
            Self::SpiffeId => "spiffe_id",
            Self::Uri => "uri",
            Self::Email => "email",
            Self::Dns => "dns",
            Self::Subject => "subject",
        }
    }

    /// What the credential index knows a name by. Kinds share no entry.
    pub(super) fn lookup(self, name: &str) -> Box<[u8]> {
        [self.text().as_bytes(), b"\0", name.as_bytes()].concat().into()
    }

    /// The one form of a configured name, or why it can never be that of a certificate.
    pub(super) fn configured(self, text: &str) -> Result<String, Invalid> {
        let fault = |problem: String| Invalid::at(self.text(), problem);
        if text.is_empty()
            || text.len() > NAME_MAX
            || !text.bytes().all(|b| (b' '..=b'~').contains(&b))
        {
            return Err(fault("a name has 1 to 2048 visible ASCII characters".to_owned()));
        }
        match self {
            Self::Thumbprint => thumbprint(text).ok_or_else(|| {
                fault(format!(
                    "`{text}` is not the SHA-256 of a certificate, 64 hexadecimal digits"
                ))
                .with_help("`openssl x509 -noout -fingerprint -sha256 -in cert.pem` tells it")
            }),
            Self::SpiffeId => match SpiffeId::parse(text) {
                Some(_) => Ok(text.to_owned()),
                None => Err(fault(format!("`{text}` is no SPIFFE id"))
                    .with_help("write it as `spiffe://example.org/service`")),
            },
            Self::Uri if text.contains(':') => Ok(text.to_owned()),
            Self::Uri => Err(fault(format!("`{text}` is no URI: it has no scheme"))),
            Self::Email => email(text).ok_or_else(|| fault(format!("`{text}` is no mail address"))),
            Self::Dns => host(text).ok_or_else(|| {
                fault(format!("`{text}` is not the name of one host"))
                    .with_help("a certificate belongs to one consumer, so that no `*` may be in it")
            }),
            Self::Subject => subject(text),
        }
    }

    /// The names of this kind in a certificate, in the form that is compared.
    pub(super) fn of(self, certificate: &ClientCertificate) -> Vec<String> {
        let names = certificate.alternative_names();
        let names = names.as_ref();
        let some = |list: &[String], read: fn(&str) -> Option<String>| {
            list.iter().take(NAMES_MAX).filter_map(|name| read(name)).collect()
        };
        match self {
            Self::Thumbprint => vec![certificate.fingerprint().to_owned()],
            Self::SpiffeId => spiffe_id(certificate).map(str::to_owned).into_iter().collect(),
            Self::Uri => names.map_or_else(Vec::new, |n| some(n.uri, |uri| Some(uri.to_owned()))),
            Self::Email => names.map_or_else(Vec::new, |n| some(n.email, email)),
            Self::Dns => names.map_or_else(Vec::new, |n| some(n.dns, host)),
            Self::Subject => certificate.subject().map(str::to_owned).into_iter().collect(),
        }
    }
}

/// The SPIFFE id of a certificate: its only URI, if that is one (X509-SVID §2).
pub(super) fn spiffe_id(certificate: &ClientCertificate) -> Option<&str> {
    match certificate.alternative_names()?.uri {
        [only] => SpiffeId::parse(only).map(|_| only.as_str()),
        _ => None,
    }
}

/// A SPIFFE id (SPIFFE-ID §2): one spelling for one identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpiffeId<'t> {
    /// Whose authority vouches for it.
    pub(super) trust_domain: &'t str,
    /// The rest, empty or with `/` before each part.
    pub(super) path: &'t str,
}

impl<'t> SpiffeId<'t> {
    /// Reads an id; `None` for whatever is not in its one form.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let rest = text.strip_prefix(SCHEME).filter(|_| text.len() <= SPIFFE_MAX)?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (trust_domain, path) = rest.split_at_checked(end)?;
        let is_segment = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let is_path = path.is_empty() || path.split('/').skip(1).all(is_segment);
        (is_trust_domain(trust_domain) && is_path).then_some(Self { trust_domain, path })
    }
}

/// True for the name of a trust domain.
pub(super) fn is_trust_domain(text: &str) -> bool {
    (1..=TRUST_DOMAIN_MAX).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
}

/// Sixty-four digits in lower case, whatever their case and with `:` between bytes or not.
fn thumbprint(text: &str) -> Option<String> {
    let is_pairs = text.split(':').all(|pair| pair.len() == 2);
    let digits = if is_pairs { text.replace(':', "") } else { text.to_owned() };
    let is_whole = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_whole.then(|| digits.to_ascii_lowercase())
}

/// A mail address whose domain is in lower case; the part before it is the receiver's own business
/// (RFC 5321 §2.4).
fn email(text: &str) -> Option<String> {
    let (local, domain) = text.rsplit_once('@')?;
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
    let is_address = is_plain(local) && is_plain(domain);
    is_address.then(|| format!("{local}@{}", domain.to_ascii_lowercase()))
}

/// The name of one host, in lower case; a pattern is none.
fn host(text: &str) -> Option<String> {
    let name = normalise_name(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_string())
}

/// A subject as we write it: the parts of RFC 4514 §2 with nothing around them.
fn subject(text: &str) -> Result<String, Invalid> {
    let fault = |problem: &str| {
        Invalid::at("subject", problem.to_owned()).with_help(
            "write it most specific part first, as in `CN=alice,O=Example`; \
             `openssl x509 -noout -subject -nameopt RFC2253 -in cert.pem` tells it",
        )
    };
    let mut parts = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let last = parts.len().saturating_sub(1);
        match (letter, parts.get_mut(last)) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.extend([Some('\\'), letters.next()].into_iter().flatten()),
            (letter, Some(part)) => part.push(letter),
            (_, None) => {}
        }
    }
    for part in &parts {
        let (name, value) = part.split_once('=').ok_or_else(|| fault("a part has no `=`"))?;
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        let has_space = value.starts_with(' ') || value.ends_with(' ') && !value.ends_with("\\ ");
        if !is_name || has_space {
            return Err(fault("there is a space or sign too many, so that it is no subject"));
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a text of a length.
    type Make<'m> = &'m dyn Fn(usize) -> String;

    #[test]
    fn a_spiffe_id_has_one_spelling() {
        let id = SpiffeId::parse("spiffe://example.org/shop/orders").unwrap();
        assert_eq!((id.trust_domain, id.path), ("example.org", "/shop/orders"));
        assert_eq!(SpiffeId::parse("spiffe://example.org").unwrap().path, "");
        for text in [
            "",
            "spiffe://",
            "spiffe:///orders",
            "SPIFFE://example.org/a",
            "spiffe://Example.org/a",
            "spiffe://example.org/",
            "spiffe://example.org/a/",
            "spiffe://example.org//a",
            "spiffe://example.org/./a",
            "spiffe://example.org/a/../b",
            "spiffe://example.org/a%2fb",
            "spiffe://example.org/a?x",
            "spiffe://example.org/a#x",
            "spiffe://example.org:443/a",
            "spiffe://me@example.org/a",
            "spiffe://example.org/é",
            "https://example.org/a",
        ] {
            assert_eq!(SpiffeId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_configured_in_the_form_that_is_compared() {
        let digits = "AB".repeat(32);
        for (kind, text, expected) in [
            (NameKind::Thumbprint, digits.as_str(), "ab".repeat(32)),
            (NameKind::Thumbprint, &vec!["AB"; 32].join(":"), "ab".repeat(32)),
            (NameKind::Dns, "Orders.Example.", "orders.example".to_owned()),
            (NameKind::Email, "Alice@Example.ORG", "Alice@example.org".to_owned()),
            (NameKind::Uri, "urn:x:Y", "urn:x:Y".to_owned()),
            (NameKind::Subject, r"CN=a\,b\ ,O=Example", r"CN=a\,b\ ,O=Example".to_owned()),
        ] {
            assert_eq!(kind.configured(text).unwrap(), expected);
        }
        for (kind, text) in [
            (NameKind::Thumbprint, "ab"),
            (NameKind::Thumbprint, &*"zz".repeat(32)),
            (NameKind::Dns, "*.example"),
            (NameKind::Dns, "a..b"),
            (NameKind::Dns, "a b"),
            (NameKind::Email, "alice"),
            (NameKind::Email, "@example.org"),
            (NameKind::Uri, "alice"),
            (NameKind::SpiffeId, "spiffe://example.org/"),
            (NameKind::Subject, "CN=alice, O=Example"),
            (NameKind::Subject, "/CN=alice"),
            (NameKind::Subject, "alice"),
            (NameKind::Subject, ""),
            (NameKind::Subject, "CN=é"),
        ] {
            assert!(kind.configured(text).is_err(), "{kind:?} {text}");
        }
    }

    #[test]
    fn names_have_so_many_letters_and_no_more() {
        let uri = |length: usize| format!("u:{}", "x".repeat(length - "u:".len()));
        let id = |length: usize| format!("spiffe://a/{}", "x".repeat(length - "spiffe://a/".len()));
        let trust_domain = |length: usize| format!("spiffe://{}", "x".repeat(length));
        let label = |length: usize| format!("{}.example", "x".repeat(length));
        let host = |length: usize| format!("{}{}", "x.".repeat(100), "x".repeat(length - 200));
        let table: [(NameKind, usize, Make<'_>); 5] = [
            (NameKind::Uri, NAME_MAX, &uri),
            (NameKind::SpiffeId, SPIFFE_MAX, &id),
            (NameKind::SpiffeId, TRUST_DOMAIN_MAX, &trust_domain),
            (NameKind::Dns, 63, &label),
            (NameKind::Dns, 253, &host),
        ];
        for (kind, most, make) in table {
            for (length, is_good) in [(most - 1, true), (most, true), (most + 1, false)] {
                assert_eq!(kind.configured(&make(length)).is_ok(), is_good, "{kind:?} {length}");
            }
        }
    }

    proptest::proptest! {
        /// Against a reading by hand.
        #[test]
        fn a_spiffe_id_agrees_with_a_naive_reading(
            text in "(spiffe://|spiffe:/)?[a-zA-B.]{0,4}(/[a-z.%A]{0,3}){0,3}/?",
        ) {
            let naive = text.strip_prefix("spiffe://").is_some_and(|rest| {
                let mut parts = rest.split('/');
                let domain = parts.next().unwrap_or_default();
                let letters = |part: &str| part.chars().all(|c| "abcdefghijklmnopqrstuvwxyz.".contains(c));
                let is_part = |part: &str| {
                    part.chars().all(|c| c.is_ascii_alphabetic() || c == '.')
                        && !["", ".", ".."].contains(&part)
                };
                !domain.is_empty() && letters(domain) && parts.all(is_part)
            });
            proptest::prop_assert_eq!(SpiffeId::parse(&text).is_some(), naive);
        }

        /// No two names are looked up as one, whatever their kinds.
        #[test]
        fn a_name_is_looked_up_by_its_kind_and_all_of_it(
            one in "[a-c\0]{0,3}", other in "[a-c\0]{0,3}", kinds in (0_usize..6, 0_usize..6),
        ) {
            let (first, second) = (NameKind::ALL[kinds.0], NameKind::ALL[kinds.1]);
            let is_same = first.lookup(&one) == second.lookup(&other);
            proptest::prop_assert_eq!(is_same, first == second && one == other);
        }
    }
}
