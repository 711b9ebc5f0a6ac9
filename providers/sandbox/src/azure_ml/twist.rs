//! Faults that are about the state of endpoints.

use std::mem;

use serde_json::json;

use super::call;
use super::route::{self, Route};
use super::state::{Ending, Endpoint, Slot, State};
use crate::World;
use crate::api::{Answer, Request, Twist};

/// Which operations a fault makes sense for.
pub(super) fn can(twist: Twist, operation: &str) -> bool {
    match twist {
        Twist::Stale => {
            matches!(operation, "OnlineDeployments_Get" | "OnlineDeployments_List" | "OnlineEndpoints_Get")
        }
        Twist::SettleForever | Twist::SettleFailed | Twist::SettleCanceled => matches!(
            operation,
            "OnlineDeployments_CreateOrUpdate"
                | "OnlineDeployments_Delete"
                | "OnlineDeployments_Update"
                | "OnlineEndpoints_CreateOrUpdate"
                | "OnlineEndpoints_Delete"
        ),
        Twist::ForeignWrite => {
            operation != route::UNKNOWN
                && (operation.starts_with("OnlineEndpoints_") || operation.starts_with("OnlineDeployments_"))
                && operation != "OnlineEndpoints_List"
        }
    }
}

/// Plays a fault: the answer, and whether the fault had its effect.
pub(super) fn play(twist: Twist, request: &Request, world: &mut World) -> (Option<Answer>, bool) {
    let ending = match twist {
        Twist::ForeignWrite => return (None, foreign_write(request, world)),
        Twist::Stale => return (Some(stale(request, world)), true),
        Twist::SettleForever => Ending::Never,
        Twist::SettleFailed => Ending::Badly(State::Failed),
        Twist::SettleCanceled => Ending::Badly(State::Canceled),
    };
    let (answer, began) = call::answer(request, world, ending);
    (Some(answer), began)
}

fn endpoint<'a>(request: &Request, world: &'a mut World) -> Option<&'a mut Slot> {
    let route = Route::of(request)?;
    world.azure_ml.endpoints.get_mut(&(route.scope(), route.endpoint.to_ascii_lowercase()))
}

/// Answers from the endpoint as it was before the latest write to it; as it is, when there was none.
fn stale(request: &Request, world: &mut World) -> Answer {
    let swap = |world: &mut World| {
        if let Some(slot) = endpoint(request, world)
            && let Some(before) = &mut slot.before
        {
            mem::swap(before.as_mut(), &mut slot.now);
        }
    };
    swap(world);
    let answer = call::answer(request, world, Ending::InTime).0;
    swap(world);
    answer
}

/// Somebody else's change of the endpoint's traffic has come into force.
fn foreign_write(request: &Request, world: &mut World) -> bool {
    let now = world.now();
    let Some(slot) = endpoint(request, world) else { return false };
    let Some(traffic) = another(&slot.now) else { return false };
    let saved = slot.now.clone();
    let resource = &mut slot.now.resource;
    let Some(properties) = resource.record.get_mut("properties").and_then(serde_json::Value::as_object_mut) else {
        return false;
    };
    properties.insert("traffic".to_owned(), traffic);
    resource.modified = now;
    let routed = slot.now.target.clone().zip(slot.now.split());
    slot.before = Some(Box::new(saved));
    if let Some((target, split)) = routed {
        world.traffic.route(&target, &split, now);
    }
    true
}

/// Another split of an endpoint: the deployment with the most keeps most of it; `None` when there is nobody to share with.
fn another(endpoint: &Endpoint) -> Option<serde_json::Value> {
    let percents = endpoint.percents("traffic");
    let most = percents.iter().max_by_key(|(_, percent)| **percent).map(|(name, _)| name.clone());
    let most = most.or_else(|| endpoint.deployments.keys().next().cloned())?;
    let other = endpoint
        .deployments
        .values()
        .rfind(|other| other.state == State::Succeeded && !other.name.eq_ignore_ascii_case(&most));
    let other = other?.name.to_ascii_lowercase();
    let share = if percents.get(&other) == Some(&FOREIGN) { FOREIGN / 2 } else { FOREIGN };
    Some(json!({ most: 100 - share, other: share }))
}

/// A share that is no usual step of a rollout.
const FOREIGN: u64 = 42;
