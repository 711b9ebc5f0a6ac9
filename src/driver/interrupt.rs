//! Being told to stop.

use std::io::IsTerminal;

/// Signals that ask a run to end, one after the other.
#[derive(Debug)]
pub(crate) struct Interrupts {
    #[cfg(unix)]
    signals: Option<[tokio::signal::unix::Signal; 3]>,
    /// Listened to and never waited for: a write beyond a limit on file sizes must fail like any other, and not end a
    /// process that has a candidate to take back.
    #[cfg(unix)]
    _file_size: Option<tokio::signal::unix::Signal>,
}

/// The number of `SIGXFSZ`: the same on Linux (but for MIPS), macOS and the BSDs.
#[cfg(unix)]
const FILE_SIZE_EXCEEDED: std::ffi::c_int = 25;

/// How it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// By a key on the keyboard.
    Interrupt,
    /// By whoever runs it: a runner that cancels a job, a terminal that goes away.
    Other,
}

impl Told {
    /// Whether somebody sits there who wants out at once, when told again. A runner's second signal is only its habit.
    pub(crate) fn is_insistent(self) -> bool {
        self == Self::Interrupt && std::io::stdin().is_terminal()
    }
}

#[cfg(unix)]
impl Interrupts {
    pub(crate) fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = || -> std::io::Result<_> {
            Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?])
        };
        Self { signals: listen().ok(), _file_size: signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED)).ok() }
    }

    /// The next one. Never, where signals cannot be listened to: they then end the process as they always do.
    pub(crate) async fn next(&mut self) -> Told {
        match &mut self.signals {
            Some([interrupt, terminate, hangup]) => {
                tokio::select! {
                    _ = interrupt.recv() => Told::Interrupt,
                    _ = terminate.recv() => Told::Other,
                    _ = hangup.recv() => Told::Other,
                }
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
impl Interrupts {
    pub(crate) fn new() -> Self {
        Self {}
    }

    pub(crate) async fn next(&mut self) -> Told {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Told::Interrupt,
            Err(_) => std::future::pending().await,
        }
    }
}
