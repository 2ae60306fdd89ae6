//! What we read in an X.509 certificate (RFC 5280) for ourselves. Trust is decided elsewhere, by
//! the verifier; nothing here proves anything.

use bartizan_core::Timestamp;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// What a chain's checks look at.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Its subject, RFC 4514.
    pub(crate) subject: String,
    /// Its issuer, RFC 4514.
    pub(crate) issuer: String,
    /// Its subject as it stands in the certificate.
    pub(crate) raw_subject: Vec<u8>,
    /// Its issuer as it stands in the certificate.
    pub(crate) raw_issuer: Vec<u8>,
    /// Its serial number, hexadecimal, upper case.
    pub(crate) serial: String,
    /// Its first moment.
    pub(crate) not_before: Timestamp,
    /// Its last moment.
    pub(crate) not_after: Timestamp,
    /// The host names it is for.
    pub(crate) dns: Vec<String>,
    /// The URIs it is for; a SPIFFE id is one.
    pub(crate) uri: Vec<String>,
    /// The mail addresses it is for.
    pub(crate) email: Vec<String>,
    /// The size of its key where that is an RSA key.
    pub(crate) rsa_bits: Option<usize>,
    /// The bits of its key usage (RFC 5280 §4.2.1.3), bit 0 the lowest; `None` without one.
    pub(crate) key_usage: Option<u16>,
    /// What it says it is meant for, as OIDs (RFC 5280 §4.2.1.12); `None` where it does not say.
    pub(crate) purposes: Option<Vec<String>>,
}

/// Reads a certificate, or says why it cannot be read.
pub(crate) fn read(der: &[u8]) -> Result<Reading, String> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|error| error.to_string().to_lowercase())?;
    if !rest.is_empty() {
        return Err("there are bytes after its end".to_owned());
    }
    let mut reading = Reading {
        subject: distinguished_name(certificate.subject()),
        issuer: distinguished_name(certificate.issuer()),
        raw_subject: certificate.subject().as_raw().to_vec(),
        raw_issuer: certificate.issuer().as_raw().to_vec(),
        serial: hex(certificate.raw_serial(), b"0123456789ABCDEF"),
        not_before: timestamp(certificate.validity().not_before.timestamp()),
        not_after: timestamp(certificate.validity().not_after.timestamp()),
        dns: Vec::new(),
        uri: Vec::new(),
        email: Vec::new(),
        rsa_bits: None,
        key_usage: None,
        purposes: None,
    };
    if let Ok(Some(usage)) = certificate.key_usage() {
        reading.key_usage = Some(usage.value.flags);
    }
    if let Ok(Some(usage)) = certificate.extended_key_usage() {
        reading.purposes = Some(purposes(usage.value));
    }
    if let Ok(PublicKey::RSA(key)) = certificate.public_key().parsed() {
        reading.rsa_bits = Some(key.key_size());
    }
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        for name in &names.value.general_names {
            match name {
                GeneralName::DNSName(name) => reading.dns.push((*name).to_owned()),
                GeneralName::URI(uri) => reading.uri.push((*uri).to_owned()),
                GeneralName::RFC822Name(email) => reading.email.push((*email).to_owned()),
                _ => {}
            }
        }
    }
    Ok(reading)
}

/// The serial number of a certificate, as it stands in it.
pub(crate) fn serial_number(der: &[u8]) -> Result<Vec<u8>, String> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|error| error.to_string().to_lowercase())?;
    Ok(certificate.raw_serial().to_vec())
}

/// The purposes of an extended key usage, as OIDs.
fn purposes(usage: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let known = [
        (usage.any, "2.5.29.37.0"),
        (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let known = known.into_iter().filter(|(holds, _)| *holds).map(|(_, oid)| oid.to_owned());
    known.chain(usage.other.iter().map(x509_parser::der_parser::oid::Oid::to_id_string)).collect()
}

/// Times before 1970 are 1970: nothing of ours is older.
fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8], digits: &[u8; 16]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| digits.get(usize::from(nibble)))
        .map(|digit| char::from(*digit))
        .collect()
}

/// A name as RFC 4514 writes it, most specific part first. What is not printable ASCII is escaped,
/// so that it can stand in a header or a log line.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    match (short_name(&oid), attribute.as_str()) {
        (Some(short), Ok(value)) => format!("{short}={}", escape(value)),
        (name, _) => {
            let value = hex(attribute.as_slice(), b"0123456789ABCDEF");
            format!("{}=#{value}", name.unwrap_or(&oid))
        }
    }
}

fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (i, byte) in value.bytes().enumerate() {
        let is_edge_space = byte == b' ' && (i == 0 || i == last);
        let is_first_hash = byte == b'#' && i == 0;
        let is_special = matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';');
        if is_special || is_edge_space || is_first_hash {
            text.push('\\');
            text.push(char::from(byte));
        } else if byte.is_ascii_graphic() || byte == b' ' {
            text.push(char::from(byte));
        } else {
            text.push('\\');
            text.push_str(&hex(&[byte], b"0123456789ABCDEF"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_smuggle_separators_or_lines() {
        assert_eq!(escape("a,O=evil"), r"a\,O=evil");
        assert_eq!(escape("a\r\nx: y"), r"a\0D\0Ax: y");
        assert_eq!(escape(" #é "), r"\ #\C3\A9\ ");
        assert_eq!(escape("#1"), r"\#1");
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        assert!(read(b"").is_err());
        assert!(read(&[0x30, 0x03, 0x02, 0x01, 0x01]).is_err());
    }
}
