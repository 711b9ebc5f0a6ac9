//! Requests to and answers from Azure Resource Manager about online endpoints. JSON types stop here and at `document`.

use std::collections::BTreeSet;

use mlroll_backend::{AzureMlEndpoint, Effect, Error, ErrorKind, Result, RevisionId, Target, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::document::{Document, revision};
use crate::error::{Detail, unexpected};
use crate::transport::{Address, Request, Transport};

/// The shape of endpoints that is spoken: stable, and what a PUT must contain has not changed since.
const API_VERSION: &str = "2024-10-01";

pub(super) const GET: &str = "OnlineEndpoints_Get";
pub(super) const PUT: &str = "OnlineEndpoints_CreateOrUpdate";
pub(super) const LIST: &str = "OnlineDeployments_List";
pub(super) const GET_DEPLOYMENT: &str = "OnlineDeployments_Get";
const STATUS: &str = "mfeOperationsStatus";

/// Calls about one endpoint.
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeploymentShown {
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
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let operation = header("azure-asyncoperation").filter(|link| self.transport.follow(STATUS, link).is_ok());
        let operation = operation.map(str::to_owned);
        Ok(Accepted { document: Document::parse(PUT, &answer.body, &self.endpoint.endpoint)?, operation })
    }

    /// Why an operation failed, in Azure's words; `None` when it does not tell, or not to us: a role on the endpoint
    /// alone does not read the status of operations.
    pub(super) async fn reason(&self, operation: &str) -> Option<String> {
        let address = self.transport.follow(STATUS, operation).ok()?;
        let answer = self.read(STATUS, address).await.ok()?;
        let status: OperationStatus = serde_json::from_slice(&answer).ok()?;
        let error = status.error?;
        let said = error.said()?;
        let code = error.code().map_or_else(String::new, |code| format!(" ({code})"));
        let ended = status
            .status
            .as_deref()
            .map_or("", |status| if status.eq_ignore_ascii_case("canceled") { "canceled: " } else { "" });
        Some(format!("{ended}{said}{code}"))
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
        let with_name = |e: Error| e.with("deployment", id);
        let answer =
            self.read(GET_DEPLOYMENT, self.address(&["deployments", id.as_str()])?).await.map_err(with_name)?;
        let shown: DeploymentShown = serde_json::from_slice(&answer)
            .map_err(|_| with_name(unexpected(GET_DEPLOYMENT, "it is not a deployment")))?;
        read_deployment(GET_DEPLOYMENT, shown)
    }

    async fn read(&self, operation: &'static str, address: Address) -> Result<Vec<u8>> {
        let request =
            Request { operation, target: self.target, effect: Effect::Read, method: "GET", address, body: None };
        Ok(self.transport.send(&request).await?.body)
    }

    fn address(&self, below: &[&str]) -> Result<Address> {
        let path = segments(self.endpoint);
        self.transport.address(path.into_iter().chain(below.iter().copied()), &[("api-version", API_VERSION)])
    }
}

/// The ARM id of an endpoint, in parts.
fn segments(endpoint: &AzureMlEndpoint) -> [&str; 10] {
    [
        "subscriptions",
        &endpoint.subscription,
        "resourceGroups",
        &endpoint.resource_group,
        "providers",
        "Microsoft.MachineLearningServices",
        "workspaces",
        &endpoint.workspace,
        "onlineEndpoints",
        &endpoint.endpoint,
    ]
}

fn read_deployment(operation: &'static str, shown: DeploymentShown) -> Result<Deployment> {
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
