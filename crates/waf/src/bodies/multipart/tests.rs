use super::*;

const TYPE: &str = "multipart/form-data; boundary=B";
const FIELD: &str = "Content-Disposition: form-data; name=\"a\"\r\n";

fn read<'a>(body: &'a str, content_type: &str) -> Parsed<'a> {
    multipart(body.as_bytes(), content_type.as_bytes(), &BodyLimits::default())
}

/// The flags that a body sets, as rules name them.
fn flags(body: &str, content_type: &str) -> Vec<&'static str> {
    let flags = read(body, content_type).multipart;
    let all = [
        ("BOUNDARY_QUOTED", flags.is_boundary_quoted),
        ("BOUNDARY_WHITESPACE", flags.has_boundary_whitespace),
        ("DATA_BEFORE", flags.has_data_before),
        ("DATA_AFTER", flags.has_data_after),
        ("HEADER_FOLDING", flags.has_folding),
        ("INVALID_HEADER_FOLDING", flags.has_invalid_folding),
        ("LF_LINE", flags.has_lf_line),
        ("CRLF_LF_LINES", flags.has_mixed_lines()),
        ("MISSING_SEMICOLON", flags.lacks_semicolon),
        ("INVALID_QUOTING", flags.has_invalid_quoting),
        ("INVALID_PART", flags.has_invalid_part),
        ("UNMATCHED_BOUNDARY", flags.unmatched_boundary == 1),
    ];
    assert_eq!(
        flags.is_strict_error(),
        flags.has_error || all.iter().any(|(name, is)| *is && *name != "UNMATCHED_BOUNDARY")
    );
    all.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect()
}

fn field(header: &str) -> String {
    format!("--B\r\n{header}\r\n1\r\n--B--\r\n")
}

#[test]
fn fields_are_arguments_and_files_are_files() {
    let body = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n2\r\n--B\r\n\
                content-disposition: form-data; name=f; filename=\"x\\\"y.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nhello\n\r\n--B--";
    let parsed = read(body, TYPE);
    assert_eq!(parsed.fault, None);
    let arg = Arg { name: b"a".as_slice().into(), value: b"1\r\n2".as_slice().into() };
    assert_eq!(parsed.args, [arg]);
    let file = &parsed.files[0];
    assert_eq!((&*file.name, &*file.filename), (&b"f"[..], &b"x\"y.txt"[..]));
    assert_eq!((file.content, parsed.files_size()), (&b"hello\n"[..], 6));
    assert_eq!(parsed.part_headers.len(), 3);
    assert_eq!(&*parsed.part_headers[2].line, b"Content-Type: text/plain");
    assert_eq!(&*parsed.part_headers[2].part, b"f");
    assert_eq!(parsed.multipart.unmatched_boundary, 2);
    assert_eq!(read(&field(FIELD), "multipart/form-data; boundary=B; x=y").args.len(), 1);
    assert!(!parsed.multipart.is_strict_error());
}

#[test]
fn each_oddity_has_its_flag() {
    let plain = field(FIELD);
    let open = plain.trim_end();
    let semicolon = "multipart/form-data boundary=B";
    for (body, content_type, expected) in [
        (plain.clone(), TYPE, vec![]),
        (plain.clone(), "multipart/form-data; boundary=\"B\"", vec!["BOUNDARY_QUOTED"]),
        (plain.clone(), "multipart/form-data; boundary =B", vec!["BOUNDARY_WHITESPACE"]),
        (plain.clone(), semicolon, vec!["MISSING_SEMICOLON"]),
        (format!("x\r\n{plain}"), TYPE, vec!["DATA_BEFORE"]),
        (format!("{plain}x"), TYPE, vec!["DATA_AFTER"]),
        (plain.replace("\r\n", "\n"), TYPE, vec!["LF_LINE"]),
        (plain.replacen("\r\n", "\n", 1), TYPE, vec!["LF_LINE", "CRLF_LF_LINES"]),
        (plain.replace("; n", ";\r\n n"), TYPE, vec!["HEADER_FOLDING"]),
        (
            plain.replace("; n", ";\r\n\x0bn"),
            TYPE,
            vec!["HEADER_FOLDING", "INVALID_HEADER_FOLDING"],
        ),
        (plain.replace('"', "'"), TYPE, vec!["INVALID_QUOTING"]),
        (open.replace("1\r", "--C\r"), TYPE, vec!["UNMATCHED_BOUNDARY"]),
        (open.replace("1\r", "x--B\r"), TYPE, vec!["UNMATCHED_BOUNDARY"]),
    ] {
        assert_eq!(flags(&body, content_type), expected, "{content_type}\n{body}");
        assert_eq!(read(&body, content_type).fault, None);
    }
}

#[test]
fn a_part_that_is_not_understood_ends_the_reading() {
    for header in [
        "X: y\r\n",
        "Content-Disposition: attachment; name=\"a\"\r\n",
        "Content-Disposition: form-data\r\n",
        "Content-Disposition: form-data name=\"a\"\r\n",
        "Content-Disposition: form-data; name=\"a\"; name=\"b\"\r\n",
        "Content-Disposition: form-data; name=\"a\"; foo=bar\r\n",
        "Content-Disposition: form-data; name=\"a\"; filename*=UTF-8''x\r\n",
        "Content-Disposition: form-data; name=\"a\r\n",
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"\r\n",
        "Content-Disposition\r\n",
        ": x\r\n",
        " x\r\n",
        "Content-Disposition: form-data; name=\"a\0\"\r\n",
    ] {
        let body = field(header);
        assert!(flags(&body, TYPE).contains(&"INVALID_PART"), "{header}");
        assert!(read(&body, TYPE).fault.is_some(), "{header}");
    }
}

#[test]
fn boundaries_that_are_not_clear_are_faults() {
    for content_type in [
        "text/plain; boundary=B",
        "multipart/form-data",
        "multipart/form-data; boundary=B; boundary=B",
        "multipart/form-data; Boundary=B",
        "multipart/form-data; charset=utf-8; boundary=B",
        "multipart/form-data; boundaryx=B",
        "multipart/form-data; boundary=\"B",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=;x",
        "multipart/form-data; boundary=B ",
    ] {
        let parsed = multipart(b"x", content_type.as_bytes(), &BodyLimits::default());
        assert!(matches!(parsed.fault, Some(Fault::Boundary(_))), "{content_type}");
        assert!(parsed.multipart.is_strict_error());
    }
    let plain = field(FIELD);
    for body in [
        "x".to_owned(),
        plain.replace("--B--\r\n", ""),
        plain.replace("--B--", "--Bx"),
        plain.replace("--B--", "-- B--"),
        plain.replace("--B--\r\n", "--B-- "),
    ] {
        assert!(read(&body, TYPE).fault.is_some(), "{body}");
    }
}

#[test]
fn limits_hold() {
    let limits = BodyLimits { args: 2, parts: 3, files: 1, ..BodyLimits::default() };
    let read = |part: &str, count: usize| {
        let body = format!("{}--B--", format!("--B\r\n{part}\r\n\r\n").repeat(count));
        let parsed = multipart(body.as_bytes(), TYPE.as_bytes(), &limits);
        (parsed.fault, parsed.multipart.has_too_many_files)
    };
    let file = "Content-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n";
    assert_eq!(read(FIELD, 2), (None, false));
    assert_eq!(read(FIELD, 3), (Some(Fault::TooMany("arguments", 2)), false));
    assert_eq!(read(file, 1), (None, false));
    assert_eq!(read(file, 2), (None, true));
    assert_eq!(read(file, 4), (Some(Fault::TooMany("parts", 3)), true));
}
