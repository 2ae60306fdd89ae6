//! Text with variables in it: `$remote_addr $consumer_name`, `${arg_id}-x`.

use bartizan_wire::QueryFault;

use crate::context::RequestCx;
use crate::vars::{Var, VarError};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Var(Var),
}

/// A compiled text with variables. `\$` is a dollar; a variable without a value reads as nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Box<[Part]>,
}

impl Template {
    /// Compiles a text.
    pub fn parse(text: &str) -> Result<Self, VarError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['$', '\\']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("\\$") {
                literal.push('$');
                rest = after;
                continue;
            }
            let Some(after) = from.strip_prefix('$') else {
                literal.push('\\');
                rest = from.get(1..).unwrap_or_default();
                continue;
            };
            let (name, remaining) = variable_name(after);
            if name.is_empty() {
                literal.push('$');
                rest = after;
                continue;
            }
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Var(Var::parse(name)?));
            rest = remaining;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts: parts.into_boxed_slice() })
    }

    /// The variables in it.
    pub fn vars(&self) -> impl Iterator<Item = &Var> {
        self.parts.iter().filter_map(|part| match part {
            Part::Var(var) => Some(var),
            Part::Text(_) => None,
        })
    }

    /// The text, if there is no variable in it.
    pub fn as_literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text for a request; tells whether any variable had a value.
    pub fn render(&self, cx: &RequestCx, out: &mut String) -> Result<bool, QueryFault> {
        let mut has_value = false;
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Var(var) => {
                    if let Some(value) = var.value(cx)?.filter(|v| !v.is_empty()) {
                        has_value = true;
                        out.push_str(&value);
                    }
                }
            }
        }
        Ok(has_value)
    }
}

fn variable_name(text: &str) -> (&str, &str) {
    if let Some((name, rest)) = text.strip_prefix('{').and_then(|t| t.split_once('}')) {
        return (name, rest);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_between_text() {
        let template = Template::parse("a-$remote_addr ${arg_id}x").unwrap();
        let vars: Vec<_> = template.vars().cloned().collect();
        assert_eq!(vars, [Var::RemoteAddr, Var::Arg("id".into())]);
    }

    #[test]
    fn dollars_can_be_literal() {
        assert_eq!(Template::parse(r"5\$ \ $").unwrap().as_literal(), Some(r"5$ \ $"));
        assert_eq!(Template::parse("").unwrap().as_literal(), Some(""));
    }

    #[test]
    fn an_unknown_variable_is_an_error() {
        assert!(matches!(Template::parse("$nope"), Err(VarError::Unknown(_))));
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_what_was_written_between_the_variables(
            pieces in proptest::collection::vec(
                (0_u8..6, "[a-z{} ]{1,3}", "(uri|arg_a|http_x_y)"), 0..6),
        ) {
            let (mut written, mut literal, mut names) = (String::new(), String::new(), Vec::new());
            for (kind, text, name) in &pieces {
                let (as_written, as_read) = match kind {
                    0 => (r"\$".to_owned(), "$".to_owned()),
                    1 => (r"\a".to_owned(), r"\a".to_owned()),
                    2 => ("$ ".to_owned(), "$ ".to_owned()),
                    3 => (text.clone(), text.clone()),
                    4 => (format!("${name} "), " ".to_owned()),
                    _ => (format!("${{{name}}}"), String::new()),
                };
                written.push_str(&as_written);
                literal.push_str(&as_read);
                names.extend((*kind > 3).then(|| Var::parse(name).unwrap()));
            }
            let template = Template::parse(&written).unwrap();
            proptest::prop_assert_eq!(template.vars().cloned().collect::<Vec<_>>(), names);
            let texts = template.parts.iter().filter_map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Var(_) => None,
            });
            proptest::prop_assert_eq!(texts.collect::<String>(), literal);
        }
    }
}
