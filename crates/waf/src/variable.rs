//! The variables that rules look at.

/// Which members of a collection are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Selector {
    /// All of them, or the variable is no collection.
    All,
    /// The ones of this name, ASCII case ignored (kept in lower case).
    Name(Box<[u8]>),
    /// The ones whose name this pattern is found in, ASCII case ignored.
    Pattern(Box<str>),
}

/// What a rule does with a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// Looks at the values.
    Values,
    /// Looks at how many there are (`&ARGS`).
    Count,
    /// Takes them out of what the rule looks at (`!ARGS:note`).
    Except,
}

/// One of the things that a rule looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// How.
    pub(crate) mode: Mode,
    /// Which variable.
    pub(crate) variable: Variable,
    /// Which of its members.
    pub(crate) selector: Selector,
}

macro_rules! variables {
    ($($name:ident $text:literal $shape:ident),* $(,)?) => {
        /// A variable of SecLang.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Variable {
            $(
                #[doc = concat!("`", $text, "`.")]
                $name,
            )*
        }

        impl Variable {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name, in upper case.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// Whether it has members.
            pub(crate) fn shape(self) -> Shape {
                match self { $(Self::$name => Shape::$shape),* }
            }
        }
    };
}

/// Whether a variable has members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One value, no selector.
    Single,
    /// Named members that a selector picks.
    Collection,
}

variables! {
    Args "ARGS" Collection,
    ArgsCombinedSize "ARGS_COMBINED_SIZE" Single,
    ArgsGet "ARGS_GET" Collection,
    ArgsGetNames "ARGS_GET_NAMES" Collection,
    ArgsNames "ARGS_NAMES" Collection,
    ArgsPost "ARGS_POST" Collection,
    ArgsPostNames "ARGS_POST_NAMES" Collection,
    AuthType "AUTH_TYPE" Single,
    Duration "DURATION" Single,
    Env "ENV" Collection,
    Files "FILES" Collection,
    FilesCombinedSize "FILES_COMBINED_SIZE" Single,
    FilesNames "FILES_NAMES" Collection,
    FilesSizes "FILES_SIZES" Collection,
    FilesTmpContent "FILES_TMP_CONTENT" Collection,
    FilesTmpNames "FILES_TMPNAMES" Collection,
    FullRequest "FULL_REQUEST" Single,
    FullRequestLength "FULL_REQUEST_LENGTH" Single,
    Geo "GEO" Collection,
    Global "GLOBAL" Collection,
    HighestSeverity "HIGHEST_SEVERITY" Single,
    InboundDataError "INBOUND_DATA_ERROR" Single,
    Ip "IP" Collection,
    MatchedVar "MATCHED_VAR" Single,
    MatchedVarName "MATCHED_VAR_NAME" Single,
    MatchedVars "MATCHED_VARS" Collection,
    MatchedVarsNames "MATCHED_VARS_NAMES" Collection,
    ModsecBuild "MODSEC_BUILD" Single,
    MscPcreError "MSC_PCRE_ERROR" Single,
    MscPcreLimitsExceeded "MSC_PCRE_LIMITS_EXCEEDED" Single,
    MultipartBoundaryQuoted "MULTIPART_BOUNDARY_QUOTED" Single,
    MultipartBoundaryWhitespace "MULTIPART_BOUNDARY_WHITESPACE" Single,
    MultipartCrlfLfLines "MULTIPART_CRLF_LF_LINES" Single,
    MultipartDataAfter "MULTIPART_DATA_AFTER" Single,
    MultipartDataBefore "MULTIPART_DATA_BEFORE" Single,
    MultipartFileLimitExceeded "MULTIPART_FILE_LIMIT_EXCEEDED" Single,
    MultipartFilename "MULTIPART_FILENAME" Collection,
    MultipartHeaderFolding "MULTIPART_HEADER_FOLDING" Single,
    MultipartInvalidHeaderFolding "MULTIPART_INVALID_HEADER_FOLDING" Single,
    MultipartInvalidPart "MULTIPART_INVALID_PART" Single,
    MultipartInvalidQuoting "MULTIPART_INVALID_QUOTING" Single,
    MultipartLfLine "MULTIPART_LF_LINE" Single,
    MultipartMissingSemicolon "MULTIPART_MISSING_SEMICOLON" Single,
    MultipartName "MULTIPART_NAME" Collection,
    MultipartPartHeaders "MULTIPART_PART_HEADERS" Collection,
    MultipartSemicolonMissing "MULTIPART_SEMICOLON_MISSING" Single,
    MultipartStrictError "MULTIPART_STRICT_ERROR" Single,
    MultipartUnmatchedBoundary "MULTIPART_UNMATCHED_BOUNDARY" Single,
    OutboundDataError "OUTBOUND_DATA_ERROR" Single,
    PathInfo "PATH_INFO" Single,
    QueryString "QUERY_STRING" Single,
    RemoteAddr "REMOTE_ADDR" Single,
    RemoteHost "REMOTE_HOST" Single,
    RemotePort "REMOTE_PORT" Single,
    RemoteUser "REMOTE_USER" Single,
    ReqbodyError "REQBODY_ERROR" Single,
    ReqbodyErrorMsg "REQBODY_ERROR_MSG" Single,
    ReqbodyProcessor "REQBODY_PROCESSOR" Single,
    ReqbodyProcessorError "REQBODY_PROCESSOR_ERROR" Single,
    ReqbodyProcessorErrorMsg "REQBODY_PROCESSOR_ERROR_MSG" Single,
    RequestBasename "REQUEST_BASENAME" Single,
    RequestBody "REQUEST_BODY" Single,
    RequestBodyLength "REQUEST_BODY_LENGTH" Single,
    RequestCookies "REQUEST_COOKIES" Collection,
    RequestCookiesNames "REQUEST_COOKIES_NAMES" Collection,
    RequestFilename "REQUEST_FILENAME" Single,
    RequestHeaders "REQUEST_HEADERS" Collection,
    RequestHeadersNames "REQUEST_HEADERS_NAMES" Collection,
    RequestLine "REQUEST_LINE" Single,
    RequestMethod "REQUEST_METHOD" Single,
    RequestProtocol "REQUEST_PROTOCOL" Single,
    RequestUri "REQUEST_URI" Single,
    RequestUriRaw "REQUEST_URI_RAW" Single,
    Resource "RESOURCE" Collection,
    ResponseBody "RESPONSE_BODY" Single,
    ResponseContentLength "RESPONSE_CONTENT_LENGTH" Single,
    ResponseContentType "RESPONSE_CONTENT_TYPE" Single,
    ResponseHeaders "RESPONSE_HEADERS" Collection,
    ResponseHeadersNames "RESPONSE_HEADERS_NAMES" Collection,
    ResponseProtocol "RESPONSE_PROTOCOL" Single,
    ResponseStatus "RESPONSE_STATUS" Single,
    Rule "RULE" Collection,
    ServerAddr "SERVER_ADDR" Single,
    ServerName "SERVER_NAME" Single,
    ServerPort "SERVER_PORT" Single,
    Session "SESSION" Collection,
    SessionId "SESSIONID" Single,
    StatusLine "STATUS_LINE" Single,
    Time "TIME" Single,
    TimeDay "TIME_DAY" Single,
    TimeEpoch "TIME_EPOCH" Single,
    TimeHour "TIME_HOUR" Single,
    TimeMin "TIME_MIN" Single,
    TimeMon "TIME_MON" Single,
    TimeSec "TIME_SEC" Single,
    TimeWday "TIME_WDAY" Single,
    TimeYear "TIME_YEAR" Single,
    Tx "TX" Collection,
    UniqueId "UNIQUE_ID" Single,
    UrlencodedError "URLENCODED_ERROR" Single,
    User "USER" Collection,
    UserId "USERID" Single,
    WebAppId "WEBAPPID" Single,
    WebServerErrorLog "WEBSERVER_ERROR_LOG" Single,
    Xml "XML" Collection,
}

