//! Instances: a candidate gets as many as stable has, and the bounds of stable's autoscaling, before its first weight.
//!
//! A variant that autoscaling has shrunk for no traffic cannot take a tenth of it, and to change a count takes minutes in which no
//! weight can be written: so it is done before, and scaling in is suspended for both until the end. What is set back then: what is
//! suspended, always; the candidate's bounds and count where stable keeps everything. A candidate that was promoted keeps both, and
//! the loser its instances, as the way back; its autoscaling may take them.
//!
//! Before a shift by hand it is the same but for what is suspended: nobody would let that go on again.

mod wire;

use std::time::Duration;

use mlroll_backend::{Capacity, Error, ErrorKind, Pace, Result, RevisionId};
use serde::{Deserialize, Serialize};

pub(super) use self::wire::Scaling;
use self::wire::{Bounds, Suspended};
use super::backend::{describe, sent};
use super::wire::{Calls, Endpoint};

const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";

/// How long a look at an endpoint that gets instances is left out: they take minutes.
const PAUSE: Duration = Duration::from_secs(5);

/// How often an accepted change may not be seen yet.
const LAG: u32 = 5;

/// What was found and is wanted: what the journal keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    stable: RevisionId,
    candidate: RevisionId,
    /// How many instances the candidate had, and gets; `None` where it has enough.
    instances: Option<(i32, i32)>,
    /// How autoscaling was set; `None` where there was none.
    stable_was: Option<Bounds>,
    candidate_was: Option<Bounds>,
    /// The candidate's bounds meanwhile, the fewest and the most; `None` where it gets no autoscaling, or keeps its own.
    bounds: Option<(i32, i32)>,
    /// It may stay so: nothing is suspended.
    #[serde(default, skip_serializing_if = "is_not")]
    lasting: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_not(flag: &bool) -> bool {
    !*flag
}

impl Plan {
    /// What the candidate needs; `None` when it lacks nothing and nothing could take it away.
    fn of(
        endpoint: &Endpoint,
        stable: &RevisionId,
        candidate: &RevisionId,
        [stable_was, candidate_was]: [Option<Bounds>; 2],
        lasting: bool,
    ) -> Option<Self> {
        let count = |name: &RevisionId| {
            let variant = endpoint.variants.iter().find(|variant| variant.name == name.as_str())?;
            variant.wanted_instances.or(variant.instances).filter(|_| !variant.is_serverless)
        };
        // A variant without a count has no capacity of its own.
        let (wanted, had) = (count(stable)?, count(candidate)?);
        let bounds = match (stable_was, candidate_was) {
            // Whoever sized the candidate for more means it: it keeps that when it is promoted.
            (Some(stable), Some(own)) => Some((stable.least.max(own.least), stable.most.max(own.most))),
            (Some(stable), None) => Some((stable.least, stable.most)),
            // Stable's count is fixed: the candidate's own bounds have to hold as many.
            (None, Some(own)) => Some((own.least, own.most.max(wanted))),
            (None, None) => None,
        };
        let has_them = |bounds: &(i32, i32)| candidate_was.is_some_and(|was| (was.least, was.most) == *bounds);
        let bounds = bounds.filter(|bounds| !lasting || !has_them(bounds));
        let instances = (had < wanted).then_some((had, wanted));
        if instances.is_none() && bounds.is_none() {
            return None;
        }
        Some(Self {
            stable: stable.clone(),
            candidate: candidate.clone(),
            instances,
            stable_was,
            candidate_was,
            bounds,
            lasting,
        })
    }

    fn changes(&self) -> Vec<String> {
        let Self { stable, candidate, .. } = self;
        let mut changes = Vec::new();
        if self.bounds.is_some() && !self.lasting {
            let both = match (self.stable_was, self.candidate_was) {
                (None, _) => candidate.to_string(),
                (Some(_), _) => format!("{stable} and {candidate}"),
            };
            changes.push(format!("autoscaling takes no instances from {both} meanwhile"));
        }
        match (self.bounds, self.candidate_was) {
            (Some((least, most)), None) => {
                changes.push(format!(
                    "autoscaling may give {candidate} {least} to {most} instances, as it may {stable}; it needs a policy \
                     of its own for that"
                ));
            }
            (Some((least, most)), Some(was)) if (was.least, was.most) != (least, most) => {
                let Bounds { least: fewest, most: highest, .. } = was;
                changes.push(format!(
                    "autoscaling of {candidate}: {fewest} to {highest} instances become {least} to {most}, which hold what {stable} \
                     may have"
                ));
            }
            (Some(_) | None, _) => {}
        }
        if let Some((had, wanted)) = self.instances {
            changes.push(format!("{candidate}: {had} instances become {wanted}, as many as {stable} has"));
        }
        changes
    }

