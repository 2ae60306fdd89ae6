//! What clients put into the head of a request.

use super::chance::Chance;
use super::values;

pub(super) const BROWSERS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/126.0.0.0 Mobile Safari/537.36",
];

const PROGRAMS: &[&str] = &[
    "curl/8.5.0",
    "okhttp/4.12.0",
    "python-requests/2.32.3",
    "axios/1.7.2",
    "Go-http-client/1.1",
    "PostmanRuntime/7.39.0",
    "Dart/3.4 (dart:io)",
    "Apache-HttpClient/4.5.14 (Java/17.0.11)",
    "GuzzleHttp/7",
    "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
    "Ruby",
    "MyApp/3.2.1 (iPad; iOS 17.5; Scale/2.00)",
    "RestSharp/111.2.0.0",
    "insomnia/9.2.0",
];

type Fields = Vec<(String, String)>;

/// Adds what the client of a request would add: a browser's page script for four of ten, else a
/// program.
pub(super) fn add(chance: &mut Chance, host: &str, fields: &mut Fields) {
    let mut put = |name: &str, value: String| {
        if !fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            fields.push((name.to_owned(), value));
        }
    };
    put("Host", host.to_owned());
    if chance.percent(40) {
        put("User-Agent", chance.pick(BROWSERS).to_owned());
        put("Accept", "application/json, text/plain, */*".to_owned());
        put("Accept-Language", chance.pick(&["en-GB,en;q=0.9,de;q=0.8", "fr-CH", "*"]).to_owned());
        put("Accept-Encoding", "gzip, deflate, br, zstd".to_owned());
        put("Origin", "https://app.example.com".to_owned());
        put("Referer", page(chance));
        put("Sec-Fetch-Mode", "cors".to_owned());
        put("Sec-Fetch-Site", "same-site".to_owned());
        put("sec-ch-ua", "\"Chromium\";v=\"126\", \"Not/A)Brand\";v=\"8\"".to_owned());
        put("sec-ch-ua-platform", "\"Linux\"".to_owned());
        if chance.percent(60) {
            put("Cookie", cookies(chance));
        }
    } else {
        put("User-Agent", chance.pick(PROGRAMS).to_owned());
        put("Accept", chance.pick(&["*/*", "application/json"]).to_owned());
        put("Accept-Encoding", chance.pick(&["gzip", "gzip, deflate", "identity"]).to_owned());
    }
    match chance.below(10) {
        0..=4 => put("Authorization", format!("Bearer {}", values::jwt(chance))),
        5 => put("Authorization", format!("Basic {}", values::base64(chance))),
        6 | 7 => put("X-Api-Key", values::token(chance)),
        _ => {}
    }
    for (share, name, draw) in OTHERS {
        if chance.percent(*share) {
            put(name, draw(chance));
        }
    }
}

type Draw = fn(&mut Chance) -> String;

/// Of a hundred requests, how many have these.
const OTHERS: &[(u64, &str, Draw)] = &[
    (30, "X-Request-Id", values::uuid),
    (15, "traceparent", |chance| {
        let hex = "0123456789abcdef";
        format!("00-{}-{}-01", chance.letters(hex, 32), chance.letters(hex, 16))
    }),
    (8, "If-None-Match", |chance| format!("W/\"{}\"", chance.letters("0123456789abcdef", 16))),
    (4, "If-Modified-Since", |_| "Tue, 14 May 2024 08:12:31 GMT".to_owned()),
    (5, "Idempotency-Key", values::uuid),
    (6, "Cache-Control", |_| "no-cache".to_owned()),
    (4, "X-Requested-With", |_| "XMLHttpRequest".to_owned()),
    (3, "Prefer", |_| "return=representation; wait=10".to_owned()),
    (3, "X-CSRF-Token", values::base64),
    (2, "Range", |_| "bytes=0-1023".to_owned()),
];

fn page(chance: &mut Chance) -> String {
    let end = chance.pick(&[
        "",
        "orders?status=open&page=2",
        "search?q=caf%C3%A9%20%26%20bar",
        "#/settings/profile",
        "items/42?utm_source=newsletter&utm_campaign=spring%20sale",
        "a/b/c.html",
    ]);
    format!("https://app.example.com/{end}")
}

fn cookies(chance: &mut Chance) -> String {
    let mut all = vec![format!("session={}", values::token(chance))];
    if chance.percent(60) {
        let (first, second) =
            (chance.below(2_000_000_000), chance.between(1_600_000_000, 1_800_000_000));
        all.push(format!("_ga=GA1.2.{first}.{second}"));
    }
    if chance.percent(30) {
        all.push(
            "consent=isGpcEnabled%3D0%26datestamp%3DMon%2BMay%2B13%2B2024%26groups%3DC0001%253A1%252CC0002%253A0"
                .to_owned(),
        );
    }
    if chance.percent(30) {
        all.push(
            "prefs=%7B%22theme%22%3A%22dark%22%2C%22size%22%3A12%2C%22tags%22%3A%5B%22a%22%5D%7D"
                .to_owned(),
        );
    }
    if chance.percent(20) {
        all.push(format!("csrftoken={}", values::base64(chance)));
    }
    if chance.percent(20) {
        all.push("lang=de-DE; tz=Europe/Berlin".to_owned());
    }
    all.join("; ")
}
