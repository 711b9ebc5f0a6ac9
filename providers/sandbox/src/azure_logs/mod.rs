//! Log Analytics, as far as it has the traffic log of online endpoints: a row for each request of the simulated users.
//!
//! - asked by the endpoint (`POST /v1/subscriptions/../onlineEndpoints/fraud/query`) or by the workspace's id
//!   (`POST /v1/workspaces/ID/query`); rows are there some time after their request (`delay`)
//! - of the query language there is what counts requests: `where`, `extend`, `summarize`, `order by`, with a few functions; anything
//!   else is refused, and so are tables and columns that are not there
//! - single rows are never told: a query without `summarize` is refused
//! - without a diagnostic setting the table is missing where the endpoint is asked, and empty where the workspace is
//! - tokens for another API are refused, and requests without JSON are answered with nothing, as Azure does both
//!
//! Facts: Azure Monitor's documents about the API (request and response format, errors, resource queries), the reference of
//! `AmlOnlineEndpointTrafficLog`, and errors as users of the API quote them (Azure/azure-cli-extensions#3002).

mod kusto;
mod rows;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use mlroll_backend::{Target, Timestamp};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use self::kusto::Fault;
use self::rows::Scope;
use crate::World;
use crate::api::{Answer, Api, INJECTED, Operation, Request, bearer, json_answer};
use crate::arm::{self, Audience};

/// Log Analytics as the server sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AzureLogs;

const OPERATIONS: [&str; 3] = ["Query_Execute", "Query_ResourceExecute", "Unknown"];

/// What a request is about.
enum Asked {
    Endpoint([String; 4]),
    Unknown,
    Workspace(String),
}

impl Asked {
    /// `None` for a request that is not for Log Analytics.
    fn of(request: &Request) -> Option<Self> {
        let path = request.uri().path().trim_matches('/').split('/');
        let segments: Vec<String> =
            path.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let is = |part: &str, word: &str| part.eq_ignore_ascii_case(word);
        match segments.as_slice() {
            ["v1", w, workspace, query] if is(w, "workspaces") && is(query, "query") => {
                Some(Self::Workspace((*workspace).to_owned()))
            }
            ["v1", s, subscription, g, group, p, provider, w, workspace, e, endpoint, query]
                if is(s, "subscriptions")
                    && is(g, "resourceGroups")
                    && is(p, "providers")
                    && is(provider, "Microsoft.MachineLearningServices")
                    && is(w, "workspaces")
                    && is(e, "onlineEndpoints")
                    && is(query, "query") =>
            {
                Some(Self::Endpoint([subscription, group, workspace, endpoint].map(|part| (*part).to_owned())))
            }
            ["v1", s, ..] if is(s, "subscriptions") || is(s, "workspaces") => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// A request that is refused: the codes and messages of an error, the outermost first.
struct Refusal(StatusCode, Vec<(String, String)>);

impl Refusal {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self(status, vec![(code.to_owned(), message.into())])
    }

    /// A query, or its frame, that makes no sense.
    fn invalid(inner: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let outer = [("BadArgumentError", "The request had some invalid properties".to_owned())];
        let all = outer.into_iter().chain(inner).map(|(code, message)| (code.to_owned(), message));
        Self(StatusCode::BAD_REQUEST, all.collect())
    }

    fn answer(&self) -> Answer {
        let mut error = Value::Null;
        for (code, message) in self.1.iter().rev() {
            let inner = std::mem::take(&mut error);
            error = json!({ "message": message, "code": code });
            if let Some(members) = error.as_object_mut().filter(|_| !inner.is_null()) {
                members.insert("innererror".to_owned(), inner);
            }
        }
        if let Some(members) = error.as_object_mut() {
            members.insert("correlationId".to_owned(), json!("00000000-0000-0000-0000-000000000000"));
        }
        let answer = json_answer(self.0, &json!({ "error": error }));
        if self.0 == StatusCode::TOO_MANY_REQUESTS {
            return arm::with(answer, &[("retry-after", "1".to_owned())]);
        }
        answer
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Semantic { code, message } => {
                Self::invalid([("SemanticError", "A semantic error occurred.".to_owned()), (code, message)])
            }
            Fault::Syntax(message) => Self::invalid([
                ("SyntaxError", "A recognition error occurred in the query.".to_owned()),
                ("SYN0002", message),
            ]),
        }
    }
}

impl Api for AzureLogs {
    fn name(&self) -> &'static str {
        "azure-logs"
    }

    fn operation(&self, request: &Request) -> Option<Operation> {
        let (name, target) = match Asked::of(request)? {
            Asked::Endpoint([.., endpoint]) => ("Query_ResourceExecute", Some(endpoint.to_ascii_lowercase())),
            Asked::Unknown => ("Unknown", None),
            Asked::Workspace(id) => ("Query_Execute", Some(id.to_ascii_lowercase())),
        };
        Some(Operation { name, target })
    }

