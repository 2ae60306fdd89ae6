//! Media types, and which entry of a description one belongs to.

use std::fmt;

/// A media type, or a range of them, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    kind: Box<str>,
    subtype: Box<str>,
    /// Parameters but `charset`, which changes nothing here.
    parameters: Vec<(Box<str>, Box<str>)>,
}

impl MediaType {
    /// Reads `type/subtype; name=value`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let is_token =
            |text: &str| !text.is_empty() && text.bytes().all(bartizan_wire::is_token_byte);
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let parameters = parts.filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=')?;
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            Some((name.trim().to_ascii_lowercase().into(), Box::from(value)))
        });
        Some(Self {
            kind: kind.to_ascii_lowercase().into(),
            subtype: subtype.to_ascii_lowercase().into(),
            parameters: parameters.collect::<Option<Vec<_>>>()?,
        })
    }

    /// A parameter's value.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }

    /// True for JSON and everything that is written as such.
    pub(super) fn is_json(&self) -> bool {
        matches!((&*self.kind, &*self.subtype), ("application" | "text", "json"))
            || self.subtype.ends_with("+json")
    }

    /// True for an entry that JSON may belong to.
    pub(super) fn may_be_json(&self) -> bool {
        self.is_json() || self.subtype.starts_with('*')
    }

    pub(super) fn is_form(&self) -> bool {
        (&*self.kind, &*self.subtype) == ("application", "x-www-form-urlencoded")
    }

    pub(super) fn is_multipart(&self) -> bool {
        (&*self.kind, &*self.subtype) == ("multipart", "form-data")
    }

    /// True for text that is nothing but text.
    pub(super) fn is_text(&self) -> bool {
        &*self.kind == "text" && !self.subtype.ends_with("xml")
    }

    /// How well a type fits this entry: not at all, or the more the better.
    pub(super) fn fit(&self, actual: &Self) -> Option<u32> {
        let is_kind = self.kind == actual.kind;
        let by_name = match &*self.subtype {
            "*" if &*self.kind == "*" => 1,
            "*" if is_kind => 2,
            range if is_kind && range.starts_with("*+") => {
                let suffix = range.get(1..).unwrap_or_default();
                actual.subtype.ends_with(suffix).then_some(3)?
            }
            exact if is_kind && exact == &*actual.subtype => 4,
            _ => return None,
        };
        let own = self.parameters.iter().filter(|(name, _)| &**name != "charset");
        let (mut held, mut missed) = (0, 0);
        for (name, value) in own {
            if actual.parameter(name) == Some(value) { held += 1 } else { missed += 1 }
        }
        // Entries that differ in parameters alone: the one whose parameters are all there, else
        // the one with the fewest that are not.
        Some(by_name * 1_000 + 500 + held - missed.min(500))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'e>(entries: &[&'e str], actual: &str) -> Option<&'e str> {
        let actual = MediaType::parse(actual).unwrap();
        let fits = entries.iter().filter_map(|entry| {
            MediaType::parse(entry).unwrap().fit(&actual).map(|fit| (fit, *entry))
        });
        fits.max_by_key(|(fit, _)| *fit).map(|(_, entry)| entry)
    }

    #[test]
    fn the_closest_entry_is_chosen() {
        let entries = ["*/*", "text/*", "application/*+json", "application/json", "text/plain"];
        for (actual, entry) in [
            ("application/json; charset=utf-8", "application/json"),
            ("APPLICATION/JSON", "application/json"),
            ("application/vnd.a+json", "application/*+json"),
            ("text/html", "text/*"),
            ("text/plain", "text/plain"),
            ("image/png", "*/*"),
        ] {
            assert_eq!(best(&entries, actual), Some(entry), "{actual}");
        }
        assert_eq!(best(&["application/json"], "application/jsonp"), None);
        let versions =
            ["application/json;version=1", "application/json;version=2", "application/json"];
        assert_eq!(best(&versions, "application/json; version=2"), Some(versions[1]));
        assert_eq!(best(&versions, "application/json"), Some(versions[2]));
    }

    #[test]
    fn what_is_no_media_type_is_none() {
        for text in ["", "json", "a/", "/b", "a/b/c", "a b/c", "a/b; c"] {
            assert_eq!(MediaType::parse(text), None, "{text}");
        }
        let type_ = MediaType::parse("multipart/form-data; boundary=\"a b\"").unwrap();
        assert_eq!(type_.parameter("boundary"), Some("a b"));
    }
}
