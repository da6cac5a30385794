//! As much of HTTP/1.1 (RFC 9112) as one answer of a browser takes.

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::page::{HEADERS, Page};

/// What a request is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It may be the answer to a login: the query.
    Answer(String),
    /// It is not.
    Refused(StatusCode),
}

/// Reads the head of one request. Nothing where none comes.
pub(super) async fn read(stream: &mut TcpStream, port: u16) -> Option<Asked> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    loop {
        let length = stream.read(&mut part).await.ok()?;
        if length == 0 {
            return None;
        }
        head.extend_from_slice(part.get(..length)?);
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            head.truncate(end);
            return Some(parse(&head, port));
        }
        if head.len() > MOST_BYTES {
            return Some(Asked::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
    }
}

/// Answers with a page, and ends the connection.
pub(super) async fn answer(stream: &mut TcpStream, page: &Page) {
    let html = page.html();
    let reason = page.status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", page.status.as_u16());
    for (name, value) in HEADERS {
        text += &format!("{name}: {value}\r\n");
    }
    if page.status == StatusCode::METHOD_NOT_ALLOWED {
        text += "allow: GET\r\n";
    }
    text += &format!(
        "content-length: {}\r\nconnection: close\r\n\r\n",
        html.len()
    );
    text += &html;
    // Whoever does not read it misses nothing: the program says the same.
    if stream.write_all(text.as_bytes()).await.is_ok() {
        let _ = stream.shutdown().await;
    }
}

fn parse(head: &[u8], port: u16) -> Asked {
    let Ok(head) = std::str::from_utf8(head) else {
        return Asked::Refused(StatusCode::BAD_REQUEST);
    };
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = words.as_slice() else {
        return Asked::Refused(StatusCode::BAD_REQUEST);
    };
    if !target.starts_with('/') || target.contains(|c: char| !c.is_ascii_graphic()) {
        return Asked::Refused(StatusCode::BAD_REQUEST);
    }
    // A page on the web whose name was made to lead here says its own name (DNS rebinding).
    if !is_for(lines, port) {
        return Asked::Refused(StatusCode::MISDIRECTED_REQUEST);
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match (*method, path) {
        (_, path) if path != "/" => Asked::Refused(StatusCode::NOT_FOUND),
        ("GET", _) if !query.is_empty() => Asked::Answer(query.to_owned()),
        ("GET", _) => Asked::Refused(StatusCode::NOT_FOUND),
        _ => Asked::Refused(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Whether the one `Host` is this machine.
fn is_for<'a>(lines: impl Iterator<Item = &'a str>, port: u16) -> bool {
    let fields = lines.filter_map(|line| line.split_once(':'));
    let hosts: Vec<&str> = fields
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| value.trim())
        .collect();
    let [host] = hosts.as_slice() else {
        return false;
    };
    let Some((name, found)) = host.rsplit_once(':') else {
        return false;
    };
    let is_here = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|own| name.eq_ignore_ascii_case(own));
    is_here && found == port.to_string()
}

/// An answer of Entra's has two kilobytes.
const MOST_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_get_of_the_root_with_a_query_may_be_the_answer() {
        for head in [
            "GET /?code=a&state=b HTTP/1.1\r\nHost: localhost:8400",
            "GET /?code=a&state=b HTTP/1.1\r\naccept: */*\r\nhost:LOCALHOST:8400",
            "GET /?code=a&state=b HTTP/1.0\r\nHost: 127.0.0.1:8400",
            "GET /?code=a&state=b HTTP/1.1\r\nHost: [::1]:8400",
        ] {
            let expected = Asked::Answer("code=a&state=b".to_owned());
            assert_eq!(parse(head.as_bytes(), 8400), expected, "{head}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (head, status) in [
            ("GET / HTTP/1.1\r\nHost: localhost:8400", 404),
            ("GET /? HTTP/1.1\r\nHost: localhost:8400", 404),
            ("GET /favicon.ico HTTP/1.1\r\nHost: localhost:8400", 404),
            ("GET //?code=a HTTP/1.1\r\nHost: localhost:8400", 404),
            ("POST /?code=a HTTP/1.1\r\nHost: localhost:8400", 405),
            ("HEAD /?code=a HTTP/1.1\r\nHost: localhost:8400", 405),
            ("OPTIONS / HTTP/1.1\r\nHost: localhost:8400", 405),
            ("OPTIONS * HTTP/1.1\r\nHost: localhost:8400", 400),
            (
                "GET http://localhost:8400/?code=a HTTP/1.1\r\nHost: localhost:8400",
                400,
            ),
            ("GET /?code=a", 400),
            ("GET /?code=a HTTP/2\r\nHost: localhost:8400", 400),
            ("GET  /?code=a HTTP/1.1\r\nHost: localhost:8400", 400),
            ("GET /?code=\u{7f} HTTP/1.1\r\nHost: localhost:8400", 400),
            ("GET /?code=ä HTTP/1.1\r\nHost: localhost:8400", 400),
            ("", 400),
            ("\u{16}\u{3}\u{1}", 400),
            ("GET /?code=a HTTP/1.1", 421),
            ("GET /?code=a HTTP/1.1\r\nHost: localhost", 421),
            ("GET /?code=a HTTP/1.1\r\nHost: localhost:8401", 421),
            ("GET /?code=a HTTP/1.1\r\nHost: evil.example:8400", 421),
            (
                "GET /?code=a HTTP/1.1\r\nHost: localhost.evil.example:8400",
                421,
            ),
            (
                "GET /?code=a HTTP/1.1\r\nHost: localhost:8400\r\nHost: evil.example",
                421,
            ),
        ] {
            let expected = Asked::Refused(StatusCode::from_u16(status).unwrap());
            assert_eq!(parse(head.as_bytes(), 8400), expected, "{head:?}");
        }
        let bytes = b"GET /?code=\xff HTTP/1.1\r\nHost: localhost:8400";
        let expected = Asked::Refused(StatusCode::BAD_REQUEST);
        assert_eq!(parse(bytes, 8400), expected);
    }
}