    fn operations(&self) -> &'static [&'static str] {
        &OPERATIONS
    }

    fn error(&self, status: StatusCode, code: Option<&str>) -> Answer {
        let usual = match status.as_u16() {
            400 => "BadArgumentError",
            401 => "AuthenticationFailed",
            403 => "InsufficientAccessError",
            404 => "ResourceNotFoundError",
            429 => "TooManyRequests",
            504 => "GatewayTimeout",
            _ => "InternalServerError",
        };
        Refusal::new(status, code.unwrap_or(usual), INJECTED).answer()
    }

    fn answer(&self, request: &Request, _operation: &Operation, world: &mut World) -> Answer {
        match answered(request, world) {
            Ok(answer) => answer,
            Err(refusal) => refusal.answer(),
        }
    }
}

fn answered(request: &Request, world: &mut World) -> Result<Answer, Refusal> {
    authenticated(request)?;
    let missing = || Refusal::new(StatusCode::NOT_FOUND, "PathNotFoundError", "The requested path does not exist");
    let Some(asked) = Asked::of(request).filter(|_| request.method() == Method::POST) else { return Err(missing()) };
    let is_json = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = is_json.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/json"));
    let body = serde_json::from_slice::<Value>(request.body()).ok().filter(|_| is_json);
    let Some(body) = body else {
        // As Azure does.
        return Ok(Answer::new(Bytes::new()));
    };
    let Some(query) = body.get("query").and_then(Value::as_str) else {
        return Err(Refusal::invalid([("MissingQueryError", "The query is missing".to_owned())]));
    };
    if body.get("workspaces").is_some_and(|more| !matches!(more, Value::Null) && more != &json!([])) {
        return Err(Refusal::invalid([(
            "Unsupported",
            "Further workspaces are not supported by this sandbox.".to_owned(),
        )]));
    }
    let span = timespan(body.get("timespan"))?;
    let scope = scope(&asked, world)?;
    let query = kusto::parse(query)?;
    if !world.scenario.azure_logs.diagnostic_setting && matches!(asked, Asked::Endpoint(_)) {
        return Err(kusto::unknown_table(&query).into());
    }
    let table = rows::table(&query, span, scope, world)?;
    let answer = kusto::run(&query, table)?;
    Ok(json_answer(StatusCode::OK, &json!({ "tables": [answer.shown()] })))
}

/// Refuses who brings no token, or one for another API.
fn authenticated(request: &Request) -> Result<(), Refusal> {
    let Some(token) = bearer(request) else {
        let message = "Authentication failed. The 'Authorization' header is missing.";
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message));
    };
    match Audience::of(token) {
        None | Some(Audience::Logs) => Ok(()),
        Some(audience @ (Audience::Other(_) | Audience::ResourceManager)) => {
            let message = audience.refused(&["https://api.loganalytics.io"]);
            Err(Refusal::new(StatusCode::FORBIDDEN, "InvalidAuthenticationTokenAudience", message))
        }
    }
}

/// Seconds since 1970 from which, and until which, rows are looked at; `None`: all.
fn timespan(text: Option<&Value>) -> Result<Option<(i64, i64)>, Refusal> {
    let text = match text {
        None | Some(Value::Null) => return Ok(None),
        Some(text) => text.as_str().unwrap_or_default(),
    };
    let read = || -> Option<(i64, i64)> {
        let (from, until) = text.split_once('/')?;
        let at = |text: &str| Some(text.parse::<Timestamp>().ok()?.unix_seconds());
        Some((at(from)?, at(until)?)).filter(|(from, until)| from < until)
    };
    let wrong = || {
        let shown: String = text.chars().take(80).collect();
        Refusal::invalid([(
            "InvalidTimespan",
            format!("`{shown}` is no START/END, which is all that this sandbox reads"),
        )])
    };
    read().map(Some).ok_or_else(wrong)
}

/// Whose rows are looked at.
fn scope(asked: &Asked, world: &World) -> Result<Vec<Scope>, Refusal> {
    let of = |endpoint: [&str; 4]| {
        let (target, revisions) = world.azure_ml.users(endpoint, None)?;
        Some(Scope { endpoint: endpoint.map(str::to_owned), target: target.cloned(), revisions })
    };
    match asked {
        Asked::Endpoint(endpoint) => {
            let found = of(endpoint.each_ref().map(String::as_str));
            found.map(|one| vec![one]).ok_or_else(|| {
                let [subscription, group, workspace, name] = endpoint;
                let message = format!(
                    "The resource /subscriptions/{subscription}/resourcegroups/{group}/providers/\
                     microsoft.machinelearningservices/workspaces/{workspace}/onlineendpoints/{name} was not found"
                );
                Refusal::new(StatusCode::NOT_FOUND, "ResourceNotFoundError", message)
            })
        }
        Asked::Workspace(id) if id.eq_ignore_ascii_case(&world.scenario.azure_logs.workspace) => {
            let targets = world.traffic.revisions().filter_map(|(target, _)| match target {
                Target::AzureMl(endpoint) => Some(endpoint.clone()),
                Target::CloudRun(_) | Target::Lambda(_) | Target::SageMaker(_) => None,
            });
            let all = targets.filter_map(|e| of([&e.subscription, &e.resource_group, &e.workspace, &e.endpoint]));
            Ok(all.filter(|_| world.scenario.azure_logs.diagnostic_setting).collect())
        }
        Asked::Unknown | Asked::Workspace(_) => {
            let message = "The workspace could not be found";
            Err(Refusal::new(StatusCode::NOT_FOUND, "WorkspaceNotFoundError", message))
        }
    }
}
