//! References to secrets: text that names where the value is kept.
//!
//! `$env://NAME` is an environment variable, `$env://NAME/key` a member of the JSON object in it,
//! `$file://path` a file (relative to the document; one line end at its end is not part of the
//! value), `$secret://vault/<id>/<path>/<key>` what a secret manager keeps, which is one of the
//! resources `secrets`. Values are read when the configuration is loaded and only where the field is a secret,
//! a certificate or a key: anywhere else they could leak into answers and logs.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::managers::{SecretManager, SecretName};
use crate::surroundings::{SecretFault, Surroundings};
use crate::terms::References;
use crate::words::quoted;

/// Largest value that a reference may stand for, in bytes.
const REFERENCE_MAX: u64 = 1 << 20;

/// The kinds of references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Env,
    File,
    Secret,
    /// What a store encrypted, where no store has read it.
    Sealed,
    /// What a store encrypted and could not read.
    Unreadable,
}

/// The kind of reference that a text is, and what it names.
fn split(text: &str) -> Option<(Kind, &str)> {
    let (scheme, name) = text.strip_prefix('$')?.split_once("://")?;
    let known = [
        ("env", Kind::Env),
        ("file", Kind::File),
        ("secret", Kind::Secret),
        ("sealed", Kind::Sealed),
        ("unreadable", Kind::Unreadable),
    ];
    let (_, kind) = known.into_iter().find(|(known, _)| scheme.eq_ignore_ascii_case(known))?;
    Some((kind, name))
}

/// True if the text is a reference: it stands for a value that is kept elsewhere.
pub fn is_reference(text: &str) -> bool {
    split(text).is_some()
}

/// Where a secret manager of Google Cloud names the file of its account, as a JSON pointer: it is read
/// as `$file://` is.
pub const AUTH_FILE: &str = "/auth_file";

/// True if a text in a document of a `file` store stands for a variable or a file of the machine, as
/// a whole or in part.
pub fn is_of_machine(text: &str) -> bool {
    matches!(split(text), Some((Kind::Env | Kind::File, _))) || text.contains("${{")
}

/// The variable that a reference names, and the member of the object in it.
fn variable_of(name: &str) -> (&str, Option<&str>) {
    name.split_once('/').map_or((name, None), |(name, member)| (name, Some(member)))
}

/// Why a reference stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// What is wrong.
    Because(String),
    /// What is wrong is told elsewhere, or the value has yet to be fetched. What was read is not
    /// used.
    Later,
}

/// Every secret manager by its id; nothing where it is at fault.
type Managers = HashMap<Arc<str>, Option<Arc<SecretManager>>>;

/// What stands in the place of a text that a store encrypted and cannot read. It is refused wherever
/// it is read.
pub fn unreadable(why: &Unreadable<'_>) -> String {
    match why {
        Unreadable::UnknownKey(key) => format!("$unreadable://key/{key}"),
        Unreadable::Damaged(key) => format!("$unreadable://damaged/{key}"),
        Unreadable::Foreign => "$unreadable://keyring".to_owned(),
        Unreadable::Clear => "$unreadable://clear".to_owned(),
    }
}

/// Why a text that a store encrypted cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable<'a> {
    /// The key of that id is not known.
    UnknownKey(&'a str),
    /// The key of that id is known and does not open it here.
    Damaged(&'a str),
    /// No key of Apache APISIX that is known opens it.
    Foreign,
    /// It is not encrypted, and had to be.
    Clear,
}

fn why_unreadable(name: &str) -> String {
    match name.split_once('/') {
        Some(("key", key)) => format!(
            "the value is encrypted with the key {}, which `encryption.keys` of the store does not \
             hold",
            quoted(key)
        ),
        Some((_, key)) => format!(
            "the value is encrypted with the key {}, but was damaged, or moved here from another \
             object or field",
            quoted(key)
        ),
        None if name == "clear" => {
            "the value is not encrypted, which `encryption.required` of the store asks for"
                .to_owned()
        }
        None => "the value looks encrypted, but no key of `apisix_keyring` opens it".to_owned(),
    }
}

/// What a reference of a document in a folder stands for.
type Known = HashMap<(PathBuf, String), Result<String, Unresolved>>;

/// Resolves references, each once.
pub(crate) struct Resolver<'a> {
    surroundings: &'a dyn Surroundings,
    /// What may be read of this machine.
    references: References,
    known: Mutex<Known>,
    files: Mutex<BTreeSet<PathBuf>>,
    /// Once they are read.
    managers: OnceLock<Managers>,
    /// A value is missing that nobody was told of.
    is_unfinished: AtomicBool,
}

