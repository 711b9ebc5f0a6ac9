//! A service that answers what it is told to, over real HTTP/1.1.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What a client sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The pairs of the query and of a body that is a form.
    pub form: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

/// How it is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With this.
    Answer {
        /// The status.
        status: u16,
        /// Headers beside length and connection.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Nothing comes until the client gives up.
    Silence,
    /// The connection ends in the middle of the body.
    Truncated(String),
}

/// A listening service. It ends with the test's process.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens: `http://127.0.0.1:PORT`.
    pub url: String,
    /// The port.
    pub port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    answered: Arc<AtomicUsize>,
}

impl Reply {
    /// Status 200.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200, body)
    }

    /// A status and a body.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.into() }
    }
}

impl Server {
    /// Answers the nth request, from 0, with what `script` says. A script that panics fails no test: it resets the connection.
    ///
    /// # Panics
    /// No port can be had.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a test cannot go on without its server")]
    pub fn start(script: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server =
            Self { url: format!("http://127.0.0.1:{port}"), port, requests: Arc::default(), answered: Arc::default() };
        let (serving, script) = (server.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serving, script) = (serving.clone(), Arc::clone(&script));
                std::thread::spawn(move || {
                    serving.serve(stream, script.as_ref());
                    serving.answered.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    /// Answers every request with `reply`.
    #[must_use]
    pub fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone())
    }

    /// What has arrived.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests have been answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// One request for each connection: keeping them alive is not what is tested.
    fn serve(&self, mut stream: TcpStream, script: &dyn Fn(usize, &Request) -> Reply) {
        let Some(request) = read(&mut BufReader::new(&mut stream)) else { return };
        let n = {
            let mut seen = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(request.clone());
            seen.len().saturating_sub(1)
        };
        let (status, headers, body, length) = match script(n, &request) {
            Reply::Answer { status, headers, body } => {
                let length = body.len();
                (status, headers, body, length)
            }
            Reply::Truncated(body) => (200, Vec::new(), body.clone().into_bytes(), body.len() + 10),
            Reply::Silence => {
                // Returns when the client closes.
                let _ = stream.read(&mut [0]);
                return;
            }
        };
        let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {length}\r\nconnection: close\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // A client that has gone has no use for it.
        let _ = stream.write_all(&[format!("{head}\r\n").as_bytes(), &body].concat());
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.trim().to_owned()),
            None => break,
        };
    }
    let length: usize = headers.get("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let form = [query, std::str::from_utf8(&body).unwrap_or_default()].into_iter().flat_map(pairs).collect();
    Some(Request { method, path: path.to_owned(), headers, form, body })
}

/// The pairs of a form; what is none has none.
fn pairs(form: &str) -> Vec<(String, String)> {
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter_map(|(key, value)| Some((decoded(key)?, decoded(value)?))).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}
