//! `bartizan token`: mints a short-lived test token for a consumer.
//!
//! The consumer's own secret signs, as the configuration has it, or a private key that is given.
//! Limits: a token lives an hour at most, and what says so cannot be overridden by a claim.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_config::{Consumer, PluginUse, Resources};
use bartizan_core::{Clock, Secret, Timestamp};
use bartizan_plugins::jose::{Algorithm, SecretStrength, SigningKey};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use crate::cli::TokenArgs;
use crate::failure::{Failure, say};
use crate::load;

/// Longest lifetime of a token.
const LIFETIME_MAX: Duration = Duration::from_secs(3_600);
/// Largest file that is taken for a private key.
const KEY_FILE_MAX: usize = 64 * 1_024;
/// The plugin whose tokens these are.
const PLUGIN: &str = "jwt-auth";
/// Claims that are set by the command itself.
const OWN_CLAIMS: [&str; 3] = ["iat", "nbf", "exp"];
/// Base64 as the gateway reads it in a consumer's configuration.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Mints a token and prints it.
pub(crate) fn token(args: &TokenArgs) -> Result<(), Failure> {
    let lifetime = args.expires.0;
    if lifetime > LIFETIME_MAX {
        return Err(Failure::new(format!("a token of `{}` lives too long", args.expires))
            .with_help("an hour at most: `--expires 1h`"));
    }
    let claims = args.claims.iter().map(|claim| parse_claim(claim)).collect::<Result<_, _>>()?;
    let signer = signer(args)?;
    let request = Request {
        subject: &args.consumer,
        key_claim: &args.key_claim,
        now: Clock::System.now(),
        lifetime,
        claims,
        kid: args.kid.as_deref(),
    };
    say(&format!("{}\n", mint(&signer, request)?));
    Ok(())
}

/// A key that signs for a consumer.
#[derive(Debug)]
pub(crate) struct Signer {
    key: SigningKey,
    /// What the token calls the key, by which the gateway finds the consumer.
    name: String,
}

/// What is to be signed.
pub(crate) struct Request<'a> {
    /// The subject: the consumer's name.
    pub(crate) subject: &'a str,
    /// The claim that names the key.
    pub(crate) key_claim: &'a str,
    /// When the token's life begins.
    pub(crate) now: Timestamp,
    /// How long it lasts.
    pub(crate) lifetime: Duration,
    /// Further claims.
    pub(crate) claims: Vec<(String, Value)>,
    /// The name of the key in the header.
    pub(crate) kid: Option<&'a str>,
}

/// Signs a token.
pub(crate) fn mint(signer: &Signer, request: Request<'_>) -> Result<String, Failure> {
    let mut claims = Map::new();
    claims.insert(request.key_claim.to_owned(), signer.name.clone().into());
    claims.insert("sub".to_owned(), request.subject.into());
    claims.extend(request.claims);
    let times = [request.now, request.now, request.now.plus(request.lifetime)];
    for (name, time) in OWN_CLAIMS.into_iter().zip(times) {
        claims.insert(name.to_owned(), time.as_secs().into());
    }
    let header = request.kid.map(|kid| ("kid".to_owned(), kid.into())).into_iter().collect();
    signer
        .key
        .sign(&header, &Value::Object(claims))
        .map_err(|fault| Failure::new(format!("the token cannot be signed: {fault}")))
}

/// The key that signs: the one that is given, or the consumer's.
fn signer(args: &TokenArgs) -> Result<Signer, Failure> {
    let default = PathBuf::from("bartizan.yaml");
    let config = args.config.as_ref().unwrap_or(&default);
    let given = args.key.as_deref().zip(args.alg);
    if let Some((path, algorithm)) = given {
        let key = private_key(path, algorithm)?;
        let is_named = args.config.is_some() || config.exists();
        let name = if is_named {
            let loaded = load::load(config)?;
            let consumer = find(&loaded.resources, &args.consumer)?;
            credential(consumer, args.credential.as_deref())?.name().to_owned()
        } else {
            args.consumer.clone()
        };
        return Ok(Signer { key, name });
    }
    let loaded = load::load(config)?;
    consumer_signer(&loaded.resources, &args.consumer, args.credential.as_deref())
}

/// The key with which a consumer's own tokens are signed.
pub(crate) fn consumer_signer(
    resources: &Resources,
    consumer: &str,
    id: Option<&str>,
) -> Result<Signer, Failure> {
    let credential = credential(find(resources, consumer)?, id)?;
    Ok(Signer { key: credential.signing_key(consumer)?, name: credential.name().to_owned() })
}

fn find<'r>(resources: &'r Resources, name: &str) -> Result<&'r Consumer, Failure> {
    resources.consumers.iter().find(|consumer| &*consumer.username == name).ok_or_else(|| {
        let names: Vec<&str> = resources.consumers.iter().map(|c| &*c.username).collect();
        Failure::new(format!("there is no consumer `{name}`")).with_help(if names.is_empty() {
            "the configuration has no consumers".to_owned()
        } else {
            format!("there is `{}`", names.join("`, `"))
        })
    })
}

