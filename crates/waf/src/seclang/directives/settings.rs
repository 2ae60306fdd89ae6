//! Directives that set something and take more than one plain value.

use super::super::faults::quoted;
use super::super::lines::{Cx, Word};
use super::super::script::{Directive, Setting};
use super::super::values;
use super::Args;

/// The most media types in one list.
const MIME_TYPES_MAX: usize = 1_000;

/// `SecResponseBodyMimeType TYPE…`.
pub(super) fn mime_types(args: &mut Args<'_, '_>) -> Option<Directive> {
    args.between(1, MIME_TYPES_MAX)?;
    let mut types: Vec<Box<str>> = Vec::new();
    for word in args.words {
        for text in word.text.split_whitespace() {
            // `(null)` and `null` stand for responses without a type.
            if !text.contains('/') && !matches!(text, "null" | "(null)") {
                let problem = format!("{} is no media type", quoted(text));
                return args.cx.fail(word.start(), problem, Some("write `text/html`".to_owned()));
            }
            types.push(text.to_ascii_lowercase().into());
        }
    }
    Some(Directive::Setting(Setting::ResponseBodyMimeTypes(types)))
}

/// `SecResponseBodyMimeTypesClear`.
pub(super) fn mime_types_clear(args: &mut Args<'_, '_>) -> Option<Directive> {
    args.between(0, 0)?;
    Some(Directive::Setting(Setting::ResponseBodyMimeTypesClear))
}

/// `SecUnicodeMapFile FILE CODEPAGE`.
pub(super) fn unicode_map(args: &mut Args<'_, '_>) -> Option<Directive> {
    let (file, page) = args.two()?;
    let file = values::filled(args.cx, file);
    let page = values::number(args.cx, page, 1, 65_535_u32);
    Some(Directive::Setting(Setting::UnicodeMap(file?, page?)))
}

/// `SecArgumentSeparator CHARACTER`.
pub(super) fn separator(cx: &mut Cx<'_>, value: &Word) -> Option<Setting> {
    match value.text.as_bytes() {
        [byte] => Some(Setting::ArgumentSeparator(*byte)),
        _ => cx.fail(value.start(), "the separator is one character", None),
    }
}

/// `SecGeoLookupDb FILE`.
pub(super) fn geo_lookup_db(cx: &mut Cx<'_>, value: &Word) -> Option<Setting> {
    values::filled(cx, value).map(Setting::GeoLookupDb)
}

/// `SecComponentSignature TEXT`.
pub(super) fn component(cx: &mut Cx<'_>, value: &Word) -> Option<Setting> {
    values::filled(cx, value).map(Setting::ComponentSignature)
}

/// `SecWebAppId NAME`.
pub(super) fn web_app_id(cx: &mut Cx<'_>, value: &Word) -> Option<Setting> {
    values::filled(cx, value).map(Setting::WebAppId)
}
