//! Admits or refuses consumers, consumer groups, services or routes by name.
//!
//! A black list refuses whom it names, before anything else. With a white list only whom it names
//! passes. Without one, `allowed_by_methods` holds whom it names to their methods; whom it does
//! not name passes. Consumers and groups that are named must exist, so that a misspelt name is
//! found when it is written.
//!
//! ```yaml
//! consumer-restriction:
//!   whitelist: [alice, bob]
//! ```
//!
//! With `type: consumer_group_id` the lists name groups: a caller has the group of its consumer,
//! also one who only stands in (`anonymous_consumer`). Who is in no group is refused by any of the
//! lists. Written on a group, the plugin holds for the group's members on every route.
//!
//! Only a white list of consumers or groups is a grant: everything else lets somebody through who
//! is not named. A request without an identity is refused with 401.
//!
//! # Headers
//!
//! It reads no header and sets none.
//!
//! # What it costs
//!
//! One comparison per name.
//!
//! # What it cannot do
//!
//! It knows nothing of objects (`object-guard` does). A black list is no grant: it lets everybody
//! through who is not named.
//!
//! # How it differs from Apache APISIX
//!
//! Names must exist; a request that may not pass is refused with 400 to 599 only, so that a refusal
//! never looks like a success.

use bartizan_chain::{CompileCx, Flow, Identity, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The configuration of `consumer-restriction`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What the names are compared with.
    #[serde(default, rename = "type")]
    subject: Subject,
    /// Names that pass; all others are refused.
    #[schemars(length(min = 1))]
    whitelist: Option<Vec<String>>,
    /// Names that are refused.
    #[schemars(length(min = 1))]
    blacklist: Option<Vec<String>>,
    /// Names that may use some methods only; looked at where there is no white list.
    allowed_by_methods: Option<Vec<AllowedByMethods>>,
    /// The status of a refusal: 400 to 599, since a refusal must not look like a success.
    #[serde(default = "forbidden")]
    #[schemars(range(min = 400, max = 599))]
    rejected_code: u16,
    /// What a refused client reads.
    #[schemars(length(min = 1))]
    rejected_msg: Option<String>,
}

fn forbidden() -> u16 {
    403
}

/// The methods that one name may use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedByMethods {
    /// The name.
    user: String,
    /// The methods it may use.
    #[schemars(length(min = 1))]
    methods: Vec<Method>,
}

/// The methods that can be named.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
#[expect(missing_docs, reason = "each is the method of its name")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
    Patch,
    Head,
    Options,
    Connect,
    Trace,
    Purge,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Purge => "PURGE",
        }
    }
}

/// What is compared with the lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Subject {
    /// The name of the consumer who calls.
    #[default]
    ConsumerName,
    /// The id of the route's service.
    ServiceId,
    /// The id of the route.
    RouteId,
    /// The id of the group of the consumer who calls.
    ConsumerGroupId,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::ConsumerName => "consumer_name",
            Self::ServiceId => "service_id",
            Self::RouteId => "route_id",
            Self::ConsumerGroupId => "consumer_group_id",
        }
    }

    /// True if it is about who calls.
    fn is_of_caller(self) -> bool {
        matches!(self, Self::ConsumerName | Self::ConsumerGroupId)
    }

    fn value(self, cx: &RequestCx) -> Option<&str> {
        let consumer = || cx.identity().and_then(Identity::consumer);
        match self {
            Self::ConsumerName => consumer().map(|consumer| consumer.username()),
            Self::ConsumerGroupId => consumer().and_then(|consumer| consumer.group_id()),
            Self::RouteId => cx.matched().map(|matched| &*matched.route.id),
            Self::ServiceId => cx.matched().and_then(|matched| matched.route.service_id.as_deref()),
        }
    }

    /// Checks that a name exists, where that can be known.
    fn check(self, name: &str, cx: &CompileCx<'_>) -> Result<(), Invalid> {
        let (exists, what) = match self {
            Self::ConsumerName => ((cx.has_consumer)(name), "consumer"),
            Self::ConsumerGroupId => ((cx.has_group)(name), "consumer group"),
            Self::ServiceId | Self::RouteId => return Ok(()),
        };
        if exists {
            return Ok(());
        }
        Err(Invalid::new(format!("there is no {what} `{name}`"))
            .with_help(format!("add the {what} first, or take the name out")))
    }
}

