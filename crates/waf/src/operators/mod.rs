//! What rules ask of values: one operator, one file.

mod begins_with;
mod contains;
mod contains_word;
mod detect_sqli;
mod detect_xss;
mod ends_with;
mod geo_lookup;
mod ip_match;
mod numbers;
mod outside;
mod pm;
mod rx;
mod streq;
#[cfg(test)]
mod tests;
mod validate_byte_range;
mod validate_url_encoding;
mod validate_utf8_encoding;
mod verify;
mod within;

pub use geo_lookup::verify_places;
pub(crate) use geo_lookup::{PlaceFact, Places};
pub(crate) use numbers::{NumberTest, leading_number};

use crate::byte_mask::ByteMask;
use crate::files::Files;
use crate::text::{Expand, Text};

/// What must stand in a value for an operator to hold, so that most values need not be asked.
///
/// All parts must hold; a part that is empty says nothing. It may ask too little, never too much.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    /// The value holds at least one of these, ASCII case ignored; they are in lower case. Empty:
    /// unknown.
    pub(crate) literals: Vec<Box<[u8]>>,
    /// For each mask, the value holds a byte of it.
    pub(crate) masks: Vec<ByteMask>,
    /// The value has at least this many bytes.
    pub(crate) length_min: usize,
}

/// Where an operator leaves what it found, for `TX.0` to `TX.9`.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    found: Vec<Box<[u8]>>,
}

impl Captures {
    /// The most groups that are kept.
    pub(crate) const COUNT_MAX: usize = 10;

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.found.clear();
    }

    /// Adds the next group; more than [`COUNT_MAX`](Self::COUNT_MAX) are dropped.
    pub(crate) fn push(&mut self, group: &[u8]) {
        if self.found.len() < Self::COUNT_MAX {
            self.found.push(group.into());
        }
    }

    /// The groups, in order.
    pub(crate) fn groups(&self) -> &[Box<[u8]>] {
        &self.found
    }
}

/// Why an operator is not accepted.
#[derive(Debug)]
pub(crate) struct OperatorFault {
    /// What is wrong.
    pub(crate) problem: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
}

impl OperatorFault {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), help: None }
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Where files are looked for.
const BESIDE: &str = "a file is looked for beside the file that names it";

/// What an operator is compiled from.
struct Source<'a> {
    argument: &'a Text,
    files: &'a dyn Files,
    from: &'a str,
}

impl Source<'_> {
    /// The argument, which must have no macros.
    fn literal(&self) -> Result<&[u8], OperatorFault> {
        let problem = "the argument of this operator takes no macros";
        let fault = || OperatorFault::new(problem).with_help("write the text itself");
        self.argument.as_literal().ok_or_else(fault)
    }

    /// The argument as text without macros.
    fn text(&self) -> Result<&str, OperatorFault> {
        std::str::from_utf8(self.literal()?)
            .map_err(|_| OperatorFault::new("the argument is not UTF-8"))
    }

    /// The lines of the files that the argument names, without comments and blank ones; blanks
    /// at the ends of a line belong to it.
    fn lines(&self) -> Result<Vec<Box<[u8]>>, OperatorFault> {
        let mut lines = Vec::new();
        for name in self.text()?.split_ascii_whitespace() {
            let bytes = self
                .files
                .read(self.from, name)
                .map_err(|fault| OperatorFault::new(fault.to_string()).with_help(BESIDE))?;
            for line in bytes.split(|byte| *byte == b'\n') {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                if !line.trim_ascii().is_empty() && !line.starts_with(b"#") {
                    lines.push(line.into());
                }
            }
        }
        Ok(lines)
    }
}

/// An argument of which most have no macros.
#[derive(Debug)]
enum Argument {
    Fixed(Box<[u8]>),
    Macro(Text),
}

impl Argument {
    fn of(text: &Text) -> Self {
        text.as_literal()
            .map_or_else(|| Self::Macro(text.clone()), |fixed| Self::Fixed(fixed.into()))
    }

    /// Gives the argument's value to `ask`.
    fn with<T>(&self, source: &dyn Expand, ask: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Fixed(value) => ask(value),
            Self::Macro(text) => {
                let mut value = Vec::new();
                text.write(source, &mut value);
                ask(&value)
            }
        }
    }

    fn needs(&self) -> Needs {
        match self {
            Self::Fixed(value) if !value.is_empty() => Needs {
                literals: vec![value.to_ascii_lowercase().into()],
                masks: Vec::new(),
                length_min: value.len(),
            },
            _ => Needs::default(),
        }
    }
}

