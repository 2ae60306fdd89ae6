//! Values: by the format that a schema states, else by what a field's name says.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::chance::Chance;
use super::texts;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const HEX: &str = "0123456789abcdef";
const DIGITS: &str = "0123456789";
const ALPHANUMERIC: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// What password managers draw from.
const PRINTABLE: &str = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789\
    !#$%&()*+,-./:;<=>?@[]^_{|}~";

/// The value of a string field of this name and format.
pub(super) fn string(chance: &mut Chance, name: &str, format: &str) -> String {
    by_format(chance, format).unwrap_or_else(|| by_name(chance, name))
}

fn by_format(chance: &mut Chance, format: &str) -> Option<String> {
    Some(match format {
        "date-time" | "dateTime" | "datetime" | "google-datetime" | "iso-datetime" => {
            instant(chance)
        }
        "date" | "full-date" => date(chance),
        "time" => instant(chance).get(11..).unwrap_or_default().to_owned(),
        "uuid" | "guid" => uuid(chance),
        "email" => email(chance),
        "uri" | "url" | "link" | "uri-reference" => url(chance),
        "hostname" | "domain" => host(chance),
        "ipv4" => address(chance),
        "ipv6" => format!("2001:db8::{:x}:{:x}", chance.below(65_536), chance.below(65_536)),
        "byte" | "base64" | "base64url" => base64(chance),
        "binary" => chance.letters(ALPHANUMERIC, 40),
        "password" => password(chance),
        "phone" | "phone-number" => phone(chance),
        "duration" | "google-duration" => format!("{}s", chance.below(86_400)),
        "int64" | "uint64" => chance.below(1 << 53).to_string(),
        "decimal" => amount(chance),
        _ => return None,
    })
}

type Draw = fn(&mut Chance) -> String;

/// What a field holds whose name, in lower case and without marks, ends with one of these words.
/// The first that fits counts.
const BY_ENDING: &[(&[&str], Draw)] = &[
    (&["firstname", "givenname", "middlename"], texts::first_name),
    (&["lastname", "surname", "familyname", "mothername"], texts::last_name),
    (&["fullname", "realname", "author", "createdby", "owner"], texts::full_name),
    (&["filename", "file", "filepath", "path", "folder", "prefix"], path),
    (&["username", "login", "user", "nickname", "handle"], handle),
    (&["hostname", "domainname", "domain", "host"], host),
    (
        &["companyname", "company", "organization", "organisation", "vendor", "brand"],
        texts::company,
    ),
    (&["phonenumber", "phone", "mobile", "fax", "msisdn", "tel"], phone),
    (&["email", "mail", "emailaddress"], email),
    (&["ipaddress", "ip", "clientip"], address),
    (&["street", "address", "line1", "line2", "address1", "landmark"], texts::street),
    (&["city", "town", "locality", "district"], texts::city),
    (&["country", "countrycode", "region", "market"], country),
    (&["currency", "currencycode"], currency),
    (&["language", "locale", "lang", "languagecode", "culture"], locale),
    (&["timezone", "tz", "zone"], zone),
    (&["url", "uri", "href", "link", "website", "callback", "webhook", "image", "avatar"], url),
    (&["password", "passwd", "passphrase"], password),
    (
        &["secret", "signature", "hash", "digest", "checksum", "etag", "apikey", "token", "key"],
        token,
    ),
    (&["nextpage", "cursor", "continuation", "nextlink"], base64),
    (&["date", "day", "dob", "birthday", "since", "until", "from", "to", "start", "end"], date),
    (&["time", "timestamp", "at", "datetime", "created", "updated", "modified"], instant),
    (&["color", "colour"], colour),
    (&["code"], code),
    (&["amount", "price", "total", "balance", "cost", "tax"], amount),
    (&["query", "search", "q", "keyword", "keywords", "term", "filter"], texts::search),
    (&["sourcecode", "script", "snippet", "expression", "formula", "sql"], texts::code),
    (&["fields", "expand", "include", "select", "updatemask", "columns"], field_list),
    (&["sort", "orderby", "sortby", "order"], order),
    (&["body", "content", "text", "html", "markdown", "readme", "bio", "article"], texts::article),
    (
        &[
            "description",
            "comment",
            "comments",
            "note",
            "notes",
            "message",
            "remark",
            "remarks",
            "reason",
            "detail",
            "details",
            "feedback",
            "summary",
            "instructions",
            "question",
            "answer",
            "review",
            "caption",
            "about",
        ],
        texts::remark,
    ),
    (&["title", "subject", "headline"], texts::title),
    (&["displayname", "name", "label"], texts::name),
    (&["version", "apiversion"], version),
    (&["useragent"], |chance| chance.pick(super::head::BROWSERS).to_owned()),
    (&["postalcode", "zip", "zipcode", "postcode"], postcode),
    (&["number", "count", "no", "sequence", "year", "pin"], |chance| {
        chance.below(100_000).to_string()
    }),
    (&["id", "ids", "uid", "sid", "guid", "uuid", "identifier", "ref", "reference", "sku"], id),
];

