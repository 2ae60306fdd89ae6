//! The backend of the tests behind a gateway: reads a request, answers as it says.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::reflect;

/// The longest request that is read.
const REQUEST_MAX: usize = 4 << 20;
/// The longest time that a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves on the loopback for as long as the process runs; returns the port.
pub(crate) fn start() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // The client sees what goes wrong as an answer that does not come.
            std::thread::spawn(move || drop(serve(stream)));
        }
    });
    Ok(port)
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    let (head, body) = loop {
        if let Some(parts) = complete(&bytes) {
            break parts;
        }
        let count = stream.read(&mut part)?;
        if count == 0 || bytes.len() > REQUEST_MAX {
            return Ok(());
        }
        bytes.extend_from_slice(part.get(..count).unwrap_or_default());
    };
    let target = head.split(' ').nth(1).unwrap_or_default();
    let answer = reflect::answer(target.as_bytes(), &body);
    let mut out = format!("HTTP/1.1 {} Reflected\r\n", answer.status);
    for (name, value) in &answer.fields {
        let is_framing = ["content-length", "transfer-encoding", "connection"]
            .iter()
            .any(|framing| name.eq_ignore_ascii_case(framing));
        if !is_framing {
            let _ = write!(out, "{name}: {value}\r\n");
        }
    }
    let _ = write!(out, "Content-Length: {}\r\nConnection: close\r\n\r\n", answer.body.len());
    stream.write_all(out.as_bytes())?;
    if !head.starts_with("HEAD ") {
        stream.write_all(&answer.body)?;
    }
    stream.flush()
}

/// Head and body of a request, once all of it is there.
fn complete(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, rest) = bytes.split_at(end);
    let rest = rest.get(4..).unwrap_or_default();
    let head = String::from_utf8_lossy(head).into_owned();
    let field = |wanted: &str| {
        head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    if field("transfer-encoding").is_some() {
        return chunks(rest).map(|body| (head, body));
    }
    let length = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    rest.get(..length).map(|body| (head, body.to_vec()))
}

fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = String::from_utf8_lossy(rest.get(..end)?).into_owned();
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
        if size == 0 {
            return Some(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_with_its_body() {
        assert_eq!(complete(b"GET / HTTP/1.1\r\nHost: a\r\n"), None);
        let sized = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(complete(sized), None);
        assert_eq!(complete(&[sized, &b"ab"[..]].concat()).unwrap().1, b"ab");
        let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n";
        assert_eq!(complete(chunked), None);
        assert_eq!(complete(&[chunked, &b"0\r\n\r\n"[..]].concat()).unwrap().1, b"ab");
    }
}