impl Variable {
    /// The variable of this name, case ignored.
    pub(crate) fn named(name: &str) -> Option<Self> {
        // MULTIPART_MISSING_SEMICOLON has two spellings; everything else has one.
        Self::ALL.iter().copied().find(|variable| variable.name().eq_ignore_ascii_case(name))
    }
}

impl Variable {
    /// The variables that hold what this one shows: itself, but for those that join two.
    pub(crate) fn parts(self) -> &'static [Self] {
        match self {
            Self::Args => &[Self::ArgsGet, Self::ArgsPost],
            Self::ArgsNames => &[Self::ArgsGetNames, Self::ArgsPostNames],
            _ => &[],
        }
    }

    /// True if its values change while the rules of a phase run.
    pub(crate) fn is_live(self) -> bool {
        matches!(
            self,
            Self::Tx
                | Self::MatchedVar
                | Self::MatchedVarName
                | Self::MatchedVars
                | Self::MatchedVarsNames
                | Self::HighestSeverity
                | Self::Rule
                | Self::Duration
                | Self::Env
                | Self::Geo
                | Self::Ip
                | Self::Global
                | Self::Session
                | Self::User
                | Self::Resource
                | Self::SessionId
                | Self::UserId
                | Self::ReqbodyProcessor
        )
    }

    /// Why rules cannot look at it, where nothing ever fills it: a rule that never matches would
    /// protect nobody.
    pub(crate) fn refused(self) -> Option<&'static str> {
        Some(match self {
            Self::FullRequest | Self::FullRequestLength => {
                "use `REQUEST_LINE`, `REQUEST_HEADERS` and `REQUEST_BODY`"
            }
            Self::FilesTmpNames => "no file is written; use `FILES_TMP_CONTENT`",
            Self::Geo => "it is empty without `@geoLookup` before it in the chain",
            Self::RemoteUser => "who calls is the gateway's to prove; use its plugins",
            Self::Env => "nothing here has an environment; use `TX`",
            Self::WebServerErrorLog => "there is no web server behind the rules",
            _ => return None,
        })
    }
}
