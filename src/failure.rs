//! Why a run ended without doing what was asked: the one door from errors to text, hints and exit status.

use mlroll_backend::{Error, ErrorKind, RevisionId, Target};

use crate::config::ConfigError;
use crate::exit::ExitStatus;
use crate::rollout::Refusal;

/// What failed, on which target, and what to type next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the process says.
    pub exit: ExitStatus,
    /// The kind in JSON.
    pub kind: &'static str,
    /// The provider's name of what failed, where it was the provider.
    pub operation: Option<&'static str>,
    /// Which target it is about, where it is about one.
    pub target: Option<Target>,
    /// What happened.
    pub message: String,
    /// What to type next.
    pub hints: Vec<String>,
}

impl Failure {
    /// A wrong argument or configuration: nothing was touched.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: ExitStatus::Usage,
            kind: ErrorKind::Invalid.name(),
            operation: None,
            target: None,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// A provider's error about `target`.
    #[must_use]
    pub fn of(error: &Error, target: &Target) -> Self {
        Self {
            exit: error.kind().into(),
            kind: error.kind().name(),
            operation: Some(error.operation()).filter(|operation| !operation.is_empty()),
            target: Some(target.clone()),
            message: said(error),
            hints: hints(error, target),
        }
    }

    /// Something else is under way.
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self { exit: ExitStatus::Conflict, kind: ErrorKind::Conflict.name(), ..Self::usage(message) }
    }

    /// A new revision did not answer well to the request it was tried with.
    #[must_use]
    pub fn smoke(target: &Target, revision: &RevisionId, answer: &str) -> Self {
        let message = format!("{revision} was made, and fails the smoke test: {answer}");
        Self { exit: ExitStatus::GateFailed, kind: "smoke", ..Self::usage(message) }
            .about(target)
            .hint("it has no traffic, and `mlroll canary` would give it some: deploy a better one first")
    }

    /// The same of a target that its provider says has failed, for good: what it is refused by and what was hoped for of it helps
    /// nobody, and these ways out do. Where traffic is has been read.
    #[must_use]
    pub fn beyond(self, why: &str, ways_out: &[String]) -> Self {
        let message = match self.message.contains(why) {
            true => self.message,
            false => format!("the target has failed: {why}; {}", self.message),
        };
        let (exit, kind) = match self.exit {
            ExitStatus::Usage
            | ExitStatus::Conflict
            | ExitStatus::NotFound
            | ExitStatus::Unsafe
            | ExitStatus::GateFailed => (ExitStatus::Conflict, "target_failed"),
            ExitStatus::Success
            | ExitStatus::Held
            | ExitStatus::Auth
            | ExitStatus::Unreachable
            | ExitStatus::Bug
            | ExitStatus::Interrupted => (self.exit, self.kind),
        };
        let hints = if exit == ExitStatus::Auth { self.hints } else { Vec::new() };
        Self { exit, kind, message, hints: hints.into_iter().chain(ways_out.iter().cloned()).collect(), ..self }
    }

    /// Somebody stopped the run.
    #[must_use]
    pub fn interrupted(target: &Target) -> Self {
        Self {
            exit: ExitStatus::Interrupted,
            kind: "interrupted",
            operation: None,
            target: Some(target.clone()),
            message: "interrupted before it was done".to_owned(),
            hints: vec![format!("see where it is: `mlroll status --target {target}`")],
        }
    }

    /// Says which target it is about.
    #[must_use]
    pub fn about(self, target: &Target) -> Self {
        Self { target: Some(target.clone()), ..self }
    }

    /// Names who is known to move such a target without a note, and how to find out.
    #[must_use]
    pub fn suspecting(self, target: &Target) -> Self {
        match target {
            Target::Lambda(alias) => {
                let region = &alias.region;
                self.hint(format!(
                    "CodeDeploy (SAM's DeploymentPreference) may be doing it: aws deploy list-deployments --region {region} \
                     --include-only-statuses Created Queued InProgress Baking Ready"
                ))
                .hint(format!("end that first: aws deploy stop-deployment --region {region} --deployment-id ID"))
            }
            Target::AzureMl(_) | Target::CloudRun(_) | Target::SageMaker(_) => self,
        }
    }

    /// Adds what to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let Refusal { exit, kind, message, hints, .. } = refusal;
        Self { exit, kind: kind.name(), operation: None, target: None, message, hints }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

