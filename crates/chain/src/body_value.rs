//! The value of a body: JSON, or a form as an object of texts.

use bartizan_core::{Denial, Reason};
use serde_json::{Map, Value};

use crate::context::RequestCx;
use crate::json::{JsonLimits, parse_strict};

impl RequestCx {
    /// What the client says that the body is, without parameters; `None` where it says nothing.
    /// Denies where it states two content types.
    pub fn media_type(&self) -> Result<Option<&[u8]>, Denial> {
        let kind = self.fields.single("content-type");
        let kind = kind.map_err(|_| unparsable("content-type occurs more than once".into()))?;
        let media = kind.map(|kind| kind.split(|b| *b == b';').next().unwrap_or_default());
        Ok(media.map(<[u8]>::trim_ascii))
    }

    /// True if the body says that it is a form (`application/x-www-form-urlencoded`); otherwise it
    /// is read as JSON. Denies where the client states two content types.
    pub fn has_form(&self) -> Result<bool, Denial> {
        let media = self.media_type()?.unwrap_or_default();
        Ok(media.eq_ignore_ascii_case(b"application/x-www-form-urlencoded"))
    }

    /// Reads a body of this request as one value, strictly. For plugins that ask for bytes and may
    /// need the value as well; the others find it in [`RequestCx::body_value`].
    pub fn parse_body(&self, body: &[u8], limits: JsonLimits) -> Result<Value, Denial> {
        if self.has_form()? {
            return parse_form(body, limits).map_err(unparsable);
        }
        parse_strict(body, limits).map_err(|fault| unparsable(format!("JSON: {fault}")))
    }
}

fn unparsable(detail: String) -> Denial {
    Denial::new(Reason::UnparsableBody, detail)
}

/// A form as an object of texts; a repeated name has two meanings and is refused.
fn parse_form(body: &[u8], limits: JsonLimits) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|_| "form: not UTF-8".to_owned())?;
    let mut object = Map::new();
    for (count, pair) in text.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if count >= limits.items as usize {
            return Err("form: too many fields".into());
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |part| bartizan_wire::decode_form(part).ok_or("form: invalid encoding");
        let name = decode(name)?;
        if object.insert(name, Value::String(decode(value)?)).is_some() {
            return Err("form: duplicate field".into());
        }
    }
    Ok(Value::Object(object))
}