/// Why a value does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Blacklisted,
    NotWhitelisted,
    Method,
}

impl Refusal {
    fn rule(self) -> &'static str {
        match self {
            Self::Blacklisted => "blacklist",
            Self::NotWhitelisted => "whitelist",
            Self::Method => "allowed_by_methods",
        }
    }
}

/// What one name may use.
struct MethodsOf {
    user: String,
    methods: Box<[&'static str]>,
}

/// Compiled `consumer-restriction`.
pub struct ConsumerRestriction {
    subject: Subject,
    whitelist: Option<Box<[String]>>,
    blacklist: Box<[String]>,
    methods: Box<[MethodsOf]>,
    status: u16,
    message: Option<String>,
    is_apisix: bool,
}

impl Plugin for ConsumerRestriction {
    const NAME: &'static str = "consumer-restriction";
    const PRIORITY: i32 = 2400;
    const KINSHIP: Kinship =
        Kinship::Different("names must exist; a refusal cannot have a status below 400");
    const STAGES: StageSet = StageSet::of(&[Stage::Authorize]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let subject = config.subject;
        let lists = [("whitelist", &config.whitelist), ("blacklist", &config.blacklist)];
        let names_none = config.allowed_by_methods.as_ref().is_none_or(Vec::is_empty);
        if lists.iter().all(|(_, list)| list.is_none()) && names_none {
            return Err(Invalid::new("needs a `whitelist`, a `blacklist` or `allowed_by_methods`"));
        }
        for (key, list) in lists {
            if list.as_ref().is_some_and(Vec::is_empty) {
                return Err(Invalid::at(key, "the list is empty"));
            }
            for (index, name) in list.iter().flatten().enumerate() {
                let place = |fault: Invalid| fault.under(PathStep::Index(index));
                subject.check(name, cx).map_err(place).map_err(|f| f.under(key_of(key)))?;
            }
        }
        if !(400..=599).contains(&config.rejected_code) {
            return Err(Invalid::at("rejected_code", "a refusal has a status of 400 to 599")
                .with_help("with another status, what was refused would look like a success"));
        }
        Ok(Self {
            subject,
            methods: methods(config.allowed_by_methods.unwrap_or_default(), subject, cx)?,
            whitelist: config.whitelist.map(Vec::into_boxed_slice),
            blacklist: config.blacklist.unwrap_or_default().into_boxed_slice(),
            status: config.rejected_code,
            message: config.rejected_msg,
            is_apisix: cx.compatibility().is_apisix(),
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Authorize]);
        traits.proves.grant = self.whitelist.is_some() && self.subject.is_of_caller();
        traits
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let Some(value) = self.subject.value(cx) else {
            return Err(self.nameless(cx.identity().is_some()));
        };
        match self.judge(value, cx.canonical().method().as_str()) {
            Ok(()) => Ok(Flow::Continue),
            Err(refusal) => Err(self.refuse(value, refusal)),
        }
    }
}

fn key_of(key: &str) -> PathStep {
    PathStep::Key(key.to_owned())
}

fn methods(
    entries: Vec<AllowedByMethods>,
    subject: Subject,
    cx: &CompileCx<'_>,
) -> Result<Box<[MethodsOf]>, Invalid> {
    const KEY: &str = "allowed_by_methods";
    let mut methods: Vec<MethodsOf> = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let at_user = |fault: Invalid| {
            fault.under(key_of("user")).under(PathStep::Index(index)).under(key_of(KEY))
        };
        subject.check(&entry.user, cx).map_err(at_user)?;
        if methods.iter().any(|of| of.user == entry.user) {
            let twice = Invalid::new(format!("`{}` is listed twice", entry.user));
            return Err(at_user(twice.with_help("put all its methods into one entry")));
        }
        let names = entry.methods.into_iter().map(Method::name).collect();
        methods.push(MethodsOf { user: entry.user, methods: names });
    }
    Ok(methods.into_boxed_slice())
}

