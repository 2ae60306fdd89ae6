//! Operators and detectors against what libmodsecurity was recorded to say of the same inputs.
//!
//! The inputs are drawn anew in each run, the same ones each time; `verdicts.txt` keeps one line a
//! question: the operator, its argument, one bit an input (in hexadecimal, the first input the
//! highest bit) and a sum over all that it found. `RECORD=1` with the wheel in place writes it.

use std::fmt::Write as _;
use std::path::Path;

use bartizan_waf::fuzz::{Asked, operator_names, transform};

use crate::oracle::{Draw, ask, to_hex};

/// The fewest inputs of an operator, and of a detector.
const INPUTS_MIN: usize = 200;
const ATTACKS_MIN: usize = 2_000;

struct Question {
    name: &'static str,
    argument: &'static str,
    inputs: Vec<Vec<u8>>,
}

const TEXTS: &[&[u8]] = &[
    b"a",
    b"b",
    b"foo",
    b"FOO",
    b"cat",
    b"-",
    b"_",
    b"<",
    b"&",
    b"\n",
    b"\t",
    b" ",
    b"1",
    b"41",
    b"|",
    b"%",
    b"/",
    b".",
    b"\0",
    b"\xc3\xa9",
    b"\xff",
    b"GET",
    b",",
];
const NUMBERS: &[&[u8]] = &[
    b"-",
    b"+",
    b" ",
    b"0",
    b"1",
    b"5",
    b"7",
    b"12",
    b"2147483647",
    b"2147483648",
    b"x",
    b".",
    b"e1",
];
const ADDRESSES: &[&[u8]] = &[
    b"192.0.2.7",
    b"192.0.3.7",
    b"10.0.0.1",
    b"10.255.255.255",
    b"11.0.0.0",
    b"0.0.0.0",
    b"255.255.255.255",
    b"1.2.3",
    b"256.1.1.1",
    b"1.2.3.4.5",
    b"2001:db8::1",
    b"2001:db9::1",
    b"2001:DB8:0:0:0:0:0:7",
    b"::1",
    b"::",
    b"2001:db8::g",
    b"a",
    b"",
    b" ",
    b":",
    b".",
    b"/24",
];
const ESCAPES: &[&[u8]] = &[b"%", b"4", b"1", b"g", b"F", b"%41", b"%zz", b"a", b" ", b"%%"];
const CHARACTERS: &[&[u8]] = &[
    b"a",
    b"\xc3",
    b"\xa9",
    b"\xc3\xa9",
    b"\xe2\x82\xac",
    b"\xe2",
    b"\x82",
    b"\xed\xa0\x80",
    b"\xf0",
    b"\x9f\x98\x80",
    b"\xf0\x9f\x98\x80",
    b"\xc0",
    b"\xaf",
    b"\xf4\x90\x80\x80",
    b"\xf8",
    b"\xff",
    b"\xe0\x80\x80",
    b"\xef\xbf\xbf",
];
const NUMERALS: &[&[u8]] = &[
    b"4111111111111111",
    b"5500000000000004",
    b"340000000000009",
    b"4111111111111112",
    b"52998224725",
    b"52998224724",
    b"11144477735",
    b"078051120",
    b"219099999",
    b"123456789",
    b"1237010180",
    b"1238010180",
    b"7",
    b"0",
    b"11",
    b"a",
    b" ",
    b"-",
];
const SQL: &[&[u8]] = &[
    b"1",
    b"'",
    b"\"",
    b" ",
    b" or ",
    b" and ",
    b"1=1",
    b"--",
    b"#",
    b"/*",
    b"*/",
    b"/*!",
    b"union ",
    b"select ",
    b"all ",
    b"null",
    b",",
    b"(",
    b")",
    b";",
    b"from ",
    b"where ",
    b"x",
    b"users",
    b"=",
    b"<",
    b">",
    b"like ",
    b"in ",
    b"sleep(5)",
    b"version()",
    b"@@version",
    b"@a",
    b"0x41",
    b"1e5",
    b"x'41'",
    b"||",
    b"&&",
    b"\\",
    b"`a`",
    b"[a]",
    b"$1",
    b"$$a$$",
    b"drop table ",
    b"insert into ",
    b"exec ",
    b"waitfor delay ",
    b"having ",
    b"group by ",
    b"order by ",
    b"case when ",
    b"'a'",
    b"is ",
    b"not ",
    b"between ",
    b"div ",
    b"\n",
    b"\0",
    b"\xa0",
    b"char(41)",
    b"+",
    b"-",
    b"*",
    b"%",
    b".",
    b":",
    b"!",
    b"~",
    b"{",
    b"}",
    b"as ",
    b"limit ",
    b"into outfile ",
    b"q'(a)'",
    b"n'a'",
];
const MARKUP: &[&[u8]] = &[
    b"<",
    b">",
    b"<script",
    b"</script>",
    b"<a ",
    b"href=",
    b"javascript:",
    b"JaVa\tScript:",
    b"src=",
    b"onload=",
    b"onerror =",
    b"style=",
    b"x",
    b"=",
    b"'",
    b"\"",
    b"`",
    b" ",
    b"/",
    b"<svg",
    b"<b>",
    b"<img ",
    b"<!--",
    b"-->",
    b"<!",
    b"DOCTYPE",
    b"[CDATA[",
    b"]]>",
    b"<?",
    b"?>",
    b"<%",
    b"%>",
    b"&#x6a;",
    b"&#106;",
    b"&#x",
    b"data:",
    b"vbscript:",
    b"view-source:",
    b"alert(1)",
    b"\0",
    b"\n",
    b"\x0b",
    b"<iframe",
    b"<meta ",
    b"xmlns",
    b"xlink:href=",
    b"<xml",
    b"<embed",
    b"[if",
    b"import",
    b"entity",
    b"action=",
    b"a=b",
    b"fscommand",
    b"onfocus",
    b"<base",
    b"filter=",
    b"\xc3\xa9",
];

