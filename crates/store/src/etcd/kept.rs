//! The copy of the last good configuration on this machine, encrypted.
//!
//! The file is eight bytes that say what it is, a nonce, and JSON under AES-256-GCM. It is replaced
//! as a whole, and nobody but its owner may read it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::wire::Bytes;
use crate::key::Key;
use crate::object::{Object, Snapshot};

/// What the file begins with: what it is, and its format.
const MAGIC: &[u8; 8] = b"bzkept\x00\x01";

/// Longest file that is read.
const FILE_MAX: u64 = 1 << 30;

/// Where the copy is, and the key that it is encrypted with.
#[derive(Clone, Debug)]
pub struct KeptAt {
    /// The file.
    pub path: PathBuf,
    /// 32 bytes, from [`parse_key`].
    pub key: Secret,
}

/// Reads a key of 32 bytes in hexadecimal or Base64.
pub fn parse_key(text: &str) -> Option<Secret> {
    let text = text.trim();
    let hex = || -> Option<Vec<u8>> {
        let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
        pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
    };
    let bytes = match text.len() {
        64 => hex()?,
        _ => STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()?,
    };
    (bytes.len() == 32).then(|| Secret::new(bytes))
}

#[derive(Deserialize, Serialize)]
struct Content {
    revision: u64,
    objects: Vec<Kept>,
}

#[derive(Deserialize, Serialize)]
struct Kept {
    key: String,
    revision: u64,
    content: Bytes,
}

/// Writes a snapshot.
pub(super) fn write(at: &KeptAt, snapshot: &Snapshot) -> io::Result<()> {
    write_up_to(at, snapshot, FILE_MAX)
}

fn write_up_to(at: &KeptAt, snapshot: &Snapshot, max: u64) -> io::Result<()> {
    let objects = snapshot.objects.iter().map(|object| Kept {
        key: object.key.to_string(),
        revision: object.revision,
        content: Bytes(object.content.to_vec()),
    });
    let content = Content { revision: snapshot.revision, objects: objects.collect() };
    let mut sealed = serde_json::to_vec(&content)?;
    let nonce = key(at)?
        .seal_in_place_append_tag(Aad::from(MAGIC), &mut sealed)
        .map_err(|_| io::Error::other("it cannot be encrypted"))?;
    let length = MAGIC.len() + NONCE_LEN + sealed.len();
    if u64::try_from(length).is_ok_and(|length| length > max) {
        return Err(io::Error::other(format!("it is longer than {max} bytes")));
    }
    let name = at.path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let temporary = at.path.with_file_name(format!(".{}.new", name.to_string_lossy()));
    let mut options = OpenOptions::new();
    // What an earlier process left behind, half-written, is no more than that.
    let _ = std::fs::remove_file(&temporary);
    let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(MAGIC)?;
    file.write_all(nonce.as_ref())?;
    file.write_all(&sealed)?;
    file.sync_all()?;
    std::fs::rename(&temporary, &at.path)?;
    sync_folder(&at.path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Reads a snapshot; `None` where there is none.
pub(super) fn read(at: &KeptAt) -> io::Result<Option<Snapshot>> {
    let file = match File::open(&at.path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(FILE_MAX).read_to_end(&mut bytes)?;
    let broken = || io::Error::other("it is damaged, or encrypted with another key");
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| io::Error::other("it is no snapshot"))?;
    let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or_else(broken)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| broken())?;
    let mut sealed = sealed.to_vec();
    let opened =
        key(at)?.open_in_place(nonce, Aad::from(MAGIC), &mut sealed).map_err(|_| broken())?;
    let content: Content = serde_json::from_slice(opened)?;
    let objects = content.objects.into_iter().filter_map(|kept| {
        Some(Object {
            key: Key::parse(&kept.key).ok()?,
            content: Arc::from(kept.content.0),
            revision: kept.revision,
            created: kept.revision,
            author: None,
            at: None,
        })
    });
    let mut objects: Vec<Object> = objects.collect();
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Some(Snapshot { revision: content.revision, objects }))
}

fn key(at: &KeptAt) -> io::Result<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, at.key.expose())
        .map_err(|_| io::Error::other("its key is not of 32 bytes"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn snapshot(text: &str) -> Snapshot {
        let object = Object {
            key: Key::parse("routes/a").unwrap(),
            content: text.as_bytes().into(),
            revision: 3,
            created: 3,
            author: None,
            at: None,
        };
        Snapshot { revision: 7, objects: vec![object] }
    }

    #[test]
    fn what_was_kept_is_read_with_its_key_only_and_hides_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let at = KeptAt { path: folder.path().join("kept"), key: Secret::new([1; 32]) };
        assert!(read(&at).unwrap().is_none());
        write(&at, &snapshot("first")).unwrap();
        write(&at, &snapshot("hunter2")).unwrap();
        let kept = read(&at).unwrap().unwrap();
        assert_eq!((kept.revision, kept.objects), (7, snapshot("hunter2").objects));
        let bytes = std::fs::read(&at.path).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
        let mode = std::fs::metadata(&at.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = KeptAt { key: Secret::new([2; 32]), ..at.clone() };
        assert!(read(&other).unwrap_err().to_string().contains("another key"));
        for at_byte in [8, 20, bytes.len() - 1] {
            let mut torn = bytes.clone();
            torn[at_byte] ^= 1;
            std::fs::write(&at.path, torn).unwrap();
            assert!(read(&at).is_err(), "{at_byte}");
        }
        for length in [0, 7, 12, bytes.len() - 1] {
            std::fs::write(&at.path, &bytes[..length]).unwrap();
            assert!(read(&at).is_err(), "{length}");
        }
    }

    #[test]
    fn a_snapshot_has_a_length_at_most_and_leaves_the_earlier_one_where_it_has_more() {
        let folder = tempfile::tempdir().unwrap();
        let at = KeptAt { path: folder.path().join("kept"), key: Secret::new([1; 32]) };
        write(&at, &snapshot("first")).unwrap();
        let length = std::fs::metadata(&at.path).unwrap().len();
        for (max, text) in [(length - 1, "first"), (length, "other"), (length + 1, "again")] {
            assert_eq!(write_up_to(&at, &snapshot(text), max).is_ok(), max >= length, "{max}");
            assert_eq!(read(&at).unwrap().unwrap().objects, snapshot(text).objects);
        }
    }

    #[test]
    fn keys_are_32_bytes_in_hexadecimal_or_base64() {
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!(parse_key(&hex).unwrap().expose()[..2], [1, 0x23]);
        assert_eq!(parse_key(&format!("{}\n", STANDARD.encode([9; 32]))).unwrap().len(), 32);
        assert_eq!(parse_key(&URL_SAFE_NO_PAD.encode([0xff; 32])).unwrap().len(), 32);
        for bad in ["", "short", &"zz".repeat(32), &STANDARD.encode([9; 16])] {
            assert!(parse_key(bad).is_none(), "{bad}");
        }
    }
}