impl ConsumerRestriction {
    fn judge(&self, value: &str, method: &str) -> Result<(), Refusal> {
        let names = |list: &[String]| list.iter().any(|name| name == value);
        if names(&self.blacklist) {
            return Err(Refusal::Blacklisted);
        }
        if let Some(whitelist) = &self.whitelist {
            return if names(whitelist) { Ok(()) } else { Err(Refusal::NotWhitelisted) };
        }
        let allowed = self.methods.iter().find(|of| of.user == value);
        match allowed {
            Some(of) if !of.methods.contains(&method) => Err(Refusal::Method),
            _ => Ok(()),
        }
    }

    fn refuse(&self, value: &str, refusal: Refusal) -> Denial {
        let detail = format!("{} `{value}` is refused", self.subject.name());
        let denial = Denial::new(Reason::ConsumerForbidden, detail)
            .with_rule(refusal.rule())
            .with_status(self.status)
            .with_apisix_message(format!("The {} is forbidden.", self.subject.name()));
        match &self.message {
            Some(message) => denial.with_message(message),
            None => denial,
        }
    }

    /// The refusal of a request that has no value to compare. A caller who is known is not asked
    /// for a credential again, except where Apache APISIX does.
    fn nameless(&self, is_identified: bool) -> Denial {
        let subject = self.subject.name();
        let detail = format!("the request has no `{subject}`");
        let denial = if is_identified || !self.subject.is_of_caller() {
            Denial::new(Reason::ConsumerForbidden, detail)
        } else {
            Denial::new(Reason::IdentityRequired, detail)
        };
        let message =
            format!("The request is rejected, please check the {subject} for this request");
        let denial = denial.with_apisix_message(message);
        if self.is_apisix { denial.with_status(401) } else { denial }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::Bench;

    fn plugin(config: &Value) -> ConsumerRestriction {
        Bench::new().compile(config).unwrap()
    }

    #[test]
    fn a_white_list_admits_only_whom_it_names() {
        let plugin = plugin(&json!({ "whitelist": ["alice"] }));
        assert_eq!(plugin.judge("alice", "GET"), Ok(()));
        assert_eq!(plugin.judge("bob", "GET"), Err(Refusal::NotWhitelisted));
        assert_eq!(plugin.judge("Alice", "GET"), Err(Refusal::NotWhitelisted));
    }

    #[test]
    fn a_black_list_wins_over_everything() {
        let plugin = plugin(&json!({ "whitelist": ["alice"], "blacklist": ["alice"] }));
        assert_eq!(plugin.judge("alice", "GET"), Err(Refusal::Blacklisted));
    }

    #[test]
    fn methods_bind_whom_they_name_and_nobody_else() {
        let list = json!([{ "user": "alice", "methods": ["GET", "HEAD"] }]);
        let plugin = plugin(&json!({ "allowed_by_methods": list }));
        assert_eq!(plugin.judge("alice", "GET"), Ok(()));
        assert_eq!(plugin.judge("alice", "POST"), Err(Refusal::Method));
        assert_eq!(plugin.judge("bob", "POST"), Ok(()));
    }

    #[test]
    fn who_is_white_listed_may_use_every_method() {
        let list = json!([{ "user": "alice", "methods": ["GET"] }]);
        let plugin = plugin(&json!({ "whitelist": ["alice"], "allowed_by_methods": list }));
        assert_eq!(plugin.judge("alice", "POST"), Ok(()));
        assert_eq!(plugin.judge("bob", "GET"), Err(Refusal::NotWhitelisted));
    }

    #[test]
    fn only_a_white_list_of_callers_is_a_grant() {
        let methods = json!([{ "user": "bob", "methods": ["GET"] }]);
        for (config, expected) in [
            (json!({ "whitelist": ["alice"] }), true),
            (json!({ "whitelist": ["staff"], "type": "consumer_group_id" }), true),
            (json!({ "blacklist": ["alice"] }), false),
            (json!({ "allowed_by_methods": methods }), false),
            (json!({ "whitelist": ["r1"], "type": "route_id" }), false),
            (json!({ "whitelist": ["s1"], "type": "service_id" }), false),
        ] {
            assert_eq!(plugin(&config).traits().proves.grant, expected, "{config}");
        }
    }

    #[test]
    fn refusals_say_what_was_configured() {
        let plain = plugin(&json!({ "blacklist": ["bob"] })).refuse("bob", Refusal::Blacklisted);
        assert_eq!(plain.status(), 403);
        assert_eq!(plain.apisix_message.as_deref(), Some("The consumer_name is forbidden."));
        let config = json!({ "blacklist": ["bob"], "rejected_code": 404, "rejected_msg": "gone" });
        let own = plugin(&config).refuse("bob", Refusal::Blacklisted);
        assert_eq!((own.status(), own.message.as_deref()), (404, Some("gone")));
    }

    #[test]
    fn only_the_unknown_are_asked_for_a_credential() {
        let group = plugin(&json!({ "whitelist": ["staff"], "type": "consumer_group_id" }));
        assert_eq!(group.nameless(false).status(), 401);
        assert_eq!(group.nameless(true).status(), 403);
        let config = json!({ "whitelist": ["staff"], "type": "consumer_group_id" });
        let apisix: ConsumerRestriction = Bench::apisix().compile(&config).unwrap();
        let denial = apisix.nameless(true);
        assert_eq!(denial.status(), 401);
        assert_eq!(
            denial.apisix_message.as_deref(),
            Some("The request is rejected, please check the consumer_group_id for this request")
        );
    }

    #[test]
    fn what_cannot_work_does_not_compile() {
        let twice = json!([
            { "user": "bob", "methods": ["GET"] },
            { "user": "bob", "methods": ["PUT"] },
        ]);
        for (config, problem) in [
            (json!({}), "needs a `whitelist`"),
            (json!({ "whitelist": [] }), "the list is empty"),
            (json!({ "whitelist": ["alice", "alicia"] }), "there is no consumer `alicia`"),
            (json!({ "type": "consumer_group_id", "blacklist": ["x"] }), "no consumer group `x`"),
            (json!({ "allowed_by_methods": twice }), "`bob` is listed twice"),
            (json!({ "blacklist": ["bob"], "rejected_code": 200 }), "400 to 599"),
        ] {
            let fault = Bench::new().fault::<ConsumerRestriction>(&config);
            assert!(fault.problem.contains(problem), "{}", fault.problem);
        }
    }

    const NAMES: [&str; 3] = ["alice", "bob", "guest"];

    fn some_names() -> impl proptest::strategy::Strategy<Value = Option<Vec<&'static str>>> {
        let names = proptest::sample::subsequence(NAMES.to_vec(), 1..3);
        proptest::option::of(names)
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_a_naive_reading(
            white in some_names(),
            black in some_names(),
            by_methods in some_names(),
            methods in proptest::sample::subsequence(vec!["GET", "HEAD", "POST", "PUT"], 1..4),
            name in "(alice|bob|guest|Alice|alic|alicea|)",
            method in "(GET|HEAD|POST|DELETE)",
        ) {
            proptest::prop_assume!(white.is_some() || black.is_some() || by_methods.is_some());
            let mut config = json!({});
            for (key, names) in [("whitelist", &white), ("blacklist", &black)] {
                if let Some(names) = names {
                    config[key] = json!(names);
                }
            }
            if let Some(names) = &by_methods {
                let entry = |name| json!({ "user": name, "methods": methods });
                config["allowed_by_methods"] = names.iter().map(entry).collect();
            }
            let is_in = |list: &Option<Vec<&str>>| list.as_ref().map(|l| l.contains(&&*name));
            let naive = if is_in(&black) == Some(true) {
                false
            } else if let Some(is_named) = is_in(&white) {
                is_named
            } else {
                is_in(&by_methods) != Some(true) || methods.contains(&&*method)
            };
            proptest::prop_assert_eq!(plugin(&config).judge(&name, &method).is_ok(), naive);
        }
    }
}
