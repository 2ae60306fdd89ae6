//! The rules, and what they make of names and values.

use bartizan_config::{Invalid, PathStep};
use bartizan_wire::{Fields, decode_form, is_field_value};
use bytes::Bytes;

use super::json::{Becomes, Bounds, NotJson, rewrite};
use super::path::Path;
use super::{Action, BodyFormat, RequestPart, RequestRule, ResponsePart, ResponseRule};
use crate::field_change::{FieldChanges, Side};
use crate::rewrite_text::encode;
use crate::substitution::Substitution;

/// What becomes of a value.
enum Change {
    Remove,
    Replace(String),
    Regex(Substitution, String),
}

/// Rules by where they apply; of several for one value the first counts.
#[derive(Default)]
pub(super) struct Rules {
    query: Vec<(String, Change)>,
    fields: Vec<(Bytes, Change)>,
    json: Vec<(Path, Change)>,
    form: Vec<(String, Change)>,
}

impl Rules {
    pub(super) fn is_empty(&self) -> bool {
        self.query.is_empty() && self.fields.is_empty() && !self.reads_bodies()
    }

    pub(super) fn reads_bodies(&self) -> bool {
        self.reads_json() || self.reads_forms()
    }

    pub(super) fn reads_forms(&self) -> bool {
        !self.form.is_empty()
    }

    pub(super) fn reads_json(&self) -> bool {
        !self.json.is_empty()
    }

    pub(super) fn add_request(&mut self, rule: &RequestRule) -> Result<(), Invalid> {
        let change = Change::compile(rule.action, rule.regex.as_deref(), rule.value.as_deref())?;
        if rule.r#type != RequestPart::Body && rule.body_format.is_some() {
            return Err(Invalid::at("body_format", "is for `type: body`"));
        }
        match (rule.r#type, rule.body_format) {
            (RequestPart::Query, _) => self.query.push((rule.name.clone(), change)),
            (RequestPart::Header, _) => self.fields.push((field_name(&rule.name)?, change)),
            (RequestPart::Body, Some(BodyFormat::Json)) => {
                self.json.push((place(&rule.name)?, change));
            }
            (RequestPart::Body, Some(BodyFormat::Urlencoded)) => {
                self.form.push((rule.name.clone(), change));
            }
            (RequestPart::Body, None) => {
                return Err(Invalid::at("type", "`body` needs a `body_format`")
                    .with_help("`json` or `urlencoded`"));
            }
        }
        Ok(())
    }

    pub(super) fn add_response(&mut self, rule: &ResponseRule) -> Result<(), Invalid> {
        let change = Change::compile(rule.action, rule.regex.as_deref(), rule.value.as_deref())?;
        match rule.r#type {
            ResponsePart::Header => self.fields.push((field_name(&rule.name)?, change)),
            ResponsePart::Body => self.json.push((place(&rule.name)?, change)),
        }
        Ok(())
    }

    /// The query, masked; `None` where no rule is for any of it.
    pub(super) fn mask_query(&self, query: &str) -> Option<String> {
        pairs_masked(&self.query, query)
    }

    pub(super) fn mask_fields(&self, fields: &mut Fields) {
        for (name, change) in &self.fields {
            let text = |name: &Bytes| String::from_utf8_lossy(name).into_owned();
            let values: Vec<Vec<u8>> = fields.all(&text(name)).map(<[u8]>::to_vec).collect();
            if values.is_empty() {
                continue;
            }
            fields.retain(|field| field.name != name);
            for value in values {
                let masked = change.apply(&String::from_utf8_lossy(&value));
                // What a field may not hold is no mask for one.
                if let Some(masked) = masked.filter(|masked| is_field_value(masked.as_bytes())) {
                    fields.append(name.clone(), masked);
                }
            }
        }
    }

    /// The body, masked; an error where it is not JSON.
    pub(super) fn mask_json(&self, body: &Bytes, bounds: Bounds) -> Result<Bytes, NotJson> {
        let paths: Vec<&Path> = self.json.iter().map(|(path, _)| path).collect();
        let mut change = |path: usize, written: &str| match self.json.get(path) {
            Some((_, change)) => change.apply_json(written),
            None => Becomes::Nothing,
        };
        let masked = rewrite(body, &paths, bounds, &mut change)?;
        Ok(masked.map_or_else(|| body.clone(), Bytes::from))
    }
}

