//! The update of an endpoint: until it may begin, its beginning, and what it came to.

use mlroll_backend::{Error, ErrorKind, Pace, Result};

use super::super::kinds;
use super::super::wire::{Calls, Endpoint};
use super::{LAG, Made, UPDATE, Wanted};

/// The endpoint when it takes changes, or is at a new config already.
pub(super) async fn at_rest(calls: &Calls<'_>, mut now: Endpoint, pace: &dyn Pace) -> Result<Endpoint> {
    loop {
        match now.status.as_str() {
            "InService" => return Ok(now),
            "Updating" if now.pending.is_some() => return Ok(now),
            "Updating" | "SystemUpdating" | "RollingBack" => {
                pace.pause(&format!("the endpoint is {}, and takes no change until it is InService", now.status), None)
                    .await?;
                now = calls.describe().await?;
            }
            _ => return Err(beyond(&now)),
        }
    }
}

/// One that takes no change: what AWS says of it, and the ways out.
fn beyond(now: &Endpoint) -> Error {
    let failure = if now.failure.is_empty() { String::new() } else { format!(" ({})", now.failure) };
    let what = format!("the endpoint is {}{failure}, and cannot be updated", now.status);
    let ways_out = kinds::nature(now).remedies.into_iter().filter(|_| now.status.ends_with("Failed"));
    let message = std::iter::once(what).chain(ways_out).collect::<Vec<_>>().join("; ");
    Error::new(ErrorKind::Conflict, UPDATE, message)
}

/// Has the endpoint updated. After a lost answer the endpoint knows better than the error.
pub(super) async fn update(calls: &Calls<'_>, wanted: &Wanted, pace: &dyn Pace) -> Result<()> {
    let mut tries = 0;
    loop {
        let Err(error) = calls.update(&wanted.config, wanted.counts, false).await else { return Ok(()) };
        let lags = error.kind() == ErrorKind::NotFound && error.message().contains("endpoint configuration");
        if lags && tries < LAG {
            tries += 1;
            pace.pause("the new endpoint config cannot be found yet", None).await?;
            continue;
        }
        let doubtful = error.kind() == ErrorKind::Conflict || !error.was_answered();
        if doubtful && error.kind() != ErrorKind::Withheld {
            let now = calls.describe().await?;
            if now.config == wanted.config || now.pending.as_deref() == Some(&wanted.config) {
                return Ok(());
            }
        }
        return Err(error);
    }
}

/// Waits until the endpoint has the new config, or is back at the old one.
pub(super) async fn arrived(calls: &Calls<'_>, wanted: &Wanted, before: &Endpoint, pace: &dyn Pace) -> Result<()> {
    let mut moved = before.pending.is_some();
    let mut still = 0;
    loop {
        let now = calls.describe().await?;
        let failed = |why: &str| {
            let message = match why {
                "" => "SageMaker took the new endpoint config back, and gave no reason".to_owned(),
                why => format!("SageMaker took the new endpoint config back: {why}"),
            };
            let message = format!("{message}; the endpoint has {} as before", now.config);
            Err(Error::new(ErrorKind::Unavailable, UPDATE, message).changed_nothing())
        };
        match now.status.as_str() {
            "InService" if now.config == wanted.config => return Ok(()),
            "InService" if moved => return failed(&now.failure),
            "InService" if still < LAG => still += 1,
            // It was changed since, and nobody saw it under way.
            "InService" if now.modified > before.modified => return failed(&now.failure),
            "InService" => {
                let message = "the update was accepted, and nothing of it is to be seen";
                return Err(Error::new(ErrorKind::Unexpected, UPDATE, message));
            }
            "Failed" | "UpdateRollbackFailed" | "OutOfService" | "Deleting" => return Err(beyond(&now)),
            _ => moved = true,
        }
        let what = format!("the endpoint is {}: a fleet with {} is made", now.status, wanted.filling.model);
        pace.pause(&what, None).await?;
    }
}

/// What a deployment leaves that was taken back.
pub(super) fn left_behind(error: Error, wanted: &Wanted, how: Made) -> Error {
    if !error.has_changed_nothing() {
        return error;
    }
    let Wanted { config, filling, source, .. } = wanted;
    let model = if source.is_some() { format!(" and the model {}", filling.model) } else { String::new() };
    let fate = match how.untagged {
        true => "which have no tag, and nobody deletes",
        false => "which the next `mlroll deploy --prune` deletes when they are an hour old",
    };
    let message = format!("{}; left behind: the endpoint config {config}{model}, {fate}", error.message());
    Error::new(error.kind(), UPDATE, message).changed_nothing()
}
