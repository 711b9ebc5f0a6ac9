//! Faults that are about the state of functions.

use std::collections::BTreeMap;
use std::mem;

use super::call::{self, Ending};
use super::route::{self, Route};
use super::state::{Alias, Function, Slot, target};
use crate::World;
use crate::api::{Answer, Request, Twist};

/// Which operations a fault makes sense for.
pub(super) fn can(twist: Twist, operation: &str) -> bool {
    match twist {
        Twist::Stale => route::reads(operation) && !matches!(operation, "GetAccountSettings" | "ListFunctions"),
        // An alias settles at once, but for a plain move to another version.
        Twist::SettleForever => matches!(
            operation,
            "PublishVersion"
                | "PutProvisionedConcurrencyConfig"
                | "UpdateAlias"
                | "UpdateFunctionCode"
                | "UpdateFunctionConfiguration"
        ),
        Twist::SettleFailed => {
            matches!(operation, "PublishVersion" | "PutProvisionedConcurrencyConfig" | "UpdateFunctionCode")
        }
        // Nothing that Lambda accepts is given up again.
        Twist::SettleCanceled => false,
        Twist::ForeignWrite => {
            !matches!(operation, "GetAccountSettings" | "ListFunctions" | "CreateAlias" | route::UNKNOWN)
        }
    }
}

/// Plays a fault: the answer, and whether the fault had its effect.
pub(super) fn play(twist: Twist, request: &Request, world: &mut World) -> (Option<Answer>, bool) {
    match twist {
        Twist::ForeignWrite => (None, foreign_write(request, world)),
        Twist::SettleCanceled => (None, false),
        Twist::SettleFailed => {
            let (answer, began) = call::answer(request, world, Ending::Badly);
            (Some(answer), began)
        }
        Twist::SettleForever => {
            let (answer, began) = call::answer(request, world, Ending::Never);
            (Some(answer), began)
        }
        Twist::Stale => (Some(stale(request, world)), true),
    }
}

fn function<'a>(request: &Request, world: &'a mut World) -> Option<(Route, String, &'a mut Slot)> {
    let region = call::signed_for(request).ok()?;
    let route = Route::of(request)?;
    let slot = world.lambda.regions.get_mut(&region)?.functions.get_mut(&route.function)?;
    Some((route, region, slot))
}

/// Answers from the function as it was before the latest write to it; as it is, when there was none.
fn stale(request: &Request, world: &mut World) -> Answer {
    let swap = |world: &mut World| {
        if let Some((_, _, slot)) = function(request, world)
            && let Some(before) = &mut slot.before
        {
            mem::swap(before.as_mut(), &mut slot.now);
        }
    };
    swap(world);
    let answer = call::answer(request, world, Ending::Well).0;
    swap(world);
    answer
}

/// Somebody else changes the alias that the request is about, or `$LATEST` where it is about none.
fn foreign_write(request: &Request, world: &mut World) -> bool {
    let fresh = world.lambda.mint.next();
    let Some((route, region, slot)) = function(request, world) else { return false };
    let saved = slot.now.clone();
    let function = &mut slot.now;
    let alias = match &route.qualifier {
        Some(qualifier) => function.aliases.keys().find(|name| *name == qualifier),
        None if route.operation == "ListAliases" => function.aliases.keys().next(),
        None => None,
    };
    let routed = match alias.cloned() {
        Some(name) => {
            let other = another(function, &name);
            let Some(alias) = function.aliases.get_mut(&name) else { return false };
            if let Some(weights) = other {
                alias.weights = weights;
                alias.transient = None;
            }
            alias.revision_id = fresh;
            alias.split().map(|split| (target(&region, &route.function, &name), split))
        }
        None => {
            function.latest.revision_id = fresh;
            None
        }
    };
    slot.before = Some(Box::new(saved));
    if let Some((target, split)) = routed {
        let now = world.now();
        world.traffic.route(&target, &split, now);
    }
    true
}

/// Another split of an alias: the same additional version with another share, or the newest other version; `None` when
/// there is no other version to send anybody to.
fn another(function: &Function, name: &str) -> Option<BTreeMap<String, f64>> {
    let Alias { version, weights, .. } = function.aliases.get(name)?;
    let (other, share) = match weights.iter().next() {
        Some((other, share)) if (share - FOREIGN).abs() > 1e-6 => (other.clone(), FOREIGN),
        Some((other, _)) => (other.clone(), FOREIGN / 2.0),
        None => {
            let number = function.versions.keys().rev().map(u64::to_string).find(|number| number != version)?;
            (number, FOREIGN)
        }
    };
    Some([(other, share)].into())
}

/// A share that is no usual step of a rollout.
const FOREIGN: f64 = 0.42;
