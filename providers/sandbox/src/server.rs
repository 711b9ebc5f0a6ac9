//! The server: one loopback port for all APIs.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::api::{Answer, Api, Request};
use crate::azure_logs::AzureLogs;
use crate::azure_ml::{self, AzureMlApi};
use crate::azure_monitor::AzureMonitor;
use crate::cloud_run::{self, CloudRunApi, RunServicesApi};
use crate::cloudwatch::CloudWatch;
use crate::connection::{self, Limits};
use crate::exchange::{Delivery, Exchange};
use crate::identity::IdentityApi;
use crate::lambda::{self, LambdaApi};
use crate::monitoring::CloudMonitoringApi;
use crate::prometheus::Prometheus;
use crate::sagemaker::{self, RuntimeApi, SageMakerApi, ScalingApi};
use crate::scenario::Scenario;
use crate::{Clock, Options, SharedWorld, World, exports, fleet};

/// The clouds on one loopback port.
#[derive(Debug)]
pub struct Sandbox {
    listener: TcpListener,
    address: SocketAddr,
    exchange: Arc<Exchange>,
    limits: Limits,
}

impl Sandbox {
    /// Makes the world and takes the port. Connections wait until [`serve`](Self::serve).
    ///
    /// # Errors
    /// The address is not loopback ([`io::ErrorKind::InvalidInput`]) or taken; the world makes no sense.
    pub async fn bind(options: Options) -> io::Result<Self> {
        if !options.listen.ip().is_loopback() {
            let message = format!(
                "the sandbox takes any key and listens on loopback only: {} is not; use 127.0.0.1 or [::1]",
                options.listen
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let invalid = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
        let mut scenario = options.scenario.unwrap_or_else(Scenario::default_world);
        fleet::add(&mut scenario, options.fleet).map_err(invalid)?;
        scenario.check().map_err(|error| invalid(error.to_string()))?;
        lambda::check(&scenario).map_err(invalid)?;
        azure_ml::check(&scenario).map_err(invalid)?;
        cloud_run::check(&scenario).map_err(invalid)?;
        sagemaker::check(&scenario).map_err(invalid)?;
        if let Some(seed) = options.seed {
            scenario.seed = seed;
        }
        let clock = match options.start.or(scenario.start) {
            Some(start) => Clock::starting_at(start, options.speed),
            None => Clock::starting_now(options.speed),
        };
        let mut world = World::new(scenario, clock);
        if !options.rate_limits {
            world.lambda.lift_rate_limit();
            world.sagemaker.lift_rate_limit();
        }
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let exchange = Exchange::new(SharedWorld::new(world), apis(), options.latency, options.log);
        let limits = Limits { patience: options.patience, largest_body: options.largest_body };
        Ok(Self { listener, address, exchange: Arc::new(exchange), limits })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The environment variables that lead clients here.
    #[must_use]
    pub fn exports(&self) -> Vec<(String, String)> {
        exports::of(&self.url())
    }

    /// The world, for the same process; it outlives the server.
    #[must_use]
    pub fn world(&self) -> SharedWorld {
        self.exchange.world().clone()
    }

    /// Answers a request of the same process as if it had come over the wire, late ones at once; `None` when the
    /// connection would have been cut.
    #[must_use]
    pub fn ask(&self, request: &Request) -> Option<Answer> {
        match self.exchange.serve(request) {
            Delivery::Whole(answer, _) => Some(answer),
            Delivery::Half(..) | Delivery::Reset(_) => None,
        }
    }

    /// Serves until `until` is over; then all connections are closed.
    pub async fn serve(self, until: impl Future<Output = ()>) {
        let mut until = pin!(until);
        let mut connections = JoinSet::new();
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            while connections.try_join_next().is_some() {}
            // More than there is room for wait to be accepted, and each of those served has its time limit.
            let permit = tokio::select! {
                biased;
                () = &mut until => return,
                permit = Arc::clone(&room).acquire_owned() => permit,
            };
            let accepted = tokio::select! {
                biased;
                () = &mut until => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let serving = connection::serve(stream, Arc::clone(&self.exchange), self.limits);
                    connections.spawn(async move {
                        serving.await;
                        drop(permit);
                    });
                }
                Err(_) => pause().await,
            }
        }
    }
}

/// Below the usual limit of 1,024 open files.
const MOST_CONNECTIONS: usize = 900;

/// After a connection that could not be accepted: nothing is left but to wait for others to end.
#[expect(clippy::disallowed_methods, reason = "the server itself waits")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// All APIs; the first that knows a request answers it.
fn apis() -> Vec<Box<dyn Api>> {
    vec![
        Box::new(LambdaApi),
        // By their hosts: paths are the users' own.
        Box::new(RunServicesApi),
        Box::new(SageMakerApi),
        Box::new(RuntimeApi),
        Box::new(ScalingApi),
        Box::new(CloudRunApi),
        Box::new(CloudMonitoringApi),
        Box::new(IdentityApi),
        Box::new(CloudWatch::default()),
        Box::new(Prometheus),
        Box::new(AzureLogs),
        Box::new(AzureMonitor),
        Box::new(AzureMlApi),
    ]
}
