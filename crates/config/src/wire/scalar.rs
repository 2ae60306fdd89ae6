//! Scalars that many resources share.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

macro_rules! with_schema {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

macro_rules! text {
    ($(#[doc = $doc:literal])+ $name:ident, $schema:tt) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(pub(crate) String);

        with_schema!($name, $schema);
    };
}

/// An id: text, or a number that is taken as its digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Number(u64),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => Self(text),
            Form::Number(number) => Self(number.to_string()),
        })
    }
}

with_schema!(Id, {
    "anyOf": [
        {
            "type": "string",
            "pattern": "^[a-zA-Z0-9_.-]{1,64}$",
            "x-expects": "an id of up to 64 letters, digits, `-`, `_` and `.`"
        },
        { "type": "integer", "minimum": 1, "format": "uint64" }
    ]
});

text! {
    /// The id of a credential: plain, or with its consumer as in `alice/credentials/laptop`.
    CredentialId,
    {
        "type": "string",
        "pattern": "^([a-zA-Z0-9_-]{1,100}/credentials/)?[a-zA-Z0-9_.-]{1,64}$",
        "x-expects": "an id such as `laptop` or `alice/credentials/laptop`"
    }
}

/// The id of what a field costs: plain, or with its service as in
/// `shop/graphql_cost_decorations/orders`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct DecorationId(#[expect(dead_code, reason = "the reader of ids has it")] Id);

with_schema!(DecorationId, {
    "anyOf": [
        {
            "type": "string",
            "pattern": "^([a-zA-Z0-9_.-]{1,64}/graphql_cost_decorations/)?[a-zA-Z0-9_.-]{1,64}$",
            "x-expects": "an id such as `orders` or `shop/graphql_cost_decorations/orders`"
        },
        { "type": "integer", "minimum": 1, "format": "uint64" }
    ]
});

text! {
    /// The path of a field in a query.
    FieldPath,
    {
        "type": "string",
        "pattern": "^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$",
        "maxLength": 1024,
        "x-expects": "the path of a field such as `orders.items`"
    }
}

text! {
    /// A name for people.
    Name, { "type": "string", "minLength": 1, "maxLength": 256 }
}

text! {
    /// A description for people.
    Desc, { "type": "string", "maxLength": 256 }
}

text! {
    /// A host name, or `*` and a suffix.
    Host,
    {
        "type": "string",
        "pattern": "^(\\*|\\*?[0-9a-zA-Z._\\[\\]:-]+)$",
        "x-expects": "a host name, or `*` followed by a suffix"
    }
}

text! {
    /// The name of an account.
    Username,
    {
        "type": "string",
        "pattern": "^[a-zA-Z0-9_-]{1,256}$",
        "x-expects": "a name of up to 256 letters, digits, `-` and `_`"
    }
}

text! {
    /// Certificates, or a reference to them.
    Pem,
    {
        "type": "string",
        "pattern": "-----BEGIN ",
        "maxLength": 65536,
        "x-expects": "PEM text (`-----BEGIN …`) or a reference such as `$file://path`",
        "x-reference": true
    }
}

text! {
    /// The id of a Vault.
    VaultId,
    {
        "type": "string",
        "pattern": "^vault/[a-zA-Z0-9_.-]{1,64}$",
        "x-expects": "`vault/` and an id of up to 64 letters, digits, `-`, `_` and `.`"
    }
}

text! {
    /// The id of a Secrets Manager of AWS.
    AwsId,
    {
        "type": "string",
        "pattern": "^aws/[a-zA-Z0-9_.-]{1,64}$",
        "x-expects": "`aws/` and an id of up to 64 letters, digits, `-`, `_` and `.`"
    }
}

text! {
    /// The id of a Secret Manager of Google Cloud.
    GcpId,
    {
        "type": "string",
        "pattern": "^gcp/[a-zA-Z0-9_.-]{1,64}$",
        "x-expects": "`gcp/` and an id of up to 64 letters, digits, `-`, `_` and `.`"
    }
}

text! {
    /// Where a secret manager is.
    ServerUri,
    {
        "type": "string",
        "pattern": "^https?://([0-9A-Za-z._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?/?$",
        "x-expects": "scheme, host and port such as `https://vault.internal:8200`"
    }
}

text! {
    /// A path in Vault.
    VaultPath,
    {
        "type": "string",
        "pattern": "^[^/\\s]+(/[^/\\s]+)*$",
        "maxLength": 512,
        "x-expects": "a path such as `kv/apisix`"
    }
}

/// Labels for people and for rules that read them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Labels(pub(crate) BTreeMap<String, String>);

with_schema!(Labels, {
    "type": "object",
    "additionalProperties": {
        "type": "string",
        "pattern": "^\\S{1,256}$",
        "x-expects": "a label of up to 256 characters without spaces"
    }
});

/// Plugins by name; they are checked by the schemas of the plugins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plugins;

impl<'de> Deserialize<'de> for Plugins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

with_schema!(Plugins, { "type": "object", "x-opaque": true });

/// A list that is checked item by item elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed;

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

with_schema!(Listed, { "type": "array", "x-opaque": true });
