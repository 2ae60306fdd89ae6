//! What tests outside this crate, and fuzzers, may call: the laws that hold for every input, and the
//! parts that are compared with another engine. No interface for anybody else.

mod choices;
mod detectors;
mod operators;
mod seclang;
mod transactions;

pub use detectors::waf_detectors;
pub use operators::{Asked, operator_names, waf_operators};
pub use seclang::waf_seclang;
pub use transactions::waf_transactions;

use std::borrow::Cow;

use crate::bodies::{self, BodyLimits, Parsed};
use crate::byte_mask::ByteMask;
use crate::rules::RuleSet;
use crate::transformations::{DIGEST_LENGTH, Transformation};

/// Inputs are cut off here: longer ones show nothing that shorter ones do not.
const INPUT_MAX: usize = 2_048;

/// The same rules, each judged on every value: what the sieve and other shortcuts leave out must not
/// show in what comes of a request.
pub fn without_shortcuts(mut rules: RuleSet) -> RuleSet {
    rules.drop_shortcuts();
    rules
}

/// The names of all transformations.
pub fn transformation_names() -> impl Iterator<Item = &'static str> {
    Transformation::ALL.iter().map(|transformation| transformation.name())
}

/// What the transformation of this name makes of a value; None if there is none.
pub fn transform(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    Transformation::named(name)?.apply(value, &mut output);
    Some(output)
}

/// A value without a trigger stays, no output outgrows its bound, and what was in the buffer before
/// does not matter; of three transformations, one after another, the first bytes choose.
pub fn waf_transformations(data: &[u8]) {
    let (choice, value) = data.split_at_checked(3).unwrap_or_default();
    let mut value = value.get(..INPUT_MAX).unwrap_or(value).to_vec();
    let mut output = b"left over".to_vec();
    for index in choice {
        let index = usize::from(*index) % Transformation::ALL.len();
        let Some(transformation) = Transformation::ALL.get(index) else { continue };
        let is_changed = transformation.apply(&value, &mut output);
        assert_eq!(is_changed, value != output);
        assert!(output.len() <= value.len() * transformation.growth() + DIGEST_LENGTH);
        let triggers = transformation.triggers();
        let may_change = triggers == ByteMask::ANY || triggers.meets(ByteMask::of(&value));
        assert!(may_change || !is_changed, "{}", transformation.name());
        std::mem::swap(&mut value, &mut output);
    }
}

/// Small limits, so that short inputs reach them.
const LIMITS: BodyLimits = BodyLimits { args: 8, decoded: 400, depth: 5, parts: 4, files: 2 };

/// Reads one input as each kind of body; the first line is the content type of parts. Limits hold,
/// and what is said to be read without a fault is no more than the body holds.
pub fn waf_bodies(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (content_type, body) = data.split_at_checked(at).unwrap_or_default();
    let body = body.get(1..).unwrap_or_default();
    for input in [data, body] {
        let form = bodies::urlencoded(input, b'&', &LIMITS);
        hold(&form, input.len());
        let is_encoded = input.iter().any(|byte| matches!(byte, b'%' | b'+'));
        assert!(is_encoded || form.args.iter().all(|arg| matches!(arg.value, Cow::Borrowed(_))));
        hold(&bodies::cookies(input, &LIMITS), input.len());
        hold(&bodies::json(input, &LIMITS, [&[], &[]]), input.len() + LIMITS.decoded);
        hold(&bodies::xml(input, &LIMITS), input.len());
    }
    let parts = bodies::multipart(body, content_type, &LIMITS);
    hold(&parts, body.len());
    assert!(parts.files.len() <= LIMITS.parts && parts.part_names.len() <= LIMITS.parts);
    assert!(!parts.multipart.has_error || parts.fault.is_some());
}

