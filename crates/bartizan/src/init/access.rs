//! What the security requirements of a document become: plugins that ask for the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bartizan_plugins::openapi::{Requirements, Scheme, SchemeKind};
use serde_json::Value;

use super::CONSUMER;
use super::notes::Notes;

/// Who may call an operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Everyone.
    Open,
    /// Whoever shows all of these.
    Closed(Credentials),
}

/// The credentials that an operation asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Credentials {
    /// A key, and where it is: `header` or `query`, and the name there.
    pub(super) key: Option<(String, String)>,
    /// A token with these scopes.
    pub(super) token: Option<BTreeSet<String>>,
    /// Where the provider of the tokens describes itself.
    pub(super) provider: Option<String>,
    /// A user's name and password.
    pub(super) is_basic: bool,
}

impl Credentials {
    /// The key that every configuration begins with.
    fn usual() -> Self {
        Self { key: Some(("header".into(), "apikey".into())), ..Self::default() }
    }

    fn is_empty(&self) -> bool {
        self.key.is_none() && self.token.is_none() && !self.is_basic
    }
}

impl Access {
    /// What the requirements of an operation come to. What cannot be mapped is noted, and asks for
    /// more than the document does, never for less.
    pub(super) fn of(
        operation: &str,
        security: Option<&Requirements>,
        schemes: &BTreeMap<String, Scheme>,
        notes: &mut Notes,
    ) -> Self {
        let Some(alternatives) = security else {
            notes.add("the document says nothing of who may call; a key is asked for", operation);
            return Self::Closed(Credentials::usual());
        };
        let mut closed = alternatives.iter().filter(|all| !all.is_empty());
        let is_optional = closed.clone().count() < alternatives.len();
        if closed.clone().next().is_none() {
            return Self::Open;
        }
        if is_optional {
            notes
                .add("credentials are optional in the document; here they are required", operation);
        } else if alternatives.len() > 1 {
            notes
                .add("of several ways to authenticate, the first that can be mapped is", operation);
        }
        let mapped = closed.find_map(|all| credentials(all, schemes).ok());
        if let Some(credentials) = mapped {
            return Self::Closed(credentials);
        }
        for all in alternatives.iter().filter(|all| !all.is_empty()) {
            if let Err(why) = credentials(all, schemes) {
                notes.add(&format!("{why}; the key of `apikey` is asked for instead"), operation);
            }
        }
        Self::Closed(Credentials::usual())
    }

    /// A name for it, before it is made unique.
    pub(super) fn name(&self) -> String {
        let Self::Closed(credentials) = self else { return "open".to_owned() };
        let mut name = "by".to_owned();
        for (part, is_there) in [
            ("-key", credentials.key.is_some()),
            ("-token", credentials.token.is_some()),
            ("-basic", credentials.is_basic),
        ] {
            name.push_str(if is_there { part } else { "" });
        }
        let scopes = credentials.token.iter().flatten();
        scopes.fold(name, |name, scope| format!("{name}-{scope}"))
    }

    /// The plugins, as an entry of `plugin_configs`.
    pub(super) fn text(&self, id: &str) -> String {
        let mut text = format!("  - id: {id}\n    plugins:\n");
        let Self::Closed(credentials) = self else {
            text.push_str(
                "      # The document asks for no credential here.\n      \
                 anonymous-access: { reason: \"the document asks for no credential\" }\n",
            );
            return text;
        };
        if let Some((place, name)) = &credentials.key {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "      key-auth: {{ {place}: {} }}", Value::from(name.as_str()));
        }
        if credentials.is_basic {
            text.push_str("      basic-auth: {}\n");
        }
        let scopes: Vec<&str> = credentials.token.iter().flatten().map(String::as_str).collect();
        if credentials.token.is_some() {
            let provider = credentials.provider.as_deref();
            text.push_str(&token(&scopes, provider));
        }
        if scopes.is_empty() {
            let _ = write!(
                text,
                "      # Who of them may: only the consumers in this list.\n      \
                 consumer-restriction: {{ whitelist: [{CONSUMER}] }}\n",
            );
        }
        text
    }
}

/// `jwt-auth`, with what to fill in for tokens of a provider.
fn token(scopes: &[&str], provider: Option<&str>) -> String {
    let fields = if scopes.is_empty() {
        "      jwt-auth: {}\n".to_owned()
    } else {
        format!("      jwt-auth:\n        required_scopes: {}\n", Value::from(scopes.to_vec()))
    };
    let issuer = provider.map_or("https://id.example", |url| {
        url.split("/.well-known/").next().unwrap_or(url).trim_end_matches('/')
    });
    let grant = if scopes.is_empty() {
        "        # and required_scopes or required_claims in place of consumer-restriction.\n"
    } else {
        ""
    };
    format!(
        "{fields}        # Tokens are signed with the secrets of consumers. For those of a provider, \
         fetch its keys\n        # into a file and fill in:\n        # jwks: {{ file: \
         secrets/provider.jwks }}\n        # issuers: [{}]\n        # audiences: [\"FILL IN\"]\n{grant}",
        Value::from(issuer)
    )
}

