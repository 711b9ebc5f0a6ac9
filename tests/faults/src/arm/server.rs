//! The server as tests see it.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use super::answer::{Route, State};
use super::{ArmFault, ArmKind, ArmOperation, ArmRequest, Endpoint, Rate};
use crate::http::{Message, Reader, Response};
use crate::scripted::{Reply, Request};

/// The token that is taken, until a test says otherwise.
pub const TOKEN: &str = "verysecrettoken";

/// Azure Resource Manager on a loopback port of its own.
#[derive(Clone, Debug)]
pub struct Arm {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    state: State,
    faults: Vec<ArmFault>,
    requests: Vec<ArmRequest>,
    metrics: Option<Script>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).field("faults", &self.faults).finish_non_exhaustive()
    }
}

/// What Azure Monitor answers while `fraud` has this live traffic.
type Script = Arc<dyn Fn(&Request, &Value) -> Reply + Send + Sync>;

enum Delivery {
    Half(Response),
    Reset,
    /// Nothing comes until the client gives up.
    Silence,
    Whole(Response),
}

impl Arm {
    /// A subscription with the endpoint `fraud` in `ml/prod`: blue has everything, green is there.
    ///
    /// # Panics
    ///
    /// When there is no loopback port to be had.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port for the server");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let server = Self { url: url.clone(), shared: Arc::clone(&shared) };
        let id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/prod/onlineEndpoints/fraud";
        {
            let state = &mut server.lock().state;
            state.page = 100;
            state.token = TOKEN.to_owned();
            state.endpoints.insert("fraud".to_owned(), Endpoint::new(id, "fraud"));
        }
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, url) = (Arc::clone(&shared), url.clone());
                thread::spawn(move || serve(&shared, &stream, &url));
            }
        });
        server
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Changes the endpoint `fraud` or how it behaves, as nobody but a test can.
    pub fn fraud<T>(&self, change: impl FnOnce(&mut Endpoint) -> T) -> Option<T> {
        self.lock().state.endpoints.get_mut("fraud").map(change)
    }

    /// What is kept of the endpoint `fraud`.
    #[must_use]
    pub fn record(&self) -> Value {
        self.fraud(|endpoint| endpoint.record.clone()).unwrap_or_default()
    }

    /// Takes another token from now on.
    pub fn set_token(&self, token: &str) {
        self.lock().state.token = token.to_owned();
    }

    /// How many deployments a page has.
    pub fn set_page(&self, page: usize) {
        self.lock().state.page = page;
    }

    /// What Azure Monitor counts in each minute.
    pub fn set_rates(&self, rates: &[(&str, &str, f64)]) {
        let rate = |(deployment, code, per_minute): &(&str, &str, f64)| Rate {
            deployment: (*deployment).to_owned(),
            code: (*code).to_owned(),
            per_minute: *per_minute,
        };
        self.lock().state.rates = rates.iter().map(rate).collect();
    }

    /// What Azure Monitor answers, whatever is asked.
    pub fn set_metrics(&self, metrics: Option<Value>) {
        self.lock().state.metrics = metrics;
    }

    /// Answers each request for metrics with what `script` says of it and of the live traffic.
    pub fn script_metrics(&self, script: impl Fn(&Request, &Value) -> Reply + Send + Sync + 'static) {
        self.lock().metrics = Some(Arc::new(script));
    }

    /// Adds a fault behind those added before.
    pub fn fault(&self, fault: ArmFault) {
        self.lock().faults.push(fault);
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ArmRequest> {
        self.lock().requests.clone()
    }

    /// How many requests of an operation there were.
    #[must_use]
    pub fn count(&self, operation: ArmOperation) -> usize {
        self.lock().requests.iter().filter(|request| request.operation == operation).count()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.lock().requests.clear();
    }
}

fn serve(shared: &Mutex<Shared>, stream: &TcpStream, url: &str) {
    let _ = stream.set_nodelay(true);
    let mut reader = Reader::new(stream);
    let mut writer = stream;
    while let Ok(Some(message)) = reader.next_message() {
        match deliver(shared, &message, url) {
            Delivery::Reset => {
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
                return;
            }
            Delivery::Silence => {
                // Returns when the client closes.
                let _ = reader.next_message();
                return;
            }
            Delivery::Half(response) => {
                let _ = writer.write_all(&response.half());
                return;
            }
            Delivery::Whole(response) => {
                if writer.write_all(&response.bytes()).is_err() || message.closes() {
                    return;
                }
            }
        }
    }
}

fn deliver(shared: &Mutex<Shared>, message: &Message, url: &str) -> Delivery {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let route = Route::of(message);
    let due = shared.faults.iter_mut().find_map(|fault| {
        if fault.operation != route.operation || fault.times == 0 {
            return None;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(u32::from(fault.times != u32::MAX));
        Some(fault.kind.clone())
    });
    let delivery = match due {
        None => match scripted(&shared, &route, message) {
            Some(delivery) => delivery,
            None => Delivery::Whole(shared.state.answer(&route, message, url)),
        },
        Some(ArmKind::Status { status, body, headers }) => {
            let answer = Response::json(status, &body);
            Delivery::Whole(headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value)))
        }
        Some(ArmKind::ResetBefore) => Delivery::Reset,
        Some(ArmKind::ResetAfter) => {
            shared.state.answer(&route, message, url);
            Delivery::Reset
        }
        Some(ArmKind::AnsweredAfter(status)) => {
            shared.state.answer(&route, message, url);
            Delivery::Whole(Response::new(status, "text/html", "<html>bad gateway</html>"))
        }
        Some(ArmKind::Text(text)) => Delivery::Whole(Response::new(200, "text/html", text)),
        Some(ArmKind::Foreign(change)) => {
            if let Some(endpoint) = shared.state.endpoints.get_mut("fraud") {
                change(&mut endpoint.record);
            }
            Delivery::Whole(shared.state.answer(&route, message, url))
        }
    };
    let Route { operation, path, query, .. } = route;
    shared.requests.push(ArmRequest {
        method: message.method.clone(),
        path,
        query,
        operation,
        text: String::from_utf8_lossy(&message.body).into_owned(),
        status: match &delivery {
            Delivery::Half(_) | Delivery::Reset | Delivery::Silence => None,
            Delivery::Whole(response) => Some(response.status),
        },
    });
    delivery
}

/// What a script says of a request for metrics, where there is one.
fn scripted(shared: &Shared, route: &Route, message: &Message) -> Option<Delivery> {
    let script = shared.metrics.as_ref().filter(|_| route.operation == ArmOperation::Metrics)?;
    let endpoint = shared.state.endpoints.get("fraud")?;
    let request = Request {
        method: message.method.clone(),
        path: route.path.clone(),
        headers: message.headers.iter().cloned().collect(),
        form: route.query.clone(),
        body: message.body.clone(),
    };
    let traffic = endpoint.record.get("properties").and_then(|properties| properties.get("traffic"));
    let json = |status, body: String| Response::new(status, "application/json", body);
    Some(match script(&request, traffic.unwrap_or(&Value::Null)) {
        Reply::Answer { status, headers, body } => {
            let answer = json(status, String::from_utf8_lossy(&body).into_owned());
            Delivery::Whole(headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value)))
        }
        Reply::Silence => Delivery::Silence,
        Reply::Truncated(body) => Delivery::Half(json(200, body)),
    })
}
