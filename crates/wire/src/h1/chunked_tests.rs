use proptest::prelude::*;

use super::*;

/// Data and trailers, or the cause; `Ok(None)` where the body is not complete.
type Decoded = Result<Option<(Vec<u8>, Vec<(String, String)>, usize)>, ChunkFault>;

fn decode(pieces: &[&[u8]]) -> Decoded {
    let mut decoder = ChunkedDecoder::new(ChunkLimits { extension: 16, trailers: 64, fields: 3 });
    let (mut data, mut total) = (Vec::new(), 0);
    for piece in pieces {
        let mut at = 0;
        while at < piece.len() {
            let step = decoder.step(&piece[at..])?;
            if let Some(range) = &step.data {
                assert_eq!(range.end, step.consumed);
                data.extend_from_slice(&piece[at..][range.clone()]);
            }
            at += step.consumed;
            total += step.consumed;
            if step.done {
                let trailers = decoder.take_trailers();
                let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
                let list = trailers.iter().map(|f| (text(f.name), text(f.value))).collect();
                return Ok(Some((data, list, total)));
            }
            assert!(step.consumed > 0, "a step without progress");
        }
    }
    Ok(None)
}

fn whole(text: &str) -> Decoded {
    decode(&[text.as_bytes()])
}

#[test]
fn valid_bodies_are_decoded_up_to_their_end() {
    for (text, data) in [
        ("0\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("A\r\n0123456789\r\n1\r\nx\r\n000\r\n\r\n", "0123456789x"),
        ("3;name=value\r\nabc\r\n0;x=\"y z\"\r\n\r\n", "abc"),
        ("0000000000000003\r\nabc\r\n0\r\n\r\n", "abc"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    ] {
        let (found, trailers, used) = whole(&format!("{text}NEXT")).unwrap().unwrap();
        assert_eq!((found.as_slice(), used), (data.as_bytes(), text.len()), "{text:?}");
        assert!(trailers.is_empty());
    }
}

#[test]
fn trailers_are_fields() {
    let text = "1\r\nx\r\n0\r\nX-Sum: 7\r\nDigest:a\r\n\r\n";
    let (_, trailers, used) = whole(&format!("{text}GET")).unwrap().unwrap();
    assert_eq!(used, text.len());
    let expected = [("x-sum", "7"), ("digest", "a")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    assert_eq!(trailers, expected);
}

#[test]
fn what_has_two_readings_is_refused() {
    for text in [
        "\r\n",
        ";a\r\n",
        "+3\r\nabc\r\n",
        "-3\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        " 3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "3\t;a\r\nabc\r\n",
        "3\nabc\r\n",
        "3\rabc\r\n",
        "g\r\n",
        "3_0\r\n",
        "00000000000000003\r\nabc\r\n",
        "3;a\nb\r\nabc\r\n",
        "3;a\rb\r\nabc\r\n",
        "3;a\0b\r\nabc\r\n",
        "3;0123456789abcdef\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\rX",
        "3\r\nabc0\r\n\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\r\nX-A: b\n\r\n",
        "0\r\nX-A : b\r\n\r\n",
        "0\r\n X-A: b\r\n\r\n",
        "0\r\nnothing\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nHost: a\r\n\r\n",
        "0\r\nAuthorization: Basic eA==\r\n\r\n",
        "0\r\nX_Consumer_Username: alice\r\n\r\n",
        "0\r\nX-Forwarded-For: ::1\r\n\r\n",
    ] {
        let found = whole(text);
        if text.starts_with("3;0123456789abcdef") {
            assert!(found.is_ok(), "an extension at its limit");
            continue;
        }
        assert_eq!(found.map_err(|f| f.reason), Err(Reason::BadBody), "{text:?}");
    }
    assert!(whole("3;0123456789abcdefg\r\n").is_err());
}

#[test]
fn trailers_have_limits() {
    let long = format!("0\r\nX-A: {}\r\n\r\n", "b".repeat(64));
    assert_eq!(whole(&long).map_err(|f| f.reason), Err(Reason::HeadTooLarge));
    let many = "0\r\na: 1\r\nb: 1\r\nc: 1\r\nd: 1\r\n\r\n";
    assert_eq!(whole(many).map_err(|f| f.reason), Err(Reason::HeadTooLarge));
    assert!(whole("0\r\na: 1\r\nb: 1\r\nc: 1\r\n\r\n").unwrap().is_some());
}

#[test]
fn small_chunks_pass_and_chunks_of_mostly_extension_do_not() {
    let chunk = |extension: &str| format!("1{extension}\r\nx\r\n");
    assert_eq!(whole(&chunk("").repeat(50_000)), Ok(None));
    assert_eq!(whole(&chunk(";a=b").repeat(50_000)), Ok(None));
    let mut decoder = ChunkedDecoder::new(ChunkLimits::default());
    let padded = chunk(&format!(";{}", "e".repeat(250)));
    let refused = (0..1_000).any(|_| {
        let mut at = 0;
        while at < padded.len() {
            match decoder.step(&padded.as_bytes()[at..]) {
                Ok(step) => at += step.consumed,
                Err(_) => return true,
            }
        }
        false
    });
    assert!(refused);
}

#[test]
fn chunks_that_were_encoded_are_decoded() {
    let mut out = Vec::new();
    for data in [&b"hello"[..], &[7; 300]] {
        chunk_head(data.len(), &mut out);
        out.extend_from_slice(data);
        out.extend_from_slice(CHUNK_END);
    }
    out.extend_from_slice(LAST_CHUNK);
    let (data, _, used) = decode(&[&out]).unwrap().unwrap();
    assert_eq!((data.len(), used), (305, out.len()));
}

/// Reads a chunked body that is all there, the slow and plain way; no trailers, no extensions.
fn naive(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let end = bytes.windows(2).position(|w| w == b"\r\n")?;
        let digits = std::str::from_utf8(&bytes[..end]).ok()?;
        if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return None;
        }
        let size = usize::try_from(u64::from_str_radix(digits, 16).ok()?).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return bytes.starts_with(b"\r\n").then_some(data);
        }
        data.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut from = 0;
    for place in places {
        pieces.push(&bytes[from..place]);
        from = place;
    }
    pieces.push(&bytes[from..]);
    pieces
}

fn chunkish() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("1\r\nx\r\n".to_owned()),
        Just("5\r\nhello\r\n".to_owned()),
        Just("0\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("X-T: v\r\n".to_owned()),
        Just("3;e=f\r\nabc\r\n".to_owned()),
        "[0-9a-f;: \r\n]{0,6}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|p| p.concat().into_bytes())
}

proptest! {
    #[test]
    fn splits_change_nothing(bytes in chunkish(), cuts in prop::collection::vec(0..400_usize, 0..6)) {
        prop_assert_eq!(decode(&[&bytes]), decode(&cut(&bytes, &cuts)));
    }

    #[test]
    fn the_decoder_agrees_with_the_naive_one(bytes in "([1-3]\r\n[ab]{1,3}\r\n){0,4}0?\r?\n?\r?\n?") {
        let found = decode(&[bytes.as_bytes()]).ok().flatten().map(|(data, _, _)| data);
        prop_assert_eq!(found, naive(bytes.as_bytes()));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&[&bytes]);
    }
}