/// The credentials that all of these schemes ask for, or why there are no plugins for them.
fn credentials(
    all: &[(String, Vec<String>)],
    schemes: &BTreeMap<String, Scheme>,
) -> Result<Credentials, String> {
    let mut credentials = Credentials::default();
    for (name, scopes) in all {
        let Some(scheme) = schemes.get(name) else {
            return Err(format!("the security scheme `{name}` is not in the document"));
        };
        let scopes = || scopes.iter().filter(|scope| is_scope(scope)).cloned();
        match &scheme.kind {
            SchemeKind::ApiKey { place, name: field } if place != "cookie" => {
                if credentials.key.replace((place.clone(), field.clone())).is_some() {
                    return Err("two keys at once cannot be asked for".to_owned());
                }
            }
            SchemeKind::ApiKey { .. } => {
                return Err(format!("a key in a cookie (`{name}`) is not supported"));
            }
            SchemeKind::Http(kind) if kind == "bearer" => {
                credentials.token.get_or_insert_default().extend(scopes());
            }
            SchemeKind::OAuth2 => credentials.token.get_or_insert_default().extend(scopes()),
            SchemeKind::OpenIdConnect { url } => {
                credentials.token.get_or_insert_default().extend(scopes());
                credentials.provider = Some(url.clone());
            }
            SchemeKind::Http(kind) if kind == "basic" => credentials.is_basic = true,
            SchemeKind::Http(kind) => {
                return Err(format!("HTTP authentication `{kind}` (`{name}`) is not supported"));
            }
            SchemeKind::MutualTls => {
                return Err(format!(
                    "client certificates (`{name}`) are asked for by `ssls`, not by routes"
                ));
            }
            SchemeKind::Other(kind) => {
                return Err(format!("the security scheme `{name}` of type `{kind}` is not known"));
            }
        }
    }
    if credentials.is_empty() {
        return Err("no scheme is named".to_owned());
    }
    Ok(credentials)
}

/// A scope token (RFC 6749 §3.3).
fn is_scope(text: &str) -> bool {
    let is_plain = |byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\');
    !text.is_empty() && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes() -> BTreeMap<String, Scheme> {
        let key = |place: &str| SchemeKind::ApiKey { place: place.into(), name: "k".into() };
        [
            ("header", key("header")),
            ("cookie", key("cookie")),
            ("bearer", SchemeKind::Http("bearer".into())),
            ("basic", SchemeKind::Http("basic".into())),
            ("digest", SchemeKind::Http("digest".into())),
            ("oauth", SchemeKind::OAuth2),
            ("oidc", SchemeKind::OpenIdConnect { url: "https://id.example/.well-known/x".into() }),
            ("tls", SchemeKind::MutualTls),
        ]
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), Scheme { kind }))
        .collect()
    }

    fn access(alternatives: &[&[(&str, &[&str])]]) -> (Access, String) {
        let of = |all: &&[(&str, &[&str])]| {
            let scheme = |(name, scopes): &(&str, &[&str])| {
                ((*name).to_owned(), scopes.iter().map(|s| (*s).to_owned()).collect())
            };
            all.iter().map(scheme).collect()
        };
        let mut notes = Notes::default();
        let security: Requirements = alternatives.iter().map(of).collect();
        let access = Access::of("GET /", Some(&security), &schemes(), &mut notes);
        (access, notes.text())
    }

    #[test]
    fn schemes_become_plugins() {
        for (alternatives, name, note) in [
            (&[][..], "open", ""),
            (&[&[][..]], "open", ""),
            (&[&[("header", &[][..])]], "by-key", ""),
            (&[&[("oauth", &["a", "b"]), ("header", &[])]], "by-key-token-a-b", ""),
            (&[&[("oidc", &[])]], "by-token", ""),
            (&[&[("basic", &[])]], "by-basic", ""),
            (&[&[("basic", &[]), ("header", &[])]], "by-key-basic", ""),
            (&[&[("bearer", &[])], &[]], "by-token", "optional"),
            (&[&[("cookie", &[])], &[("bearer", &[])]], "by-token", "several"),
            (&[&[("cookie", &[])]], "by-key", "cookie"),
            (&[&[("digest", &[])]], "by-key", "digest"),
            (&[&[("tls", &[])]], "by-key", "client certificates"),
            (&[&[("nothing", &[])]], "by-key", "not in the document"),
        ] {
            let (access, notes) = access(alternatives);
            assert_eq!(access.name(), name, "{alternatives:?}");
            assert!(notes.contains(note) && note.is_empty() == notes.is_empty(), "{notes}");
        }
    }

    #[test]
    fn who_asks_for_nothing_in_words_gets_a_key() {
        let mut notes = Notes::default();
        let access = Access::of("GET /", None, &schemes(), &mut notes);
        assert_eq!(access, Access::Closed(Credentials::usual()));
        assert!(notes.text().contains("says nothing"));
    }

    #[test]
    fn a_provider_is_named_where_it_can_be_filled_in() {
        let (access, _) = access(&[&[("oidc", &["read"])]]);
        let text = access.text("x");
        assert!(text.contains("# issuers: [\"https://id.example\"]"), "{text}");
        assert!(text.contains("required_scopes: [\"read\"]") && !text.contains("whitelist"));
    }
}
