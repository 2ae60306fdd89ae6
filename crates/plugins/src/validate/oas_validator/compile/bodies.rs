//! Request bodies of a description, as they are written there.

use bartizan_config::Node;

use super::translate::{Mode, Translator};
use crate::openapi::{DocumentFault, Documents, shown};
use crate::validate::oas_validator::media::MediaType;
use crate::validate::oas_validator::parameter::Content;
use crate::validate::oas_validator::style::Style;

/// The body of an operation as it is written.
pub(super) struct Draft<'d> {
    pub(super) is_required: bool,
    pub(super) entries: Vec<EntryDraft<'d>>,
}

/// A content type of a body.
pub(super) struct EntryDraft<'d> {
    pub(super) media: MediaType,
    pub(super) definition: Option<usize>,
    /// How the fields of a form are written.
    pub(super) encoding: Option<&'d Node>,
}

/// How a field of a form is written.
pub(super) struct FieldWriting {
    pub(super) style: Style,
    pub(super) explodes: bool,
    /// Whether its text is JSON.
    pub(super) content: Option<Content>,
    /// The media types that a part may have.
    pub(super) media: Vec<MediaType>,
}

/// The body of an operation; `None` where it has none.
pub(super) fn read<'d>(
    documents: &'d Documents,
    translator: &mut Translator<'d>,
    operation: &'d Node,
) -> Result<Option<Draft<'d>>, DocumentFault> {
    let Some(body) = operation.get("requestBody") else { return Ok(None) };
    let body = documents.follow(body)?;
    let Some(content) = documents.map(body, "content")? else {
        return Err(documents.fault(body, "the request body has no `content`"));
    };
    let mut entries = Vec::new();
    for member in content.members() {
        let Some(media) = MediaType::parse(&member.key) else {
            let problem = format!("`{}` is no media type", shown(&member.key));
            return Err(documents.fault(&member.value, problem));
        };
        let mode = if media.is_multipart() { Mode::Parts } else { Mode::Plain };
        let schema = member.value.get("schema");
        entries.push(EntryDraft {
            definition: schema.map(|schema| translator.definition(schema, mode)),
            encoding: documents.map(&member.value, "encoding")?,
            media,
        });
    }
    Ok(Some(Draft { is_required: documents.flag(body, "required")?, entries }))
}

/// How a field of a form is written, as `encoding` says.
pub(super) fn writing(
    documents: &Documents,
    encoding: Option<&Node>,
    name: &str,
) -> Result<FieldWriting, DocumentFault> {
    let mut writing =
        FieldWriting { style: Style::Form, explodes: true, content: None, media: Vec::new() };
    let Some(own) = encoding.and_then(|encoding| encoding.get(name)) else { return Ok(writing) };
    if let Some(stated) = own.get("style") {
        let style = stated.as_text().and_then(Style::named);
        let fits = |style: &Style| !matches!(style, Style::Matrix | Style::Label | Style::Simple);
        let Some(style) = style.filter(fits) else {
            return Err(documents.fault(stated, "forms are not written in this style"));
        };
        writing.style = style;
    }
    writing.explodes = documents.flag_or(own, "explode", writing.style == Style::Form)?;
    if let Some(stated) = own.get("contentType") {
        let types = stated.as_text().unwrap_or_default().split(',');
        let types: Option<Vec<MediaType>> =
            types.map(|text| MediaType::parse(text.trim())).collect();
        let Some(types) = types else {
            return Err(documents.fault(stated, "this is no list of media types"));
        };
        if types.iter().any(MediaType::is_json) && own.get("style").is_none() {
            writing.content = Some(Content::Json);
        }
        writing.media = types;
    }
    Ok(writing)
}
