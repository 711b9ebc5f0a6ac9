//! The endpoints and deployments that exist.

use std::collections::BTreeMap;
use std::time::Duration;

use mlroll_backend::{RevisionId, Target, Timestamp, TrafficSplit, Weight};
use serde_json::{Map, Value};

/// `provisioningState`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Canceled,
    Creating,
    Deleting,
    Failed,
    Scaling,
    Succeeded,
    Updating,
}

impl State {
    /// As it is written.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Canceled => "Canceled",
            Self::Creating => "Creating",
            Self::Deleting => "Deleting",
            Self::Failed => "Failed",
            Self::Scaling => "Scaling",
            Self::Succeeded => "Succeeded",
            Self::Updating => "Updating",
        }
    }
}

/// How an operation that begins now will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    InTime,
    /// A fault keeps it from its end.
    Never,
    /// It ends in this state, and nothing has changed.
    Badly(State),
}

/// What an operation leads to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    Record(Map<String, Value>),
    Nothing,
}

/// An operation under way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) id: String,
    /// `None` when it does not end.
    pub(super) until: Option<Timestamp>,
    /// `Succeeded`, `Failed` or `Canceled`.
    pub(super) outcome: State,
    pub(super) wanted: Wanted,
}

/// An operation that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Over {
    pub(super) id: String,
    pub(super) at: Timestamp,
    pub(super) outcome: State,
    pub(super) deleted: bool,
}

/// An endpoint's or a deployment's own part.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// As it was first written.
    pub(super) name: String,
    /// What a PUT wrote, without what Azure adds.
    pub(super) record: Map<String, Value>,
    pub(super) state: State,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) pending: Option<Pending>,
}

impl Resource {
    /// Ends what is over.
    pub(super) fn settle(&mut self, now: Timestamp) -> Option<Over> {
        let at = self.pending.as_ref()?.until.filter(|until| *until <= now)?;
        let Pending { id, outcome, wanted, .. } = self.pending.take()?;
        self.state = outcome;
        self.modified = at;
        let mut deleted = false;
        if outcome == State::Succeeded {
            match wanted {
                Wanted::Record(record) => self.record = record,
                Wanted::Nothing => deleted = true,
            }
        }
        Some(Over { id, at, outcome, deleted })
    }

    /// An object among the properties; empty where there is none.
    pub(super) fn property(&self, name: &str) -> Map<String, Value> {
        let properties = self.record.get("properties").and_then(Value::as_object);
        properties.and_then(|properties| properties.get(name)?.as_object()).cloned().unwrap_or_default()
    }
}

/// An endpoint with all that hangs on it.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) resource: Resource,
    /// By name in lower case.
    pub(super) deployments: BTreeMap<String, Resource>,
    /// What its users know it by; none: it has no users.
    pub(super) target: Option<Target>,
}

impl Endpoint {
    /// The percents of a map among the properties, by names in lower case, none of them zero.
    pub(super) fn percents(&self, map: &str) -> BTreeMap<String, u64> {
        let entries = self.resource.property(map).into_iter();
        let entries = entries.filter_map(|(name, percent)| Some((name.to_ascii_lowercase(), percent.as_u64()?)));
        let mut percents = BTreeMap::new();
        for (name, percent) in entries.filter(|(_, percent)| *percent > 0) {
            *percents.entry(name).or_insert(0) += percent;
        }
        percents
    }

    /// Where requests go; `None` when that is nowhere.
    pub(super) fn split(&self) -> Option<TrafficSplit> {
        let percents = self.percents("traffic");
        let shares = percents.iter().map(|(name, percent)| {
            let revision: RevisionId = self.deployments.get(name)?.name.parse().ok()?;
            Some((revision, *percent as f64))
        });
        TrafficSplit::apportion(shares.collect::<Option<Vec<_>>>()?).ok()
    }

    /// Who gets copies of requests, and of how many.
    pub(super) fn mirror(&self) -> Option<(RevisionId, Weight)> {
        let (name, percent) = self.percents("mirrorTraffic").into_iter().next()?;
        let revision = self.deployments.get(&name)?.name.parse().ok()?;
        Some((revision, Weight::from_basis_points(u16::try_from(percent * 100).ok()?)?))
    }
}

/// An endpoint now, and as it was before the latest write to it or its deployments.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) now: Endpoint,
    pub(super) before: Option<Box<Endpoint>>,
}

/// Why an operation is going to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blame {
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// An operation that was begun, for those who ask how it goes.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) began: Timestamp,
    pub(super) blame: Option<Blame>,
    /// When and how it ended.
    pub(super) over: Option<Over>,
}

/// How long a new endpoint takes: 61 to 92 s were recorded.
pub(super) const CREATE: Duration = Duration::from_secs(75);
/// How long a new deployment takes: less than 9 minutes and 47 seconds were recorded.
pub(super) const DEPLOY: Duration = Duration::from_secs(480);
/// How long another number of instances takes: 12 to 18 minutes were reported.
pub(super) const SCALE: Duration = Duration::from_secs(720);
/// How long a deletion takes. This is a guess.
pub(super) const DELETE: Duration = Duration::from_secs(30);
