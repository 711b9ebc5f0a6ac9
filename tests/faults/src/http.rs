//! As much of HTTP/1.1 as the control plane needs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

/// A complete request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Returns the value of a header by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether the client gives the connection up after this request.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Returns what follows the scheme of a Signature Version 4 header.
    pub(crate) fn signature(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256")
    }

    /// Returns region and service of the credential scope the request was signed for.
    pub(crate) fn scope(&self) -> Option<(&str, &str)> {
        let (_, credential) = self.signature()?.split_once("Credential=")?;
        let mut parts = credential.split(',').next()?.split('/').skip(2);
        Some((parts.next()?, parts.next()?))
    }
}

/// Reads the requests of one connection, one after the other.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    stream: &'a TcpStream,
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(stream: &'a TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads the next request, or nothing when the client closed the connection between two requests.
    pub(crate) fn next_message(&mut self) -> io::Result<Option<Message>> {
        let mut message = loop {
            if let Some((message, length)) = parse_head(&self.buffer)? {
                self.buffer.drain(..length);
                break message;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(malformed("the head is too long"));
            }
            if !self.fill()? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        };
        let length = body_length(&message)?;
        if length > self.buffer.len() && message.header("expect").is_some() {
            let mut stream = self.stream;
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while self.buffer.len() < length {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        message.body = self.buffer.drain(..length).collect();
        Ok(Some(message))
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 8192];
        let mut stream = self.stream;
        let read = stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
        Ok(read > 0)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Renders the answer for the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Renders the answer with half of the body it promises.
    pub(crate) fn half(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.truncate(bytes.len() - self.body.len().div_ceil(2));
        bytes
    }
}

/// Decodes the query; a plus is a space, so that a client must encode the plus of a marker.
pub(crate) fn parse_query(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode_path(&key.replace('+', " ")), decode_path(&value.replace('+', " "))))
        .collect()
}

/// Decodes one segment of a path; a broken escape stays as it is.
pub(crate) fn decode_path(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (first, tail)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            bytes.push(high << 4 | low);
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const MAX_BODY: usize = 1 << 20;
const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 64;

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(Message, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(malformed(error)),
    };
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = request.headers.iter().map(|header| {
        let value = String::from_utf8_lossy(header.value).into_owned();
        (header.name.to_ascii_lowercase(), value)
    });
    let message = Message {
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    Ok(Some((message, length)))
}

fn body_length(message: &Message) -> io::Result<usize> {
    if message.header("transfer-encoding").is_some() {
        return Err(malformed("a body needs a Content-Length"));
    }
    let length = message.header("content-length").map_or(Ok(0), str::parse).map_err(malformed)?;
    if length > MAX_BODY { Err(malformed("the body is too long")) } else { Ok(length) }
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        412 => "Precondition Failed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_escapes_and_leaves_broken_ones() {
        assert_eq!(decode_path("arn%3Aaws%3a%C3%A9"), "arn:aws:é");
        assert_eq!(decode_path("100%"), "100%");
        assert_eq!(decode_path("%zz"), "%zz");
        let query = [("a", "1+"), ("b", "x y"), ("c", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(parse_query("a=1%2B&b=x+y&c"), BTreeMap::from(query));
    }

    #[test]
    fn reads_the_credential_scope() {
        let value = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/lambda/aws4_request, SignedHeaders=host";
        let headers = vec![("authorization".to_owned(), value.to_owned())];
        let message = Message { headers, ..Message::default() };
        assert_eq!(message.scope(), Some(("eu-west-1", "lambda")));
    }
}
