//! Models that somebody else put behind the names of variants since a marker was written.
//!
//! A variant is a name; its model stands in the endpoint config. A pipeline that deploys another config leaves names and weights as
//! they are, and the marker with them: the way back of a promote then leads to a model that nobody meant.

use mlroll_backend::{ErrorKind, MarkerState, Result, RevisionId, Snapshot};

use super::deploy::Config;
use super::wire::{Calls, Endpoint, Note};

/// What the marker's revisions were and are, where that is not the same, or cannot be told. Configs are compared, by two calls, only
/// where the marker says which one it is about, the endpoint has another, and there is a way back to lose.
pub(super) async fn replaced(
    calls: &Calls<'_>,
    now: &Endpoint,
    note: Option<&Note>,
    seen: &Snapshot,
) -> Option<String> {
    let marker = seen.marker.as_ref()?;
    let then = note?.config.as_deref().filter(|then| *then != now.config)?;
    let configs = format!("the endpoint had the config {then}, and has {}", now.config);
    match (&marker.state, &marker.previous) {
        (MarkerState::Canary { .. }, _) => Some(format!("its variants may hold other models: {configs}")),
        (MarkerState::Promoted, Some(previous)) => {
            let (was, is) = tokio::join!(calls.config(then), calls.config(&now.config));
            let denied = [&was, &is].into_iter().any(|read| read.as_ref().is_err_and(|e| e.kind() == ErrorKind::Auth));
            match (model(was, previous), model(is, previous)) {
                (Some(was), Some(is)) if was == is => None,
                (Some(was), Some(is)) => {
                    Some(format!("variant {previous} held the model {was}, and holds {is} ({configs})"))
                }
                (None, _) | (_, None) => {
                    let denied = if denied { " (sagemaker:DescribeEndpointConfig is not allowed)" } else { "" };
                    Some(format!(
                        "whether variant {previous} holds the model that it held cannot be told{denied}: {configs}"
                    ))
                }
            }
        }
        (MarkerState::Promoted, None) | (MarkerState::RolledBack { .. }, _) => None,
    }
}

fn model(config: Result<Config>, variant: &RevisionId) -> Option<String> {
    let slots = config.ok()?.slots();
    slots.into_iter().find(|slot| slot.name == variant.as_str())?.model
}
