//! The format of the cases; see `cases/README.md`.

use serde_json::Value;

/// What was answered.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A request and what must be answered.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) status: u16,
    answer_fields: Vec<(String, String)>,
    holds: Vec<String>,
    lacks: Vec<String>,
    pub(crate) value: Option<Value>,
}

/// Reads a case.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for block in text.split("\n\n") {
        let mut lines = block.lines().filter(|line| !line.starts_with('#')).peekable();
        let Some(first) = lines.next() else { continue };
        let (method, target) = first.split_once(' ').unwrap();
        let mut step = Step::of(method, target, "");
        let mut body = Vec::new();
        for line in lines.by_ref() {
            if let Some(status) = line.strip_prefix("=> ") {
                step.status = status.trim().parse().unwrap();
                break;
            }
            match field(line) {
                Some(field) if body.is_empty() => step.fields.push(field),
                _ => body.push(line),
            }
        }
        step.body = body.join("\n");
        let mut expected = String::new();
        for line in lines {
            if let Some(text) = line.strip_prefix("< ") {
                step.answer_fields.extend(field(text));
            } else if let Some(text) = line.strip_prefix("~ ") {
                step.holds.push(text.to_owned());
            } else if let Some(text) = line.strip_prefix("!~ ") {
                step.lacks.push(text.to_owned());
            } else {
                expected.push_str(line);
            }
        }
        step.value = (!expected.is_empty()).then(|| {
            serde_json::from_str(&expected).unwrap_or_else(|error| panic!("{error}: {expected}"))
        });
        assert_ne!(step.status, 0, "{first}: no status");
        steps.push(step);
    }
    steps
}

/// `Name: value`, where the name begins with a capital letter as fields here do.
fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(": ")?;
    let is_name = name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name.then(|| (name.to_owned(), value.to_owned()))
}

impl Step {
    pub(crate) fn of(method: &str, target: &str, body: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            body: body.to_owned(),
            ..Self::default()
        }
    }

    /// The fields to send, with the key unless the step has its own or none.
    pub(crate) fn fields_with(&self, key: &str) -> Vec<(String, String)> {
        let mut fields = self.fields.clone();
        if !fields.iter().any(|(name, _)| name == "X-API-KEY") {
            fields.push(("X-API-KEY".to_owned(), key.to_owned()));
        }
        fields.retain(|(name, value)| name != "X-API-KEY" || value != "-");
        fields
    }

    /// Whether an answer is as it must be.
    pub(crate) fn judge(&self, answer: &Answered) -> Result<(), String> {
        let body = &answer.body;
        if answer.status != self.status {
            return Err(format!("expected {}, got {}: {body}", self.status, answer.status));
        }
        for (name, value) in &self.answer_fields {
            let is_there = answer.fields.iter().any(|(known, is)| {
                known.eq_ignore_ascii_case(name) && (value == "*" || is == value)
            });
            if !is_there {
                return Err(format!("the field {name}: {value} is not in {:?}", answer.fields));
            }
        }
        if let Some(text) = self.holds.iter().find(|text| !unescaped(body).contains(*text)) {
            return Err(format!("`{text}` is not in {body}"));
        }
        if let Some(text) = self.lacks.iter().find(|text| body.contains(*text)) {
            return Err(format!("`{text}` is in {body}"));
        }
        let Some(expected) = &self.value else { return Ok(()) };
        let value: Value =
            serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))?;
        if holds(&value, expected) {
            Ok(())
        } else {
            Err(format!("expected {expected}, got {body}"))
        }
    }
}

fn unescaped(body: &str) -> String {
    body.replace("\\\"", "\"")
}

/// Whether a value has what is expected of it.
fn holds(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (_, Value::String(any)) if any == "*" => true,
        (Value::Object(value), Value::Object(expected)) => expected
            .iter()
            .all(|(key, expected)| value.get(key).is_some_and(|value| holds(value, expected))),
        (Value::Array(value), Value::Array(expected)) => {
            value.len() == expected.len()
                && value.iter().zip(expected).all(|(value, expected)| holds(value, expected))
        }
        (value, expected) => value == expected,
    }
}
