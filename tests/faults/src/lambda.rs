//! The operations of the control plane on the world.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::http::{Message, Response};
use crate::operation::{Operation, Route};
use crate::paging::Page;
use crate::update::Update;
use crate::world::{Alias, Function, LATEST, Version, World};

/// The service as one request sees it.
#[derive(Debug)]
pub(crate) struct Service<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) page_size: usize,
    /// The region the request was signed for.
    pub(crate) region: &'a str,
}

impl Service<'_> {
    /// Refuses requests that the service's front door refuses, before any operation is looked at.
    pub(crate) fn admit(message: &Message) -> Result<(), ApiError> {
        if message.signature().is_none() {
            return Err(ApiError::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token"));
        }
        match message.scope() {
            Some((_, service)) if service != "lambda" => Err(ApiError::new(
                403,
                "InvalidSignatureException",
                "Credential should be scoped to correct service: 'lambda'. ",
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Carries a request out.
    pub(crate) fn call(&mut self, route: &Route, message: &Message) -> Result<Response, ApiError> {
        let qualifier = route.qualifier.as_deref().unwrap_or(LATEST);
        let body = match route.operation {
            Operation::GetAlias => self.get_alias(&route.function, qualifier)?,
            Operation::GetFunctionConfiguration => self.get_configuration(&route.function, qualifier)?,
            Operation::ListAliases => self.list_aliases(&route.function, &route.query)?,
            Operation::ListProvisionedConcurrencyConfigs => {
                self.function(&route.function)?;
                json!({ "ProvisionedConcurrencyConfigs": [] })
            }
            Operation::ListVersionsByFunction => self.list_versions(&route.function, &route.query)?,
            Operation::Unknown => {
                let message = format!("Unknown operation: {} {}", message.method, message.path);
                return Err(ApiError::new(404, "UnknownOperationException", message));
            }
            Operation::UpdateAlias => self.update_alias(&route.function, qualifier, &message.body)?,
        };
        Ok(Response::json(200, &body))
    }

    fn get_alias(&mut self, function: &str, name: &str) -> Result<Value, ApiError> {
        let arn = self.arn(function);
        let alias = self.function(function)?.aliases.get_mut(name);
        let alias = alias.ok_or_else(|| ApiError::not_found(format!("Cannot find alias arn: {arn}:{name}")))?;
        let answer = alias_json(&arn, name, alias);
        if alias.provisioned_transient.is_some() && alias.transient_reads > 0 {
            alias.transient_reads -= 1;
            if alias.transient_reads == 0 {
                alias.provisioned_transient = None;
            }
        }
        Ok(answer)
    }

    fn update_alias(&mut self, function: &str, name: &str, body: &[u8]) -> Result<Value, ApiError> {
        let update = Update::parse(body)?;
        let arn = self.arn(function);
        let owner = self.function(function)?;
        let alias = owner.aliases.get(name);
        let alias = alias.ok_or_else(|| ApiError::not_found(format!("Alias not found: {arn}:{name}")))?;
        let mut changed = update.apply(owner, &arn, alias)?;
        changed.revision_id = self.world.mint();
        let answer = alias_json(&arn, name, &changed);
        self.function(function)?.aliases.insert(name.to_owned(), changed);
        Ok(answer)
    }

    fn list_aliases(&mut self, function: &str, query: &BTreeMap<String, String>) -> Result<Value, ApiError> {
        let page = Page::of(query, self.page_size)?;
        let arn = self.arn(function);
        let version = query.get("FunctionVersion");
        let aliases = self.function(function)?.aliases.iter();
        let aliases = aliases.filter(|(_, alias)| {
            version.is_none_or(|version| alias.version == *version || alias.weights.contains_key(version))
        });
        let aliases = aliases.map(|(name, alias)| (name.clone(), alias_json(&arn, name, alias)));
        let (aliases, next) = page.cut(aliases.collect())?;
        Ok(json!({ "Aliases": aliases, "NextMarker": next }))
    }

    fn list_versions(&mut self, function: &str, query: &BTreeMap<String, String>) -> Result<Value, ApiError> {
        let page = Page::of(query, self.page_size)?;
        let arn = self.arn(function);
        let owner = self.function(function)?;
        let latest = std::iter::once((LATEST.to_owned(), &owner.latest));
        let published = owner.versions.iter().map(|(number, version)| (number.to_string(), version));
        let versions = latest.chain(published).map(|(number, version)| {
            let entry = version_json(&arn, function, &number, &number, version);
            (number, Value::Object(entry))
        });
        let (versions, next) = page.cut(versions.collect())?;
        Ok(json!({ "Versions": versions, "NextMarker": next }))
    }

    /// Answers with the state, which lists of versions leave out.
    fn get_configuration(&mut self, function: &str, qualifier: &str) -> Result<Value, ApiError> {
        let arn = self.arn(function);
        let owner = self.function(function)?;
        let number = owner.aliases.get(qualifier).map_or(qualifier, |alias| alias.version.as_str());
        let version = owner.version(number);
        let version = version.ok_or_else(|| ApiError::not_found(format!("Function not found: {arn}:{qualifier}")))?;
        let mut body = version_json(&arn, function, qualifier, number, version);
        body.insert("State".to_owned(), json!(version.state));
        body.insert("StateReason".to_owned(), json!(version.state_reason));
        body.insert("StateReasonCode".to_owned(), json!(version.state_reason_code));
        body.insert("LastUpdateStatus".to_owned(), json!(version.last_update_status));
        Ok(Value::Object(body))
    }

    fn arn(&self, function: &str) -> String {
        format!("arn:aws:lambda:{}:{ACCOUNT}:function:{function}", self.region)
    }

    fn function(&mut self, name: &str) -> Result<&mut Function, ApiError> {
        let message = format!("Function not found: {}", self.arn(name));
        self.world.functions.get_mut(name).ok_or_else(|| ApiError::not_found(message))
    }
}

const ACCOUNT: &str = "123456789012";

/// Writes an alias; Lambda leaves the routing configuration out when there are no weights.
fn alias_json(arn: &str, name: &str, alias: &Alias) -> Value {
    let mut body = json!({
        "AliasArn": format!("{arn}:{name}"),
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    });
    let weights = match &alias.provisioned_transient {
        Some(old) => &BTreeMap::from([(old.clone(), 1.0)]),
        None => &alias.weights,
    };
    if let Value::Object(body) = &mut body
        && !weights.is_empty()
    {
        body.insert("RoutingConfig".to_owned(), json!({ "AdditionalVersionWeights": weights }));
    }
    body
}

fn version_json(arn: &str, function: &str, qualifier: &str, number: &str, version: &Version) -> Map<String, Value> {
    let body = json!({
        "FunctionName": function,
        "FunctionArn": format!("{arn}:{qualifier}"),
        "Version": number,
        "Description": version.description,
        "Role": version.role,
        "Runtime": "python3.13",
        "Handler": "app.handler",
        "CodeSize": 1024,
        "MemorySize": 128,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "Timeout": version.timeout,
        "LastModified": version.last_modified,
        "CodeSha256": version.code_sha256,
        "RevisionId": version.revision_id,
    });
    let mut body = if let Value::Object(body) = body { body } else { Map::new() };
    if let Some(queue) = &version.dead_letter {
        body.insert("DeadLetterConfig".to_owned(), json!({ "TargetArn": queue }));
    }
    body
}