    fn read(capacity: &Capacity) -> Result<Self> {
        serde_json::from_str(&capacity.token)
            .map_err(|_| Error::new(ErrorKind::Invalid, UPDATE, "what the journal says of the capacity cannot be read"))
    }
}

/// See [`Backend::capacity`](mlroll_backend::Backend::capacity).
pub(super) async fn capacity(
    scaling: &Scaling<'_>,
    stable: &RevisionId,
    candidate: &RevisionId,
    lasting: bool,
) -> Result<Option<Capacity>> {
    let endpoint = describe(scaling.calls).await?;
    let bounds = scaling.bounds([stable, candidate]).await?;
    let Some(plan) = Plan::of(&endpoint, stable, candidate, bounds, lasting) else { return Ok(None) };
    let token = serde_json::to_string(&plan);
    let token = token.map_err(|e| Error::new(ErrorKind::Unexpected, UPDATE, e.to_string()))?;
    Ok(Some(Capacity { token, changes: plan.changes() }))
}

/// See [`Backend::prepare`](mlroll_backend::Backend::prepare). First nothing may take instances away; then they are asked for.
pub(super) async fn prepare(scaling: &Scaling<'_>, capacity: &Capacity, pace: &dyn Pace) -> Result<()> {
    let plan = Plan::read(capacity)?;
    let Plan { stable, candidate, .. } = &plan;
    let calls = scaling.calls;
    if let Some((least, most)) = plan.bounds {
        let [stable_is, candidate_is] = scaling.bounds([stable, candidate]).await?;
        if let Some(is) = stable_is.filter(|_| !plan.lasting) {
            let suspended = Suspended { inward: true, ..is.suspended };
            set(scaling, stable, is, None, suspended, pace).await?;
        }
        // One that is none yet gets what else is suspended of stable's.
        let like = candidate_is.or(stable_is).map(|like| like.suspended).unwrap_or_default();
        // What a run has suspended of stable's is no setting that may stay.
        let inward = !plan.lasting || candidate_is.is_some_and(|is| is.suspended.inward);
        let suspended = Suspended { inward, ..like };
        match candidate_is {
            Some(is) => set(scaling, candidate, is, Some((least, most)), suspended, pace).await?,
            None => register(scaling, candidate, Some((least, most)), suspended, pace).await?,
        }
    }
    match plan.instances {
        Some((_, wanted)) => Scale { calls, variant: candidate, count: wanted, up: true }.to(pace).await,
        None => Ok(()),
    }
}

/// See [`Backend::restore`](mlroll_backend::Backend::restore). What somebody else set meanwhile is left.
pub(super) async fn restore(
    scaling: &Scaling<'_>,
    capacity: &Capacity,
    keeps: &RevisionId,
    pace: &dyn Pace,
) -> Result<()> {
    let plan = Plan::read(capacity)?;
    let Plan { stable, candidate, .. } = &plan;
    let promoted = keeps == candidate;
    let calls = scaling.calls;
    if let Some(ours) = plan.bounds {
        let [stable_is, candidate_is] = scaling.bounds([stable, candidate]).await?;
        if let (Some(is), Some(was), false) = (stable_is, plan.stable_was, plan.lasting) {
            let suspended = Suspended { inward: is.suspended.inward && was.suspended.inward, ..is.suspended };
            set(scaling, stable, is, None, suspended, pace).await?;
        }
        if let Some(is) = candidate_is {
            let is_ours = (is.least, is.most) == ours;
            let was = plan.candidate_was;
            let inward = was.or(plan.stable_was).is_some_and(|was| was.suspended.inward) && is.suspended.inward;
            let suspended = Suspended { inward, ..is.suspended };
            match was {
                None if is_ours && !promoted => deregister(scaling, candidate, pace).await?,
                Some(was) if is_ours && !promoted => {
                    set(scaling, candidate, is, Some((was.least, was.most)), suspended, pace).await?;
                }
                Some(_) | None => set(scaling, candidate, is, None, suspended, pace).await?,
            }
        }
    }
    match plan.instances {
        Some((had, _)) if !promoted => Scale { calls, variant: candidate, count: had, up: false }.to(pace).await,
        Some(_) | None => Ok(()),
    }
}

