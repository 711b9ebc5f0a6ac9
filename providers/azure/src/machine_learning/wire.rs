//! Requests to and answers from Azure Resource Manager about online endpoints. JSON types stop here and at `document`.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use mlroll_backend::{AzureMlEndpoint, Effect, Error, ErrorKind, Result, RevisionId, Target, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::blueprint::Blueprint;
use super::document::{Document, revision};
use crate::error::{Detail, printable, unexpected};
use crate::transport::{Address, Answer, Request, Transport};

/// The shape of endpoints that is spoken: stable, and what a PUT must contain has not changed since.
const API_VERSION: &str = "2024-10-01";

pub(super) const GET: &str = "OnlineEndpoints_Get";
pub(super) const PUT: &str = "OnlineEndpoints_CreateOrUpdate";
pub(super) const LIST: &str = "OnlineDeployments_List";
pub(super) const GET_DEPLOYMENT: &str = "OnlineDeployments_Get";
pub(super) const PUT_DEPLOYMENT: &str = "OnlineDeployments_CreateOrUpdate";
pub(super) const SCALE: &str = "OnlineDeployments_Update";
const LOGS: &str = "OnlineDeployments_GetLogs";
const STATUS: &str = "mfeOperationsStatus";

/// Calls about one endpoint.
#[derive(Debug)]
pub(super) struct Calls<'a> {
    pub(super) transport: &'a Transport,
    pub(super) target: &'a Target,
    pub(super) endpoint: &'a AzureMlEndpoint,
}

/// What a PUT was answered with.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The endpoint: still with the split from before.
    pub(super) document: Document,
    /// Where the operation's status is, on the host that may see the token.
    pub(super) operation: Option<String>,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Deployment {
    pub(super) id: RevisionId,
    pub(super) created: Option<Timestamp>,
    pub(super) description: String,
    pub(super) state: String,
    /// `Managed`, `Kubernetes`, ...
    pub(super) compute: String,
    /// How many instances there are, where it is told.
    pub(super) capacity: Option<u64>,
}

/// How an operation ended, in Azure's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) said: String,
    pub(super) code: Option<String>,
    canceled: bool,
}

/// A deployment as it is answered.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeploymentShown {
    name: Option<String>,
    sku: Option<Sku>,
    #[serde(default)]
    properties: DeploymentProperties,
    system_data: Option<SystemData>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentProperties {
    description: Option<String>,
    provisioning_state: Option<String>,
    endpoint_compute_type: Option<String>,
}

#[derive(Deserialize)]
struct Sku {
    capacity: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SystemData {
    created_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    value: Vec<DeploymentShown>,
    next_link: Option<String>,
}

#[derive(Deserialize)]
struct LogsShown {
    content: Option<String>,
}

#[derive(Deserialize)]
struct OperationStatus {
    status: Option<String>,
    error: Option<Detail>,
}

impl Calls<'_> {
    /// GET of the endpoint.
    pub(super) async fn get(&self) -> Result<Document> {
        let answer = self.read(GET, self.address(&[])?).await?;
        Document::parse(GET, &answer, &self.endpoint.endpoint)
    }

    /// PUT of the endpoint: answered 200 or 201, also for an update.
    pub(super) async fn put(&self, body: &str) -> Result<Accepted> {
        let request = Request {
            operation: PUT,
            target: self.target,
            effect: Effect::Write,
            method: "PUT",
            address: self.address(&[])?,
            body: Some(body.to_owned()),
        };
        let answer = self.transport.send(&request).await?;
        let operation = self.operation(&answer);
        Ok(Accepted { document: Document::parse(PUT, &answer.body, &self.endpoint.endpoint)?, operation })
    }

    fn operation(&self, answer: &Answer) -> Option<String> {
        let header = answer.headers.get("azure-asyncoperation").and_then(|value| value.to_str().ok());
        header.filter(|link| self.transport.follow(STATUS, link).is_ok()).map(str::to_owned)
    }

    /// Why an operation failed, in Azure's words; `None` when it does not tell, or not to us: a role on the endpoint
    /// alone does not read the status of operations.
    pub(super) async fn reason(&self, operation: &str) -> Option<Reason> {
        let address = self.transport.follow(STATUS, operation).ok()?;
        let answer = self.read(STATUS, address).await.ok()?;
        let status: OperationStatus = serde_json::from_slice(&answer).ok()?;
        let error = status.error?;
        let canceled = status.status.is_some_and(|status| status.eq_ignore_ascii_case("canceled"));
        Some(Reason { said: error.said()?, code: error.code(), canceled })
    }

    /// All deployments, with or without traffic.
    pub(super) async fn deployments(&self) -> Result<Vec<Deployment>> {
        let mut found = Vec::new();
        let mut followed = BTreeSet::new();
        let mut address = self.address(&["deployments"])?;
        loop {
            let answer = self.read(LIST, address).await?;
            let page: Page =
                serde_json::from_slice(&answer).map_err(|_| unexpected(LIST, "it is not a list of deployments"))?;
            for shown in page.value {
                found.push(read_deployment(LIST, shown)?);
            }
            match page.next_link.filter(|link| !link.is_empty()) {
                Some(link) if !followed.insert(link.clone()) => {
                    return Err(Error::new(ErrorKind::Unexpected, LIST, "the list of deployments does not end"));
                }
                Some(link) => address = self.transport.follow(LIST, &link)?,
                None => return Ok(found),
            }
        }
    }

