//! A client that hides nothing of the wire, unlike an SDK with its retries and its pool.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use mlroll_sandbox::{Background, Options};
use serde_json::{Value, json};

pub(crate) const FRAUD: &str = "/2015-03-31/functions/fraud";
pub(crate) const PROD: &str = "/2015-03-31/functions/fraud/aliases/prod";
pub(crate) const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:fraud";

/// The default world without request limits, in time that moves only when told.
pub(crate) fn options() -> Options {
    let start = Some("2026-11-21T03:00:00Z".parse().unwrap());
    Options { start, speed: 0.001, rate_limits: false, patience: Duration::from_secs(5), ..Options::default() }
}

pub(crate) fn sandbox() -> Background {
    Background::start(options()).unwrap()
}

/// Moves the sandbox's time.
pub(crate) fn advance(sandbox: &Background, by: &str) {
    let answer = Client::new(sandbox).post("/_sandbox/clock", &json!({ "advance": by }));
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// Asks for a fault.
pub(crate) fn fault(sandbox: &Background, fault: &Value) {
    let answer = Client::new(sandbox).post("/_sandbox/faults", fault);
    assert_eq!(answer.status, 200, "{}", answer.json());
}

pub(crate) fn weights(weights: &Value) -> Value {
    json!({ "RoutingConfig": { "AdditionalVersionWeights": weights } })
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
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status, code and message of an error, whichever way its message is spelt.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let message = body.get("message").or_else(|| body.get("Message")).unwrap();
        (self.status, self.header("x-amzn-errortype").to_owned(), message.as_str().unwrap().to_owned())
    }

    /// The body of an answer that is no error.
    pub(crate) fn good(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    region: &'static str,
}

impl Client {
    pub(crate) fn new(sandbox: &Background) -> Self {
        let stream = TcpStream::connect(sandbox.url().strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, region: "us-east-1" }
    }

    pub(crate) fn region(self, region: &'static str) -> Self {
        Self { region, ..self }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, b"").unwrap()
    }

    pub(crate) fn put(&mut self, path: &str, body: &Value) -> Answer {
        self.call("PUT", path, body.to_string().as_bytes()).unwrap()
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, body.to_string().as_bytes()).unwrap()
    }

    pub(crate) fn delete(&mut self, path: &str) -> Answer {
        self.call("DELETE", path, b"").unwrap()
    }

    pub(crate) fn call(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let region = self.region;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=AK/20260101/{region}/lambda/aws4_request, SignedHeaders=host, Signature=0\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat())?;
        self.answer()
    }

    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)
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
        answer.body.resize(answer.header("content-length").parse().unwrap_or(0), 0);
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    /// Everything until the server closes.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Tells the server that no more is coming, and still listens.
    pub(crate) fn stop_sending(&self) {
        // A connection that is gone already is as good.
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Reads what there is, up to a limit.
    pub(crate) fn some(&mut self) -> usize {
        self.stream.read(&mut [0; 4096]).unwrap_or(0)
    }
}
