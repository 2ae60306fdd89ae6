//! What is said to etcd and what it answers: the JSON form of its API, version 3, in which keys and
//! values are Base64 and numbers are text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes in Base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn of(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A number as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(pub(super) u64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Header {
    pub(super) revision: Number,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyValue {
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    pub(super) create_revision: Number,
    pub(super) mod_revision: Number,
}

/// `POST /v3/kv/range`.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct RangeRequest {
    pub(super) key: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) range_end: Option<Bytes>,
    /// At this revision; now where zero.
    pub(super) revision: Number,
    pub(super) limit: Number,
    pub(super) count_only: bool,
    pub(super) keys_only: bool,
    /// Only what was changed at this revision or later; all where zero.
    pub(super) min_mod_revision: Number,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RangeResponse {
    pub(super) header: Header,
    pub(super) kvs: Vec<KeyValue>,
    pub(super) more: bool,
    pub(super) count: Number,
}

/// `POST /v3/kv/txn`.
#[derive(Debug, Serialize)]
pub(super) struct TxnRequest {
    pub(super) compare: Vec<Compare>,
    pub(super) success: Vec<Operation>,
    pub(super) failure: Vec<Operation>,
}

/// A key is of this revision; zero means that there is none.
#[derive(Debug, Serialize)]
pub(super) struct Compare {
    pub(super) key: Bytes,
    pub(super) target: &'static str,
    pub(super) result: &'static str,
    pub(super) mod_revision: Number,
}

#[derive(Debug, Serialize)]
pub(super) enum Operation {
    #[serde(rename = "request_put")]
    Put { key: Bytes, value: Bytes },
    #[serde(rename = "request_delete_range")]
    Delete { key: Bytes },
    #[serde(rename = "request_range")]
    Range { key: Bytes },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TxnResponse {
    pub(super) header: Header,
    pub(super) succeeded: bool,
    pub(super) responses: Vec<OperationResponse>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OperationResponse {
    pub(super) response_range: Option<RangeResponse>,
}

/// `POST /v3/watch`.
#[derive(Debug, Serialize)]
pub(super) struct WatchRequest {
    pub(super) create_request: WatchCreate,
}

#[derive(Debug, Serialize)]
pub(super) struct WatchCreate {
    pub(super) key: Bytes,
    pub(super) range_end: Bytes,
    pub(super) start_revision: Number,
}

/// One line of what a watch tells.
#[derive(Debug, Deserialize)]
pub(super) struct WatchLine {
    #[serde(default)]
    pub(super) result: Option<WatchResponse>,
    #[serde(default)]
    pub(super) error: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WatchResponse {
    pub(super) canceled: bool,
    pub(super) compact_revision: Number,
    pub(super) cancel_reason: String,
    pub(super) events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    /// `DELETE`, or absent for a put.
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    pub(super) kv: KeyValue,
}

/// `POST /v3/auth/authenticate`.
#[derive(Serialize)]
pub(super) struct AuthRequest<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

#[derive(Deserialize)]
pub(super) struct AuthResponse {
    pub(super) token: String,
}

/// What comes with a status other than 200.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorResponse {
    pub(super) message: String,
    pub(super) error: String,
    pub(super) code: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_leave_out_what_is_nothing_and_write_numbers_as_text() {
        let text = r#"{"header":{"cluster_id":"3","revision":"5"},"events":[{"type":"DELETE",
            "kv":{"key":"L2E=","mod_revision":"6"}},{"kv":{"key":"L2I=","value":"e30="}}]}"#;
        let read: WatchResponse = serde_json::from_str(text).unwrap();
        assert_eq!(
            (read.events[0].kind.as_str(), read.events[0].kv.mod_revision),
            ("DELETE", Number(6))
        );
        assert_eq!(
            (read.events[1].kind.as_str(), &read.events[1].kv.value),
            ("", &Bytes::of("{}"))
        );
        let empty: RangeResponse = serde_json::from_str("{}").unwrap();
        assert_eq!((empty.count, empty.kvs.len()), (Number(0), 0));
        assert!(serde_json::from_str::<KeyValue>(r#"{"key":"*"}"#).is_err());
    }

    #[test]
    fn requests_are_written_as_etcd_reads_them() {
        let compare = Compare {
            key: Bytes::of("/a"),
            target: "MOD",
            result: "EQUAL",
            mod_revision: Number(7),
        };
        let request = TxnRequest {
            compare: vec![compare],
            success: vec![Operation::Put { key: Bytes::of("/a"), value: Bytes::of("{}") }],
            failure: vec![Operation::Range { key: Bytes::of("/a") }],
        };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"compare":[{"key":"L2E=","target":"MOD","result":"EQUAL","mod_revision":"7"}],"success":[{"request_put":{"key":"L2E=","value":"e30="}}],"failure":[{"request_range":{"key":"L2E="}}]}"#
        );
    }
}
