//! A sandbox on a thread of its own, for callers that wait for nothing.

use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::{Options, Sandbox, SharedWorld, exports};

/// A sandbox that is served on its own thread until it is dropped.
#[derive(Debug)]
pub struct Background {
    url: String,
    world: SharedWorld,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts a sandbox; it is reachable when this returns.
    ///
    /// # Errors
    /// As [`Sandbox::bind`], or there is no thread to be had.
    pub fn start(options: Options) -> io::Result<Self> {
        let (started, starting) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
            // A receiver that has gone gave up on the sandbox.
            let _ = run(options, &started, stopped).map_err(|error| started.send(Err(error)));
        })?;
        let gone = |_| Err(io::Error::other("the sandbox ended while it was starting"));
        let (url, world) = starting.recv().unwrap_or_else(gone)?;
        Ok(Self { url, world, stop: Some(stop), thread: Some(thread) })
    }

    /// Its address as a URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The environment variables that lead clients here.
    #[must_use]
    pub fn exports(&self) -> Vec<(String, String)> {
        exports::of(&self.url)
    }

    /// The world, for the same process.
    #[must_use]
    pub const fn world(&self) -> &SharedWorld {
        &self.world
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Started = io::Result<(String, SharedWorld)>;

fn run(options: Options, started: &mpsc::Sender<Started>, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sandbox = Sandbox::bind(options).await?;
        let _ = started.send(Ok((sandbox.url(), sandbox.world())));
        sandbox
            .serve(async {
                let _ = stopped.await;
            })
            .await;
        Ok(())
    })
}