fn drawn(seed: u64, pieces: &[&[u8]], count: usize, length: usize) -> Vec<Vec<u8>> {
    let mut draw = Draw(seed);
    let mut inputs = vec![Vec::new()];
    inputs.extend(pieces.iter().map(|piece| piece.to_vec()));
    while inputs.len() < count {
        let input = draw.pieces(pieces, length);
        if !input.is_empty() {
            inputs.push(input);
        }
    }
    inputs
}

/// Pieces in a row, of which every third has a byte changed, taken out or doubled.
fn mutated(seed: u64, pieces: &[&[u8]], count: usize) -> Vec<Vec<u8>> {
    let mut draw = Draw(seed ^ 0x55aa);
    let mut inputs = drawn(seed, pieces, count, 9);
    for input in inputs.iter_mut().step_by(3).filter(|input| !input.is_empty()) {
        let at = draw.below(input.len());
        match draw.below(3) {
            0 => input[at] = u8::try_from(draw.below(256)).unwrap(),
            1 => drop(input.remove(at)),
            _ => input.insert(at, input[at]),
        }
    }
    inputs
}

fn questions() -> Vec<Question> {
    let mut questions = Vec::new();
    let mut add = |name, argument, inputs: Vec<Vec<u8>>| {
        questions.push(Question { name, argument, inputs });
    };
    let texts = |seed| drawn(seed, TEXTS, 220, 6);
    for pattern in [
        "foo",
        "^a",
        "b$",
        "(?i)foo|cat",
        "[^a-z]{2}",
        "(a)(b)?",
        "^$",
        "\\bcat\\b",
        "[[:punct:]]+",
        "\\x00|\\xff",
        "(?:ab|a)(?:c|bcd)?",
        "\\d\\D\\w\\W\\s\\S",
        ".\\n",
        "a{2,}",
        "x*",
    ] {
        add("rx", pattern, texts(1));
    }
    add("rxGlobal", "[ab]", texts(2));
    add("rxGlobal", "(a)|(o+)", texts(3));
    for name in ["pm", "pmFromFile", "pmf"] {
        add(
            name,
            if name == "pm" { "foo ca a/ |41| GET" } else { "foo\nca\na/\nGET,\n" },
            texts(4),
        );
    }
    for name in
        ["contains", "strmatch", "containsWord", "streq", "beginsWith", "endsWith", "within"]
    {
        add(name, "foo", texts(5));
        add(name, "GET,foo cat", texts(6));
        add(name, "a", texts(7));
    }
    for name in ["eq", "ge", "gt", "le", "lt"] {
        add(name, "5", drawn(8, NUMBERS, 220, 3));
        add(name, "-1", drawn(9, NUMBERS, 220, 3));
        add(name, "0", drawn(10, NUMBERS, 220, 3));
    }
    let networks = "192.0.2.0/24,10.0.0.0/8,2001:db8::/32,::1";
    add("ipMatch", networks, drawn(11, ADDRESSES, 240, 2));
    add("ipMatch", "192.0.0.0/16,255.255.255.255,2001::/16", drawn(12, ADDRESSES, 220, 2));
    for name in ["ipMatchFromFile", "ipMatchF"] {
        add(name, "192.0.2.0/24\n10.0.0.0/8\n2001:db8::/32\n", drawn(13, ADDRESSES, 220, 2));
    }
    let bytes = |seed| {
        let mut draw = Draw(seed);
        let byte = |draw: &mut Draw| u8::try_from(draw.below(256)).unwrap();
        (0..260)
            .map(|n| match u8::try_from(n) {
                Ok(byte) => vec![byte],
                Err(_) => (0..draw.below(5)).map(|_| byte(&mut draw)).collect(),
            })
            .collect::<Vec<_>>()
    };
    for ranges in ["1-255", "32-126", "9,10,13,32-126,128-255", "38,44-46,48-58,61,65-90,95,97-122"]
    {
        add("validateByteRange", ranges, bytes(14));
    }
    add("validateUrlEncoding", "", drawn(15, ESCAPES, 260, 6));
    add("validateUtf8Encoding", "", drawn(16, CHARACTERS, 400, 3));
    for (name, pattern) in [
        ("verifyCC", "\\d{13,16}"),
        ("verifyCPF", "[\\d.-]{11,14}"),
        ("verifySSN", "\\d{9}"),
        ("verifySVNR", "\\d{10}"),
    ] {
        add(name, pattern, drawn(17, NUMERALS, 260, 3));
        add(name, "\\d+", drawn(18, NUMERALS, 260, 2));
    }
    add("unconditionalMatch", "", texts(19));
    add("noMatch", "", texts(20));
    add("detectSQLi", "", mutated(21, SQL, 3_000));
    add("detectSQLi", "", drawn(22, SQL, 1_000, 5));
    add("detectXSS", "", mutated(23, MARKUP, 3_000));
    add("detectXSS", "", drawn(24, MARKUP, 1_000, 5));
    questions
}