/// A form, masked; `None` where it cannot be read or has more fields than are gone through.
pub(super) fn form_masked(rules: &Rules, body: &Bytes, most: usize) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    if text.split('&').filter(|pair| !pair.is_empty()).count() > most {
        return None;
    }
    Some(pairs_masked(&rules.form, text).map_or_else(|| body.clone(), Bytes::from))
}

fn pairs_masked(rules: &[(String, Change)], text: &str) -> Option<String> {
    let mut out = String::new();
    let mut has_changed = false;
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode_form(key);
        let rule = rules.iter().find(|(own, _)| name.as_deref() == Some(own));
        let masked = match rule {
            None => Some(pair.to_owned()),
            Some((_, change)) => {
                has_changed = true;
                // A value that is no text is hidden whole, if it is not to be replaced anyway.
                let value = decode_form(value).unwrap_or_default();
                change.apply(&value).map(|masked| {
                    let mut pair = format!("{key}=");
                    encode(&masked, &mut pair);
                    pair
                })
            }
        };
        if let Some(masked) = masked {
            if !out.is_empty() {
                out.push('&');
            }
            out.push_str(&masked);
        }
    }
    has_changed.then_some(out)
}

impl Change {
    fn compile(action: Action, regex: Option<&str>, value: Option<&str>) -> Result<Self, Invalid> {
        let useless =
            |key: &str| Err(Invalid::at(key, format!("`{key}` has no effect with this `action`")));
        match (action, regex, value) {
            (Action::Remove, None, None) => Ok(Self::Remove),
            (Action::Replace, None, Some(value)) => Ok(Self::Replace(value.to_owned())),
            (Action::Regex, Some(regex), Some(value)) => {
                let substitution = Substitution::compile(("regex", regex), ("value", value), true)?;
                Ok(Self::Regex(substitution, value.to_owned()))
            }
            (Action::Remove | Action::Replace, Some(_), _) => useless("regex"),
            (Action::Remove, None, Some(_)) => useless("value"),
            (Action::Replace, None, None) => {
                Err(Invalid::at("action", "`replace` needs a `value`"))
            }
            (Action::Regex, _, _) => {
                Err(Invalid::at("action", "`regex` needs a `regex` and a `value`"))
            }
        }
    }

    /// The value, masked; `None` where it goes.
    fn apply(&self, value: &str) -> Option<String> {
        match self {
            Self::Remove => None,
            Self::Replace(with) => Some(with.clone()),
            Self::Regex(substitution, with) => Some(masked(substitution, with, value)),
        }
    }

    fn apply_json(&self, written: &str) -> Becomes {
        let string = |text: &str| Becomes::Json(serde_json::Value::from(text).to_string());
        match self {
            Self::Remove => Becomes::Nothing,
            Self::Replace(with) => string(with),
            Self::Regex(_, with) if written.starts_with(['{', '[']) => string(with),
            Self::Regex(substitution, with) if written.starts_with('"') => {
                let text: String = serde_json::from_str(written).unwrap_or_default();
                string(&masked(substitution, with, &text))
            }
            Self::Regex(substitution, with) => {
                let text = masked(substitution, with, written);
                if text == written { Becomes::Json(text) } else { string(&text) }
            }
        }
    }
}

/// A value in which finds are replaced; one that would grow beyond reason is replaced whole.
fn masked(substitution: &Substitution, with: &str, value: &str) -> String {
    const GROWTH: usize = 65_536;
    let most = value.len().saturating_add(GROWTH);
    let masked = substitution.apply(&Bytes::copy_from_slice(value.as_bytes()), most);
    match masked {
        Ok(masked) => String::from_utf8_lossy(&masked).into_owned(),
        Err(_) => with.to_owned(),
    }
}

fn place(text: &str) -> Result<Path, Invalid> {
    Path::parse(text).map_err(|fault| fault.under(name_key()))
}

fn name_key() -> PathStep {
    PathStep::Key("name".to_owned())
}

fn field_name(name: &str) -> Result<Bytes, Invalid> {
    let mut changes = FieldChanges::new(Side::Response, 0);
    let at_name = |fault: Invalid| Invalid { path: Vec::new(), ..fault }.under(name_key());
    changes.remove(name).map_err(at_name)?;
    Ok(name.to_ascii_lowercase().into())
}
