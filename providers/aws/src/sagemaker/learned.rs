//! What is remembered of endpoints from one request to the next.

use std::sync::PoisonError;

use mlroll_backend::{Error, ErrorKind, Result, RevisionId, SageMakerEndpoint, Target, Weight};

use super::backend::{SageMaker, UPDATE};
use super::wire::{Endpoint, Variant};

/// What is remembered of an endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    /// How its name is spelled: who has it from an ARN may have it in lower case.
    name: String,
    /// Instances of its variants.
    sizes: Vec<(String, i32)>,
    /// That it has one variant, of which no image is told: only its config says whether inference components are placed there.
    pub(super) may_hold_components: bool,
}

impl SageMaker {
    /// The endpoint of a target by the name that it was created by, where it was seen before. The control plane may not care for case;
    /// InvokeEndpoint and Application Auto Scaling do.
    pub(super) fn spelled(&self, target: &Target, operation: &'static str) -> Result<SageMakerEndpoint> {
        let typed = endpoint_of(target, operation)?;
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let name = learned.get(target).map(|learned| learned.name.clone());
        Ok(SageMakerEndpoint { endpoint: name.unwrap_or_else(|| typed.endpoint.clone()), ..typed.clone() })
    }

    /// What to type where metrics are kept by another spelling. An ARN says nothing of it, and is found out about.
    pub(super) fn misspelled(&self, target: &Target) -> Option<String> {
        let typed = endpoint_of(target, UPDATE).ok().filter(|typed| typed.owner.is_none())?;
        let name = self.spelled(target, UPDATE).ok()?.endpoint;
        (name != typed.endpoint).then(|| {
            format!(
                "the endpoint is called {name}, and CloudWatch knows it by that alone: sagemaker:{}/{name}",
                typed.region
            )
        })
    }

    pub(super) fn learn(&self, target: &Target, seen: &Endpoint) {
        let size = |variant: &Variant| Some((variant.name.clone(), variant.wanted_instances.or(variant.instances)?));
        let learned = Learned {
            name: seen.name.clone(),
            sizes: seen.variants.iter().filter_map(size).collect(),
            may_hold_components: matches!(seen.variants.as_slice(), [only] if !only.has_images),
        };
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone(), learned);
    }

    /// How many instances the candidate and stable have, where the candidate has fewer than its share of them.
    pub(super) fn lacks(
        &self,
        target: &Target,
        stable: &RevisionId,
        candidate: &RevisionId,
        share: Weight,
    ) -> Option<(i32, i32)> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let all = &learned.get(target)?.sizes;
        let size = |of: &RevisionId| all.iter().find(|(name, _)| name == of.as_str()).map(|(_, count)| *count);
        let (has, gets) = (size(stable)?, size(candidate)?);
        let needed = f64::from(has) * share.fraction();
        (f64::from(gets) < needed).then_some((gets, has))
    }
}

fn endpoint_of<'t>(target: &'t Target, operation: &'static str) -> Result<&'t SageMakerEndpoint> {
    match target {
        Target::SageMaker(endpoint) => Ok(endpoint),
        Target::AzureMl(_) | Target::CloudRun(_) | Target::Lambda(_) => {
            Err(Error::new(ErrorKind::Unsupported, operation, format!("{target} is not a SageMaker endpoint")))
        }
    }
}
