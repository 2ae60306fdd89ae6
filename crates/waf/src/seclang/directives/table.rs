//! The directives that there are: the one place from which they are read and documented.

use super::super::lines::{Cx, Word};
use super::super::script::{Directive, Setting};
use super::super::values;
use super::{Args, rules, settings};

/// A directive.
pub(in crate::seclang) struct Entry {
    /// Its name, as it is usually written; case is ignored.
    pub(in crate::seclang) name: &'static str,
    /// What stands behind it.
    pub(in crate::seclang) arguments: &'static str,
    /// How it is read.
    pub(in crate::seclang) kind: Kind,
    /// What it does; of one without effect, why; of one that is refused, what to do instead.
    pub(in crate::seclang) does: &'static str,
}

/// How a directive is read.
#[derive(Clone, Copy)]
pub(in crate::seclang) enum Kind {
    /// Reads other files here.
    Include,
    /// The same; that there are none is no fault.
    IncludeOptional,
    /// By a function of its own.
    Read(fn(&mut Args<'_, '_>) -> Option<Directive>),
    /// It sets something to one value.
    Set(fn(&mut Cx<'_>, &Word) -> Option<Setting>),
    /// Accepted, without effect.
    Inert,
    /// Refused.
    Refused,
}

const fn entry(
    name: &'static str,
    arguments: &'static str,
    kind: Kind,
    does: &'static str,
) -> Entry {
    Entry { name, arguments, kind, does }
}

const fn inert(name: &'static str, does: &'static str) -> Entry {
    Entry { name, arguments: "…", kind: Kind::Inert, does }
}

const fn refused(name: &'static str, does: &'static str) -> Entry {
    Entry { name, arguments: "…", kind: Kind::Refused, does }
}

/// All of them.
pub(in crate::seclang) static DIRECTIVES: &[Entry] = &[
    // Files.
    entry("Include", "FILE", Kind::Include, "reads files here; `*` and `?` stand for names"),
    entry("IncludeOptional", "FILE", Kind::IncludeOptional, "the same, if there are any"),
    // Rules.
    entry("SecRule", "TARGETS OPERATOR ACTIONS", Kind::Read(rules::rule), "a rule"),
    entry("SecAction", "ACTIONS", Kind::Read(rules::action), "a rule that always matches"),
    entry("SecMarker", "NAME", Kind::Read(rules::marker), "a place for `skipAfter` to go to"),
    entry(
        "SecDefaultAction",
        "ACTIONS",
        Kind::Read(rules::default_action),
        "what `block` does in a phase, and what every rule of it begins with",
    ),
    entry(
        "SecRuleUpdateTargetById",
        "IDS TARGETS",
        Kind::Read(rules::update_targets_by_id),
        "changes what rules look at",
    ),
    entry(
        "SecRuleUpdateTargetByTag",
        "PATTERN TARGETS",
        Kind::Read(rules::update_targets_by_tag),
        "the same, for rules with such a tag",
    ),
    entry(
        "SecRuleUpdateTargetByMsg",
        "PATTERN TARGETS",
        Kind::Read(rules::update_targets_by_msg),
        "the same, for rules with such a message",
    ),
    entry(
        "SecRuleUpdateActionById",
        "ID[:OFFSET] ACTIONS",
        Kind::Read(rules::update_actions),
        "changes what a rule, or one further down its chain, does",
    ),
    entry("SecRuleRemoveById", "IDS…", Kind::Read(rules::remove_by_id), "takes rules out"),
    entry(
        "SecRuleRemoveByTag",
        "PATTERN",
        Kind::Read(rules::remove_by_tag),
        "takes the rules with such a tag out",
    ),
    entry(
        "SecRuleRemoveByMsg",
        "PATTERN",
        Kind::Read(rules::remove_by_msg),
        "takes the rules with such a message out",
    ),
    // What is judged.
    entry(
        "SecRuleEngine",
        "On|DetectionOnly|Off",
        Kind::Set(|cx, value| values::engine_mode(cx, value).map(Setting::RuleEngine)),
        "whether rules run, and whether they disrupt",
    ),
    entry(
        "SecRequestBodyAccess",
        "On|Off",
        Kind::Set(|cx, value| values::on_off(cx, value).map(Setting::RequestBodyAccess)),
        "whether requests' bodies are read",
    ),
    entry(
        "SecRequestBodyLimit",
        "BYTES",
        Kind::Set(|cx, value| values::size(cx, value).map(Setting::RequestBodyLimit)),
        "the largest body of a request",
    ),
    entry(
        "SecRequestBodyNoFilesLimit",
        "BYTES",
        Kind::Set(|cx, value| values::size(cx, value).map(Setting::RequestBodyNoFilesLimit)),
        "the largest body that is no upload (`multipart/form-data`)",
    ),
    entry(
        "SecRequestBodyLimitAction",
        "Reject|ProcessPartial",
        Kind::Set(|cx, value| values::limit_action(cx, value).map(Setting::RequestBodyLimitAction)),
        "what happens to a larger one",
    ),
    entry(
        "SecRequestBodyJsonDepthLimit",
        "DEPTH",
        Kind::Set(|cx, value| {
            values::number(cx, value, 1, 10_000).map(Setting::RequestBodyJsonDepthLimit)
        }),
        "how deep JSON may be nested",
    ),
    entry(
        "SecArgumentsLimit",
        "COUNT",
        Kind::Set(|cx, value| values::number(cx, value, 1, 1_000_000).map(Setting::ArgumentsLimit)),
        "the most arguments of a request",
    ),
    entry(
        "SecArgumentSeparator",
        "CHARACTER",
        Kind::Set(settings::separator),
        "what stands between arguments",
    ),
    entry(
        "SecUploadFileLimit",
        "COUNT",
        Kind::Set(|cx, value| values::number(cx, value, 0, 100_000).map(Setting::UploadFileLimit)),
        "the most files that one request uploads",
    ),
    entry(
        "SecUnicodeMapFile",
        "FILE CODEPAGE",
        Kind::Read(settings::unicode_map),
        "which byte `urlDecodeUni` makes of each code point",
    ),
    // Responses.
    entry(
        "SecResponseBodyAccess",
        "On|Off",
        Kind::Set(|cx, value| values::on_off(cx, value).map(Setting::ResponseBodyAccess)),
        "whether responses' bodies are read",
    ),
    entry(
        "SecResponseBodyLimit",
        "BYTES",
        Kind::Set(|cx, value| values::size(cx, value).map(Setting::ResponseBodyLimit)),
        "the largest body of a response",
    ),
    entry(
        "SecResponseBodyLimitAction",
        "Reject|ProcessPartial",
        Kind::Set(|cx, value| {
            values::limit_action(cx, value).map(Setting::ResponseBodyLimitAction)
        }),
        "what happens to a larger one",
    ),
    entry(
        "SecResponseBodyMimeType",
        "TYPE…",
        Kind::Read(settings::mime_types),
        "which responses' bodies are read",
    ),
    entry(
        "SecResponseBodyMimeTypesClear",
        "",
        Kind::Read(settings::mime_types_clear),
        "forgets the types named so far",
    ),
    entry(
        "SecGeoLookupDb",
        "FILE",
        Kind::Set(settings::geo_lookup_db),
        "the database of places for `@geoLookup`, in MaxMind's format",
    ),
    // Names and collections.
    entry(
        "SecCollectionTimeout",
        "SECONDS",
        Kind::Set(|cx, value| {
            values::number(cx, value, 1, 31_536_000).map(Setting::CollectionTimeout)
        }),
        "how long a collection lives after its last change",
    ),
    entry(
        "SecWebAppId",
        "NAME",
        Kind::Set(settings::web_app_id),
        "keeps applications' collections apart",
    ),
    entry(
        "SecComponentSignature",
        "TEXT",
        Kind::Set(settings::component),
        "the name of the rule set in the log",
    ),
    // The audit log.
    // Without effect.
    inert(
        "SecAuditEngine",
        "`log` of the plugin says whether matches are written; denials are always events",
    ),
    inert("SecCookieFormat", "cookies are read as browsers write them"),
    inert("SecServerSignature", "answers name no server"),
    inert(
        "SecAuditLogParts",
        "an entry has what tells why (`ABFHKZ`), never bodies or credentials",
    ),
    inert("SecAuditLogRelevantStatus", "each exchange in which a rule matched is written"),
    inert("SecAuditLog", "`log` in the metadata of the plugin names the file"),
    inert("SecAuditLog2", "`log` in the metadata of the plugin names the file"),
    inert("SecAuditLogDirMode", "entries are lines of one file"),
    inert("SecAuditLogFileMode", "the file is its owner's alone"),
    inert("SecAuditLogFormat", "entries are JSON, as ModSecurity 3 writes it"),
    inert("SecAuditLogStorageDir", "entries are lines of one file"),
    inert("SecAuditLogType", "entries are lines of one file, as with `Serial`"),
    inert("SecCacheTransformations", "transformed values are always kept while they are of use"),
    inert("SecConnEngine", "connections are limited by the listener"),
    inert("SecDataDir", "collections are held in memory"),
    inert("SecDebugLog", "there is no debug log; `log` of the plugin tells what matched"),
    inert("SecDebugLogLevel", "there is no debug log; `log` of the plugin tells what matched"),
    inert("SecPcreMatchLimit", "patterns have a bound of their own"),
    inert("SecPcreMatchLimitRecursion", "patterns have a bound of their own"),
    inert("SecRequestBodyInMemoryLimit", "bodies are never written to files"),
    inert("SecSensorId", "the node's name is in every event"),
    inert("SecStatusEngine", "nothing is reported to anybody"),
    inert("SecTmpDir", "bodies are never written to files"),
    inert("SecTmpSaveUploadedFiles", "bodies are never written to files"),
    inert("SecUploadDir", "uploaded files are not kept"),
    inert("SecUploadFileMode", "uploaded files are not kept"),
    inert("SecUploadKeepFiles", "uploaded files are not kept"),
    // Refused.
    refused("SecCacheTransformationsMaxItems", "take it out: the engine bounds its own memory"),
    refused("SecChrootDir", "let the service manager confine the process"),
    refused("SecConnReadStateLimit", "use the listener's limits of connections"),
    refused("SecConnWriteStateLimit", "use the listener's limits of connections"),
    refused("SecContentInjection", "change responses with `response-rewrite`"),
    refused("SecDisableBackendCompression", "remove `Accept-Encoding` with `proxy-rewrite`"),
    refused("SecGsbLookupDb", "the service that it asks is closed: take it out"),
    refused("SecGuardianLog", "send audit events to a sink: it would run a program"),
    refused("SecHashEngine", "protect links and forms with signed requests or `csrf`"),
    refused("SecHashKey", "protect links and forms with signed requests or `csrf`"),
    refused("SecHashMethodPm", "protect links and forms with signed requests or `csrf`"),
    refused("SecHashMethodRx", "protect links and forms with signed requests or `csrf`"),
    refused("SecHashParam", "protect links and forms with signed requests or `csrf`"),
    refused(
        "SecHttpBlKey",
        "refuse addresses with `ip-restriction`: it would ask a name server per request",
    ),
    refused("SecInterceptOnError", "take it out: a rule that cannot be judged always refuses"),
    refused("SecParseXmlIntoArgs", "take it out: texts of XML are in `XML:/*`"),
    refused("SecReadStateLimit", "use the listener's limits of connections"),
    refused("SecRemoteRules", "fetch the rules when they are deployed, and `Include` the file"),
    refused("SecRemoteRulesFailAction", "fetch the rules when they are deployed"),
    refused("SecRuleInheritance", "name the rule sets of a route in its `waf` plugin"),
    refused("SecRulePerfTime", "take it out; `cargo xtask bench waf` measures what rules cost"),
    refused("SecRuleScript", "write the condition as a chain of rules: no code is run"),
    refused("SecStreamInBodyInspection", "use `REQUEST_BODY`"),
    refused("SecStreamOutBodyInspection", "use `RESPONSE_BODY`"),
    refused("SecWriteStateLimit", "use the listener's limits of connections"),
    refused("SecXmlExternalEntity", "take it out: no entity is ever loaded"),
];
