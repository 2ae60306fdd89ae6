//! What the sieve and other shortcuts leave out would have changed nothing: whole exchanges, made of
//! pieces of attacks and of what is none, judged with them and without.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use bartizan_waf::{
    Budget, Folder, Memory, Overrides, Peer, RequestHead, ResponseHead, RuleSet, Transaction,
    fuzz::without_shortcuts,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;

/// Rules twice: with the shortcuts, and without.
struct Pair {
    quick: Arc<RuleSet>,
    plain: Arc<RuleSet>,
    overrides: [Option<Arc<Overrides>>; 2],
}

impl Pair {
    fn of(load: impl Fn() -> RuleSet) -> Self {
        let (quick, plain) = (Arc::new(load()), Arc::new(without_shortcuts(load())));
        Self { quick, plain, overrides: [None, None] }
    }

    fn pinned(mut self, name: &str, number: i64) -> Self {
        self.overrides = [&self.quick, &self.plain].map(|rules| {
            let mut overrides = Overrides::new();
            overrides.pin(rules, name, number).unwrap();
            Some(Arc::new(overrides))
        });
        self
    }
}

/// The rules of `rules.conf` that are not logged.
const NOT_LOGGED: &[u32] =
    &[10, 11, 12, 13, 14, 15, 20, 21, 109, 110, 111, 200, 210, 211, 213, 214, 223, 230, 233];

static OWN: LazyLock<Pair> = LazyLock::new(|| Pair::of(own));
static PINNED: LazyLock<Pair> = LazyLock::new(|| Pair::of(own).pinned("level", 3));
static BUILTIN: LazyLock<Pair> = LazyLock::new(|| Pair::of(|| RuleSet::builtin().unwrap()));
static CRS: LazyLock<Option<Vec<Pair>>> = LazyLock::new(|| {
    let folder = crs_4()?;
    let levels = [1, 2, 4].map(|level| Pair::of(|| core_rule_set(&folder, level)));
    Some(levels.into())
});

fn own() -> RuleSet {
    RuleSet::parse("rules.conf", include_str!("rules.conf"), &Memory::default()).unwrap()
}

/// The folder of the Core Rule Set, version 4, if it is here.
fn crs_4() -> Option<PathBuf> {
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

fn core_rule_set(folder: &Path, level: u8) -> RuleSet {
    let text = format!(
        "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
         SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
         \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"\n\
         SecRule REQUEST_HEADERS:Content-Type \"^text/xml\" \
         \"id:200002,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"\n\
         Include crs-setup.conf.example\nSecAction \"id:900000,phase:1,pass,t:none,nolog,\
         setvar:tx.blocking_paranoia_level={level}\"\nInclude rules/*.conf\n"
    );
    let root = folder.canonicalize().unwrap();
    RuleSet::parse("all.conf", &text, &Folder::new(root)).unwrap()
}

/// What is sent.
#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Pieces of attacks, of what hides them, and of what clients send.
const PIECES: &[&str] = &[
    "' or '1'='1",
    "1 union select a,b from users--",
    "UNION/**/SELECT",
    "sleep(5)",
    "benchmark (9,1)",
    "; cat /etc/passwd",
    "$(wget x)",
    "`id`",
    "|| curl http://a/b.sh",
    "/bin/bash -c",
    "c^md.exe /c dir",
    "../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "%2e%2e%2f",
    "/.git/config",
    "\u{0}",
    "%00",
    "<script>alert(1)</script>",
    "<ScRiPt src=//x>",
    "\" onload=alert(1) x=\"",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "\\u003cscript\\u003e",
    "\\x3cscript>",
    "<img src=x onerror=y>",
    "<svg/onload=z>",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "#{1+1}",
    "<%= 1 %>",
    "__proto__",
    "[$ne]",
    "() { :; };",
    "http://169.254.169.254/latest",
    "file:///etc/hosts",
    "gopher://x",
    "php://input",
    "<?php eval(1);",
    "O:8:\"stdClass\":0:{}",
    "rO0ABQ==",
    "PHNjcmlwdD4=",
    "a\r\nSet-Cookie: b",
    "%0d%0aHost: x",
    "\n",
    "'",
    "\"",
    ";",
    "--",
    "/*",
    "*/",
    "#",
    "(",
    ")",
    "=",
    "<",
    ">",
    "&#x27;",
    "%27",
    "%u0027",
    "%25%32%37",
    "select",
    "from",
    "and",
    "or",
    "script",
    "sqlmap",
    "nikto",
    "exec",
    "xp_cmdshell",
    "admin",
    "SYSTEM",
    "alice@example.com",
    "O'Hara",
    "12 Long Lane",
    "2026-11-29T08:15:00Z",
    "0b2f6a8c-4d1e-4f39",
    "Blue shirt, size 4",
    "price_asc",
    "en-GB,en;q=0.8",
    "true",
    "3.95",
    "-1",
    "0",
    "7",
    "é",
    "日本",
    "\u{ff1c}script\u{ff1e}",
    "Mozilla/5.0 (X11; Linux x86_64)",
    "*/*",
    "a.php",
    "safe",
    " ",
    "  ",
    "+",
];

const NAMES: &[&str] = &[
    "id",
    "q",
    "page",
    "name",
    "note",
    "x-a",
    "password",
    "pin",
    "off",
    "a[b]",
    "a.b",
    "sess",
    "session",
    "cb",
    "url",
    "file",
    "'",
    "select",
    "<script>",
    "user$",
    "__proto__",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::collection::vec(select(PIECES), 0..4).prop_map(|pieces| pieces.concat()),
        1 => "[ -~]{0,30}",
        1 => prop::collection::vec(any::<char>(), 0..8).prop_map(|all| all.into_iter().collect()),
    ]
}

