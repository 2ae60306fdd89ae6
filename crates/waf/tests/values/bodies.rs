//! Queries, cookies and bodies against libmodsecurity's reading of them.

use bartizan_waf::fuzz::{Variables, variables};

use crate::oracle::{Draw, ask, to_hex};

/// What libmodsecurity says: the members of each variable, names and values.
type Answer = Vec<Vec<(Vec<u8>, Vec<u8>)>>;

/// A request for the oracle.
struct Request {
    uri: Vec<u8>,
    body: Vec<u8>,
    header: (&'static str, Vec<u8>),
}

fn answers(names: &str, requests: &[Request]) -> Option<Vec<Answer>> {
    let lines: Vec<String> = requests
        .iter()
        .map(|request| {
            let (name, value) = &request.header;
            let words = [b"POST", &*request.uri, &*request.body, name.as_bytes(), &**value];
            words.map(to_hex).join(" ")
        })
        .collect();
    let answers = ask("requests", names, &lines)?;
    Some(answers.iter().map(|answer| answer.iter().map(|list| members(list)).collect()).collect())
}

/// Splits `VARIABLE:name<~>value<;>…`, the values in hexadecimal.
fn members(list: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut members = Vec::new();
    let mut rest = list;
    while let Some(end) = find(rest, b"<;>") {
        let (name, value) = rest[..end].split_at(find(&rest[..end], b"<~>").unwrap());
        let name = find(name, b":").map_or(&b""[..], |at| &name[at + 1..]);
        let value = bartizan_waf::fuzz::transform("hexDecode", &value[3..]).unwrap();
        members.push((name.to_vec(), value));
        rest = &rest[end + 3..];
    }
    members
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn sorted<T: Ord + Clone>(members: &[T]) -> Vec<T> {
    let mut members = members.to_vec();
    members.sort();
    members
}

fn values(members: &[(Vec<u8>, Vec<u8>)]) -> Vec<Vec<u8>> {
    sorted(&members.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>())
}

/// Compares; fails with all differences.
fn compare<T: PartialEq + std::fmt::Debug>(cases: impl Iterator<Item = (Vec<u8>, T, T)>) {
    let mut differences = Vec::new();
    for (input, theirs, ours) in cases {
        if theirs != ours {
            let input = input.escape_ascii();
            differences.push(format!("`{input}`\n  theirs {theirs:?}\n  ours   {ours:?}"));
        }
    }
    differences.sort_by_key(String::len);
    differences.dedup();
    let count = differences.len();
    differences.truncate(20);
    assert!(differences.is_empty(), "{count} differences\n{}", differences.join("\n"));
}

#[test]
fn queries_are_read_as_libmodsecurity_reads_them() {
    let pieces: &[&[u8]] =
        &[b"a", b"b=", b"=", b"&", b"&", b"+", b"%41", b"%3d", b"%26", b"%", b"%4", b"%zz", b";"];
    let mut draw = Draw(1);
    let queries: Vec<_> = (0..1_500).map(|_| draw.pieces(pieces, 9)).collect();
    let requests: Vec<_> = queries
        .iter()
        .map(|query| Request {
            uri: [b"/?", &**query].concat(),
            body: Vec::new(),
            header: ("X", b"y".to_vec()),
        })
        .collect();
    let Some(answers) = answers("ARGS_GET,URLENCODED_ERROR", &requests) else { return };
    compare(queries.iter().zip(&answers).map(|(query, answer)| {
        let ours = variables("query", b"", query);
        let theirs = (sorted(&answer[0]), values(&answer[1]));
        // Names with invalid escapes are flagged too; libmodsecurity flags values.
        let flag = if ours.flags[0].1 == 1 { theirs.1.clone() } else { vec![b"0".to_vec()] };
        (query.clone(), theirs, (sorted(&ours.args), flag))
    }));
}

#[test]
fn cookies_are_read_as_libmodsecurity_reads_them() {
    let pieces: &[&[u8]] =
        &[b"a", b"b=", b"=", b";", b"; ", b" ", b"\t", b"%41", b"+", b"\"", b",", b"$c"];
    let mut draw = Draw(2);
    let headers: Vec<_> = (0..1_500).map(|_| draw.pieces(pieces, 9)).collect();
    let requests: Vec<_> = headers
        .iter()
        .map(|header| Request {
            uri: b"/".to_vec(),
            body: Vec::new(),
            header: ("Cookie", header.clone()),
        })
        .collect();
    let Some(answers) = answers("REQUEST_COOKIES", &requests) else { return };
    compare(headers.iter().zip(&answers).map(|(header, answer)| {
        (header.clone(), sorted(&answer[0]), sorted(&variables("cookies", b"", header).args))
    }));
}

/// Bodies of one kind, and what becomes of them: whether they are refused, and the rest.
fn bodies(
    kind: &'static str,
    names: &str,
    bodies: &[(Vec<u8>, &'static str)],
    judge: impl Fn(&[u8], &Answer, &Variables) -> Option<(String, String)>,
) {
    let requests: Vec<_> = bodies
        .iter()
        .map(|(body, content_type)| Request {
            uri: b"/".to_vec(),
            body: body.clone(),
            header: ("Content-Type", content_type.as_bytes().to_vec()),
        })
        .collect();
    let Some(answers) = answers(&format!("REQBODY_ERROR,{names}"), &requests) else { return };
    compare(bodies.iter().zip(&answers).filter_map(|((body, content_type), answer)| {
        let ours = variables(kind, content_type.as_bytes(), body);
        let (theirs, ours) = judge(body, answer, &ours)?;
        Some(([content_type.as_bytes(), b"\n", body].concat(), theirs, ours))
    }));
}

fn is_refused(answer: &Answer) -> bool {
    answer[0].first().is_some_and(|(_, value)| value == b"1")
}

#[test]
fn json_is_read_as_libmodsecurity_reads_it() {
    let pieces: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"a\"",
        b"\"a\":",
        b"\"b\":",
        b"\"\":",
        b"1",
        b"-0.5e+3",
        b"01",
        b"true",
        b"null",
        b"false",
        b" ",
        b"\"x\\n\\/\"",
        b"\"\\u00e9\\ud83d\\ude00\"",
        b"\"\xc3\xa9\"",
        b"\"\xff\"",
        b"\"\x01\"",
        b"\"\\x\"",
        b"1.",
        b"[1,2]",
        b"{\"c\":[]}",
        b"nul",
    ];
    let mut draw = Draw(3);
    let mut inputs: Vec<_> =
        (0..2_000).map(|_| (draw.pieces(pieces, 6), "application/json")).collect();
    inputs.extend((0..2_000).map(|_| {
        let mut body = Vec::new();
        tree(&mut draw, pieces, 4, &mut body);
        (body, "application/json")
    }));
    bodies("json", "ARGS", &inputs, |body, answer, ours| {
        if body.is_empty() {
            return None;
        }
        let theirs = (is_refused(answer), sorted(&answer[1]));
        let ours = (ours.fault.is_some(), sorted(&ours.args));
        if theirs.0 && ours.0 {
            return None;
        }
        Some((format!("{theirs:?}"), format!("{ours:?}")))
    });
}

/// A value of JSON, now and then broken.
fn tree(draw: &mut Draw, pieces: &[&[u8]], depth: usize, out: &mut Vec<u8>) {
    let scalars: &[&[u8]] =
        &[b"1", b"-2.5E1", b"\"x\"", b"\"\\\"\\u0041\"", b"true", b"null", b"\"\""];
    match draw.below(if depth == 0 { 1 } else { 4 }) {
        0 => out.extend_from_slice(draw.of(scalars)),
        1 => out.extend_from_slice(if draw.below(8) == 0 { draw.of(pieces) } else { b" 7 " }),
        kind => {
            out.push(if kind == 2 { b'[' } else { b'{' });
            for at in 0..draw.below(4) {
                if at > 0 {
                    out.push(b',');
                }
                if kind == 3 {
                    out.extend_from_slice(draw.of::<[u8]>(&[
                        b"\"a\":",
                        b"\"b\" : ",
                        b"\"\":",
                        b"\"c\\t\":",
                    ]));
                }
                tree(draw, pieces, depth - 1, out);
            }
            out.push(if kind == 2 { b']' } else { b'}' });
        }
    }
}

#[test]
fn xml_is_read_as_libmodsecurity_reads_it() {
    let pieces: &[&[u8]] = &[
        b"<a>",
        b"</a>",
        b"<b/>",
        b"<c d=\"1\" e='2'>x</c>",
        b"x",
        b" ",
        b"\r\n",
        b"&lt;",
        b"&#65;",
        b"&#x42;",
        b"&foo;",
        b"&",
        b"<!-- c -->",
        b"<![CDATA[<z>]]>",
        b"<?p i?>",
        b"<b f=\"&amp;\n\">",
        b"</b>",
        b"\xc3\xa9",
        b"]]>",
        b"<",
        b">",
        b"<b f=1/>",
        b"<b f='1' f='2'/>",
        b"\x01",
        b"<!-- -- -->",
    ];
    let mut draw = Draw(4);
    let inputs: Vec<_> = (0..2_500)
        .map(|at| {
            let inner = draw.pieces(pieces, 4);
            let body = if at % 5 == 0 { inner } else { [b"<a>", &*inner, b"</a>"].concat() };
            (body, "text/xml")
        })
        .collect();
    bodies("xml", "XML:/*,XML://@*", &inputs, |body, answer, ours| {
        let theirs = (is_refused(answer), values(&answer[1]), values(&answer[2]));
        let text: Vec<_> = ours.text.iter().cloned().collect();
        let ours = (ours.fault.is_some(), text, sorted(&ours.attributes));
        if body.is_empty() || theirs.0 && ours.0 {
            return None;
        }
        Some((format!("{theirs:?}"), format!("{ours:?}")))
    });
}

const MULTIPART: &str = "ARGS_POST,FILES,FILES_SIZES,MULTIPART_PART_HEADERS,MULTIPART_NAME,MULTIPART_FILENAME,\
MULTIPART_STRICT_ERROR,MULTIPART_UNMATCHED_BOUNDARY,MULTIPART_BOUNDARY_QUOTED,MULTIPART_BOUNDARY_WHITESPACE,\
MULTIPART_DATA_BEFORE,MULTIPART_DATA_AFTER,MULTIPART_HEADER_FOLDING,MULTIPART_LF_LINE,MULTIPART_CRLF_LF_LINES,\
MULTIPART_MISSING_SEMICOLON,MULTIPART_INVALID_QUOTING,MULTIPART_INVALID_HEADER_FOLDING";

#[test]
fn multipart_is_read_as_libmodsecurity_reads_it() {
    let types = [
        "multipart/form-data; boundary=B",
        "multipart/form-data; boundary=\"B\"",
        "multipart/form-data boundary=B",
        "multipart/form-data; boundary =B",
        "multipart/form-data; boundary=B;x",
        "multipart/form-data; charset=x; boundary=B",
        "Multipart/Form-Data;  boundary=B",
    ];
    let heads: &[&[u8]] = &[
        b"Content-Disposition: form-data; name=\"a\"",
        b"content-disposition:form-data;name=b",
        b"Content-Disposition: form-data; name=\"f\"; filename=\"x.txt\"",
        b"Content-Disposition: form-data; filename=\"y\\\"z\" ; name=g",
        b"Content-Disposition: form-data;\r\n name='c'",
        b"Content-Disposition: form-data;\r\n\x0b\tname=d",
        b"Content-Disposition: form-data; name=\"a'b\"",
        b"Content-Disposition: form-data; name=e; filename=\"\"",
        b"Content-Disposition: form-data; name=a b",
        b"Content-Disposition: form-data; name=a; x=y",
        b"X: y",
        b"X:y ",
    ];
    let contents: &[&[u8]] =
        &[b"1", b"", b"\r\n", b"x\r\ny", b"--C", b"--", b"x--B", b"\"B", b"\n", b"-- B", b"---"];
    let ends: &[&[u8]] = &[b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n"];
    let mut draw = Draw(5);
    let inputs: Vec<_> = (0..3_000)
        .map(|_| {
            let mut body = Vec::new();
            if draw.below(8) == 0 {
                body.extend_from_slice(b"pre\r\n");
            }
            for _ in 0..draw.below(4) {
                body.extend(
                    [b"--B".as_slice(), draw.of(ends), draw.of(heads), draw.of(ends)].concat(),
                );
                if draw.below(3) == 0 {
                    body.extend([b"Content-Type: text/plain".as_slice(), draw.of(ends)].concat());
                }
                body.extend([draw.of(ends), draw.pieces(contents, 2).as_slice(), b"\r\n"].concat());
            }
            if draw.below(10) > 0 {
                body.extend_from_slice(b"--B--");
                body.extend_from_slice(draw.of::<[u8]>(&[
                    b"\r\n",
                    b"\r\n",
                    b"\r\n",
                    b"",
                    b"\n",
                    b"\r\npost",
                ]));
            }
            let type_index = draw.below(types.len() * 2);
            (body, *types.get(type_index).unwrap_or(&types[0]))
        })
        .collect();
    bodies("multipart", MULTIPART, &inputs, |body, answer, ours| {
        let is_refused = is_refused(answer);
        if body.is_empty() || is_refused && ours.fault.is_some() {
            return None;
        }
        // libmodsecurity loses the line ends inside a value.
        let joined = |args: &[(Vec<u8>, Vec<u8>)]| {
            let is_kept = |byte: &u8| !matches!(byte, b'\r' | b'\n');
            let value = |value: &[u8]| value.iter().copied().filter(is_kept).collect::<Vec<u8>>();
            sorted(&args.iter().map(|arg| (arg.0.clone(), value(&arg.1))).collect::<Vec<_>>())
        };
        let number = |at: usize| String::from_utf8_lossy(&answer[at][0].1).into_owned();
        let theirs = (
            is_refused,
            joined(&answer[1]),
            sorted(&answer[2]),
            values(&answer[3]),
            sorted(&answer[4]),
            values(&answer[5]),
            values(&answer[6]),
            (7..=18).map(number).collect::<Vec<_>>(),
        );
        let sizes: Vec<_> =
            ours.file_sizes.iter().map(|size| size.to_string().into_bytes()).collect();
        let ours = (
            ours.fault.is_some(),
            joined(&ours.args),
            sorted(&ours.files),
            sorted(&sizes),
            sorted(&ours.headers),
            sorted(&ours.names),
            sorted(&ours.filenames),
            ours.flags[1..].iter().map(|(_, is)| is.to_string()).collect::<Vec<_>>(),
        );
        Some((format!("{theirs:?}"), format!("{ours:?}")))
    });
}
