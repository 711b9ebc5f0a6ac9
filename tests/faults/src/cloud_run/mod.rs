//! A scripted Cloud Run Admin API, v2, on loopback: services, revisions, traffic under an etag.

mod rules;
mod service;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;

use self::rules::Refused;
pub use self::service::{RunRevision, RunService, RunShown};
use crate::http::{Message, Reader, Response, decode_path, parse_query};

/// A control plane. It takes the token `verysecrettoken` and no other, until told so.
#[derive(Debug)]
pub struct CloudRun {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What a client sent, and how it was answered.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// `GetService`, `UpdateService`, `ListRevisions`, `GetRevision`, `GetOperation`, or nothing for what is none of them.
    pub operation: &'static str,
    /// The path, decoded.
    pub path: String,
    /// The query, decoded.
    pub query: BTreeMap<String, String>,
    /// The body, or null.
    pub body: Value,
    /// The status it was answered with; 0 for none.
    pub status: u16,
    /// The bearer token it carried.
    pub token: String,
    /// The project that quota is counted for, by `x-goog-user-project`.
    pub quota_project: String,
}

/// What goes wrong with one request.
pub enum RunFault {
    /// The service is changed by somebody else just before the request is looked at.
    Foreign(Box<dyn FnOnce(&mut RunService) + Send>),
    /// No answer comes; the request is not looked at.
    Hang,
    /// The request takes effect, and the connection breaks before the answer.
    ResetAfter,
    /// The connection breaks; the request is not looked at.
    ResetBefore,
    /// The request is not looked at, and answered so: status, content type, body, and a `Retry-After`.
    Status(u16, &'static str, String, Option<u64>),
    /// The request takes effect, and half of the answer comes.
    Truncate,
}

/// The answer of Google's own form for a failure.
#[must_use]
pub fn envelope(code: u16, status: &str, message: &str) -> Value {
    json!({"error": {"code": code, "status": status, "message": message}})
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    services: BTreeMap<String, RunService>,
    tokens: BTreeSet<String>,
    script: VecDeque<(&'static str, RunFault)>,
    requests: Vec<RunRequest>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("services", &self.services).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for RunFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Foreign(_) => "Foreign",
            Self::Hang => "Hang",
            Self::ResetAfter => "ResetAfter",
            Self::ResetBefore => "ResetBefore",
            Self::Status(..) => "Status",
            Self::Truncate => "Truncate",
        })
    }
}