fn pairs(most: usize) -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let value = prop_oneof![5 => value(), 1 => Just("sqli".to_owned()), 1 => Just("q".to_owned())];
    prop::collection::vec((select(NAMES), value), 0..most)
}

/// Percent-encodes every byte that could end an argument, and now and then others.
fn encoded(text: &str, is_eager: bool) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let ends = matches!(byte, b'&' | b'+' | b'#' | b'=' | 0..=b' ' | 0x7f..);
        if ends || (is_eager && !byte.is_ascii_alphanumeric()) {
            let _ = write!(out, "%{byte:02x}");
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

fn form(pairs: &[(&str, String)], is_eager: bool) -> String {
    let pairs = pairs.iter();
    let pairs = pairs.map(|(name, value)| format!("{name}={}", encoded(value, is_eager)));
    pairs.collect::<Vec<_>>().join("&")
}

fn body() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let parts = |pairs: &[(&str, String)]| {
        let mut out = String::new();
        for (name, value) in pairs {
            let _ = write!(
                out,
                "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{value}\"\r\n\r\n\
                 {value}\r\n--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        out + "--b--\r\n"
    };
    let json = |pairs: Vec<(&str, String)>| {
        let members = pairs.iter().map(|(name, value)| format!("{name:?}: [{value:?}, 1]"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(", ")).into_bytes()
    };
    let xml = |pairs: Vec<(&str, String)>| {
        let items = pairs.iter().map(|(name, value)| {
            format!(
                "<i n=\"{}\">{}</i>",
                name.replace(['<', '"'], ""),
                value.replace(['<', '&'], "")
            )
        });
        format!("<?xml version=\"1.0\"?><a>{}</a>", items.collect::<String>()).into_bytes()
    };
    prop_oneof![
        2 => Just(("", Vec::new())),
        2 => (pairs(6), any::<bool>()).prop_map(|(pairs, eager)| {
            ("application/x-www-form-urlencoded", form(&pairs, eager).into_bytes())
        }),
        2 => pairs(6).prop_map(move |pairs| ("application/json", json(pairs))),
        1 => pairs(4).prop_map(move |pairs| ("text/xml", xml(pairs))),
        1 => pairs(3).prop_map(move |pairs| {
            ("multipart/form-data; boundary=b", parts(&pairs).into_bytes())
        }),
        1 => value().prop_map(|text| ("text/plain", text.into_bytes())),
        1 => value().prop_map(|text| ("application/json", text.into_bytes())),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let level = select(&["", "0", "1", "2", "3", "none", "text"][..]);
    let methods = select(&["GET", "GET", "POST", "PUT", "OPTIONS", "get", "TRACK"][..]);
    let host = select(&["api.example.com", "", "127.0.0.1"][..]);
    let head = (methods, value(), pairs(4), any::<bool>());
    (head, level, host, pairs(3), value(), value(), body()).prop_map(
        |((method, path, query, is_eager), level, host, cookies, agent, other, body)| {
            let mut target = format!("/{}", encoded(&path, false));
            if !query.is_empty() {
                let _ = write!(target, "?{}", form(&query, is_eager));
            }
            let cookies = cookies.iter().map(|(name, value)| format!("{name}={value}"));
            let cookies = cookies.collect::<Vec<_>>().join("; ");
            let length = body.1.len().to_string();
            let fields = [
                ("Host", host),
                ("X-Level", level),
                ("User-Agent", &agent),
                ("Referer", &other),
                ("Cookie", &cookies),
                ("Content-Type", body.0),
                ("Content-Length", if body.0.is_empty() { "" } else { &length }),
                ("Accept", "*/*"),
            ];
            let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
            let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            Request { method, target, fields, body: body.1 }
        },
    )
}

/// All that can be seen of what came of an exchange.
fn outcome(transaction: &mut Transaction, request: &Request) -> String {
    let fields = request.fields.iter();
    let fields: Vec<(&[u8], &[u8])> =
        fields.map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let head = RequestHead {
        peer: Peer { client: ([192, 0, 2, 1], 1).into(), server: ([192, 0, 2, 2], 2).into() },
        method: request.method.as_bytes(),
        target: request.target.as_bytes(),
        protocol: b"HTTP/1.1",
        fields: &fields,
        id: b"1",
        now: 1_764_000_000,
    };
    let answer: &[(&[u8], &[u8])] = &[(b"Content-Type", b"text/html"), (b"X-A", b"<?php")];
    let answer = ResponseHead { status: 200, protocol: b"HTTP/1.1", fields: answer };
    let verdicts = [
        transaction.request_head(&head),
        transaction.request_body(&request.body, false),
        transaction.response_head(&answer),
        transaction.response_body(&request.body, false),
    ];
    transaction.finish();
    let names =
        ["score", "marks", "level", "low", "told", "known", "blocking_inbound_anomaly_score"];
    let scores = names.map(|name| String::from_utf8_lossy(&transaction.tx(name)).into_owned());
    let matches = transaction.matches();
    format!("{verdicts:#?} {scores:?} {} {matches:#?}", transaction.is_partial())
}

fn same(pair: &Pair, requests: &[Request]) {
    // One transaction for all, as the gateway does: nothing of one exchange may show in the next.
    let mut quick = Transaction::new(pair.quick.clone(), None).within(Budget(u64::MAX));
    for request in requests {
        let [over, under] = pair.overrides.clone();
        quick.reset(pair.quick.clone(), None, over);
        let mut plain = Transaction::new(pair.plain.clone(), None).within(Budget(u64::MAX));
        plain.reset(pair.plain.clone(), None, under);
        let (quick, plain) = (outcome(&mut quick, request), outcome(&mut plain, request));
        assert!(quick == plain, "{request:#?}\nwith: {quick}\nwithout: {plain}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shortcuts_do_not_show(requests in prop::collection::vec(request(), 1..4)) {
        for pair in [&*OWN, &*PINNED, &*BUILTIN] {
            same(pair, &requests);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shortcuts_do_not_show_with_the_core_rule_set(
        requests in prop::collection::vec(request(), 1..3),
    ) {
        for pair in CRS.iter().flatten() {
            same(pair, &requests);
        }
    }
}

#[test]
fn the_requests_reach_the_rules() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached = std::collections::BTreeSet::new();
    let mut transaction = Transaction::new(OWN.quick.clone(), None);
    for _ in 0..2_000 {
        let request = request().new_tree(&mut runner).unwrap().current();
        transaction.reset(OWN.quick.clone(), None, None);
        outcome(&mut transaction, &request);
        reached.extend(transaction.matches().iter().map(|found| found.id));
    }
    let told = OWN.quick.ids().filter(|id| ![1, 2].contains(id));
    let missed: Vec<u32> = told.filter(|id| !reached.contains(id)).collect();
    assert_eq!(missed, NOT_LOGGED, "of these is never told");
}
