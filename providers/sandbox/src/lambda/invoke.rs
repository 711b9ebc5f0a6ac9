//! Invocations: by the weights of the alias, with the behaviour of the version.

use http::StatusCode;
use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::error::Refusal;
use super::rules;
use super::state::{LATEST, target};

impl Call<'_> {
    /// Answers as the simulated version does: `{"version": "3"}`, or an error of the function at its error rate.
    ///
    /// The invocations of outsiders are few beside those of the simulated users, and are in no metric.
    pub(super) fn invoke(&mut self) -> Result<Reply, Refusal> {
        if !self.request.body().is_empty()
            && let Err(error) = serde_json::from_slice::<Value>(self.request.body())
        {
            return Err(Refusal::content(format!("Could not parse request body into json: {error}")));
        }
        let kind = self.request.headers().get("x-amz-invocation-type").map_or(Ok("RequestResponse"), |kind| {
            kind.to_str().map_err(|_| Refusal::invalid("Value at 'invocationType' is not text"))
        })?;
        let qualifier = self.route.qualifier.clone().unwrap_or_else(|| LATEST.to_owned());
        let drawn = self.lambda().draw();
        let version = self.executed(&qualifier, drawn)?;
        let function = self.find()?;
        let state = match function.version(&version) {
            Some(found) if found.pending.is_some() => Some("Pending"),
            Some(found) if found.failed => Some("Failed"),
            Some(_) | None => None,
        };
        if let Some(state) = state {
            return Err(Refusal::conflict(format!(
                "The operation cannot be performed at this time. The function is currently in the following state: \
                 {state}"
            )));
        }
        if function.reserved == Some(0) {
            return Err(Refusal::throttled("ReservedFunctionConcurrentInvocationLimitExceeded"));
        }
        match kind {
            "RequestResponse" => {}
            "Event" => return Ok(Reply::empty(StatusCode::ACCEPTED)),
            "DryRun" => return Ok(Reply::empty(StatusCode::NO_CONTENT)),
            other => {
                let constraint = "Member must satisfy enum value set: [Event, RequestResponse, DryRun]";
                let violation = rules::violation(other, "invocationType", constraint);
                return Err(Refusal::validation(&[violation]));
            }
        }
        let failed = self.lambda().draw() < self.error_rate(&qualifier, &version);
        let body = if failed {
            json!({ "errorMessage": "The model failed.", "errorType": "RuntimeError", "stackTrace": [] })
        } else {
            json!({ "version": version })
        };
        let mut reply = Reply::of(StatusCode::OK, body);
        reply.headers.push(("x-amz-executed-version", version));
        if failed {
            reply.headers.push(("x-amz-function-error", "Unhandled".to_owned()));
        }
        Ok(reply)
    }

    /// The version that serves a request, chosen anew for each by the weights of the alias.
    fn executed(&self, qualifier: &str, drawn: f64) -> Result<String, Refusal> {
        let function = self.find()?;
        let Some(alias) = function.aliases.get(qualifier) else {
            let found = function.version(qualifier).map(|_| qualifier.to_owned());
            return found.ok_or_else(|| self.no_version(qualifier));
        };
        let (primary, weights) = alias.serving();
        let mut reached = 0.0;
        for (version, share) in weights {
            reached += share;
            if drawn < reached {
                return Ok(version.clone());
            }
        }
        Ok(primary.to_owned())
    }

    /// The share of the version's requests that fail: by the alias' target, else by any of the function's.
    fn error_rate(&self, qualifier: &str, version: &str) -> f64 {
        let mut found = None;
        let wanted = target(&self.region, &self.route.function, qualifier);
        for (other, service) in self.world.scenario.parsed_targets() {
            let mlroll_backend::Target::Lambda(alias) = &other else { continue };
            if alias.region != self.region || alias.function != self.route.function {
                continue;
            }
            let rate = service.revisions.get(version).map(|behaviour| behaviour.error_rate);
            if other == wanted && rate.is_some() {
                return rate.unwrap_or(0.0);
            }
            found = found.or(rate);
        }
        found.unwrap_or(0.0)
    }
}
