//! Which models are needed: those that an endpoint config names, whoever's it is.

use std::collections::BTreeMap;

use mlroll_backend::{Pruned, Result, Timestamp};

use super::rules::{Config, YOUNGER, is_young};
use super::wire::Listed;
use super::{ENDPOINT, Landed, MODEL, is_ours_by_name, leftover};
use crate::sagemaker::deploy::front;
use crate::sagemaker::wire::Calls;

/// So many endpoint configs are looked through for who names a model; each is a request.
const MOST: usize = 200;

/// Models that were made for this endpoint and are not young; the others are kept.
pub(super) async fn candidates(calls: &Calls<'_>, now: Timestamp, pruned: &mut Pruned) -> Result<Vec<Listed>> {
    let endpoint = &calls.endpoint.endpoint;
    let mut candidates = Vec::new();
    for model in calls.models(&front(calls)).await? {
        if !is_ours_by_name(&model.name, &front(calls)) {
            continue;
        }
        if is_young(model.created, now) {
            pruned.kept.push(leftover(MODEL, &model.name, YOUNGER));
        } else if calls.label(&model.arn).await?.endpoint.as_ref() != Some(endpoint) {
            pruned.kept.push(leftover(
                MODEL,
                &model.name,
                format!("it has no tag {ENDPOINT} with the value {endpoint}"),
            ));
        } else {
            candidates.push(model);
        }
    }
    Ok(candidates)
}

/// Those of `models` that no endpoint config names when the `doomed` ones are gone. Our own are asked first, and nobody when
/// they name all.
pub(super) async fn unreferred(
    calls: &Calls<'_>,
    mut models: Vec<Listed>,
    doomed: &[&str],
    own: &[Config],
    imagined: Option<&Landed>,
    pruned: &mut Pruned,
) -> Result<Vec<Listed>> {
    let mut keep = |models: &mut Vec<Listed>, is_named: &dyn Fn(&str) -> bool, why: &str| {
        models.retain(|model| {
            let named = is_named(&model.name);
            if named {
                pruned.kept.push(leftover(MODEL, &model.name, why));
            }
            !named
        });
    };
    if let Some(Landed { config, imagined: Some(model), .. }) = imagined {
        keep(&mut models, &|name| name.eq_ignore_ascii_case(model), &format!("endpoint config {config} names it"));
    }
    if models.is_empty() {
        return Ok(models);
    }
    let all = calls.configs(None).await?;
    let mut left: BTreeMap<(bool, &str), &Listed> = BTreeMap::new();
    for config in all.iter().filter(|config| !doomed.contains(&config.name.as_str())) {
        let foreign = !own.iter().any(|own| own.name == config.name);
        left.insert((foreign, config.name.as_str()), config);
    }
    if left.len() > MOST {
        let why = format!("{} endpoint configs may name it: more than {MOST} are not looked through", left.len());
        keep(&mut models, &|_| true, &why);
    }
    for (_, config) in left.keys() {
        if models.is_empty() {
            break;
        }
        let names = calls.names(config).await?;
        keep(
            &mut models,
            &|name| names.models.iter().any(|model| model.eq_ignore_ascii_case(name)),
            &format!("endpoint config {config} names it"),
        );
        if names.components {
            let why = format!(
                "endpoint config {config} is of inference components, which name models that are not looked through"
            );
            keep(&mut models, &|_| true, &why);
        }
    }
    Ok(models)
}
