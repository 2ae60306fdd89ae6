//! Parameters of a description, as they are written there.

use bartizan_config::{Content as NodeContent, Node};

use super::translate::{Mode, Translator};
use crate::openapi::{DocumentFault, Documents};
use crate::validate::oas_validator::media::MediaType;
use crate::validate::oas_validator::parameter::Content;
use crate::validate::oas_validator::style::Style;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Location {
    Path,
    Query,
    Header,
    Cookie,
}

/// A parameter as it is written, with the definition that its schema becomes.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) location: Location,
    pub(super) is_required: bool,
    pub(super) allows_empty: bool,
    pub(super) style: Style,
    pub(super) explodes: bool,
    pub(super) content: Option<Content>,
    pub(super) definition: Option<usize>,
}

/// The parameters of an operation: its own, and those of its path that it does not replace.
pub(super) fn all<'d>(
    documents: &'d Documents,
    translator: &mut Translator<'d>,
    item: &'d Node,
    operation: &'d Node,
) -> Result<Vec<Draft>, DocumentFault> {
    let mut drafts = list(documents, translator, operation)?;
    for inherited in list(documents, translator, item)? {
        let is_same =
            |own: &Draft| own.name == inherited.name && own.location == inherited.location;
        if !drafts.iter().any(is_same) {
            drafts.push(inherited);
        }
    }
    Ok(drafts)
}

fn list<'d>(
    documents: &'d Documents,
    translator: &mut Translator<'d>,
    owner: &'d Node,
) -> Result<Vec<Draft>, DocumentFault> {
    let Some(parameters) = owner.get("parameters") else { return Ok(Vec::new()) };
    let NodeContent::List(parameters) = &parameters.content else {
        return Err(documents.fault(parameters, "`parameters` must be a list"));
    };
    let mut drafts: Vec<Draft> = Vec::new();
    for node in parameters {
        let node = documents.follow(node)?;
        let Some(draft) = read(documents, translator, node)? else { continue };
        if drafts.iter().any(|known| known.name == draft.name && known.location == draft.location) {
            let problem = format!("the parameter `{}` is there twice", draft.name);
            return Err(documents.fault(node, problem));
        }
        drafts.push(draft);
    }
    Ok(drafts)
}

/// One parameter; `None` for header fields that the specification leaves to others.
fn read<'d>(
    documents: &'d Documents,
    translator: &mut Translator<'d>,
    node: &'d Node,
) -> Result<Option<Draft>, DocumentFault> {
    let text = |key: &str| node.get(key).and_then(Node::as_text);
    let Some(name) = text("name").filter(|name| !name.is_empty()) else {
        return Err(documents.fault(node, "the parameter has no `name`"));
    };
    let (location, default) = match text("in") {
        Some("path") => (Location::Path, Style::Simple),
        Some("query") => (Location::Query, Style::Form),
        Some("header") => (Location::Header, Style::Simple),
        Some("cookie") => (Location::Cookie, Style::Form),
        _ => {
            return Err(documents
                .fault(node, format!("`in` of the parameter `{name}` names no place"))
                .with_help("it is `path`, `query`, `header` or `cookie`"));
        }
    };
    let mut name = name.to_owned();
    if location == Location::Header {
        name.make_ascii_lowercase();
        if matches!(name.as_str(), "accept" | "content-type" | "authorization") {
            return Ok(None);
        }
    }
    let style = style(documents, node, location)?.unwrap_or(default);
    let explodes = documents.flag_or(node, "explode", style == Style::Form)?;
    let (content, schema) = schema(documents, node)?;
    Ok(Some(Draft {
        is_required: documents.flag(node, "required")? || location == Location::Path,
        allows_empty: location == Location::Query && documents.flag(node, "allowEmptyValue")?,
        definition: schema.map(|schema| translator.definition(schema, Mode::Plain)),
        name,
        location,
        style,
        explodes,
        content,
    }))
}

fn style(
    documents: &Documents,
    node: &Node,
    location: Location,
) -> Result<Option<Style>, DocumentFault> {
    let Some(stated) = node.get("style") else { return Ok(None) };
    let style = stated.as_text().and_then(Style::named);
    let fits = |style: &Style| match location {
        Location::Path => matches!(style, Style::Matrix | Style::Label | Style::Simple),
        Location::Query => !matches!(style, Style::Matrix | Style::Label | Style::Simple),
        Location::Header => *style == Style::Simple,
        Location::Cookie => *style == Style::Form,
    };
    match style.filter(fits) {
        Some(style) => Ok(Some(style)),
        None => {
            Err(documents.fault(stated, "parameters of this place are not written in this style"))
        }
    }
}

/// The schema of a parameter, and what its text is where it has a media type.
fn schema<'d>(
    documents: &'d Documents,
    node: &'d Node,
) -> Result<(Option<Content>, Option<&'d Node>), DocumentFault> {
    let Some(content) = documents.map(node, "content")? else {
        return match node.get("schema") {
            Some(schema) => Ok((None, Some(schema))),
            None => Err(documents
                .fault(node, "the parameter has neither `schema` nor `content`")
                .with_help("any text is `schema: {type: string}`")),
        };
    };
    let [member] = content.members() else {
        return Err(documents.fault(content, "the `content` of a parameter has one media type"));
    };
    let Some(media) = MediaType::parse(&member.key) else {
        return Err(documents.fault(&member.value, "this is no media type"));
    };
    let kind = if media.is_json() { Content::Json } else { Content::Text };
    let is_checked = media.is_json() || media.is_text();
    let schema = member.value.get("schema").filter(|_| is_checked);
    Ok((Some(kind), schema))
}
