//! Endpoints that weights do not split, or that are beyond them: what kind they are, and what to do instead.

use mlroll_backend::{Nature, Splitting};

use super::wire::Endpoint;

/// How an endpoint is named to the aws CLI.
#[derive(Clone, Copy, Debug)]
struct Named<'a> {
    region: &'a str,
    name: &'a str,
    config: &'a str,
}

/// Where AWS tells how to get an endpoint back to `InService` whose rollback failed.
const ROLLING: &str = "https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-rolling.html";

/// What the description alone tells.
pub(super) fn nature(endpoint: &Endpoint) -> Nature {
    let region = endpoint.arn.split(':').nth(3).unwrap_or_default();
    let named = Named { region, name: &endpoint.name, config: &endpoint.config };
    let kind = kind(endpoint, named);
    match endpoint.status.as_str() {
        "Failed" => Nature { remedies: named.out_of_failed(&endpoint.arn), ..kind },
        "UpdateRollbackFailed" => Nature { remedies: named.out_of_a_mix(&endpoint.arn), ..kind },
        _ => kind,
    }
}

fn kind(endpoint: &Endpoint, named: Named<'_>) -> Nature {
    if endpoint.is_async {
        named.asynchronous()
    } else if endpoint.variants.iter().any(|variant| variant.is_serverless) {
        named.serverless()
    } else if let Some(stage) = guarded(endpoint) {
        named.guarded(&stage)
    } else {
        match (endpoint.variants.as_slice(), endpoint.shadows.as_slice(), &endpoint.pending) {
            ([only], [], None) => one_variant(endpoint, &only.name),
            _ => Nature::default(),
        }
    }
}

/// Why there is no place on it for another model, where its endpoint config says whether `holds_components`.
pub(super) fn unfit(endpoint: &Endpoint, holds_components: bool) -> Option<Nature> {
    let found = nature(endpoint);
    let region = endpoint.arn.split(':').nth(3).unwrap_or_default();
    match found.bar() {
        Some(_) => Some(found),
        None => holds_components.then(|| components(region, &endpoint.name)),
    }
}

/// Variants without models of their own.
pub(super) fn components(region: &str, name: &str) -> Nature {
    Named { region, name, config: "" }.components()
}

/// Where a deployment by guardrails stands: only those bake, and activate traffic apart from the rest (SageMaker API model).
fn guarded(endpoint: &Endpoint) -> Option<String> {
    let config = endpoint.pending.as_ref()?;
    let stages = endpoint.stages.iter().filter(|(_, status)| matches!(status.as_str(), "ActivatingTraffic" | "Baking"));
    let stages: Vec<String> = stages.map(|(variant, status)| format!("{variant} is {status}")).collect();
    (!stages.is_empty()).then(|| format!("{config}: {}", stages.join(", ")))
}

fn one_variant(endpoint: &Endpoint, only: &str) -> Nature {
    let target = format!("sagemaker:{}/{}", endpoint.arn.split(':').nth(3).unwrap_or_default(), endpoint.name);
    Nature {
        kind: Some("one_variant".to_owned()),
        what: format!("{only} is the endpoint's one variant, and a canary needs a second one beside it"),
        splitting: Splitting::Possible,
        remedies: vec![format!(
            "add the second with a new model, at no traffic: `mlroll deploy --model NAME --target {target}` (or --model-package, --model-data)"
        )],
    }
}