impl<'a> Resolver<'a> {
    /// Nothing is resolved yet.
    pub(crate) fn new(surroundings: &'a dyn Surroundings) -> Self {
        Self {
            surroundings,
            references: References::Any,
            known: Mutex::default(),
            files: Mutex::default(),
            managers: OnceLock::new(),
            is_unfinished: AtomicBool::new(false),
        }
    }

    /// Resolves only what these let objects read.
    pub(crate) fn within(self, references: References) -> Self {
        Self { references, ..self }
    }

    /// Where values come from.
    pub(crate) fn surroundings(&self) -> &'a dyn Surroundings {
        self.surroundings
    }

    /// From now on references to secret managers are resolved.
    pub(crate) fn know_managers(&self, managers: Managers) {
        // They are read once, before what refers to them.
        let _ = self.managers.set(managers);
    }

    /// Whether a value is missing, so that what was read must not be used.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.is_unfinished.load(Ordering::Relaxed)
    }

    /// Notes that a file belongs to the configuration.
    pub(crate) fn note(&self, path: &Path) {
        lock(&self.files).insert(path.to_owned());
    }

    /// The variables that were asked for by references.
    pub(crate) fn variables(&self) -> BTreeSet<String> {
        let known = lock(&self.known);
        let named = known.keys().filter_map(|(_, reference)| match split(reference) {
            Some((Kind::Env, name)) => Some(variable_of(name).0.to_owned()),
            _ => None,
        });
        named.collect()
    }

    /// The files that belong to the configuration so far.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        lock(&self.files).iter().cloned().collect()
    }

    /// The files that belong to the configuration, also those that could not be read.
    pub(crate) fn into_files(self) -> Vec<PathBuf> {
        lock(&self.files).iter().cloned().collect()
    }

    /// The value of a reference in a document of `folder`, or what is wrong with it.
    pub(crate) fn resolve(&self, reference: &str, folder: &Path) -> Result<String, Unresolved> {
        let key = (folder.to_owned(), reference.to_owned());
        // Held until the value is known: several threads read each only once.
        let mut known = lock(&self.known);
        if let Some(known) = known.get(&key) {
            return known.clone();
        }
        let barred = |why: &str| format!("{} {why}", quoted(reference));
        let value = match split(reference) {
            Some((Kind::Env | Kind::File, _)) if !self.surroundings.are_known() => self.later(),
            Some((Kind::Env, name)) => self
                .references
                .variable(variable_of(name).0)
                .map_err(barred)
                .and_then(|()| self.variable(name))
                .map_err(Unresolved::Because),
            Some((Kind::File, path)) => self
                .references
                .file(folder, Path::new(path))
                .map_err(barred)
                .and_then(|()| self.text_file(&folder.join(path)))
                .map_err(Unresolved::Because),
            Some((Kind::Secret, name)) => self.secret(name),
            Some((Kind::Sealed, _)) => Err(Unresolved::Because(
                "the value is encrypted text of a store, which is read there only".to_owned(),
            )),
            Some((Kind::Unreadable, why)) => Err(Unresolved::Because(why_unreadable(why))),
            None => Ok(reference.to_owned()),
        };
        known.insert(key, value.clone());
        value
    }

    fn secret(&self, name: &str) -> Result<String, Unresolved> {
        let name = SecretName::parse(name).map_err(Unresolved::Because)?;
        let Some(managers) = self.managers.get() else {
            let problem = "a secret manager can be asked once it is known, not in the node file \
                           or in a secret manager: use `$env://` or `$file://`";
            return Err(Unresolved::Because(problem.to_owned()));
        };
        let manager = match managers.get(&name.manager) {
            Some(Some(manager)) => manager,
            Some(None) => return self.later(),
            None => {
                let id = quoted(&name.manager);
                return Err(Unresolved::Because(format!("there is no secret manager {id}")));
            }
        };
        if !self.surroundings.are_known() {
            return self.later();
        }
        match self.surroundings.secret(manager, &name) {
            // An empty secret is none.
            Ok(value) if value.is_empty() => Err(Unresolved::Because(format!(
                "what {} keeps is empty",
                quoted(&name.to_string())
            ))),
            Ok(value) => Ok(value),
            Err(SecretFault::Refused(problem)) => Err(Unresolved::Because(problem)),
            Err(SecretFault::NotFetched) => self.later(),
        }
    }

    /// There is no value yet, or none that may be known here.
    fn later(&self) -> Result<String, Unresolved> {
        self.is_unfinished.store(true, Ordering::Relaxed);
        Err(Unresolved::Later)
    }

    fn variable(&self, name: &str) -> Result<String, String> {
        let (name, member) = variable_of(name);
        let value = self
            .surroundings
            .variable(name)
            .ok_or_else(|| format!("the environment variable {} is not set", quoted(name)))?;
        let value = match member {
            None => value,
            Some(member) => serde_json::from_str::<serde_json::Value>(&value)
                .ok()
                .and_then(|object| object.get(member)?.as_str().map(str::to_owned))
                .ok_or_else(|| {
                    format!(
                        "the environment variable {} is no JSON object with the text {}",
                        quoted(name),
                        quoted(member)
                    )
                })?,
        };
        if value.is_empty() {
            return Err(format!("the environment variable {} is empty", quoted(name)));
        }
        Ok(value)
    }

    /// The text of a file without the line end at its end.
    pub(crate) fn text_file(&self, path: &Path) -> Result<String, String> {
        self.note(path);
        let shown = quoted(&path.to_string_lossy());
        let bytes = self
            .surroundings
            .file(path, REFERENCE_MAX)
            .map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
        let mut text =
            String::from_utf8(bytes).map_err(|_| format!("the file {shown} is not UTF-8"))?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() {
            return Err(format!("the file {shown} is empty"));
        }
        Ok(text)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::node::StoreReferences;
    use crate::surroundings::{Nowhere, System};

    struct Fixed;

    impl Surroundings for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "KEY" => Some("s3cret".to_owned()),
                "JSON" => Some(r#"{"a": "x", "n": 1}"#.to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }

        fn file(&self, path: &Path, _: u64) -> io::Result<Vec<u8>> {
            match path.to_str() {
                Some("/etc/b/key") => Ok(b"from file\r\n".to_vec()),
                Some("/abs") => Ok(b"absolute".to_vec()),
                Some("/etc/b/bad") => Ok(b"\xff".to_vec()),
                _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
            }
        }
    }

    #[test]
    fn references_stand_for_values_or_say_what_is_wrong() {
        let resolver = Resolver::new(&Fixed);
        for (reference, value) in [
            ("$env://KEY", Ok("s3cret")),
            ("$ENV://KEY", Ok("s3cret")),
            ("$env://JSON/a", Ok("x")),
            ("$file://key", Ok("from file")),
            ("$file:///abs", Ok("absolute")),
            ("$env://NO", Err("the environment variable `NO` is not set")),
            ("$env://EMPTY", Err("the environment variable `EMPTY` is empty")),
            (
                "$env://JSON/n",
                Err("the environment variable `JSON` is no JSON object with the text `n`"),
            ),
            ("$file://no", Err("the file `/etc/b/no` cannot be read: no such file")),
            ("$file://bad", Err("the file `/etc/b/bad` is not UTF-8")),
            (
                "$secret://vault/1/a/b",
                Err(
                    "a secret manager can be asked once it is known, not in the node file or in a \
                     secret manager: use `$env://` or `$file://`",
                ),
            ),
        ] {
            assert!(is_reference(reference));
            let because = |problem: &str| Unresolved::Because(problem.to_owned());
            let expected = value.map(str::to_owned).map_err(because);
            assert_eq!(resolver.resolve(reference, Path::new("/etc/b")), expected, "{reference}");
        }
        assert_eq!(resolver.into_files().len(), 4);
    }

    #[test]
    fn where_nothing_is_known_no_reference_tells_whether_it_stands_for_something() {
        for reference in ["$env://PATH", "$env://NO", "$file:///etc/passwd", "$FILE://no"] {
            let resolver = Resolver::new(&Nowhere);
            assert_eq!(resolver.resolve(reference, Path::new("/")), Err(Unresolved::Later));
            assert!(resolver.is_unfinished() && resolver.into_files().is_empty(), "{reference}");
        }
    }

    #[test]
    fn other_text_is_no_reference() {
        for text in ["$uri", "env://KEY", "$http://x", "$env:/KEY", "", "$"] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn what_objects_may_not_read_is_not_looked_at() {
        let listed = |env: &[&str], files: &[&str]| {
            References::Listed(Arc::new(StoreReferences {
                env: env.iter().map(|name| (*name).to_owned()).collect(),
                files: files.iter().map(PathBuf::from).collect(),
            }))
        };
        for (references, reference, expected) in [
            (listed(&["KEY"], &[]), "$env://KEY", Some("s3cret")),
            (listed(&["JSON"], &[]), "$env://JSON/a", Some("x")),
            (listed(&["JSON/a"], &[]), "$env://JSON/a", None),
            (listed(&[], &["/etc/b"]), "$env://KEY", None),
            (listed(&[], &["/etc/b"]), "$ENV://KEY", None),
            (listed(&[], &["/etc/b/key"]), "$file://key", Some("from file\r\n")),
            (listed(&["key"], &["/etc/b/keys"]), "$file://key", None),
            (listed(&["KEY"], &["/etc/b/x"]), "$file://x/../key", None),
            (listed(&["KEY"], &["/etc/b"]), "$FILE:///abs", None),
            (References::Nothing, "$env://KEY", None),
            (References::Nothing, "$file:///abs", None),
        ] {
            let resolver = Resolver::new(&Fixed).within(references);
            let value = resolver.resolve(reference, Path::new("/etc/b"));
            let Some(expected) = expected else {
                let Err(Unresolved::Because(why)) = value else { panic!("{reference}") };
                assert!(why.starts_with(&format!("`{reference}` ")), "{why}");
                assert!(resolver.into_files().is_empty(), "{reference}");
                continue;
            };
            assert_eq!(value.as_deref(), Ok(expected.trim_end()));
        }
    }

    #[test]
    fn what_is_of_the_machine_is_known_wherever_it_is_read() {
        for (text, expected) in [
            ("$env://KEY", true),
            ("$ENV://KEY/a", true),
            ("$File:///etc/key", true),
            ("a ${{KEY}} b", true),
            ("${{KEY:=default}}", true),
            ("$secret://vault/1/a/b", false),
            ("$unreadable://clear", false),
            ("$sealed://k1/AAAA", false),
            ("see $env://KEY", false),
            ("${KEY}", false),
            ("", false),
        ] {
            assert_eq!(is_of_machine(text), expected, "{text}");
        }
    }

    #[test]
    fn a_file_is_a_value_up_to_a_length() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reference = format!("$file://{}", file.path().display());
        let max = usize::try_from(REFERENCE_MAX).unwrap();
        for (length, is_read) in [(max - 1, true), (max, true), (max + 1, false)] {
            std::fs::write(file.path(), vec![b'x'; length]).unwrap();
            let value = Resolver::new(&System).resolve(&reference, Path::new(""));
            assert_eq!(value.map(|value| value.len()).ok(), is_read.then_some(length));
        }
    }
}
