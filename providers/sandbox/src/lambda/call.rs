//! One request on the functions of its region.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use mlroll_backend::Timestamp;
use serde_json::Value;

use super::body::Body;
use super::error::Refusal;
use super::route::{self, Route};
use super::rules;
use super::state::{Function, Until, target};
use super::store::{ACCOUNT, Lambda, Region};
use crate::World;
use crate::api::{Answer, Request, json_answer};

/// A request that is to be carried out.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) world: &'a mut World,
    pub(super) route: &'a Route,
    pub(super) request: &'a Request,
    /// The region the request was signed for.
    pub(super) region: String,
    pub(super) now: Timestamp,
    /// How what the request begins ends.
    ending: Ending,
    /// Whether it began something that has an end.
    began: bool,
}

/// How something that was accepted ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it was meant.
    Well,
    /// It turns out that it cannot be done.
    Badly,
    /// Not at all.
    Never,
}

/// What an operation answers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// An answer with a body.
    pub(super) const fn of(status: StatusCode, body: Value) -> Self {
        Self { status, body: Some(body), headers: Vec::new() }
    }

    /// An answer without a body.
    pub(super) const fn empty(status: StatusCode) -> Self {
        Self { status, body: None, headers: Vec::new() }
    }
}

/// Answers a request, and tells whether it began something that does not end by itself (only with another `ending` than the usual).
pub(super) fn answer(request: &Request, world: &mut World, ending: Ending) -> (Answer, bool) {
    let id = world.lambda.mint.next();
    let (result, began) = match admitted(request, world) {
        Err(refusal) => (Err(refusal), false),
        Ok((route, region)) => {
            let now = world.now();
            let mut call = Call { world, route: &route, request, region, now, ending, began: false };
            let result = call.carry_out();
            (result, call.began)
        }
    };
    let mut answer = match &result {
        Ok(reply) => rendered(reply),
        Err(refusal) => refusal.answer(),
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        answer.headers_mut().insert("x-amzn-requestid", id);
    }
    (answer, began && result.is_ok())
}

fn rendered(reply: &Reply) -> Answer {
    let mut answer = match &reply.body {
        Some(body) => json_answer(reply.status, body),
        None => {
            let mut answer = Answer::new(Bytes::new());
            *answer.status_mut() = reply.status;
            answer
        }
    };
    for (name, value) in &reply.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    answer
}

/// Refuses what never reaches an operation, and tells what is asked of which region.
fn admitted(request: &Request, world: &mut World) -> Result<(Route, String), Refusal> {
    let region = signed_for(request)?;
    let unknown = || {
        let message = format!("Unknown operation: {} {}", request.method(), request.uri().path());
        Refusal::new(StatusCode::NOT_FOUND, "UnknownOperationException", message)
    };
    let route = Route::of(request).ok_or_else(unknown)?;
    if route.operation == route::UNKNOWN {
        return Err(unknown());
    }
    let uptime = world.clock.uptime();
    if route.operation != "Invoke" && !world.lambda.admits(&region, uptime) {
        return Err(Refusal::throttled("CallerRateLimitExceeded"));
    }
    if let Some(other) = route.region.as_deref().filter(|other| *other != region) {
        let message = format!("Functions from '{other}' are not reachable in this region ('{region}')");
        return Err(Refusal::not_found(message));
    }
    if !matches!(route.operation, "GetAccountSettings" | "ListFunctions") {
        rules::check_function(&route.function)?;
    }
    Ok((route, region))
}

/// The region of the credential scope. The signature itself is not checked: every key is a good one.
pub(super) fn signed_for(request: &Request) -> Result<String, Refusal> {
    let missing = || Refusal::unsigned("MissingAuthenticationTokenException", "Missing Authentication Token");
    let signature = request.headers().get(header::AUTHORIZATION).ok_or_else(missing)?;
    let broken =
        || Refusal::unsigned("IncompleteSignatureException", "Authorization header requires 'Credential' parameter.");
    let signature = signature.to_str().map_err(|_| broken())?;
    let rest = signature.strip_prefix("AWS4-HMAC-SHA256").ok_or_else(missing)?;
    let credential = rest.split_once("Credential=").and_then(|(_, rest)| rest.split([',', ' ']).next());
    let parts: Vec<&str> = credential.ok_or_else(broken)?.split('/').collect();
    let [_key, _date, region, service, "aws4_request"] = parts.as_slice() else { return Err(broken()) };
    if *service != "lambda" {
        let message = "Credential should be scoped to correct service: 'lambda'.";
        return Err(Refusal::unsigned("InvalidSignatureException", message));
    }
    Ok((*region).to_owned())
}

