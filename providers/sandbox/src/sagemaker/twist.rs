//! Faults that are about the state of endpoints.

use std::mem;

use super::call::{self, signed_for};
use super::state::{Change, Slot, Work};
use super::store::target;
use crate::World;
use crate::api::{Answer, Operation, Request, Twist};

/// Which operations a fault makes sense for.
pub(super) fn can(twist: Twist, operation: &str) -> bool {
    match twist {
        Twist::Stale => matches!(operation, "DescribeEndpoint" | "ListTags"),
        Twist::SettleForever => {
            matches!(operation, "CreateEndpoint" | "UpdateEndpoint" | "UpdateEndpointWeightsAndCapacities")
        }
        Twist::SettleFailed => matches!(operation, "UpdateEndpoint" | "UpdateEndpointWeightsAndCapacities"),
        // Nobody can cancel a change of an endpoint.
        Twist::SettleCanceled => false,
        Twist::ForeignWrite => matches!(
            operation,
            "AddTags"
                | "DeleteTags"
                | "DescribeEndpoint"
                | "ListTags"
                | "UpdateEndpoint"
                | "UpdateEndpointWeightsAndCapacities"
        ),
    }
}

/// Plays a fault: the answer, and whether the fault had its effect.
pub(super) fn play(
    twist: Twist,
    request: &Request,
    operation: &Operation,
    world: &mut World,
) -> (Option<Answer>, bool) {
    match twist {
        Twist::SettleCanceled => (None, false),
        Twist::SettleFailed => {
            let (answer, began) = call::answer(request, operation, world, false);
            let last = world.sagemaker.settings.update;
            let change = slot(request, world).and_then(|(_, _, slot)| slot.now.change.as_mut());
            if let Some(change) = change.filter(|_| began) {
                change.fails = Some(last);
            }
            (Some(answer), began)
        }
        Twist::ForeignWrite => (None, foreign_write(request, world)),
        Twist::SettleForever => {
            let (answer, began) = call::answer(request, operation, world, true);
            (Some(answer), began)
        }
        Twist::Stale => (Some(stale(request, operation, world)), true),
    }
}

fn slot<'a>(request: &Request, world: &'a mut World) -> Option<(String, String, &'a mut Slot)> {
    let region = signed_for(request, "sagemaker").ok()?;
    let name = call::about(request)?;
    let here = world.sagemaker.regions.get_mut(&region)?;
    let name = here.spelled(&name)?;
    let slot = here.endpoints.get_mut(&name)?;
    Some((region, name, slot))
}

/// Answers from the endpoint as it was before the latest write to it; as it is, when there was none.
fn stale(request: &Request, operation: &Operation, world: &mut World) -> Answer {
    let swap = |world: &mut World| {
        if let Some((_, _, slot)) = slot(request, world)
            && let Some(before) = &mut slot.before
        {
            mem::swap(before.as_mut(), &mut slot.now);
        }
    };
    swap(world);
    let answer = call::answer(request, operation, world, false).0;
    swap(world);
    answer
}

/// Somebody else has given a variant another weight, and it is live. Nobody can while the endpoint is busy.
fn foreign_write(request: &Request, world: &mut World) -> bool {
    let now = world.now();
    let Some((region, name, slot)) = slot(request, world) else { return false };
    if slot.now.change.is_some() || slot.now.broken.is_some() {
        return false;
    }
    let saved = slot.now.clone();
    let endpoint = &mut slot.now;
    let total: f32 = endpoint.variants.iter().map(|variant| variant.weight).sum();
    let largest = endpoint.variants.iter().map(|variant| variant.weight).fold(0.0, f32::max);
    // The smallest of them, so that whoever has most keeps most.
    let other = endpoint.variants.iter_mut().min_by(|a, b| a.weight.total_cmp(&b.weight));
    let Some(other) = other.filter(|other| other.weight < total) else { return false };
    let share = if other.weight == largest * FOREIGN { FOREIGN / 2.0 } else { FOREIGN };
    other.desired_weight = largest * share;
    endpoint.change = Some(Change { work: Work::Weights, since: now, until: Some(now), fails: None });
    endpoint.settle(now, &std::collections::BTreeSet::new());
    let split = endpoint.split();
    slot.before = Some(Box::new(saved));
    if let Some(split) = split {
        world.traffic.route(&target(&region, &name), &split, now);
    }
    true
}

/// A part of the largest weight that is no usual step of a rollout.
const FOREIGN: f32 = 0.72;
