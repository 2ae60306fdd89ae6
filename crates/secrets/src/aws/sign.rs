//! Signature Version 4 of AWS: which bytes of a request are signed, and with what.
//!
//! The secret key signs nothing itself: a key for one day, region and service is derived from it.

use std::fmt::Write;

use aws_lc_rs::{digest, hmac};
use bartizan_core::{Secret, Timestamp};

/// The algorithm, as it is named in what is signed.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The key that signs, and for what.
pub(super) struct Signing<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) secret_access_key: &'a Secret,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// What of a request is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// As it is sent, encoded.
    pub(super) path: &'a str,
    /// As it is sent, in order of its names.
    pub(super) query: &'a str,
    /// Names in lower case, in their order, each once; values without space around them.
    pub(super) fields: &'a [(&'a str, &'a [u8])],
    pub(super) body: &'a [u8],
}

/// A time as requests carry it: `20150830T123600Z`.
pub(super) fn time(now: Timestamp) -> String {
    let text = now.to_rfc3339();
    let seconds = text.split('.').next().unwrap_or_default();
    let plain: String = seconds.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{}Z", plain.trim_end_matches('Z'))
}

impl Signing<'_> {
    /// The value of `authorization`.
    pub(super) fn authorization(&self, time: &str, request: &Signed<'_>) -> String {
        let day = time.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let canonical = hex(&hash(&request.canonical()));
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{canonical}");
        let signature = hex(keyed(self.key(day), text.as_bytes()).as_ref());
        format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
            self.access_key_id,
            request.names()
        )
    }

    /// The key of one day, region and service.
    fn key(&self, day: &str) -> hmac::Tag {
        let mut first = b"AWS4".to_vec();
        first.extend_from_slice(self.secret_access_key.expose());
        let first = Secret::new(first);
        let of_day = keyed(first.expose(), day.as_bytes());
        let of_region = keyed(of_day.as_ref(), self.region.as_bytes());
        let of_service = keyed(of_region.as_ref(), self.service.as_bytes());
        keyed(of_service.as_ref(), b"aws4_request")
    }
}

impl Signed<'_> {
    fn names(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|(name, _)| *name).collect();
        names.join(";")
    }

    /// The request in the form that is hashed.
    fn canonical(&self) -> Vec<u8> {
        let mut text = format!("{}\n{}\n{}\n", self.method, self.path, self.query).into_bytes();
        for (name, value) in self.fields {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(self.names().as_bytes());
        text.push(b'\n');
        text.extend_from_slice(hex(&hash(self.body)).as_bytes());
        text
    }
}

fn keyed(key: impl AsRef<[u8]>, text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), text)
}

fn hash(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the examples that AWS publishes.
    const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const TIME: &str = "20150830T123600Z";

    fn signature(service: &str, request: &Signed<'_>) -> String {
        let secret_access_key = &Secret::new(KEY);
        let signing = Signing {
            access_key_id: "AKIDEXAMPLE",
            secret_access_key,
            region: "us-east-1",
            service,
        };
        let text = signing.authorization(TIME, request);
        let (before, signature) = text.rsplit_once('=').unwrap();
        let names = request.names();
        assert_eq!(
            before,
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/{service}/aws4_request, \
                 SignedHeaders={names}, Signature"
            )
        );
        signature.to_owned()
    }

    #[test]
    fn signatures_are_those_that_aws_publishes() {
        let host: (&str, &[u8]) = ("host", b"example.amazonaws.com");
        let date: (&str, &[u8]) = ("x-amz-date", TIME.as_bytes());
        let form: (&str, &[u8]) = ("content-type", b"application/x-www-form-urlencoded");
        let utf8: (&str, &[u8]) =
            ("content-type", b"application/x-www-form-urlencoded; charset=utf-8");
        let iam: (&str, &[u8]) = ("host", b"iam.amazonaws.com");
        let plain =
            Signed { method: "GET", path: "/", query: "", fields: &[host, date], body: b"" };
        for (service, request, expected) in [
            (
                "service",
                Signed { ..plain },
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "service",
                Signed { method: "POST", ..plain },
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "service",
                Signed {
                    method: "POST",
                    fields: &[form, host, date],
                    body: b"Param1=value1",
                    ..plain
                },
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "iam",
                Signed {
                    query: "Action=ListUsers&Version=2010-05-08",
                    fields: &[utf8, iam, date],
                    ..plain
                },
                "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ] {
            assert_eq!(signature(service, &request), expected);
        }
        let listed = Signed {
            query: "Action=ListUsers&Version=2010-05-08",
            fields: &[utf8, iam, date],
            ..plain
        };
        assert_eq!(
            hex(&hash(&listed.canonical())),
            "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
        );
    }

    #[test]
    fn a_key_is_of_one_day_region_and_service() {
        let secret_access_key = &Secret::new(KEY);
        let signing = Signing {
            access_key_id: "AKIDEXAMPLE",
            secret_access_key,
            region: "us-east-1",
            service: "iam",
        };
        assert_eq!(
            hex(signing.key("20150830").as_ref()),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }

    #[test]
    fn a_time_is_written_without_what_separates() {
        // 2015-08-30T12:36:00Z.
        for (seconds, expected) in [(1_440_938_160, TIME), (0, "19700101T000000Z")] {
            assert_eq!(time(Timestamp::from_secs(seconds)), expected);
        }
    }
}