impl CloudRun {
    /// Listens on a port of loopback, until the process ends.
    ///
    /// # Panics
    /// Loopback cannot be listened on.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test cannot go on without it")]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        shared.state().tokens.insert("verysecrettoken".to_owned());
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                // A failed read or write ends the connection, and the client sees for itself that it did.
                thread::spawn(move || serve(&shared, &stream));
            }
        });
        Self { address, shared }
    }

    /// Its base.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds or replaces a service by its whole name, `projects/P/locations/R/services/S`.
    pub fn add(&self, name: &str, service: RunService) {
        self.shared.state().services.insert(name.to_owned(), service);
    }

    /// A service as it is at this moment.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<RunService> {
        self.shared.state().services.get(name).cloned()
    }

    /// Changes a service as another client would.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut RunService)) {
        if let Some(service) = self.shared.state().services.get_mut(name) {
            change(service);
            service.mint();
        }
    }

    /// The tokens that are taken from now on.
    pub fn take_tokens(&self, tokens: &[&str]) {
        self.shared.state().tokens = tokens.iter().map(|&token| token.to_owned()).collect();
    }

    /// Adds a fault of the next request of `operation` that has none yet.
    pub fn fault(&self, operation: &'static str, fault: RunFault) {
        self.shared.state().script.push_back((operation, fault));
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RunRequest> {
        self.shared.state().requests.clone()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.state().requests.clear();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(shared: &Shared, stream: &TcpStream) -> io::Result<()> {
    let mut writer = stream;
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(stream);
    while let Some(message) = reader.next_message()? {
        let fault = shared.state().next_fault(&message);
        match fault {
            Some(RunFault::Hang) => {
                while stream.peek(&mut [0])? > 0 {
                    thread::sleep(Duration::from_millis(20));
                }
                return Ok(());
            }
            Some(RunFault::ResetBefore) => {
                shared.state().log(&message, 0);
                return SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
            Some(RunFault::Status(status, kind, body, wait)) => {
                shared.state().log(&message, status);
                let mut response = Response::new(status, kind, body);
                if let Some(seconds) = wait {
                    response = response.header("Retry-After", &seconds.to_string());
                }
                writer.write_all(&response.bytes())?;
                continue;
            }
            Some(RunFault::Foreign(change)) => {
                let name = service_name(&decode_path(&message.path)).map(|(name, _)| name.to_owned());
                if let Some(service) = shared.state().services.get_mut(&name.unwrap_or_default()) {
                    change(service);
                    service.mint();
                }
                writer.write_all(&shared.state().answer(&message).bytes())?;
            }
            Some(RunFault::ResetAfter) => {
                shared.state().answer(&message);
                return SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
            Some(RunFault::Truncate) => {
                writer.write_all(&shared.state().answer(&message).half())?;
                return Ok(());
            }
            None => writer.write_all(&shared.state().answer(&message).bytes())?,
        }
        if message.closes() {
            break;
        }
    }
    Ok(())
}

impl State {
    fn next_fault(&mut self, message: &Message) -> Option<RunFault> {
        let operation = operation_of(&message.method, &decode_path(&message.path));
        let at = self.script.iter().position(|(on, _)| *on == operation)?;
        self.script.remove(at).map(|(_, fault)| fault)
    }

    /// Operations are numbered by service, and a place has one service here.
    fn only_service_in(&self, place: &str) -> String {
        let begin = format!("{place}/services/");
        self.services.keys().find(|name| name.starts_with(&begin)).cloned().unwrap_or_default()
    }

    fn log(&mut self, message: &Message, status: u16) {
        let path = decode_path(&message.path);
        let token = message.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
        self.requests.push(RunRequest {
            operation: operation_of(&message.method, &path),
            path,
            query: parse_query(&message.query),
            body: serde_json::from_slice(&message.body).unwrap_or_default(),
            status,
            token: token.unwrap_or_default().to_owned(),
            quota_project: message.header("x-goog-user-project").unwrap_or_default().to_owned(),
        });
    }

    fn answer(&mut self, message: &Message) -> Response {
        let response = self.answer_unlogged(message).unwrap_or_else(|refused| refused.response());
        self.log(message, response.status);
        response
    }

    fn answer_unlogged(&mut self, message: &Message) -> Result<Response, Refused> {
        let path = decode_path(&message.path);
        let operation = operation_of(&message.method, &path);
        let place = operation_name(&path).map(|(place, id)| (self.only_service_in(place), id));
        let found = service_name(&path).map(|(name, below)| (name.to_owned(), below)).or(place);
        let Some((name, below)) = found.filter(|_| !operation.is_empty()) else {
            return Ok(Response::new(404, "text/html", "<html>The requested URL was not found on this server."));
        };
        let token = message.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
        if !token.is_some_and(|token| self.tokens.contains(token)) {
            let message = "Request had invalid authentication credentials. Expected OAuth 2 access token";
            return Err(Refused::new(401, "UNAUTHENTICATED", message));
        }
        let query = parse_query(&message.query);
        let name = name.as_str();
        let service = self.services.get_mut(name);
        let service = service.ok_or_else(|| {
            let short = name.rsplit('/').next().unwrap_or_default();
            Refused::new(404, "NOT_FOUND", format!("Resource '{short}' of kind 'SERVICE' does not exist."))
        })?;
        let answer = match operation {
            "GetService" => {
                rules::parameters(&query, &[])?;
                service.look();
                service.document(name)
            }
            "UpdateService" => {
                rules::parameters(&query, &["updateMask"])?;
                let body: Value = serde_json::from_slice(&message.body)
                    .map_err(|_| Refused::new(400, "INVALID_ARGUMENT", "Invalid JSON payload received."))?;
                rules::update(service, query.get("updateMask").map_or("", String::as_str), &body)?;
                service.operation(name)
            }
            "GetOperation" => {
                rules::parameters(&query, &[])?;
                let missing = || Refused::new(404, "NOT_FOUND", format!("Operation '{below}' does not exist."));
                service.operation_by(name, below).ok_or_else(missing)?
            }
            "ListRevisions" => {
                rules::parameters(&query, &["pageSize", "pageToken"])?;
                service.page(name, &query)?
            }
            _ => {
                rules::parameters(&query, &[])?;
                let revision = below.strip_prefix("revisions/").unwrap_or_default();
                service.revision(name, revision).ok_or_else(|| {
                    let message = format!("Resource '{revision}' of kind 'REVISION' does not exist.");
                    Refused::new(404, "NOT_FOUND", message)
                })?
            }
        };
        Ok(Response::json(200, &answer))
    }
}

/// The place that a path of an operation is about, and the operation's id.
fn operation_name(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/v2/")?.split_once("/operations/")
}

/// The service that a path is about, and what follows it.
fn service_name(path: &str) -> Option<(&str, &str)> {
    let name = path.strip_prefix("/v2/")?;
    let slashes: Vec<usize> = name.match_indices('/').map(|(at, _)| at).collect();
    let known =
        matches!(name.split('/').collect::<Vec<_>>().as_slice(), ["projects", _, "locations", _, "services", _, ..]);
    if !known {
        return None;
    }
    match slashes.get(5) {
        Some(end) => Some((name.get(..*end)?, name.get(end + 1..)?)),
        None => Some((name, "")),
    }
}

fn operation_of(method: &str, path: &str) -> &'static str {
    if operation_name(path).is_some() && method == "GET" {
        return "GetOperation";
    }
    let Some((_, below)) = service_name(path) else { return "" };
    match (method, below.split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", [""]) => "GetService",
        ("PATCH", [""]) => "UpdateService",
        ("GET", ["revisions"]) => "ListRevisions",
        ("GET", ["revisions", _]) => "GetRevision",
        _ => "",
    }
}
