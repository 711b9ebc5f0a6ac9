//! Requests to and answers from Lambda's control plane. SDK types stop here.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::AliasRoutingConfiguration;
use mlroll_backend::{Effect, Error, ErrorKind, LambdaAlias, Result, RevisionId, Target, Timestamp};

use crate::error::classify;
use crate::transport::{Tag, Tagging};

/// An alias as Lambda describes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alias {
    pub(super) function_version: String,
    /// `AdditionalVersionWeights`: each in 0 to 1; the rest goes to `function_version`.
    pub(super) additional: Vec<(String, f64)>,
    pub(super) description: String,
    pub(super) revision_id: String,
}

/// What an alias shall be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AliasUpdate<'a> {
    pub(super) function_version: &'a RevisionId,
    /// At most one; none is written as the empty map, which clears what is there.
    pub(super) additional: Option<(&'a RevisionId, f64)>,
    pub(super) description: &'a str,
    pub(super) revision_id: &'a str,
}

/// A version as the list shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) modified: Option<Timestamp>,
    pub(super) description: String,
}

/// What of a version's configuration decides whether it may serve beside another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Configuration {
    /// `Pending`, `Active`, `Inactive`, `Failed`, ...; empty where it is not told, as for versions made before states
    /// existed.
    pub(super) state: String,
    pub(super) state_reason: String,
    pub(super) role: String,
    pub(super) dead_letter: String,
    /// How long an invocation may run.
    pub(super) timeout: Option<Duration>,
}

/// Calls about one alias.
pub(super) struct Calls<'a> {
    pub(super) client: &'a Client,
    pub(super) target: &'a Target,
    pub(super) alias: &'a LambdaAlias,
}

impl Calls<'_> {
    /// `GetAlias`
    pub(super) async fn get_alias(&self) -> Result<Alias> {
        let operation = "GetAlias";
        let answer = self
            .client
            .get_alias()
            .function_name(self.function())
            .name(&self.alias.alias)
            .customize()
            .interceptor(self.tagged(operation, Effect::Read))
            .send()
            .await
            .map_err(|e| classify(operation, e))?;
        read_alias(operation, answer.function_version, answer.routing_config, answer.description, answer.revision_id)
    }

    /// `UpdateAlias`, conditional on the revision id, everything in one call: setting the version and clearing the
    /// weights apart would open a window with the wrong split.
    pub(super) async fn update_alias(&self, update: &AliasUpdate<'_>) -> Result<Alias> {
        let operation = "UpdateAlias";
        let mut routing = AliasRoutingConfiguration::builder().set_additional_version_weights(Some(Default::default()));
        if let Some((version, share)) = update.additional {
            routing = routing.additional_version_weights(version.as_str(), share);
        }
        let answer = self
            .client
            .update_alias()
            .function_name(self.function())
            .name(&self.alias.alias)
            .function_version(update.function_version.as_str())
            .routing_config(routing.build())
            .description(update.description)
            .revision_id(update.revision_id)
            .customize()
            .interceptor(self.tagged(operation, Effect::Write))
            .send()
            .await
            .map_err(|e| classify(operation, e))?;
        read_alias(operation, answer.function_version, answer.routing_config, answer.description, answer.revision_id)
    }

    /// `ListVersionsByFunction`, all pages: Lambda lists the oldest first, 50 a page.
    pub(super) async fn list_versions(&self) -> Result<Vec<Version>> {
        let operation = "ListVersionsByFunction";
        let mut versions = Vec::new();
        let mut followed = BTreeSet::new();
        let mut marker: Option<String> = None;
        loop {
            let page = self
                .client
                .list_versions_by_function()
                .function_name(self.function())
                .max_items(50)
                .set_marker(marker.clone())
                .customize()
                .interceptor(self.tagged(operation, Effect::Read))
                .send()
                .await
                .map_err(|e| classify(operation, e))?;
            versions.extend(page.versions.unwrap_or_default().into_iter().map(|v| Version {
                version: v.version.unwrap_or_default(),
                modified: v.last_modified.as_deref().and_then(read_time),
                description: v.description.unwrap_or_default(),
            }));
            let next = page.next_marker.filter(|m| !m.is_empty());
            match next {
                Some(next) if !followed.insert(next.clone()) => {
                    return Err(Error::new(ErrorKind::Unexpected, operation, "the list of versions does not end"));
                }
                Some(next) => marker = Some(next),
                None => return Ok(versions),
            }
        }
    }

    /// `GetFunctionConfiguration` of one version.
    pub(super) async fn get_configuration(&self, version: &RevisionId) -> Result<Configuration> {
        let operation = "GetFunctionConfiguration";
        let answer = self
            .client
            .get_function_configuration()
            .function_name(self.function())
            .qualifier(version.as_str())
            .customize()
            .interceptor(self.tagged(operation, Effect::Read))
            .send()
            .await
            .map_err(|e| classify(operation, e).with("version", version))?;
        Ok(Configuration {
            state: answer.state.map(|s| s.as_str().to_owned()).unwrap_or_default(),
            state_reason: answer.state_reason.unwrap_or_default(),
            role: answer.role.unwrap_or_default(),
            dead_letter: answer.dead_letter_config.and_then(|c| c.target_arn).unwrap_or_default(),
            timeout: answer.timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
        })
    }

    fn tagged(&self, operation: &'static str, effect: Effect) -> Tagging {
        Tagging(Tag { target: self.target.clone(), operation, effect })
    }

    /// The name, or the whole ARN where the target names an account.
    fn function(&self) -> String {
        let LambdaAlias { region, function, owner, .. } = self.alias;
        match owner {
            Some(owner) => format!("arn:{}:lambda:{region}:{}:function:{function}", owner.partition, owner.account),
            None => function.clone(),
        }
    }
}

fn read_alias(
    operation: &'static str,
    function_version: Option<String>,
    routing: Option<AliasRoutingConfiguration>,
    description: Option<String>,
    revision_id: Option<String>,
) -> Result<Alias> {
    let missing = |what: &str| {
        Error::new(ErrorKind::Unexpected, operation, format!("the answer has no {what}: it is not Lambda's"))
    };
    let mut additional: Vec<(String, f64)> =
        routing.and_then(|r| r.additional_version_weights).unwrap_or_default().into_iter().collect();
    additional.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Alias {
        function_version: function_version.ok_or_else(|| missing("FunctionVersion"))?,
        additional,
        description: description.unwrap_or_default(),
        revision_id: revision_id.ok_or_else(|| missing("RevisionId"))?,
    })
}

/// Lambda writes `2026-11-21T03:00:00.000+0000`: RFC 3339 but for the colon in the offset.
fn read_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| format!("{}Z", text.strip_suffix("+0000")?).parse().ok())
}
