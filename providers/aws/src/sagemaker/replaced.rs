//! Models that somebody else put behind the names of variants since a marker was written.
//!
//! A variant is a name; its model stands in the endpoint config. A pipeline that deploys another config leaves names and weights as
//! they are, and the marker with them: the way back of a promote then leads to a model that nobody meant.

use mlroll_backend::{ErrorKind, MarkerState, Result, RevisionId, Snapshot};

use super::deploy::Config;
use super::read::noted_config;
use super::wire::{Calls, Endpoint, Note};

/// What the marker's revisions were and are, where that is not the same, or cannot be told. Configs are compared, by two calls, only
/// where the marker says which one it is about, the endpoint has another, and there is a way back to lose.
///
/// # Errors
/// A config cannot be read now, and may be later.
pub(super) async fn replaced(
    calls: &Calls<'_>,
    now: &Endpoint,
    note: Option<&Note>,
    seen: &Snapshot,
) -> Result<Option<String>> {
    let (Some(marker), Some(note)) = (&seen.marker, note) else { return Ok(None) };
    let Some(then) = noted_config(note, marker).filter(|then| *then != now.config) else { return Ok(None) };
    let configs = format!("the endpoint had the config {then}, and has {}", now.config);
    Ok(match (&marker.state, &marker.previous) {
        (MarkerState::Canary { .. }, _) => Some(format!("its variants may hold other models: {configs}")),
        (MarkerState::Promoted, Some(previous)) => {
            let (was, is) = tokio::join!(calls.config(then), calls.config(&now.config));
            let (mut models, mut denied) = (Vec::new(), "");
            for read in [was, is] {
                match read {
                    Ok(config) => models.extend(model(&config, previous)),
                    Err(e) if e.kind() == ErrorKind::Auth => {
                        denied = " (sagemaker:DescribeEndpointConfig is not allowed)"
                    }
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
            match models.as_slice() {
                [was, is] if was == is => None,
                [was, is] => Some(format!("variant {previous} held the model {was}, and holds {is} ({configs})")),
                _ => Some(format!(
                    "whether variant {previous} holds the model that it held cannot be told{denied}: {configs}"
                )),
            }
        }
        (MarkerState::Promoted, None) | (MarkerState::RolledBack { .. }, _) => None,
    })
}

fn model(config: &Config, variant: &RevisionId) -> Option<String> {
    config.slots().into_iter().find(|slot| slot.name == variant.as_str())?.model
}
