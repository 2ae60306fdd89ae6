//! What rule files set beside rules.

use crate::seclang::script::{EngineMode, LimitAction, Setting};

/// The settings of a rule set: bounds in bytes unless said otherwise.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) engine: EngineMode,
    /// Whether bodies of requests are looked at.
    pub reads_request_body: bool,
    /// Whether the rule files say so, or that they are not.
    pub states_request_body: bool,
    /// The largest body of a request that is looked at.
    pub request_body_max: u64,
    /// The same for bodies that are no upload.
    pub(crate) no_files_max: u64,
    pub(crate) request_body_over: LimitAction,
    /// How deep JSON may be nested.
    pub json_depth_max: u32,
    /// Whether bodies of responses are looked at.
    pub reads_response_body: bool,
    /// The largest body of a response that is looked at.
    pub response_body_max: u64,
    pub(crate) response_body_over: LimitAction,
    /// The content types whose bodies are looked at, in lower case, without parameters.
    pub response_body_types: Vec<Box<str>>,
    /// The most arguments of a request.
    pub arguments_max: u32,
    pub(crate) argument_separator: u8,
    /// The most files of one upload.
    pub files_max: u32,
    /// Seconds that a persistent collection lives unless told otherwise.
    pub(crate) collection_seconds: u32,
    pub(crate) web_app_id: Box<str>,
    /// What the files call themselves, with versions.
    pub components: Vec<Box<str>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: EngineMode::Off,
            reads_request_body: false,
            states_request_body: false,
            request_body_max: 1 << 20,
            no_files_max: u64::MAX,
            request_body_over: LimitAction::Reject,
            json_depth_max: 64,
            reads_response_body: false,
            response_body_max: 512 << 10,
            response_body_over: LimitAction::ProcessPartial,
            response_body_types: ["text/plain", "text/html", "text/xml"].map(Into::into).to_vec(),
            arguments_max: 1000,
            argument_separator: b'&',
            files_max: 100,
            collection_seconds: 3600,
            web_app_id: "default".into(),
            components: Vec::new(),
        }
    }
}

impl Settings {
    /// True if rules of this set may refuse a request.
    pub fn disrupts(&self) -> bool {
        self.engine == EngineMode::On
    }

    pub(super) fn take(&mut self, setting: Setting) {
        match setting {
            Setting::RuleEngine(mode) => self.engine = mode,
            Setting::RequestBodyAccess(is_on) => {
                (self.reads_request_body, self.states_request_body) = (is_on, true);
            }
            Setting::RequestBodyLimit(max) => self.request_body_max = max,
            Setting::RequestBodyLimitAction(over) => self.request_body_over = over,
            Setting::RequestBodyJsonDepthLimit(max) => self.json_depth_max = max,
            Setting::ResponseBodyAccess(is_on) => self.reads_response_body = is_on,
            Setting::ResponseBodyLimit(max) => self.response_body_max = max,
            Setting::ResponseBodyLimitAction(over) => self.response_body_over = over,
            Setting::ResponseBodyMimeTypes(types) => {
                let types = types.iter().map(|name| name.to_ascii_lowercase().into());
                self.response_body_types.extend(types);
            }
            Setting::ResponseBodyMimeTypesClear => self.response_body_types.clear(),
            Setting::ArgumentsLimit(max) => self.arguments_max = max,
            Setting::ArgumentSeparator(byte) => self.argument_separator = byte,
            Setting::UploadFileLimit(max) => self.files_max = max,
            Setting::CollectionTimeout(seconds) => self.collection_seconds = seconds,
            Setting::WebAppId(id) => self.web_app_id = id,
            Setting::ComponentSignature(text) => self.components.push(text),
            Setting::RequestBodyNoFilesLimit(max) => self.no_files_max = max,
            // Files are read by whoever can read files.
            Setting::UnicodeMap(..) | Setting::GeoLookupDb(_) | Setting::Inert => {}
        }
    }
}