/// Registers a variant that is a scalable target already, unless all is so.
async fn set(
    scaling: &Scaling<'_>,
    variant: &RevisionId,
    is: Bounds,
    bounds: Option<(i32, i32)>,
    suspended: Suspended,
    pace: &dyn Pace,
) -> Result<()> {
    let bounds = bounds.filter(|bounds| *bounds != (is.least, is.most));
    if bounds.is_none() && suspended == is.suspended {
        return Ok(());
    }
    register(scaling, variant, bounds, suspended, pace).await
}

/// Another change of the same target is waited for.
async fn register(
    scaling: &Scaling<'_>,
    variant: &RevisionId,
    bounds: Option<(i32, i32)>,
    suspended: Suspended,
    pace: &dyn Pace,
) -> Result<()> {
    loop {
        match sent(scaling.register(variant, bounds, suspended).await) {
            Err(e) if e.kind() == ErrorKind::Conflict => {
                pace.pause(&format!("autoscaling of {variant} is being changed"), None).await?;
            }
            other => return other,
        }
    }
}

async fn deregister(scaling: &Scaling<'_>, variant: &RevisionId, pace: &dyn Pace) -> Result<()> {
    loop {
        match sent(scaling.deregister(variant).await) {
            Err(e) if e.kind() == ErrorKind::Conflict => {
                pace.pause(&format!("autoscaling of {variant} is being changed"), None).await?;
            }
            // It is none any more.
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            other => return other,
        }
    }
}

/// A count to go to.
struct Scale<'a> {
    calls: &'a Calls<'a>,
    variant: &'a RevisionId,
    count: i32,
    /// More are as good; otherwise fewer are.
    up: bool,
}

