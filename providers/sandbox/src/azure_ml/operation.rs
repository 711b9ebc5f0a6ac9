//! Asynchronous operations.

use http::StatusCode;
use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::state::{Blame, Logged, State};
use crate::arm::Refusal;
use crate::clock::to_the_millisecond;

impl Call<'_> {
    fn operation(&self) -> Result<&Logged, Refusal> {
        let found = self.world.azure_ml.operations.get(&self.route.id);
        found.ok_or_else(|| {
            let shown: String = self.route.id.chars().take(120).collect();
            Refusal::new(StatusCode::NOT_FOUND, "NotFound", format!("There is no operation {shown}."))
        })
    }

    /// `Updating` while it goes on: only Succeeded, Failed and Canceled are ends.
    pub(super) fn operation_status(&self) -> Result<Reply, Refusal> {
        let Logged { began, blame, over } = self.operation()?;
        let id = &self.route.id;
        let mut shown = json!({
            "id": self.request.uri().path(), "name": id, "startTime": to_the_millisecond(*began), "percentComplete": 0.0,
            "status": State::Updating.name(),
        });
        if let (Some(over), Some(shown)) = (over, shown.as_object_mut()) {
            shown.insert("status".to_owned(), json!(over.outcome.name()));
            shown.insert("percentComplete".to_owned(), json!(100.0));
            shown.insert("endTime".to_owned(), json!(to_the_millisecond(over.at)));
            if let Some(error) = error(over.outcome, blame.as_ref()) {
                shown.insert("error".to_owned(), error);
            }
        }
        Ok(Reply::ok(shown))
    }

    pub(super) fn operation_result(&self) -> Result<Reply, Refusal> {
        match &self.operation()?.over {
            Some(over) if over.outcome == State::Succeeded => {
                Ok(Reply { status: StatusCode::NO_CONTENT, body: None, headers: Vec::new() })
            }
            Some(_) => self.operation_status(),
            None => {
                let headers = vec![("location", self.operation_url("mfeOperationResults", &self.route.id))];
                Ok(Reply { status: StatusCode::ACCEPTED, body: Some(Value::Null), headers })
            }
        }
    }
}

/// Why an operation ended as it did.
fn error(outcome: State, blame: Option<&Blame>) -> Option<Value> {
    match outcome {
        State::Failed => {
            let (code, message) = blame
                .map_or(("OutOfCapacity", "There are no more instances: a fault of the sandbox."), |blame| {
                    (blame.code, blame.message.as_str())
                });
            let details = json!([{ "code": code, "message": message, "details": [] }]);
            Some(json!({ "code": "UserError", "message": "The request is invalid.", "details": details }))
        }
        State::Canceled => Some(json!({
            "code": "OperationCanceled",
            "message": "Operation was canceled by another operation that has a higher priority: a fault of the sandbox.",
        })),
        State::Creating | State::Deleting | State::Scaling | State::Succeeded | State::Updating => None,
    }
}