    /// GET of one deployment.
    pub(super) async fn deployment(&self, id: &RevisionId) -> Result<Deployment> {
        Ok(self.blueprint(id).await?.deployment)
    }

    /// The same with its text.
    pub(super) async fn blueprint(&self, id: &RevisionId) -> Result<Blueprint> {
        let with_name = |e: Error| e.with("deployment", id);
        let answer =
            self.read(GET_DEPLOYMENT, self.address(&["deployments", id.as_str()])?).await.map_err(with_name)?;
        Blueprint::parse(GET_DEPLOYMENT, &answer).map_err(with_name)
    }

    /// PUT of a deployment: where its operation's status is.
    pub(super) async fn put_deployment(&self, id: &RevisionId, body: &str) -> Result<Option<String>> {
        let request = Request {
            operation: PUT_DEPLOYMENT,
            target: self.target,
            effect: Effect::Write,
            method: "PUT",
            address: self.address(&["deployments", id.as_str()])?,
            body: Some(body.to_owned()),
        };
        let answer = self.transport.send(&request).await.map_err(|e| e.with("deployment", id))?;
        Ok(self.operation(&answer))
    }

    /// PATCH of a deployment's number of instances, the only thing besides tags that can be patched.
    pub(super) async fn scale(&self, id: &RevisionId, instances: u64) -> Result<Option<String>> {
        let request = Request {
            operation: SCALE,
            target: self.target,
            effect: Effect::Write,
            method: "PATCH",
            address: self.address(&["deployments", id.as_str()])?,
            body: Some(json!({ "sku": { "capacity": instances } }).to_string()),
        };
        let answer = self.transport.send(&request).await.map_err(|e| e.with("deployment", id))?;
        Ok(self.operation(&answer))
    }

    /// The last lines of what one of a deployment's containers wrote; `None` when there are none, or not for us.
    pub(super) async fn logs(&self, id: &RevisionId, container: &str) -> Option<String> {
        let request = Request {
            operation: LOGS,
            target: self.target,
            effect: Effect::Read,
            method: "POST",
            address: self.address(&["deployments", id.as_str(), "getLogs"]).ok()?,
            body: Some(json!({ "containerType": container, "tail": LOG_LINES }).to_string()),
        };
        let answer = self.transport.send(&request).await.ok()?;
        let content = serde_json::from_slice::<LogsShown>(&answer.body).ok()?.content?;
        let lines: Vec<String> =
            content.lines().map(|line| printable(line, 200)).filter(|line| !line.is_empty()).collect();
        let from = lines.len().saturating_sub(LOG_LINES);
        Some(lines.get(from..)?.join(" / ")).filter(|tail| !tail.is_empty())
    }

    async fn read(&self, operation: &'static str, address: Address) -> Result<Vec<u8>> {
        let request =
            Request { operation, target: self.target, effect: Effect::Read, method: "GET", address, body: None };
        Ok(self.transport.send(&request).await?.body)
    }

    fn address(&self, below: &[&str]) -> Result<Address> {
        let path = workspace(self.endpoint).into_iter().chain(["onlineEndpoints", &self.endpoint.endpoint]);
        self.transport.address(path.chain(below.iter().copied()), &[("api-version", API_VERSION)])
    }
}

/// How many lines of a log are shown.
const LOG_LINES: usize = 8;

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = if self.canceled { "canceled: " } else { "" };
        write!(f, "{ended}{}", self.said)?;
        self.code.as_ref().map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

/// The ARM id of an endpoint's workspace, in parts.
pub(super) fn workspace(endpoint: &AzureMlEndpoint) -> [&str; 8] {
    [
        "subscriptions",
        &endpoint.subscription,
        "resourceGroups",
        &endpoint.resource_group,
        "providers",
        "Microsoft.MachineLearningServices",
        "workspaces",
        &endpoint.workspace,
    ]
}

pub(super) fn read_deployment(operation: &'static str, shown: DeploymentShown) -> Result<Deployment> {
    let name = shown.name.ok_or_else(|| unexpected(operation, "a deployment without a name"))?;
    Ok(Deployment {
        id: revision(&name).map_err(|e| unexpected(operation, e))?,
        created: shown.system_data.and_then(|data| data.created_at?.parse().ok()),
        description: shown.properties.description.unwrap_or_default(),
        state: shown.properties.provisioning_state.unwrap_or_default(),
        compute: shown.properties.endpoint_compute_type.unwrap_or_default(),
        capacity: shown.sku.and_then(|sku| sku.capacity),
    })
}

/// The body of a PUT as a provider's answer, for a rehearsal.
pub(super) fn as_if_accepted(body: &str, name: &str) -> Option<Document> {
    let mut document: Value = serde_json::from_str(body).ok()?;
    document.as_object_mut()?.insert("name".to_owned(), name.into());
    Document::parse(PUT, document.to_string().as_bytes(), name).ok()
}