fn by_name(chance: &mut Chance, name: &str) -> String {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let draw = BY_ENDING.iter().find(|(words, _)| {
        // Short words must be the whole name, or `to` would be found in `photo`.
        words.iter().any(|word| plain == *word || word.len() > 3 && plain.ends_with(word))
            || name.ends_with("Id") && words.contains(&"id")
            || name.ends_with("_id") && words.contains(&"id")
    });
    match draw {
        Some((_, draw)) => draw(chance),
        None => anything(chance),
    }
}

/// For a name that says nothing: mostly a short label, at times what a person would write.
fn anything(chance: &mut Chance) -> String {
    match chance.below(10) {
        0..=4 => texts::label(chance),
        5 => texts::remark(chance),
        6 => texts::title(chance),
        7 => id(chance),
        8 => chance.letters(ALPHANUMERIC, 12),
        _ => texts::full_name(chance),
    }
}

pub(super) fn uuid(chance: &mut Chance) -> String {
    let mut out = chance.letters(HEX, 8);
    for count in [4, 4, 4, 12] {
        let _ = write!(out, "-{}", chance.letters(HEX, count));
    }
    out
}

fn id(chance: &mut Chance) -> String {
    match chance.below(6) {
        0 => chance.below(10_000_000).to_string(),
        1 => chance.letters(HEX, 24),
        2 => format!("{}_{}", chance.letters(LOWER, 3), chance.letters(ALPHANUMERIC, 14)),
        3 => format!("{}-{}", chance.letters("ABCDEFGHJK", 3), chance.letters(DIGITS, 6)),
        4 => format!("projects/{}/items/{}", handle(chance), chance.below(9_999)),
        _ => uuid(chance),
    }
}

/// Of a voucher, a place, an error or the like.
fn code(chance: &mut Chance) -> String {
    match chance.below(3) {
        0 => chance.letters(DIGITS, 6),
        1 => format!("{}_{}", chance.letters("ABCDEFGHJK", 4), chance.letters("LMNPQRS", 5)),
        _ => chance.letters("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", 8),
    }
}

fn handle(chance: &mut Chance) -> String {
    let base = chance.letters(LOWER, 6);
    match chance.below(4) {
        0 => format!("{base}.{}", chance.letters(LOWER, 5)),
        1 => format!("{base}_{}", chance.below(99)),
        2 => format!("@{base}"),
        _ => base,
    }
}

pub(super) fn host(chance: &mut Chance) -> String {
    let inner = chance.pick(&["www", "api", "shop", "cdn-eu1", "blog", "auth"]);
    let end = chance.pick(&["example.com", "example.org", "acme.test", "müller.example"]);
    format!("{inner}.{end}")
}

fn email(chance: &mut Chance) -> String {
    let user = chance.letters(LOWER, 5);
    let user = match chance.below(5) {
        0 => format!("{user}+news"),
        1 => format!("o'{user}"),
        2 => format!("{user}.{}", chance.letters(LOWER, 6)),
        _ => user,
    };
    format!("{user}@{}", chance.pick(&["example.com", "mail.example.org", "firma.example"]))
}

pub(super) fn url(chance: &mut Chance) -> String {
    let host =
        chance.pick(&["www.example.com", "cdn.example.org:8443", "app.acme.test", "example.com"]);
    let mut url = format!("https://{host}/{}", chance.letters(LOWER, 7));
    match chance.below(6) {
        0 => {
            let _ = write!(url, "/{}.html#section-{}", chance.letters(LOWER, 5), chance.below(9));
        }
        1 => {
            let _ = write!(url, "?id={}&lang=en&ref=mail", chance.below(9_999));
        }
        2 => {
            let _ = write!(url, "?q=caf%C3%A9+au+lait&page={}", chance.below(20));
        }
        3 => {
            let _ = write!(url, "/{}.jpg?w=640&h=480&fit=crop", chance.letters(HEX, 16));
        }
        4 => {
            let to =
                format!("https%3A%2F%2Fapp.example.com%2Fdone%3Fok%3D1&state={}", token(chance));
            let _ = write!(url, "?redirect_uri={to}");
        }
        _ => {}
    }
    url
}

fn path(chance: &mut Chance) -> String {
    let file = chance.pick(&[
        "report Q3 (final).pdf",
        "src/main/java/App.java",
        "photos/2024/IMG_0042.JPG",
        "README.md",
        "C:\\Users\\Anna\\Documents\\plan.docx",
        "/srv/anna/notes.txt",
        "backups/2024-05-01.tar.gz",
        "./images/logo@2x.png",
        "invoices/Müller & Söhne.pdf",
        "data/export_2024.csv",
        "/var/data/in",
        "docs/index.html",
        "s3://bucket/key/part-0001.parquet",
        "shared/what's new?.txt",
    ]);
    file.to_owned()
}