/// Why this engine decides otherwise, where it does so on purpose.
fn reason(
    question: &Question,
    input: &[u8],
    ours: Option<&[u8]>,
    theirs: Option<&[u8]>,
) -> Option<&'static str> {
    let is_same_verdict = ours.is_some() == theirs.is_some();
    Some(match question.name {
        "rx" if question.argument == "^$" && input.ends_with(b"\n") => {
            "in PCRE no line begins behind a line end that ends the text"
        }
        "pm" if is_same_verdict => "a byte that was written in hexadecimal is told as written",
        "eq" if input.iter().filter(|byte| byte.is_ascii_digit()).count() >= 10 => {
            "a number beyond 32 bits is a number, not 0"
        }
        "validateUtf8Encoding" if ours.is_some() && std::str::from_utf8(input).is_err() => {
            "nothing is beyond U+10FFFF (RFC 3629, section 3)"
        }
        "verifyCC" | "verifyCPF" | "verifySSN" | "verifySVNR" if is_same_verdict => {
            "of several numbers the first one is told"
        }
        "detectXSS" if ours.is_some() && input.contains(&0) => {
            "a zero byte may end the name of a tag, or be dropped from it"
        }
        "detectXSS" if ours.is_none() && input.windows(7).any(|part| part == b"onfocus") => {
            "a name that only begins as an event's does is none to a browser"
        }
        _ => return None,
    })
}

/// Whether an operator holds, and what it found first.
type Answer = Option<Vec<u8>>;

type Answers = Vec<Answer>;

fn ours(question: &Question) -> Answers {
    let is_file =
        question.name.ends_with("FromFile") || ["pmf", "ipMatchF"].contains(&question.name);
    let argument = if is_file { "data" } else { question.argument };
    let asked = Asked::new(question.name, argument.as_bytes(), question.argument.as_bytes());
    let asked = asked.unwrap_or_else(|| panic!("{} {}", question.name, question.argument));
    question.inputs.iter().map(|input| asked.find(input)).collect()
}

