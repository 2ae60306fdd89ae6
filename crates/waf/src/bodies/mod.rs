//! What the parts of a request become: arguments, cookies, files, text.
//!
//! Pure functions of bytes, each with limits. What a reader cannot read ends in a [`Fault`], which
//! rules see as `REQBODY_ERROR`; what was read before stays, so that rules judge that as well.
//! Nothing is decoded into a copy that stands in the body as it is.

mod cookies;
mod fault;
mod json;
mod multipart;
mod urlencoded;
mod xml;

use std::borrow::Cow;

pub(crate) use cookies::cookies;
pub(crate) use fault::Fault;
pub(crate) use json::json;
pub(crate) use multipart::{MultipartFlags, multipart};
pub(crate) use urlencoded::urlencoded;
pub(crate) use xml::xml;

/// Bytes of the request, or decoded ones.
pub(crate) type Bytes<'a> = Cow<'a, [u8]>;

/// How much a body may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Arguments, or cookies.
    pub(crate) args: usize,
    /// Bytes of all names and values that had to be written anew, such as flattened names.
    pub(crate) decoded: usize,
    /// Objects and arrays, or elements, inside one another.
    pub(crate) depth: usize,
    /// Parts of a multipart body.
    pub(crate) parts: usize,
    /// Files of a multipart body.
    pub(crate) files: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { args: 1_000, decoded: 16 << 20, depth: 64, parts: 1_000, files: 100 }
    }
}

/// An argument or a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arg<'a> {
    /// Its name, decoded.
    pub(crate) name: Bytes<'a>,
    /// Its value, decoded.
    pub(crate) value: Bytes<'a>,
}

/// A file of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadedFile<'a> {
    /// The part's name.
    pub(crate) name: Bytes<'a>,
    /// The file's name.
    pub(crate) filename: Bytes<'a>,
    /// What is in it.
    pub(crate) content: &'a [u8],
}

/// A header of a part of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartHeader<'a> {
    /// The part's name.
    pub(crate) part: Bytes<'a>,
    /// The whole header, `Name: value`, unfolded.
    pub(crate) line: Bytes<'a>,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsed<'a> {
    /// `ARGS_GET` or `ARGS_POST`, or cookies, in order.
    pub(crate) args: Vec<Arg<'a>>,
    /// The positions of arguments that are known to be harmless, in order.
    pub(crate) proven: Vec<usize>,
    /// The positions of arguments whose names are stated by a schema, in order.
    pub(crate) stated: Vec<usize>,
    /// True if a percent sign had no two digits behind it: `URLENCODED_ERROR`.
    pub(crate) has_invalid_escape: bool,
    /// `XML:/*`: the text of the document. None if this was no XML.
    pub(crate) xml_text: Option<Bytes<'a>>,
    /// `XML://@*`: the values of attributes.
    pub(crate) xml_attributes: Vec<Bytes<'a>>,
    /// Files of a multipart body.
    pub(crate) files: Vec<UploadedFile<'a>>,
    /// `MULTIPART_NAME`: the names of parts.
    pub(crate) part_names: Vec<Bytes<'a>>,
    /// `MULTIPART_FILENAME`: the names of files.
    pub(crate) part_filenames: Vec<Bytes<'a>>,
    /// `MULTIPART_PART_HEADERS`.
    pub(crate) part_headers: Vec<PartHeader<'a>>,
    /// What was odd about a multipart body.
    pub(crate) multipart: MultipartFlags,
    /// `REQBODY_ERROR`: why reading ended before the end.
    pub(crate) fault: Option<Fault>,
}

impl Parsed<'_> {
    /// `FILES_COMBINED_SIZE`, in bytes.
    pub(crate) fn files_size(&self) -> usize {
        self.files.iter().map(|file| file.content.len()).sum()
    }
}