fn hold(parsed: &Parsed<'_>, most: usize) {
    assert!(parsed.args.len() <= LIMITS.args && parsed.xml_attributes.len() <= LIMITS.args);
    let args: usize = parsed.args.iter().map(|arg| arg.name.len() + arg.value.len()).sum();
    let attributes: usize = parsed.xml_attributes.iter().map(|value| value.len()).sum();
    let text = parsed.xml_text.as_ref().map_or(0, |text| text.len());
    assert!(args + attributes + text + parsed.files_size() <= most);
}

/// A request's variables by libmodsecurity's names, for comparing with it.
pub fn variables(kind: &str, content_type: &[u8], body: &[u8]) -> Variables {
    let limits = BodyLimits { args: 100_000, ..BodyLimits::default() };
    let parsed = match kind {
        "query" => bodies::urlencoded(body, b'&', &limits),
        "cookies" => bodies::cookies(body, &limits),
        "json" => bodies::json(body, &limits, [&[], &[]]),
        "xml" => bodies::xml(body, &limits),
        _ => bodies::multipart(body, content_type, &limits),
    };
    let pairs = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
    let flags = &parsed.multipart;
    let flag = |name, is: bool| (name, u8::from(is));
    Variables {
        args: parsed.args.iter().map(|arg| pairs(&arg.name, &arg.value)).collect(),
        files: parsed.files.iter().map(|file| pairs(&file.name, &file.filename)).collect(),
        file_sizes: parsed.files.iter().map(|file| file.content.len()).collect(),
        headers: parsed.part_headers.iter().map(|it| pairs(&it.part, &it.line)).collect(),
        names: parsed.part_names.iter().map(|name| name.to_vec()).collect(),
        filenames: parsed.part_filenames.iter().map(|name| name.to_vec()).collect(),
        attributes: parsed.xml_attributes.iter().map(|value| value.to_vec()).collect(),
        text: parsed.xml_text.as_ref().map(|text| text.to_vec()),
        flags: vec![
            flag("URLENCODED_ERROR", parsed.has_invalid_escape),
            flag("MULTIPART_STRICT_ERROR", flags.is_strict_error()),
            ("MULTIPART_UNMATCHED_BOUNDARY", flags.unmatched_boundary),
            flag("MULTIPART_BOUNDARY_QUOTED", flags.is_boundary_quoted),
            flag("MULTIPART_BOUNDARY_WHITESPACE", flags.has_boundary_whitespace),
            flag("MULTIPART_DATA_BEFORE", flags.has_data_before),
            flag("MULTIPART_DATA_AFTER", flags.has_data_after),
            flag("MULTIPART_HEADER_FOLDING", flags.has_folding),
            flag("MULTIPART_LF_LINE", flags.has_lf_line),
            flag("MULTIPART_CRLF_LF_LINES", flags.has_mixed_lines()),
            flag("MULTIPART_MISSING_SEMICOLON", flags.lacks_semicolon),
            flag("MULTIPART_INVALID_QUOTING", flags.has_invalid_quoting),
            flag("MULTIPART_INVALID_HEADER_FOLDING", flags.has_invalid_folding),
        ],
        fault: parsed.fault.map(|fault| fault.to_string()),
    }
}

/// What [`variables`] finds: names and values, in order.
#[derive(Debug)]
pub struct Variables {
    /// `ARGS_GET`, `ARGS_POST` or `REQUEST_COOKIES`.
    pub args: Vec<(Vec<u8>, Vec<u8>)>,
    /// `FILES`: names of parts and of their files.
    pub files: Vec<(Vec<u8>, Vec<u8>)>,
    /// `FILES_SIZES`.
    pub file_sizes: Vec<usize>,
    /// `MULTIPART_PART_HEADERS`.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// `MULTIPART_NAME`.
    pub names: Vec<Vec<u8>>,
    /// `MULTIPART_FILENAME`.
    pub filenames: Vec<Vec<u8>>,
    /// `XML://@*`.
    pub attributes: Vec<Vec<u8>>,
    /// `XML:/*`.
    pub text: Option<Vec<u8>>,
    /// The variables that are numbers.
    pub flags: Vec<(&'static str, u8)>,
    /// `REQBODY_ERROR_MSG`.
    pub fault: Option<String>,
}