impl Call<'_> {
    fn carry_out(&mut self) -> Result<Reply, Refusal> {
        let before = match route::reads(self.route.operation) || self.route.operation == "Invoke" {
            true => None,
            false => self.find().ok().cloned(),
        };
        let reply = self.dispatch()?;
        if let (Some(before), Some(region)) = (before, self.world.lambda.regions.get_mut(&self.region))
            && let Some(slot) = region.functions.get_mut(&self.route.function)
        {
            slot.before = Some(Box::new(before));
        }
        Ok(reply)
    }

    fn dispatch(&mut self) -> Result<Reply, Refusal> {
        match self.route.operation {
            "CreateAlias" => self.create_alias(),
            "DeleteAlias" => self.delete_alias(),
            "DeleteFunction" => self.delete_function(),
            "DeleteFunctionConcurrency" => self.delete_concurrency(),
            "DeleteProvisionedConcurrencyConfig" => self.delete_provisioned(),
            "GetAccountSettings" => Ok(self.get_account_settings()),
            "GetAlias" => self.get_alias(),
            "GetFunction" => self.get_function(),
            "GetFunctionConcurrency" => self.get_concurrency(),
            "GetFunctionConfiguration" => self.get_configuration(),
            "GetProvisionedConcurrencyConfig" => self.get_provisioned(),
            "Invoke" => self.invoke(),
            "ListAliases" => self.list_aliases(),
            "ListFunctions" => self.list_functions(),
            "ListProvisionedConcurrencyConfigs" => self.list_provisioned(),
            "ListVersionsByFunction" => self.list_versions(),
            "PublishVersion" => self.publish_version(),
            "PutFunctionConcurrency" => self.put_concurrency(),
            "PutProvisionedConcurrencyConfig" => self.put_provisioned(),
            "UpdateAlias" => self.update_alias(),
            "UpdateFunctionCode" => self.update_code(),
            "UpdateFunctionConfiguration" => self.update_configuration(),
            other => Err(Refusal::new(StatusCode::NOT_FOUND, "UnknownOperationException", other)),
        }
    }

    pub(super) fn body(&self) -> Result<Body, Refusal> {
        Body::of(self.request.body())
    }

    pub(super) fn lambda(&mut self) -> &mut Lambda {
        &mut self.world.lambda
    }

    /// The ARN of the function.
    pub(super) fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:{ACCOUNT}:function:{}", self.region, self.route.function)
    }

    pub(super) fn functions(&self) -> Option<&Region> {
        self.world.lambda.regions.get(&self.region)
    }

    /// The function that the request is about.
    pub(super) fn find(&self) -> Result<&Function, Refusal> {
        let slot = self.functions().and_then(|region| region.functions.get(&self.route.function));
        slot.map(|slot| &slot.now).ok_or_else(|| self.no_function())
    }

    /// The same, to be changed.
    pub(super) fn find_mut(&mut self) -> Result<&mut Function, Refusal> {
        let missing = self.no_function();
        let region = self.world.lambda.regions.get_mut(&self.region);
        let slot = region.and_then(|region| region.functions.get_mut(&self.route.function));
        slot.map(|slot| &mut slot.now).ok_or(missing)
    }

    fn no_function(&self) -> Refusal {
        Refusal::not_found(format!("Function not found: {}", self.arn()))
    }

    /// A version that is not there.
    pub(super) fn no_version(&self, qualifier: &str) -> Refusal {
        Refusal::not_found(format!("Function not found: {}:{qualifier}", self.arn()))
    }

    /// When something that begins now is over.
    pub(super) fn after(&mut self, duration: Duration) -> Until {
        self.began = true;
        match self.ending {
            Ending::Well => Until::At(self.now.plus(duration)),
            Ending::Badly => Until::Badly(self.now.plus(duration)),
            Ending::Never => Until::Never,
        }
    }

    /// Whether a fault keeps what begins now from its end.
    pub(super) fn is_endless(&self) -> bool {
        self.ending == Ending::Never
    }

    /// Sends the users of an alias where it says now.
    pub(super) fn reroute(&mut self, alias: &str) {
        let split = self.find().ok().and_then(|function| function.aliases.get(alias)?.split());
        if let Some(split) = split {
            let target = target(&self.region, &self.route.function, alias);
            self.world.traffic.route(&target, &split, self.now);
        }
    }
}
