//! How a sandbox is set up.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use mlroll_backend::Timestamp;

use crate::scenario::Scenario;

/// How a sandbox is set up. The default is a port of the system's choice, real time, and the default world.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen: a loopback address. Port 0 is any free one.
    pub listen: SocketAddr,
    /// What there is; `None` is the default world: `lambda:us-east-1/fraud@prod` with versions 1 to 3, on 2, and
    /// `sagemaker:us-east-1/fraud` with variants `a` and `b`, on `a`.
    pub scenario: Option<Scenario>,
    /// How many functions `fraud-0001`, `fraud-0002`, .. there are besides, each with versions 1 and 2 and the alias
    /// `prod` on 1; at most 9,999.
    pub fleet: usize,
    /// What all chance is drawn from; `None` leaves it to the scenario.
    pub seed: Option<u64>,
    /// How many of the sandbox's seconds pass in one of ours.
    pub speed: f64,
    /// When the sandbox's time starts; `None` leaves it to the scenario, and there it is now unless it says otherwise.
    pub start: Option<Timestamp>,
    /// How much later each answer is sent, in real time.
    pub latency: Duration,
    /// Whether the clouds' request limits hold (Lambda: 15 requests per second and region, in real time).
    pub rate_limits: bool,
    /// How long a client may take for a request's head, for its body, and to take an answer, in real time.
    pub patience: Duration,
    /// How long a request's body may be, in bytes.
    pub largest_body: usize,
    /// How many requests the log keeps.
    pub log: usize,
}

impl Options {
    /// The default, but for what there is.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        Self { scenario: Some(scenario), ..Self::default() }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            scenario: None,
            fleet: 0,
            seed: None,
            speed: 1.0,
            start: None,
            latency: Duration::ZERO,
            rate_limits: true,
            patience: Duration::from_secs(30),
            // A zip of 50 MB, the most that Lambda takes directly, in Base64.
            largest_body: 70 << 20,
            log: 65_536,
        }
    }
}