macro_rules! operators {
    ($($variant:ident($type:ty) $name:literal $($alias:literal)*),* $(,)?) => {
        /// A question that a rule asks of values.
        #[derive(Debug)]
        pub(crate) enum Operator {
            $(
                #[doc = concat!("`@", $name, "`.")]
                $variant($type),
            )*
        }

        /// The names of all operators.
        pub(crate) const NAMES: &[&str] = &[$($name, $($alias,)*)*];

        impl Operator {
            /// Compiles an operator by its name, case ignored. `argument` may hold macros; data
            /// files come from `files`, beside the file `from`.
            pub(crate) fn compile(
                name: &str,
                argument: &Text,
                files: &dyn Files,
                from: &str,
            ) -> Result<Self, OperatorFault> {
                let source = Source { argument, files, from };
                $(
                    if [$name, $($alias,)*].iter().any(|known| known.eq_ignore_ascii_case(name)) {
                        return <$type>::compile(&name.to_ascii_lowercase(), &source).map(Self::$variant);
                    }
                )*
                Err(unknown(name))
            }

            /// What must stand in a value for it to hold.
            pub(crate) fn needs(&self) -> Needs {
                match self { $(Self::$variant(operator) => operator.needs()),* }
            }

            /// Whether it holds for `input`. What it found is written where it holds.
            pub(crate) fn holds(
                &self,
                input: &[u8],
                text: &dyn Expand,
                captures: Option<&mut Captures>,
            ) -> bool {
                match self { $(Self::$variant(operator) => operator.holds(input, text, captures)),* }
            }

            /// What asking it about so many bytes costs, in the unit of the budget.
            pub(crate) fn cost(&self, length: usize) -> usize {
                match self { $(Self::$variant(operator) => operator.cost(length)),* }
            }

            /// Its name.
            pub(crate) fn name(&self) -> &'static str {
                match self { $(Self::$variant(operator) => operator.name()),* }
            }
        }
    };
}

/// What every operator does.
trait Ask: Sized {
    /// Compiles the operator `name`, in lower case.
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault>;
    /// Its name as it is usually written.
    fn name(&self) -> &'static str;
    /// What must stand in a value for it to hold.
    fn needs(&self) -> Needs {
        Needs::default()
    }
    /// What asking it about so many bytes costs, where one is a byte that is looked up in a table.
    fn cost(&self, length: usize) -> usize {
        length
    }
    /// Whether it holds.
    fn holds(&self, input: &[u8], text: &dyn Expand, captures: Option<&mut Captures>) -> bool;
}

operators! {
    Rx(rx::Rx) "rx" "rxGlobal",
    Pm(pm::Pm) "pm" "pmFromFile" "pmf",
    Contains(contains::Contains) "contains" "strmatch",
    ContainsWord(contains_word::ContainsWord) "containsWord",
    Streq(streq::Streq) "streq",
    BeginsWith(begins_with::BeginsWith) "beginsWith",
    EndsWith(ends_with::EndsWith) "endsWith",
    Within(within::Within) "within",
    Numbers(numbers::Numbers) "eq" "ge" "gt" "le" "lt",
    IpMatch(ip_match::IpMatch) "ipMatch" "ipMatchFromFile" "ipMatchF",
    GeoLookup(geo_lookup::GeoLookup) "geoLookup",
    DetectSqli(detect_sqli::DetectSqli) "detectSQLi",
    DetectXss(detect_xss::DetectXss) "detectXSS",
    ValidateByteRange(validate_byte_range::ValidateByteRange) "validateByteRange",
    ValidateUrlEncoding(validate_url_encoding::ValidateUrlEncoding) "validateUrlEncoding",
    ValidateUtf8Encoding(validate_utf8_encoding::ValidateUtf8Encoding) "validateUtf8Encoding",
    Verify(verify::Verify) "verifyCC" "verifyCPF" "verifySSN" "verifySVNR",
    Outside(outside::Outside) "rbl",
    Always(Always) "unconditionalMatch" "noMatch",
}

/// `unconditionalMatch` always holds, `noMatch` never.
#[derive(Debug)]
pub(crate) struct Always(bool);

impl Ask for Always {
    fn compile(name: &str, _source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self(name == "unconditionalmatch"))
    }

    fn name(&self) -> &'static str {
        if self.0 { "unconditionalMatch" } else { "noMatch" }
    }

    fn holds(&self, _input: &[u8], _text: &dyn Expand, _: Option<&mut Captures>) -> bool {
        self.0
    }
}

impl Operator {
    /// The comparison that it is, where it is one with a number that is known.
    pub(crate) fn number_test(&self) -> Option<NumberTest> {
        if let Self::Numbers(numbers) = self { numbers.test() } else { None }
    }
}

/// A value with blanks in place of zero bytes; None if there are none.
fn without_zeros(input: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(0, input)?;
    Some(input.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect())
}

/// Operators that need something from outside, and what to do instead.
const REFUSED: [(&str, &str); 5] = [
    ("inspectfile", "runs a program for each request"),
    ("fuzzyhash", "needs a library of fuzzy hashes"),
    ("gsblookup", "its service has ended"),
    ("validateschema", "use `oas-validator` or `request-validation`"),
    ("validatedtd", "document types are refused in bodies; use a schema"),
];

fn unknown(name: &str) -> OperatorFault {
    let folded = name.to_ascii_lowercase();
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == folded) {
        return OperatorFault::new(format!("`@{name}` is not supported: {why}"));
    }
    OperatorFault::new(format!("unknown operator `@{name}`"))
}

impl Operator {
    /// True if it looks for a text that stands somewhere in a value.
    pub(crate) fn is_search(&self) -> bool {
        matches!(
            self,
            Self::Rx(_)
                | Self::Pm(_)
                | Self::Contains(_)
                | Self::ContainsWord(_)
                | Self::BeginsWith(_)
                | Self::EndsWith(_)
                | Self::DetectSqli(_)
                | Self::DetectXss(_)
        )
    }
}

#[cfg(test)]
impl Operator {
    /// The memory that a pattern takes, in bytes, without that of searches.
    fn rx_memory(&self) -> usize {
        if let Self::Rx(rx) = self { rx.memory() } else { 0 }
    }
}
