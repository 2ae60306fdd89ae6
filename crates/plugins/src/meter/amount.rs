//! Numbers of limits: written out, or read from each request.

use std::num::NonZeroU32;

use bartizan_chain::{RequestCx, Template, Var};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason};
use schemars::JsonSchema;
use serde::Deserialize;

use super::key::is_given;

/// A whole number above zero: as a number, as text, or as text with variables such as
/// `${http_x_quota ?? 10}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Amount {
    /// As a number.
    Number(NonZeroU32),
    /// As text.
    Text(String),
}

/// A whole number: as a number, as text, or as text with variables such as
/// `${http_x_quota ?? 10}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum AmountOrZero {
    /// As a number.
    Number(u32),
    /// As text.
    Text(String),
}

impl Amount {
    /// As it was written.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    pub(super) fn figure(&self) -> Result<Figure, Invalid> {
        match self {
            Self::Number(number) => Ok(Figure::Fixed(number.get())),
            Self::Text(text) => Figure::parse(text, 1),
        }
    }
}

impl AmountOrZero {
    pub(super) fn figure(&self) -> Result<Figure, Invalid> {
        match self {
            Self::Number(number) => Ok(Figure::Fixed(*number)),
            Self::Text(text) => Figure::parse(text, 0),
        }
    }
}

/// A number, or where a request has it.
#[derive(Debug)]
pub(super) enum Figure {
    /// The same for every request.
    Fixed(u32),
    /// Read from each request.
    Read {
        /// What is read.
        template: Template,
        /// In place of what has no value.
        or_else: Option<u32>,
        /// The smallest number that it may be.
        least: u32,
    },
}

/// Why a request has no such number.
#[derive(Debug)]
pub(super) enum Unread {
    /// It can be read in two ways, or the like: refused whatever the limit says.
    Ambiguous(Denial),
    /// It is absent, or no whole number in the range.
    NoNumber,
}

impl Figure {
    fn parse(text: &str, least: u32) -> Result<Self, Invalid> {
        if !text.contains('$') {
            return number(text, least).map(Self::Fixed).ok_or_else(|| no_number(text, least));
        }
        let (source, or_else) = match alternative(text) {
            Some((name, other)) => {
                let number = number(other, least).ok_or_else(|| no_number(other, least))?;
                (format!("${{{name}}}"), Some(number))
            }
            None => (text.to_owned(), None),
        };
        let template = Template::parse(&source).map_err(|error| Invalid::new(error.to_string()))?;
        if template.vars().any(Var::needs_answer) {
            return Err(Invalid::new("the number is read before there is an answer"));
        }
        Ok(Self::Read { template, or_else, least })
    }

    /// True if it is only known once it is known who calls.
    pub(super) fn needs_identity(&self) -> bool {
        self.vars().any(Var::needs_identity)
    }

    /// True if no client can choose it.
    pub(super) fn is_firm(&self) -> bool {
        self.vars().all(is_given)
    }

    /// The number, if it is the same for every request.
    pub(super) fn fixed(&self) -> Option<u32> {
        match self {
            Self::Fixed(number) => Some(*number),
            Self::Read { .. } => None,
        }
    }

    fn vars(&self) -> impl Iterator<Item = &Var> {
        let template = match self {
            Self::Fixed(_) => None,
            Self::Read { template, .. } => Some(template),
        };
        template.into_iter().flat_map(Template::vars)
    }

    /// The number of a request.
    pub(super) fn read(&self, cx: &RequestCx) -> Result<u32, Unread> {
        let (template, or_else, least) = match self {
            Self::Fixed(number) => return Ok(*number),
            Self::Read { template, or_else, least } => (template, *or_else, *least),
        };
        let mut text = String::new();
        let has_value = template.render(cx, &mut text).map_err(|fault| {
            let detail = format!("the number of a limit: {fault}");
            Unread::Ambiguous(Denial::new(Reason::AmbiguousParameter, detail))
        })?;
        let found = if has_value { number(&text, least) } else { or_else };
        found.ok_or(Unread::NoNumber)
    }
}

/// The name and the alternative in `${name ?? 10}`.
fn alternative(text: &str) -> Option<(&str, &str)> {
    let inner = text.trim().strip_prefix("${")?.strip_suffix('}')?;
    let (name, other) = inner.split_once("??")?;
    Some((name.trim(), other.trim()))
}

/// Digits and nothing else: no sign, no white space.
fn number(text: &str, least: u32) -> Option<u32> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && *number >= least)
}

fn no_number(text: &str, least: u32) -> Invalid {
    let range = if least == 0 { "" } else { " above zero" };
    Invalid::new(format!("`{text}` is not a whole number{range}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::request;

    fn read(text: &str, lines: &[(&'static str, &'static str)]) -> Option<u32> {
        let figure = Figure::parse(text, 1).unwrap();
        figure.read(&request("/?n=7", lines)).ok()
    }

    #[test]
    fn numbers_are_written_out_or_read() {
        assert_eq!(read("12", &[]), Some(12));
        assert_eq!(read("$arg_n", &[]), Some(7));
        assert_eq!(read("${arg_n}0", &[]), Some(70));
        assert_eq!(read("$http_x_n", &[("x-n", "5")]), Some(5));
        assert_eq!(read("$http_x_n", &[]), None);
        assert_eq!(read("${http_x_n ?? 3}", &[]), Some(3));
        assert_eq!(read("${http_x_n??3}", &[("x-n", "5")]), Some(5));
    }

    #[test]
    fn what_is_no_number_in_the_range_is_none() {
        for value in ["0", "-1", "+1", "1.5", "0x1", " 1 2", "4294967296", "many"] {
            assert_eq!(read("${http_x_n ?? 3}", &[("x-n", value)]), None, "{value}");
        }
        let figure = Figure::parse("$http_x_n", 1).unwrap();
        let fault = figure.read(&request("/", &[("x-n", "1"), ("x-n", "2")])).unwrap_err();
        assert!(matches!(fault, Unread::Ambiguous(_)));
    }

    #[test]
    fn faults_say_why() {
        for (text, problem) in [
            ("0", "not a whole number above zero"),
            ("", "not a whole number"),
            ("${http_x_n ?? none}", "`none` is not a whole number"),
            ("${http_x_n ?? 0}", "above zero"),
            ("$nope", "there is no variable `nope`"),
            ("$status", "before there is an answer"),
        ] {
            let fault = Figure::parse(text, 1).unwrap_err();
            assert!(fault.problem.contains(problem), "{text}: {}", fault.problem);
        }
        assert_eq!(Figure::parse("0", 0).unwrap().fixed(), Some(0));
    }

    #[test]
    fn who_can_choose_a_number_is_known() {
        for (text, is_firm, needs_identity) in
            [("5", true, false), ("$http_x_n", false, false), ("${consumer_name ?? 5}", true, true)]
        {
            let figure = Figure::parse(text, 1).unwrap();
            assert_eq!((figure.is_firm(), figure.needs_identity()), (is_firm, needs_identity));
        }
    }
}
