//! The requests of the benchmark, made anew in each run and always the same.

use std::fmt::Write as _;

/// One request.
pub(super) struct Request {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// Where the pseudo-random numbers of the hostile inputs begin.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
/// A token of the usual size: three parts of base64url.
const TOKEN: &str = "Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjIwMjYtMTEifQ.\
eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUuY29tIiwic3ViIjoiYWxpY2UiLCJleHAiOjE3NjQwMDAwMDB9.\
p0Zk3uYJ2hXv9mQeR7tLwB5cNfSaD1gKiO8yVxU6rE4nTqHsWlMjPbCzAoGdFI_yXk2v-QmJ7rT9wLcE5uBnZg";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// The six requests of everyday traffic; the last is an attack.
pub(super) fn usual() -> Vec<Request> {
    vec![
        get("GET, 5 headers and a token", "/api/v1/users/42", short()),
        get(
            "GET, 10 headers, cookies, 3 arguments",
            "/shop/search?q=red+shoes&page=2&sort=price_asc",
            long(),
        ),
        post("JSON, 1 KiB", "application/json", json(12)),
        post("JSON, 64 KiB, 800 leaves", "application/json", json(800)),
        post("form, 11 fields", "application/x-www-form-urlencoded", form()),
        get("GET, SQL injection", "/items?id=1%27%20OR%201%3D1%20UNION%20SELECT%20a%20--", short()),
    ]
}

/// Requests made to be slow.
pub(super) fn hostile() -> Vec<Request> {
    let mut random = Random(SEED);
    let marks: Vec<u8> = (0..20 << 10).map(|_| random.mark()).collect();
    let arguments: Vec<String> = (0..900)
        .map(|number| format!("{}{number}={}", random.word(), escape(&random.marks(12))))
        .collect();
    let mut words = String::new();
    while words.len() < 20 << 10 {
        let _ = write!(words, "{} ", random.word());
    }
    let nested = format!("{{\"a\":{}1{}}}", "[".repeat(400), "]".repeat(400));
    let form = "application/x-www-form-urlencoded";
    vec![
        post("20 KiB of random punctuation", form, [b"a=", escape(&marks).as_bytes()].concat()),
        post("900 random arguments", form, arguments.join("&").into_bytes()),
        post("20 KiB of words", form, format!("a={}", words.replace(' ', "+")).into_bytes()),
        post("nested JSON", "application/json", nested.into_bytes()),
        post("1 MB of `%25`", form, [b"a=".to_vec(), b"%25".repeat(333_333)].concat()),
    ]
}

fn get(name: &'static str, target: &str, fields: Vec<(&'static str, String)>) -> Request {
    Request { name, method: "GET", target: target.into(), fields, body: Vec::new() }
}

fn post(name: &'static str, content_type: &str, body: Vec<u8>) -> Request {
    let mut fields = short();
    fields.push(("Content-Type", content_type.into()));
    fields.push(("Content-Length", body.len().to_string()));
    Request { name, method: "POST", target: "/api/v1/orders".into(), fields, body }
}

fn short() -> Vec<(&'static str, String)> {
    vec![
        ("Host", "api.example.com".into()),
        ("User-Agent", AGENT.into()),
        ("Accept", "application/json".into()),
        ("Accept-Encoding", "gzip, deflate, br".into()),
        ("Authorization", TOKEN.into()),
    ]
}

fn long() -> Vec<(&'static str, String)> {
    let mut fields = short();
    fields.extend([
        ("Accept-Language", "en-GB,en;q=0.8,de;q=0.5".into()),
        ("Referer", "https://shop.example.com/start?from=mail".into()),
        ("Cookie", "session=7f3c9b1e5d8a4260; theme=dark; cart=3-18-77; lang=en_GB".into()),
        ("X-Request-ID", "0b2f6a8c-4d1e-4f39-9c57-1e8d3a6b7c90".into()),
        ("Cache-Control", "no-cache".into()),
    ]);
    fields
}

/// An order of so many items: numbers, words, identifiers, dates and addresses.
fn json(leaves: usize) -> Vec<u8> {
    let mut items = Vec::new();
    for number in 0..leaves.div_ceil(5) {
        items.push(format!(
            "{{\"id\":\"0b2f6a8c-4d1e-4f39-9c57-{:012x}\",\"name\":\"Blue cotton shirt, size {number}, \
             long sleeves, with two pockets and a label inside that says how to wash it; made to last \
             for years, sold in boxes of ten pieces, sent within two days\",\
             \"price\":{number}.95,\"ordered\":\"2026-11-{:02}T08:15:{:02}Z\",\
             \"buyer\":\"alice.{number}@example.com\"}}",
            number * 7_919,
            number % 28 + 1,
            number % 60
        ));
    }
    format!("{{\"items\":[{}]}}", items.join(",")).into_bytes()
}

fn form() -> Vec<u8> {
    b"first_name=Alice&last_name=O%27Hara&email=alice%40example.com&street=12+Long+Lane&city=York\
&postcode=YO1+7HH&country=GB&phone=%2B44+1904+551550&newsletter=on&birthday=1990-04-12\
&comment=Please+ring+twice%2C+the+bell+is+broken.+Thank+you%21"
        .to_vec()
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02X}");
        text
    })
}

/// A small generator (xorshift): what it makes must be the same everywhere, and need not be good.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn mark(&mut self) -> u8 {
        const MARKS: &[u8] = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ";
        let at = usize::try_from(self.next(MARKS.len() as u64)).unwrap_or_default();
        MARKS.get(at).copied().unwrap_or(b'!')
    }

    fn marks(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.mark()).collect()
    }

    fn word(&mut self) -> String {
        let length = 3 + self.next(6);
        let letter = |number: u64| u8::try_from(number).map_or('a', |n| char::from(b'a' + n));
        (0..length).map(|_| letter(self.next(26))).collect()
    }
}