fn theirs(question: &Question) -> Option<Answers> {
    let word = |input: &Vec<u8>| {
        [question.name.as_bytes(), question.argument.as_bytes(), input].map(to_hex).join(" ")
    };
    let lines: Vec<String> = question.inputs.iter().map(word).collect();
    let answers = ask("operators", "-", &lines)?;
    Some(answers.into_iter().map(|words| (words[0] == b"1").then(|| words[1].clone())).collect())
}

/// The line that keeps answers.
fn line(question: &Question, answers: &Answers) -> String {
    let mut line = format!("{} {} ", question.name, to_hex(question.argument.as_bytes()));
    for four in answers.chunks(4) {
        let bits =
            (0..4).fold(0, |bits, n| bits * 2 + u8::from(four.get(n).is_some_and(Option::is_some)));
        let _ = write!(line, "{bits:x}");
    }
    let sum = answers.iter().flatten().flat_map(|found| found.iter().chain(b"\n"));
    let sum = sum.fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let _ = write!(line, " {sum:016x}");
    line
}

/// What `ours` would be if it said what `theirs` does but for the reasons that are given; every
/// other difference goes into `differences`.
fn agreed(
    question: &Question,
    ours: &Answers,
    theirs: Answers,
    differences: &mut Vec<String>,
) -> Answers {
    let mut agreed = Vec::new();
    for ((input, ours), theirs) in question.inputs.iter().zip(ours).zip(theirs) {
        if *ours == theirs || reason(question, input, ours.as_deref(), theirs.as_deref()).is_some()
        {
            agreed.push(ours.clone());
            continue;
        }
        let show = |answer: &Answer| answer.as_ref().map(|found| found.escape_ascii().to_string());
        differences.push(format!(
            "{} {} `{}`: {:?}, theirs {:?}",
            question.name,
            question.argument,
            input.escape_ascii(),
            show(ours),
            show(&theirs)
        ));
        agreed.push(theirs);
    }
    agreed
}

#[test]
fn operators_decide_as_libmodsecurity_was_recorded_to() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/values/verdicts.txt");
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    let mut recorded = recorded.lines();
    let records = std::env::var_os("RECORD").is_some();
    let (mut differences, mut lines) = (Vec::new(), Vec::new());
    for question in &questions() {
        let ours = ours(question);
        if records {
            let theirs = theirs(question).unwrap();
            lines.push(line(question, &agreed(question, &ours, theirs, &mut differences)));
        } else if recorded.next() != Some(&*line(question, &ours)) {
            let (name, argument) = (question.name, question.argument);
            differences.push(format!("recorded otherwise: {name} {argument}"));
        }
    }
    if records {
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    assert!(records || recorded.next().is_none());
    assert!(differences.is_empty(), "{}\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn every_operator_is_asked_often_enough() {
    let questions = questions();
    // `@geoLookup` answers what a database holds, and `@rbl` nothing.
    for name in operator_names().filter(|name| !["geoLookup", "rbl"].contains(name)) {
        let asked = questions.iter().filter(|question| question.name == name);
        let inputs: usize = asked.map(|question| question.inputs.len()).sum();
        let min = if name.starts_with("detect") { ATTACKS_MIN } else { INPUTS_MIN };
        assert!(inputs >= min, "{name}: {inputs}");
    }
}

/// The sieve lets through to a detector every value that it would flag, as it is and as rules see
/// it after the usual transformations.
#[test]
fn no_value_that_a_detector_flags_is_kept_from_it() {
    let mut flagged = 0;
    for (name, pieces) in [("detectSQLi", SQL), ("detectXSS", MARKUP)] {
        let detector = Asked::new(name, b"", b"").unwrap();
        let mut inputs = mutated(31, pieces, 2_000);
        inputs.extend(drawn(32, TEXTS, 1_000, 6));
        inputs.extend(mutated(33, &[pieces, TEXTS, CHARACTERS].concat(), 2_000));
        for input in inputs {
            let changed = ["lowercase", "urlDecodeUni", "removeNulls"];
            let changed = changed.map(|by| transform(by, &input).unwrap());
            for value in changed.iter().chain([&input]) {
                if detector.find(value).is_some() {
                    flagged += 1;
                    assert!(detector.may_hold(value), "{name} `{}`", value.escape_ascii());
                }
            }
        }
    }
    assert!(flagged > 2_500, "{flagged}");
}
