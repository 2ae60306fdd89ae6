//! Values of the node file that are written in more than one form.

use std::borrow::Cow;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::{Sink, TlsVersion};

/// An address or a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network(pub(crate) IpNet);

impl Network {
    /// Reads `10.0.0.0/8` or `10.0.0.1`; bits beyond the prefix are cleared.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
        Some(Self(network.trunc()))
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("is no address or network"))
    }
}

impl JsonSchema for Network {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "network" })
    }
}

/// Reads a list of networks.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let networks = Vec::<Network>::deserialize(deserializer)?;
    Ok(networks.into_iter().map(|network| network.0).collect())
}

/// The default of what is on.
pub(super) fn yes() -> bool {
    true
}

/// Without quotes, YAML reads a version as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum VersionForm {
    Text(String),
    Number(f64),
}

impl<'de> Deserialize<'de> for TlsVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match VersionForm::deserialize(deserializer)? {
            VersionForm::Text(text) => text,
            VersionForm::Number(number) => number.to_string(),
        };
        match text.as_str() {
            "1.2" => Ok(Self::V1_2),
            "1.3" => Ok(Self::V1_3),
            _ => Err(serde::de::Error::custom("is no version of TLS")),
        }
    }
}

impl JsonSchema for TlsVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TlsVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let refused = "is refused: versions before 1.2 are broken";
        json_schema!({
            "enum": ["1.2", "1.3", 1.2, 1.3],
            "default": "1.2",
            "x-answers": { "1.0": refused, "1.1": refused, "1": refused }
        })
    }
}

/// `stdout`, `{stdout: {}}` or `{file: {path: …}}`.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum SinkForm {
    /// The name alone.
    Name(SinkName),
    /// With settings.
    Settings(SinkSettings),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum SinkName {
    /// Standard output.
    Stdout,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(inline)]
enum SinkSettings {
    /// Standard output.
    Stdout {},
    /// A file, which is appended to.
    File {
        /// Its path.
        #[schemars(extend("minLength" = 1))]
        path: PathBuf,
    },
}

impl<'de> Deserialize<'de> for Sink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match SinkForm::deserialize(deserializer)? {
            SinkForm::Name(SinkName::Stdout) | SinkForm::Settings(SinkSettings::Stdout {}) => {
                Self::Stdout
            }
            SinkForm::Settings(SinkSettings::File { path }) => Self::File { path },
        })
    }
}

impl JsonSchema for Sink {
    fn schema_name() -> Cow<'static, str> {
        "Sink".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        SinkForm::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_addresses_or_prefixes_without_host_bits() {
        let text = |text: &str| Network::parse(text).map(|network| network.0.to_string());
        assert_eq!(text("10.1.2.3/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(text("::1").as_deref(), Some("::1/128"));
        assert_eq!(text("10.0.0.0/33"), None);
        assert_eq!(text("localhost"), None);
    }

    #[test]
    fn sinks_have_a_short_and_a_long_form() {
        let sinks: Vec<Sink> =
            serde_json::from_str(r#"["stdout", {"stdout": {}}, {"file": {"path": "a"}}]"#).unwrap();
        let file = Sink::File { path: "a".into() };
        assert_eq!(sinks, [Sink::Stdout, Sink::Stdout, file]);
    }
}
