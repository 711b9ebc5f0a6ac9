//! A client that hides nothing of the wire, unlike an SDK with its retries and its pool.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use mlroll_faults::{Alias, Server};
use serde_json::Value;

pub(crate) const PROD: &str = "/2015-03-31/functions/fraud/aliases/prod";

/// A server with `fraud` in versions 1 to 3 and `prod` on version 1.
pub(crate) fn server() -> Server {
    let server = Server::start();
    server.add_function("fraud", &[1, 2, 3]);
    server.add_alias("fraud", "prod", Alias { version: "1".into(), ..Alias::default() });
    server
}

/// An answer with lower-case header names.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status, code and message of an error, whichever way its message is spelt.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let message = body.get("message").or_else(|| body.get("Message")).unwrap();
        (self.status, self.header("x-amzn-errortype").to_owned(), message.as_str().unwrap().to_owned())
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    pub(crate) fn new(server: &Server) -> Self {
        let stream = TcpStream::connect(server.url().strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { stream }
    }

    pub(crate) fn timeout(&self, timeout: Duration) {
        self.stream.set_read_timeout(Some(timeout)).unwrap();
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.try_call("GET", path, "").unwrap()
    }

    pub(crate) fn put(&mut self, body: &Value) -> Answer {
        self.try_call("PUT", PROD, &body.to_string()).unwrap()
    }

    pub(crate) fn try_get(&mut self, path: &str) -> io::Result<Answer> {
        self.try_call("GET", path, "")
    }

    pub(crate) fn try_put(&mut self, body: &Value) -> io::Result<Answer> {
        self.try_call("PUT", PROD, &body.to_string())
    }

    pub(crate) fn try_call(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let credential = "Credential=AK/20260101/us-east-1/lambda/aws4_request";
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: AWS4-HMAC-SHA256 {credential}, \
             SignedHeaders=host, Signature=0\r\nX-Amz-Date: 20260101T000000Z\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.send(&request)?;
        self.answer()
    }

    pub(crate) fn send(&mut self, request: &str) -> io::Result<()> {
        self.stream.write_all(request.as_bytes())
    }

    /// Reads exactly one answer; one cut short is an `UnexpectedEof`.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        answer.body.resize(answer.header("content-length").parse().unwrap(), 0);
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }
}
