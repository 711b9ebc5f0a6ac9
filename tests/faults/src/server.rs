//! The server as tests see it.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::connection;
use crate::exchange::Shared;
use crate::fault::Fault;
use crate::limit::{Bucket, RateLimit};
use crate::log::Request;
use crate::world::{Alias, Version};

/// What a server starts with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How many items a page holds at most; Lambda's 50 unless a test wants paging without 51 versions.
    pub page_size: usize,
    /// The request limit, none by default.
    pub rate_limit: Option<RateLimit>,
}

impl Default for Options {
    fn default() -> Self {
        Self { page_size: 50, rate_limit: None }
    }
}

/// A control plane on a loopback port of its own, which ends with this value.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    connections: Arc<Mutex<Vec<Connection>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts an empty server.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// Starts an empty server with options.
    ///
    /// # Panics
    ///
    /// When there is no loopback port to be had.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test cannot go on without its server")]
    pub fn start_with(options: Options) -> Self {
        Self::try_start(options).expect("a loopback port for the server")
    }

    /// Starts an empty server, or says why it cannot.
    pub fn try_start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let bucket = options.rate_limit.map(|limit| Bucket::new(limit, Instant::now()));
        let shared = Arc::new(Shared::new(options.page_size.max(1), bucket));
        let connections = Arc::default();
        let acceptor = {
            let (shared, connections) = (Arc::clone(&shared), Arc::clone(&connections));
            thread::Builder::new().name("faults".to_owned()).spawn(move || accept(&listener, &shared, &connections))?
        };
        Ok(Self { address, shared, connections, acceptor: Some(acceptor) })
    }

    /// Returns the endpoint URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Publishes versions of a function; all are active and fit behind one alias.
    pub fn add_function(&self, function: &str, versions: &[u64]) {
        let mut state = self.shared.state();
        state.world.function(function);
        for number in versions {
            state.world.publish(function, *number, |_| {});
        }
    }

    /// Changes a version, published first when it does not exist.
    pub fn version(&self, function: &str, number: u64, change: impl FnOnce(&mut Version)) {
        self.shared.state().world.publish(function, number, change);
    }

    /// Removes a version, even one that an alias names.
    pub fn delete_version(&self, function: &str, number: u64) {
        self.shared.state().world.delete_version(function, &number.to_string());
    }

    /// Adds or replaces an alias, legal or not, under a fresh revision id, which is returned.
    pub fn add_alias(&self, function: &str, name: &str, alias: Alias) -> String {
        let mut state = self.shared.state();
        let revision_id = state.world.mint();
        let alias = Alias { revision_id: revision_id.clone(), ..alias };
        state.world.function(function).aliases.insert(name.to_owned(), alias);
        revision_id
    }

    /// Returns an alias as it is at this moment.
    #[must_use]
    pub fn alias(&self, function: &str, name: &str) -> Option<Alias> {
        self.shared.state().world.functions.get(function)?.aliases.get(name).cloned()
    }

    /// Changes an alias as another client would, and returns the fresh revision id if there is such an alias.
    pub fn set_alias(&self, function: &str, name: &str, change: impl FnOnce(&mut Alias)) -> Option<String> {
        self.shared.state().world.change(function, name, change)
    }

    /// Limits the requests over the whole server, with a full bucket to begin with.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) {
        self.shared.state().bucket = limit.map(|limit| Bucket::new(limit, Instant::now()));
    }

    /// Adds a fault behind those added before.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().script.add(fault);
    }

    /// Removes all faults; requests they hold stay held.
    pub fn clear_faults(&self) {
        self.shared.state().script.clear();
    }

    /// Returns the requests so far in the order of their arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().log.snapshot()
    }

    /// Forgets the requests so far; the numbering goes on.
    pub fn clear_requests(&self) {
        self.shared.state().log.clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.raise();
        // The acceptor sleeps in `accept`. Where it cannot be woken it is left behind, because no test may hang.
        let woken = TcpStream::connect_timeout(&self.address, PATIENCE).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            let _ = acceptor.join();
        }
        let connections = std::mem::take(&mut *self.connections.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in &connections {
            if let Some(stream) = connection.stream.upgrade() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        for connection in connections {
            let _ = connection.thread.join();
        }
    }
}

/// A connection and the thread that serves it.
///
/// The thread alone owns the stream, for a reset is sent only when its last owner goes.
#[derive(Debug)]
struct Connection {
    stream: Weak<TcpStream>,
    thread: JoinHandle<()>,
}

/// How long to wait for the acceptor to be reachable at the end.
const PATIENCE: Duration = Duration::from_secs(1);

fn accept(listener: &TcpListener, shared: &Arc<Shared>, connections: &Mutex<Vec<Connection>>) {
    for number in 1.. {
        let accepted = listener.accept();
        if shared.stop.is_raised() {
            return;
        }
        let Ok((stream, _)) = accepted else {
            shared.stop.wait(Duration::from_millis(1));
            continue;
        };
        let stream = Arc::new(stream);
        let weak = Arc::downgrade(&stream);
        let shared = Arc::clone(shared);
        let run = move || connection::run(&shared, &stream, number);
        if let Ok(thread) = thread::Builder::new().name(format!("faults-{number}")).spawn(run) {
            let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.retain(|connection| !connection.thread.is_finished());
            connections.push(Connection { stream: weak, thread });
        }
    }
}
