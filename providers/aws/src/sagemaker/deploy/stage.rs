//! What the model registry is told of a variant's model: the stage of its life, never whether it is approved. An approval starts
//! other people's pipelines.

use mlroll_backend::{Error, ErrorKind, ModelStage, Result, RevisionId};

use super::super::backend::{describe, sent};
use super::super::wire::Calls;

/// See [`Backend::tell_stage`](mlroll_backend::Backend::tell_stage).
pub(in crate::sagemaker) async fn tell_stage(
    calls: &Calls<'_>,
    variant: &RevisionId,
    stage: &ModelStage,
) -> Result<Option<String>> {
    let endpoint = describe(calls).await?;
    let slots = calls.config(&endpoint.config).await?.slots();
    let slot = slots.into_iter().find(|slot| slot.name == variant.as_str());
    let model = slot.and_then(|slot| slot.model).ok_or_else(|| {
        let message = format!("the endpoint config {} names no model of variant {variant}", endpoint.config);
        Error::new(ErrorKind::NotFound, "DescribeEndpointConfig", message)
    })?;
    let packages = calls.model(&model).await?.packages();
    for package in &packages {
        sent(calls.set_stage(package, stage).await)?;
    }
    Ok(Some(packages.join(", ")).filter(|packages| !packages.is_empty()))
}