impl Named<'_> {
    fn asynchronous(self) -> Nature {
        let Self { region, name, .. } = self;
        Nature {
            kind: Some("async".to_owned()),
            what: "the endpoint is asynchronous (AsyncInferenceConfig): requests wait in a queue and can name no variant, and \
                   CloudWatch has no Invocations of one, so nothing could be tried or judged by weights"
                .to_owned(),
            splitting: Splitting::Impossible,
            remedies: vec![
                format!(
                    "SageMaker's deployment guardrails can do it: aws sagemaker update-endpoint --region {region} --endpoint-name \
                     {name} --endpoint-config-name NEW_CONFIG --deployment-config file://guardrails.json"
                ),
                self.second("NEW_CONFIG"),
            ],
        }
    }

    fn serverless(self) -> Nature {
        let Self { region, name, .. } = self;
        Nature {
            kind: Some("serverless".to_owned()),
            what: "the endpoint is serverless, and SageMaker does not support several variants on those: there is nothing to split"
                .to_owned(),
            splitting: Splitting::Impossible,
            remedies: vec![
                self.second("NEW_CONFIG"),
                format!(
                    "or all at once, without a canary: aws sagemaker update-endpoint --region {region} --endpoint-name {name} \
                     --endpoint-config-name NEW_CONFIG; the way back is the same with {}",
                    self.config
                ),
            ],
        }
    }

    fn components(self) -> Nature {
        let Self { region, name, .. } = self;
        Nature {
            kind: Some("inference_components".to_owned()),
            what: "the endpoint's variants hold inference components, which callers address by name: weights of variants do not split \
                   them"
                .to_owned(),
            splitting: Splitting::Impossible,
            remedies: vec![
                format!("see which there are: aws sagemaker list-inference-components --region {region} --endpoint-name-equals {name}"),
                format!(
                    "update one by a rolling update of SageMaker's own: aws sagemaker update-inference-component --region {region} \
                     --inference-component-name COMPONENT --specification file://new.json --deployment-config file://rolling.json"
                ),
            ],
        }
    }

    fn guarded(self, stage: &str) -> Nature {
        let Self { region, name, .. } = self;
        Nature {
            kind: Some("guardrail_deployment".to_owned()),
            what: format!(
                "SageMaker's deployment guardrails are deploying {stage}; they shift whole fleets, and no weight can be written until they \
                 are done"
            ),
            splitting: Splitting::Possible,
            remedies: vec![
                format!("wait for it: aws sagemaker wait endpoint-in-service --region {region} --endpoint-name {name}"),
                "AWS has no call that stops it: only one of its alarms takes it back".to_owned(),
            ],
        }
    }

    /// A second endpoint, and callers decide.
    fn second(self, config: &str) -> String {
        let Self { region, .. } = self;
        format!(
            "or try it on an endpoint of its own, to which callers send their share: aws sagemaker create-endpoint --region {region} \
             --endpoint-name {} --endpoint-config-name {config}",
            self.other()
        )
    }

    /// A name beside its own, at most 63 characters long.
    fn other(self) -> String {
        let front: String = self.name.chars().take(61).collect();
        format!("{}-2", front.trim_end_matches('-'))
    }

    fn another(self) -> String {
        let Self { region, config, .. } = self;
        let other = self.other();
        format!(
            "make another endpoint of a config that works, and send callers there: aws sagemaker create-endpoint --region {region} \
             --endpoint-name {other} --endpoint-config-name {config}, then aws sagemaker wait endpoint-in-service --region {region} \
             --endpoint-name {other}; it begins with the weights of the config, not with those that were live"
        )
    }

    fn support(arn: &str) -> String {
        format!("or open a case with AWS Support, with the ARN {arn}: https://console.aws.amazon.com/support/home")
    }

    fn out_of_failed(self, arn: &str) -> Vec<String> {
        let Self { region, name, config } = self;
        vec![
            format!(
                "find out whether it still answers: aws sagemaker-runtime invoke-endpoint --region {region} --endpoint-name {name} \
                 --content-type TYPE --body fileb://REQUEST /dev/stdout"
            ),
            self.another(),
            format!(
                "or make it anew by its own name, with nobody answering for minutes, and without its tags and autoscaling: aws sagemaker \
                 delete-endpoint --region {region} --endpoint-name {name}, aws sagemaker wait endpoint-deleted --region {region} \
                 --endpoint-name {name}, aws sagemaker create-endpoint --region {region} --endpoint-name {name} \
                 --endpoint-config-name {config}"
            ),
            Self::support(arn),
        ]
    }

    fn out_of_a_mix(self, arn: &str) -> Vec<String> {
        let Self { region, config, .. } = self;
        vec![
            format!("how to get it back to InService, AWS tells there: {ROLLING}"),
            format!(
                "see what {config} is, as AWS does not say whether that is the old or the new one: aws sagemaker \
                 describe-endpoint-config --region {region} --endpoint-config-name {config}"
            ),
            self.another(),
            Self::support(arn),
        ]
    }
}
