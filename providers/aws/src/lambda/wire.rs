//! Requests to and answers from Lambda's control plane. SDK types stop here.

mod code;
mod concurrency;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::types::AliasRoutingConfiguration;
use mlroll_backend::{Effect, Error, ErrorKind, LambdaAlias, Result, RevisionId, Target, Timestamp};

use crate::error::{classify, printable};
use crate::pages::Pages;
use crate::transport::{Tag, Tagging};

pub(super) use self::code::Code;

/// The unpublished version.
pub(super) const LATEST: &str = "$LATEST";

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
    pub(super) code_sha256: String,
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
    pub(super) update: Update,
    /// `Image` or `Zip`.
    pub(super) package: String,
    /// What it says of itself.
    pub(super) description: String,
    /// Everything else that a version freezes, each as a number that tells two values apart: variables hold secrets.
    pub(super) settings: BTreeMap<&'static str, u64>,
}

/// A version's code, and how its latest change goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) version: String,
    /// The hash of its code, in base64.
    pub(super) code_sha256: String,
    /// Renewed by every change, and by the end of each; empty where it is not told (moto).
    pub(super) revision_id: String,
    pub(super) in_progress: bool,
    /// Why the latest change failed, if it did.
    pub(super) failure: Option<String>,
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
        let mut pages = Pages::of(operation);
        loop {
            let page = self
                .client
                .list_versions_by_function()
                .function_name(self.function())
                .max_items(50)
                .set_marker(pages.token())
                .customize()
                .interceptor(self.tagged(operation, Effect::Read))
                .send()
                .await
                .map_err(|e| classify(operation, e))?;
            versions.extend(page.versions.unwrap_or_default().into_iter().map(|v| Version {
                version: v.version.unwrap_or_default(),
                modified: v.last_modified.as_deref().and_then(read_time),
                description: v.description.unwrap_or_default(),
                code_sha256: v.code_sha256.unwrap_or_default(),
            }));
            if !pages.turn(page.next_marker)? {
                return Ok(versions);
            }
        }
    }

    /// `GetFunctionConfiguration` of one version.
    pub(super) async fn get_configuration(&self, version: &str) -> Result<Configuration> {
        let operation = "GetFunctionConfiguration";
        let answer = self
            .client
            .get_function_configuration()
            .function_name(self.function())
            .qualifier(version)
            .customize()
            .interceptor(self.tagged(operation, Effect::Read))
            .send()
            .await
            .map_err(|e| classify(operation, e).with("version", version))?;
        let settings = settings(&answer);
        Ok(Configuration {
            update: Update {
                version: answer.version.unwrap_or_default(),
                code_sha256: answer.code_sha256.unwrap_or_default(),
                revision_id: answer.revision_id.unwrap_or_default(),
                in_progress: answer.last_update_status.as_ref().is_some_and(|s| s.as_str() == "InProgress"),
                failure: answer.last_update_status.filter(|s| s.as_str() == "Failed").map(|_| {
                    reason(
                        answer.last_update_status_reason_code.map(|c| c.to_string()),
                        answer.last_update_status_reason,
                    )
                }),
            },
            state: answer.state.map(|s| s.as_str().to_owned()).unwrap_or_default(),
            state_reason: reason(answer.state_reason_code.map(|c| c.to_string()), answer.state_reason),
            role: answer.role.unwrap_or_default(),
            dead_letter: answer.dead_letter_config.and_then(|c| c.target_arn).unwrap_or_default(),
            timeout: answer.timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
            package: answer.package_type.map(|p| p.as_str().to_owned()).unwrap_or_default(),
            description: answer.description.unwrap_or_default(),
            settings,
        })
    }

    fn tagged(&self, operation: &'static str, effect: Effect) -> Tagging {
        Tagging(Tag { target: self.target.clone(), operation, effect })
    }

    /// The name, or the whole ARN where the target names an account.
    pub(super) fn function(&self) -> String {
        let LambdaAlias { region, function, owner, .. } = self.alias;
        match owner {
            Some(owner) => format!("arn:{}:lambda:{region}:{}:function:{function}", owner.partition, owner.account),
            None => function.clone(),
        }
    }
}

/// What AWS gives as the reason of a state: its words, and its code.
fn reason(code: Option<String>, words: Option<String>) -> String {
    let words = words.map(|words| printable(&words, 600)).filter(|words| !words.is_empty());
    match (words, code.map(|code| printable(&code, 80))) {
        (Some(words), Some(code)) => format!("{words} [{code}]"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => String::new(),
    }
}

/// What a version freezes besides its code and its description, each by its name in Lambda's API.
fn settings(of: &GetFunctionConfigurationOutput) -> BTreeMap<&'static str, u64> {
    let variables: BTreeMap<_, _> = of.environment.iter().flat_map(|e| e.variables.iter().flatten()).collect();
    let layers: Vec<_> = of.layers.iter().flatten().map(|layer| &layer.arn).collect();
    let vpc = of.vpc_config.as_ref().map(|vpc| (vpc.subnet_ids(), vpc.security_group_ids()));
    BTreeMap::from([
        ("Architectures", told_apart(&of.architectures.as_ref().filter(|a| !a.is_empty()))),
        ("DeadLetterConfig", told_apart(&of.dead_letter_config)),
        ("Environment", told_apart(&variables)),
        ("EphemeralStorage", told_apart(&of.ephemeral_storage)),
        ("FileSystemConfigs", told_apart(&of.file_system_configs.as_ref().filter(|f| !f.is_empty()))),
        ("Handler", told_apart(&of.handler)),
        ("ImageConfig", told_apart(&of.image_config_response)),
        ("KMSKeyArn", told_apart(&of.kms_key_arn)),
        ("Layers", told_apart(&layers)),
        ("LoggingConfig", told_apart(&of.logging_config)),
        ("MemorySize", told_apart(&of.memory_size)),
        ("PackageType", told_apart(&of.package_type)),
        ("Role", told_apart(&of.role)),
        ("Runtime", told_apart(&of.runtime)),
        ("SnapStart", told_apart(&of.snap_start.as_ref().map(|snap| &snap.apply_on))),
        ("Timeout", told_apart(&of.timeout)),
        ("TracingConfig", told_apart(&of.tracing_config)),
        ("VpcConfig", told_apart(&vpc)),
    ])
}

fn told_apart(value: &dyn Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{value:?}").hash(&mut hasher);
    hasher.finish()
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