/// The `jwt-auth` of a consumer or of one of its credentials.
struct JwtCredential<'r>(&'r PluginUse);

fn credential<'r>(consumer: &'r Consumer, id: Option<&str>) -> Result<JwtCredential<'r>, Failure> {
    let is_jwt = |plugin: &&PluginUse| &*plugin.name == PLUGIN;
    let own = consumer.plugins.iter().filter(is_jwt).filter(|_| id.is_none());
    let further = consumer
        .credentials
        .iter()
        .filter(|credential| id.is_none_or(|id| &*credential.id == id))
        .flat_map(|credential| credential.plugins.iter().filter(is_jwt));
    own.chain(further).map(JwtCredential).next().ok_or_else(|| {
        let name = &consumer.username;
        let problem = match id {
            None => format!("the consumer `{name}` has no `{PLUGIN}`"),
            Some(id) => format!("the consumer `{name}` has no credential `{id}` with `{PLUGIN}`"),
        };
        Failure::new(problem)
            .with_help(format!("give it one: `{PLUGIN}: {{key: {name}, secret: $file://…}}`"))
    })
}

impl JwtCredential<'_> {
    fn text(&self, field: &str) -> Option<&str> {
        self.0.config.get(field).and_then(Value::as_str)
    }

    /// What its tokens call it.
    fn name(&self) -> &str {
        self.text("key").unwrap_or_default()
    }

    fn signing_key(&self, consumer: &str) -> Result<SigningKey, Failure> {
        let algorithm: Algorithm = self
            .text("algorithm")
            .unwrap_or("HS256")
            .parse()
            .map_err(|fault| Failure::new(format!("the algorithm of `{consumer}`: {fault}")))?;
        let Some(secret) = self.text("secret") else {
            return Err(Failure::new(format!(
                "the configuration has only the public key of `{consumer}`, which signs nothing"
            ))
            .with_help(format!("give its private key: `--key FILE --alg {algorithm}`")));
        };
        let is_base64 = self.0.config.get("base64_secret").and_then(Value::as_bool);
        let secret = if is_base64 == Some(true) {
            BASE64
                .decode(secret)
                .map(Secret::new)
                .map_err(|_| Failure::new(format!("the secret of `{consumer}` is not base64")))?
        } else {
            Secret::new(secret)
        };
        // Whether a short secret is acceptable is the configuration's question; it has loaded.
        SigningKey::from_secret_of(algorithm, &secret, SecretStrength::DangerShort)
            .map_err(|fault| Failure::new(format!("the secret of `{consumer}`: {fault}")))
    }
}

fn private_key(path: &Path, algorithm: Algorithm) -> Result<SigningKey, Failure> {
    let pem = std::fs::read(path).map_err(|cause| Failure::file("read", path, &cause))?;
    if pem.len() > KEY_FILE_MAX {
        return Err(Failure::new(format!("`{}` is too large for a key", path.display())));
    }
    SigningKey::from_pem(algorithm, &Secret::new(pem)).map_err(|fault| {
        Failure::new(format!("`{}` holds no key for {algorithm}: {fault}", path.display()))
            .with_help("a private key in PEM that is not encrypted")
    })
}

/// `name=text` or `name:=JSON`.
fn parse_claim(text: &str) -> Result<(String, Value), Failure> {
    let refuse = |why: &str| {
        Failure::new(format!("the claim `{text}` {why}"))
            .with_help("write `--claim name=text`, or `--claim 'name:=[1, true]'` for JSON")
    };
    let Some((name, value)) = text.split_once('=') else {
        return Err(refuse("has no `=`"));
    };
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => {
            let json = serde_json::from_str(value);
            (name, json.map_err(|error| refuse(&format!("is no JSON: {error}")))?)
        }
        None => (name, Value::String(value.to_owned())),
    };
    if name.is_empty() {
        return Err(refuse("has no name"));
    }
    if OWN_CLAIMS.contains(&name) {
        return Err(Failure::new(format!("the claim `{name}` cannot be given"))
            .with_help("say how long the token lives with `--expires`"));
    }
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_text_or_json() {
        assert_eq!(parse_claim("a=b=c").unwrap(), ("a".to_owned(), json!("b=c")));
        assert_eq!(parse_claim("a=1").unwrap(), ("a".to_owned(), json!("1")));
        assert_eq!(parse_claim("a:=[1, true]").unwrap(), ("a".to_owned(), json!([1, true])));
        assert_eq!(parse_claim("https://x/y=z").unwrap().0, "https://x/y");
    }

    #[test]
    fn a_claim_cannot_make_a_token_live_longer() {
        for claim in ["exp=9999999999", "exp:=9999999999", "iat:=0", "nbf:=0", "=x", "x", "x:={"] {
            assert!(parse_claim(claim).is_err(), "{claim}");
        }
    }
}
