//! Faults that are about the state of services.

use std::mem;

use super::call;
use super::route::Route;
use super::state::{Entry, Fate, Health, Key, Service, Slot, Whom};
use super::store::SOMEBODY;
use crate::World;
use crate::api::{Answer, Request, Twist};

/// Which operations a fault makes sense for.
pub(super) fn can(twist: Twist, operation: &str) -> bool {
    match twist {
        Twist::Stale => matches!(operation, "GetRevision" | "GetService" | "ListRevisions"),
        Twist::SettleFailed | Twist::SettleForever => matches!(operation, "UpdateService" | "v1.ReplaceService"),
        Twist::SettleCanceled => false,
        Twist::ForeignWrite => {
            matches!(operation, "DeleteRevision" | "GetRevision" | "GetService" | "ListRevisions" | "UpdateService")
        }
    }
}

/// Plays a fault: the answer, and whether the fault had its effect.
pub(super) fn play(twist: Twist, request: &Request, world: &mut World) -> (Option<Answer>, bool) {
    match twist {
        Twist::ForeignWrite => (None, foreign_write(request, world)),
        Twist::SettleCanceled => (None, false),
        Twist::SettleFailed | Twist::SettleForever => {
            let fate = if twist == Twist::SettleFailed { Fate::Fails } else { Fate::Stays };
            let (answer, began) = call::answer(request, world, fate);
            (Some(answer), began)
        }
        Twist::Stale => (Some(stale(request, world)), true),
    }
}

fn key(request: &Request) -> Option<Key> {
    let Route { project, region, service, .. } = Route::of(request)?;
    Some(Key { project, region, service: service? })
}

/// Answers from the service as it was before the latest write to it; as it is, when there was none.
fn stale(request: &Request, world: &mut World) -> Answer {
    let swap = |world: &mut World| {
        let slot = key(request).and_then(|key| world.cloud_run.services.get_mut(&key));
        if let Some(Slot { now, before: Some(before) }) = slot {
            mem::swap(before.as_mut(), now);
        }
    };
    swap(world);
    let answer = call::answer(request, world, Fate::Settles).0;
    swap(world);
    answer
}

/// Somebody else moves the traffic of the service that the request is about.
fn foreign_write(request: &Request, world: &mut World) -> bool {
    let now = world.now();
    let Some(key) = key(request) else { return false };
    let Some(slot) = world.cloud_run.services.get(&key) else { return false };
    let Some(traffic) = another(&slot.now) else { return false };
    let changed = Service { traffic, modifier: SOMEBODY, ..slot.now.clone() };
    world.cloud_run.begin(&key, changed, now, Fate::Settles).is_some()
}

/// Another split: the newest two revisions that are ready, with shares that are no usual step of a rollout.
fn another(service: &Service) -> Option<Vec<Entry>> {
    let mut ready = service.revisions.iter().rev().filter(|revision| revision.health == Health::Ready);
    let (newest, other) = (ready.next()?, ready.next()?);
    let entry = |name: &str, percent| Entry { whom: Whom::Revision(name.to_owned()), percent, tag: String::new() };
    let traffic = |share| vec![entry(&other.name, 100 - share), entry(&newest.name, share)];
    Some(if service.traffic == traffic(FOREIGN) { traffic(FOREIGN / 2) } else { traffic(FOREIGN) })
}

/// In percent.
const FOREIGN: u32 = 42;