fn phone(chance: &mut Chance) -> String {
    match chance.below(3) {
        0 => format!("+49 (0)30 {}-{}", chance.letters(DIGITS, 5), chance.letters(DIGITS, 2)),
        1 => format!("({}) 555-{}", chance.letters(DIGITS, 3), chance.letters(DIGITS, 4)),
        _ => format!("+1{}", chance.letters(DIGITS, 10)),
    }
}

/// An address out of those that documents may use.
fn address(chance: &mut Chance) -> String {
    format!("203.0.113.{}", chance.below(256))
}

fn password(chance: &mut Chance) -> String {
    if chance.percent(50) {
        let length = chance.between(10, 20);
        return chance.letters(PRINTABLE, length);
    }
    chance
        .pick(&["correct horse battery staple", "Tr0ub4dor&3", "S3cret!2024", "pässwörd_1"])
        .to_owned()
}

pub(super) fn token(chance: &mut Chance) -> String {
    match chance.below(4) {
        0 => chance.letters(HEX, 40),
        1 => base64(chance),
        2 => jwt(chance),
        _ => chance.letters(ALPHANUMERIC, 32),
    }
}

pub(super) fn base64(chance: &mut Chance) -> String {
    let count = chance.between(12, 96);
    STANDARD.encode(chance.bytes(count))
}

pub(super) fn jwt(chance: &mut Chance) -> String {
    let claims = format!(
        "{{\"iss\":\"https://id.example.com/\",\"sub\":\"{}\",\"exp\":{}}}",
        uuid(chance),
        chance.between(1_700_000_000, 1_900_000_000)
    );
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signature = chance.bytes(256);
    format!(
        "{}.{}.{}",
        part(b"{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"a1\"}"),
        part(claims.as_bytes()),
        part(&signature)
    )
}

fn date(chance: &mut Chance) -> String {
    let (year, month, day) =
        (chance.between(1950, 2030), chance.between(1, 12), chance.between(1, 28));
    match chance.below(8) {
        0 => format!("{day:02}/{month:02}/{year}"),
        1 => format!("{day}.{month}.{year}"),
        _ => format!("{year}-{month:02}-{day:02}"),
    }
}

fn instant(chance: &mut Chance) -> String {
    let day = format!(
        "{}-{:02}-{:02}",
        chance.between(2015, 2030),
        chance.between(1, 12),
        chance.between(1, 28)
    );
    let time = format!("{:02}:{:02}:{:02}", chance.below(24), chance.below(60), chance.below(60));
    let end = chance.pick(&["Z", "+01:00", ".123Z", "-05:00"]);
    format!("{day}T{time}{end}")
}

fn amount(chance: &mut Chance) -> String {
    let (whole, part) = (chance.below(10_000), chance.below(100));
    match chance.below(4) {
        0 => format!("${whole}.{part:02}"),
        1 => format!("{whole},{part:02} €"),
        _ => format!("{whole}.{part:02}"),
    }
}

fn country(chance: &mut Chance) -> String {
    chance
        .pick(&["DE", "US", "GB", "Côte d'Ivoire", "Türkiye", "eu-west-1", "BR", "日本"])
        .to_owned()
}

fn currency(chance: &mut Chance) -> String {
    chance.pick(&["EUR", "USD", "GBP", "JPY", "¥", "kr"]).to_owned()
}

fn locale(chance: &mut Chance) -> String {
    chance.pick(&["en", "de-DE", "pt_BR", "zh-Hant-TW", "fr,en;q=0.8"]).to_owned()
}

fn zone(chance: &mut Chance) -> String {
    chance.pick(&["Europe/Berlin", "America/New_York", "UTC", "Etc/GMT+5"]).to_owned()
}

fn colour(chance: &mut Chance) -> String {
    chance.pick(&["#ff8800", "#333", "rgb(10, 20, 30)", "teal", "hsl(120,50%,50%)"]).to_owned()
}

/// Which fields an answer is to have; one of a hundred lists has a star in a path.
fn field_list(chance: &mut Chance) -> String {
    if chance.percent(1) {
        return "items/*,next".to_owned();
    }
    let list = chance.pick(&[
        "id,name,owner(id,email)",
        "*",
        "customer.address",
        "name,-_links",
        "id,title,status",
        "nextPageToken,items(id,etag)",
        "email",
        "created_at,updated_at",
        "name,price,stock",
        "id",
        "items(id,snippet/title)",
        "all",
        "profile,settings.locale",
    ]);
    list.to_owned()
}

fn order(chance: &mut Chance) -> String {
    chance.pick(&["-created_at", "name asc", "price desc, name", "+date,-id", "asc"]).to_owned()
}

fn version(chance: &mut Chance) -> String {
    chance.pick(&["2024-05-01", "v1", "1.0.0-beta.2+build.5", ">=1.2 <2", "^3.1.0"]).to_owned()
}

fn postcode(chance: &mut Chance) -> String {
    chance.pick(&["10115", "SW1A 1AA", "90210-1234", "H2Y 1C6", "〒100-0005"]).to_owned()
}