/// The message with its facts, without the operation, which has a place of its own.
fn said(error: &Error) -> String {
    let text = error.to_string();
    let prefix = format!("{}: ", error.operation());
    text.strip_prefix(&prefix).map_or(text.clone(), str::to_owned)
}

/// The service that IAM names an operation on an endpoint by.
fn authority(operation: &str) -> &'static str {
    if operation.contains("Scal") {
        "application-autoscaling"
    } else if operation.contains("Metric") || operation.contains("Alarm") {
        "cloudwatch"
    } else {
        "sagemaker"
    }
}

fn hints(error: &Error, target: &Target) -> Vec<String> {
    let fact = |key: &str| error.context().iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str());
    let look = format!("look at it: `mlroll status --target {target}`");
    match error.kind() {
        ErrorKind::Auth => {
            match (fact("code"), target) {
                (Some(code), Target::Lambda(_) | Target::SageMaker(_)) if code.starts_with("Expired") => {
                    vec!["the credentials have expired: get new ones (`aws sso login`, or run the job's login step again)".to_owned()]
                }
                (Some("AccessDeniedException" | "AccessDenied"), Target::Lambda(alias)) => vec![
                    format!("allow lambda:{} on the function {}", error.operation(), alias.function),
                    "see who you are: `aws sts get-caller-identity`".to_owned(),
                ],
                (Some("AccessDeniedException" | "AccessDenied"), Target::SageMaker(endpoint)) => vec![
                    format!(
                        "allow {}:{} on the endpoint {}: docs/iam has the policy of each verb",
                        authority(error.operation()),
                        error.operation(),
                        endpoint.endpoint
                    ),
                    "see who you are: `aws sts get-caller-identity`".to_owned(),
                ],
                (_, Target::Lambda(_) | Target::SageMaker(_)) => {
                    vec![
                        "set AWS_PROFILE, or log in (`aws sso login`); see who you are: `aws sts get-caller-identity`"
                            .to_owned(),
                    ]
                }
                (Some("PERMISSION_DENIED"), Target::CloudRun(run)) => vec![
                    format!("the permission is in roles/run.developer on the project {}", run.project),
                    "see who you are: `gcloud auth list`".to_owned(),
                ],
                (_, Target::CloudRun(_)) => {
                    vec![
                        "log in (`gcloud auth application-default login`), or set GOOGLE_APPLICATION_CREDENTIALS"
                            .to_owned(),
                    ]
                }
                (Some("AuthorizationFailed" | "LinkedAuthorizationFailed"), Target::AzureMl(endpoint)) => vec![
                    format!("allow it on the endpoint {}: docs/azure.md lists what each verb needs", endpoint.endpoint),
                    "a role that was given minutes ago may not count yet".to_owned(),
                ],
                (_, Target::AzureMl(_)) => vec![
                    "log in (`az login`) or set AZURE_TENANT_ID, AZURE_CLIENT_ID and what proves them; see who you are: `az account show`"
                        .to_owned(),
                ],
            }
        }
        ErrorKind::Conflict | ErrorKind::Unexpected => vec![look],
        ErrorKind::NotFound => match target {
            Target::Lambda(alias) => vec![format!(
                "see what there is: `aws lambda list-aliases --region {} --function-name {}`",
                alias.region, alias.function
            )],
            Target::CloudRun(run) => vec![format!(
                "see what there is: `gcloud run services list --project {} --region {}`",
                run.project, run.region
            )],
            Target::AzureMl(endpoint) => vec![format!(
                "see what there is: `az ml online-endpoint list --subscription {} -g {} -w {}`",
                endpoint.subscription, endpoint.resource_group, endpoint.workspace
            )],
            Target::SageMaker(endpoint) => {
                vec![format!("see what there is: `aws sagemaker list-endpoints --region {}`", endpoint.region)]
            }
        },
        ErrorKind::Unavailable if error.to_string().contains("invalid peer certificate") => {
            let trust = "whoever answers is not trusted by this system: SSL_CERT_FILE names the certificates to trust";
            vec![trust.to_owned(), look]
        }
        ErrorKind::Unavailable if error.to_string().contains("tunnel error") => {
            vec!["the proxy that HTTPS_PROXY names let nobody through; NO_PROXY names hosts to ask without it".to_owned(), look]
        }
        ErrorKind::Throttled | ErrorKind::Unavailable => {
            vec!["run the same command again: it is safe to repeat".to_owned(), look]
        }
        ErrorKind::Invalid | ErrorKind::Unsupported | ErrorKind::Withheld => Vec::new(),
    }
}