impl Scale<'_> {
    fn is_there(&self, count: Option<i32>) -> bool {
        count.is_some_and(|count| if self.up { count >= self.count } else { count <= self.count })
    }

    /// Asks for the instances, and waits until they are there. An endpoint that is busy is waited for.
    async fn to(&self, pace: &dyn Pace) -> Result<()> {
        let Self { variant, count, .. } = self;
        let (mut tried, mut asked, mut unseen) = (false, false, 0);
        loop {
            let now = describe(self.calls).await?;
            let idle = match now.status.as_str() {
                "InService" => true,
                "Creating" | "RollingBack" | "SystemUpdating" | "Updating" => false,
                other => {
                    let message = format!("the endpoint is {other}, and gets no instances");
                    return Err(Error::new(ErrorKind::Invalid, UPDATE, message));
                }
            };
            let Some(slot) = now.variants.iter().find(|slot| slot.name == variant.as_str()) else {
                let message = format!("the endpoint has no variant {variant} any more");
                return Err(Error::new(ErrorKind::NotFound, UPDATE, message));
            };
            let wanted = self.is_there(slot.wanted_instances.or(slot.instances));
            if idle && wanted && self.is_there(slot.instances) {
                return Ok(());
            }
            if idle && asked && !wanted {
                unseen += 1;
                if unseen > LAG {
                    let why = if now.failure.is_empty() { String::new() } else { format!(": {}", now.failure) };
                    let message = format!("SageMaker does not give variant {variant} {count} instances{why}");
                    return Err(Error::new(ErrorKind::Invalid, UPDATE, message));
                }
            } else if !wanted && (idle || !tried) {
                // Also once where it will be refused: a rehearsal does not wait.
                tried = true;
                match self.calls.set_instances(variant, *count).await {
                    Ok(()) => asked = true,
                    Err(e) if e.kind() == ErrorKind::Withheld => return Ok(()),
                    // Asked again after the next look, which tells whether it was done.
                    Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::Unavailable) => {}
                    Err(e) => return Err(e),
                }
            }
            let what = match idle {
                true => format!("variant {variant} gets {count} instances"),
                false => format!("the endpoint is {}; variant {variant} gets {count} instances", now.status),
            };
            pace.pause(&what, Some(PAUSE)).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Variant;
    use super::*;

    fn id(text: &str) -> RevisionId {
        text.parse().unwrap()
    }

    fn bounds(least: i32, most: i32) -> Bounds {
        Bounds { least, most, suspended: Suspended::default() }
    }

    fn plan(a: Option<i32>, b: Option<i32>, bounds: [Option<Bounds>; 2]) -> Option<Plan> {
        plan_of(a, b, bounds, false)
    }

    fn plan_of(a: Option<i32>, b: Option<i32>, [of_a, of_b]: [Option<Bounds>; 2], lasting: bool) -> Option<Plan> {
        let variant = |name: &str, count| Variant {
            name: name.to_owned(),
            instances: count,
            wanted_instances: count,
            is_serverless: count.is_none(),
            ..Variant::default()
        };
        let endpoint = Endpoint { variants: vec![variant("a", a), variant("b", b)], ..Endpoint::default() };
        Plan::of(&endpoint, &id("a"), &id("b"), [of_a, of_b], lasting)
    }

    #[test]
    fn a_candidate_gets_stables_count_and_bounds_and_never_fewer() {
        let none = [None, None];
        assert_eq!(plan(Some(3), Some(1), none).unwrap().instances, Some((1, 3)));
        assert_eq!(plan(Some(3), Some(3), none), None);
        assert_eq!(plan(Some(1), Some(3), none), None);
        for (a, b, of_a, of_b, instances, wanted) in [
            (2, 2, Some(bounds(1, 4)), Some(bounds(1, 4)), None, (1, 4)),
            (4, 1, Some(bounds(2, 8)), Some(bounds(1, 2)), Some((1, 4)), (2, 8)),
            (4, 1, Some(bounds(2, 8)), None, Some((1, 4)), (2, 8)),
            (4, 1, None, Some(bounds(1, 2)), Some((1, 4)), (1, 4)),
            (4, 5, None, Some(bounds(2, 9)), None, (2, 9)),
            // Nothing of its own is taken from it, where stable may have less.
            (4, 4, Some(bounds(2, 4)), Some(bounds(1, 9)), None, (2, 9)),
            (4, 4, Some(bounds(1, 8)), Some(bounds(3, 5)), None, (3, 8)),
            (4, 4, Some(bounds(2, 4)), Some(bounds(3, 9)), None, (3, 9)),
        ] {
            let found = plan(Some(a), Some(b), [of_a, of_b]).unwrap();
            assert_eq!((found.instances, found.bounds), (instances, Some(wanted)), "{a} {b} {of_a:?} {of_b:?}");
        }
    }

    #[test]
    fn what_lasts_suspends_nothing_and_is_nothing_where_bounds_and_counts_are_enough() {
        let same = [Some(bounds(2, 8)), Some(bounds(2, 8))];
        assert_eq!(plan_of(Some(4), Some(4), same, true), None);
        let count = plan_of(Some(4), Some(1), same, true).unwrap();
        assert_eq!((count.instances, count.bounds), (Some((1, 4)), None));
        assert_eq!(count.changes(), ["b: 1 instances become 4, as many as a has"]);
        let wider = plan_of(Some(4), Some(4), [Some(bounds(2, 8)), Some(bounds(1, 2))], true).unwrap();
        assert_eq!((wider.instances, wider.bounds), (None, Some((2, 8))));
        assert_eq!(wider.changes().len(), 1, "{:?}", wider.changes());
        let token = serde_json::to_string(&wider).unwrap();
        assert_eq!(Plan::read(&Capacity { token, changes: Vec::new() }).unwrap(), wider);
    }

    #[test]
    fn variants_without_a_count_have_no_capacity_of_their_own() {
        assert_eq!(plan(None, None, [None, None]), None);
        assert_eq!(plan(Some(2), None, [Some(bounds(1, 2)), None]), None);
    }

    #[test]
    fn a_token_says_what_it_said_and_nothing_else_is_taken_for_one() {
        let found = plan(Some(4), Some(1), [Some(bounds(2, 8)), None]).unwrap();
        let written = Capacity { token: serde_json::to_string(&found).unwrap(), changes: found.changes() };
        assert_eq!(Plan::read(&written).unwrap(), found);
        assert_eq!(
            written.changes,
            [
                "autoscaling takes no instances from a and b meanwhile",
                "autoscaling may give b 2 to 8 instances, as it may a; it needs a policy of its own for that",
                "b: 1 instances become 4, as many as a has"
            ]
        );
        for token in ["", "{}", r#"{"on":"alias","had":1,"wanted":2}"#] {
            let foreign = Capacity { token: token.to_owned(), changes: Vec::new() };
            assert_eq!(Plan::read(&foreign).unwrap_err().kind(), ErrorKind::Invalid, "{token}");
        }
    }
}
