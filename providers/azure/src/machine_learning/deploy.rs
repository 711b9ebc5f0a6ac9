//! A new deployment on its way.

use std::time::Duration;

use mlroll_backend::{Deployed, Error, ErrorKind, Pace, Result, Revision, RevisionId};

use super::blueprint::{Blueprint, Wanted};
use super::pending::is_terminal;
use super::wire::{Calls, PUT_DEPLOYMENT};

/// How often a PUT without a good answer is made again, when nothing came of it.
const REPEATS: u32 = 3;

/// For how many looks what was accepted may not be shown yet, and what got no answer not have arrived.
const UNSEEN: u32 = 15;
const UNANSWERED: u32 = 2;

/// The longest pause between two looks: a deployment takes minutes.
const LONGEST_PAUSE: u64 = 10;

/// A deployment that is to be there.
#[derive(Debug)]
pub(super) struct Landing<'a> {
    pub(super) calls: &'a Calls<'a>,
    pub(super) name: RevisionId,
    pub(super) wanted: &'a Wanted,
    pub(super) pace: &'a dyn Pace,
}

/// A PUT that was accepted, or may have been.
#[derive(Debug)]
struct Put {
    is_sure: bool,
    /// What was shown before it, where there was something.
    before: Option<String>,
    /// Where Azure tells about its operation.
    operation: Option<String>,
}

impl Landing<'_> {
    /// Looks before anything is written, so that what is there, or on its way, is not made again.
    pub(super) async fn run(&self) -> Result<Deployed> {
        let name = &self.name;
        let mut put: Option<Put> = None;
        let (mut repeats, mut unseen, mut looks) = (0, 0, 0_u64);
        loop {
            let found = match self.calls.blueprint(name).await {
                Ok(found) => Some(found),
                Err(e) if e.kind() == ErrorKind::NotFound => None,
                Err(e) => return Err(e),
            };
            // What has the name is not overwritten by anything else, be it on its way, failed, or good.
            let there = found.as_ref().filter(|_| put.is_none());
            if let Some((there, difference)) = there.and_then(|there| Some((there, there.differs(self.wanted)?))) {
                return Err(self.taken(there, &difference));
            }
            let lags = put.as_ref().is_some_and(|put| found.as_ref().map(|found| &found.text) == put.before.as_ref());
            let is_sure = put.as_ref().is_some_and(|put| put.is_sure);
            let what = match &found {
                _ if lags && unseen < if is_sure { UNSEEN } else { UNANSWERED } => {
                    unseen += 1;
                    format!("Azure does not show deployment {name} yet")
                }
                _ if lags && is_sure => {
                    let message = format!("deployment {name} was accepted, and Azure does not show it");
                    return Err(Error::new(ErrorKind::Unexpected, PUT_DEPLOYMENT, message));
                }
                Some(found) if found.deployment.state.eq_ignore_ascii_case("succeeded") => {
                    return Ok(self.landed(found, put.is_some()));
                }
                Some(found) if is_terminal(&found.deployment.state) && put.is_some() && !lags => {
                    return Err(self.failure(found, put.and_then(|put| put.operation)).await);
                }
                Some(found) if !is_terminal(&found.deployment.state) => {
                    if let Some(difference) = found.differs(self.wanted) {
                        return Err(self.taken(found, &difference));
                    }
                    let state = crate::error::printable(&found.deployment.state, 40);
                    format!("deployment {name} is {state}")
                }
                // There is none, or one like it that failed some other day.
                before => match self.calls.put_deployment(name, &self.wanted.body).await {
                    Ok(operation) => {
                        let before = before.as_ref().map(|before| before.text.clone());
                        put = Some(Put { is_sure: true, before, operation });
                        format!("Azure makes deployment {name}")
                    }
                    Err(e) if e.kind() == ErrorKind::Withheld => return Ok(self.imagined()),
                    Err(e) if e.kind() == ErrorKind::Conflict => format!("the endpoint is busy: {}", e.message()),
                    Err(e) if e.kind() == ErrorKind::Unavailable && repeats < REPEATS => {
                        (repeats, unseen) = (repeats + 1, 0);
                        let before = before.as_ref().map(|before| before.text.clone());
                        put = Some(Put { is_sure: false, before, operation: None });
                        "Azure did not answer: looking whether it made the deployment".to_owned()
                    }
                    Err(e) => return Err(e),
                },
            };
            looks += 1;
            self.pace.pause(&what, Some(Duration::from_secs((1 + looks / 4).min(LONGEST_PAUSE)))).await?;
        }
    }

    fn landed(&self, found: &Blueprint, made: bool) -> Deployed {
        let deployment = &found.deployment;
        let revision = Revision {
            id: deployment.id.clone(),
            created: deployment.created,
            description: deployment.description.clone(),
        };
        Deployed { revision, made, notes: self.notes() }
    }

    /// As a rehearsal has it.
    fn imagined(&self) -> Deployed {
        let revision = Revision { id: self.name.clone(), created: None, description: String::new() };
        Deployed { revision, made: true, notes: self.notes() }
    }

    fn notes(&self) -> Vec<String> {
        vec![format!("{} of {} run, and cost, also without traffic", self.wanted.machines, self.name)]
    }

    /// Somebody else's deployment has the name.
    fn taken(&self, found: &Blueprint, difference: &str) -> Error {
        let state = &found.deployment.state;
        let failed = if is_terminal(state) && !state.eq_ignore_ascii_case("succeeded") {
            format!(" ({})", crate::error::printable(&state.to_ascii_lowercase(), 40))
        } else {
            String::new()
        };
        let message = format!(
            "deployment {} is there already{failed}, and is another: it has {difference}; give another --name, or delete it first",
            self.name
        );
        Error::new(ErrorKind::Invalid, PUT_DEPLOYMENT, message)
    }

    /// Why the deployment failed: Azure's innermost words, and the end of what its containers said.
    async fn failure(&self, found: &Blueprint, operation: Option<String>) -> Error {
        let reason = match operation.or_else(|| found.operation.clone()) {
            Some(operation) => self.calls.reason(&operation).await,
            None => None,
        };
        let mut log = None;
        for container in ["InferenceServer", "StorageInitializer"] {
            if log.is_none() {
                log = self.calls.logs(&self.name, container).await.map(|tail| format!("; {container} said: {tail}"));
            }
        }
        let state = found.deployment.state.to_ascii_lowercase();
        let why = reason.as_ref().map_or_else(|| format!("it is {state}"), ToString::to_string);
        let kind = match reason.as_ref().and_then(|reason| reason.code.as_deref()) {
            // Azure's own, and worth another try.
            Some("InternalServerError" | "OperationCanceled") => ErrorKind::Unavailable,
            Some(_) | None => ErrorKind::Invalid,
        };
        let message = format!("deployment {} cannot serve: {why}{}", self.name, log.unwrap_or_default());
        Error::new(kind, PUT_DEPLOYMENT, message).with("deployment", &self.name)
    }
}
