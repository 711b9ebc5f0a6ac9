//! The functions, versions and aliases that exist.

use std::collections::BTreeMap;
use std::time::Duration;

use mlroll_backend::{LambdaAlias, Target, Timestamp, TrafficSplit};
use serde_json::{Map, Value};

/// When something that was accepted becomes live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// At this moment of the sandbox's time.
    At(Timestamp),
    /// At this moment it turns out that it cannot be done.
    Badly(Timestamp),
    /// A fault keeps it from it.
    Never,
}

impl Until {
    /// When it was, if that is over.
    pub(super) fn reached(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::At(at) | Self::Badly(at) => Some(at).filter(|at| *at <= now),
            Self::Never => None,
        }
    }
}

/// Code and settings: what a version freezes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) role: String,
    pub(super) handler: String,
    pub(super) runtime: String,
    /// In seconds.
    pub(super) timeout: u32,
    /// In MB.
    pub(super) memory: u32,
    pub(super) environment: Map<String, Value>,
    /// The ARN of the dead letter queue.
    pub(super) dead_letter: Option<String>,
    pub(super) code_sha256: String,
    /// The container image, of a function that is one.
    pub(super) image: Option<String>,
    /// In bytes.
    pub(super) code_size: u64,
}

/// A published version, or `$LATEST`.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) settings: Settings,
    pub(super) description: String,
    pub(super) modified: Timestamp,
    pub(super) revision_id: String,
    /// `Pending` until then.
    pub(super) pending: Option<Until>,
    /// What `$LATEST` said of itself when it was frozen: as good as a setting.
    pub(super) template: String,
    /// Whether it could not be made, and never serves.
    pub(super) failed: bool,
    /// Whether its latest update failed.
    pub(super) update_failed: bool,
    /// `LastUpdateStatus` is `InProgress` until then.
    pub(super) updating: Option<Until>,
}

/// AWS' own weight on an alias whose change is not live yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transient {
    /// The version that is shown with all of the weight.
    pub(super) old: String,
    /// The primary version and the weights that users get meanwhile.
    pub(super) serving: (String, BTreeMap<String, f64>),
    pub(super) until: Until,
}

/// An alias of a function.
#[derive(Clone, Debug)]
pub(super) struct Alias {
    /// The primary version.
    pub(super) version: String,
    /// The additional version and its share; Lambda allows one at most.
    pub(super) weights: BTreeMap<String, f64>,
    pub(super) description: String,
    /// Replaced by every update.
    pub(super) revision_id: String,
    pub(super) transient: Option<Transient>,
}

impl Alias {
    /// The additional versions as a reader sees them.
    pub(super) fn shown_weights(&self) -> BTreeMap<String, f64> {
        match &self.transient {
            Some(transient) => BTreeMap::from([(transient.old.clone(), 1.0)]),
            None => self.weights.clone(),
        }
    }

    /// The primary version and the weights by which requests go, whatever a reader sees.
    pub(super) fn serving(&self) -> (&str, &BTreeMap<String, f64>) {
        match &self.transient {
            Some(Transient { serving: (version, weights), .. }) => (version, weights),
            None => (&self.version, &self.weights),
        }
    }

    /// Where requests go; `None` when that is no split (versions that the contract cannot name).
    pub(super) fn split(&self) -> Option<TrafficSplit> {
        let (primary, weights) = self.serving();
        let rest = (1.0 - weights.values().sum::<f64>()).max(0.0);
        let weights = weights.iter().map(|(version, share)| (version.as_str(), *share));
        let shares = weights.chain([(primary, rest)]);
        let shares: Result<Vec<_>, _> = shares.map(|(version, share)| Ok((version.parse()?, share))).collect();
        let shares: Vec<_> = shares.map_err(|_: mlroll_backend::InvalidRevisionId| ()).ok()?;
        TrafficSplit::apportion(shares).ok()
    }
}

/// Provisioned concurrency of a version or an alias.
#[derive(Clone, Debug)]
pub(super) struct Provisioned {
    pub(super) requested: u32,
    pub(super) modified: Timestamp,
    /// `IN_PROGRESS` until then.
    pub(super) until: Option<Until>,
    /// Whether it cannot be provided.
    pub(super) failed: bool,
}

/// A function with all that hangs on it.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) latest: Version,
    pub(super) versions: BTreeMap<u64, Version>,
    /// The number that the next version gets; numbers are never used twice.
    pub(super) next_version: u64,
    pub(super) aliases: BTreeMap<String, Alias>,
    /// By version or alias.
    pub(super) provisioned: BTreeMap<String, Provisioned>,
    /// Reserved concurrency.
    pub(super) reserved: Option<u32>,
}

impl Function {
    /// A version by its name on the wire.
    pub(super) fn version(&self, name: &str) -> Option<&Version> {
        if name == LATEST { Some(&self.latest) } else { self.versions.get(&name.parse().ok()?) }
    }

    /// A version by its name or that of an alias, with its number.
    pub(super) fn qualified<'a>(&'a self, qualifier: &'a str) -> Option<(&'a str, &'a Version)> {
        let number = self.aliases.get(qualifier).map_or(qualifier, |alias| alias.version.as_str());
        Some((number, self.version(number)?))
    }
}

/// The name of the unpublished version.
pub(super) const LATEST: &str = "$LATEST";

/// A function now, and as it was before the latest write to it.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) now: Function,
    pub(super) before: Option<Box<Function>>,
}

/// From a moment on, requests to a target go where the split says.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    /// The alias.
    pub target: Target,
    /// Who gets what.
    pub split: TrafficSplit,
    /// From when on.
    pub at: Timestamp,
}

/// The target that an alias is.
pub(super) fn target(region: &str, function: &str, alias: &str) -> Target {
    let (region, function, alias) = (region.to_owned(), function.to_owned(), alias.to_owned());
    Target::Lambda(LambdaAlias { region, function, alias, owner: None })
}

/// How long an update of code or settings takes.
pub(super) const UPDATE: Duration = Duration::from_secs(3);
/// How long a published version is pending.
pub(super) const PUBLISH: Duration = Duration::from_secs(5);
/// How long it takes to allocate provisioned concurrency: "starts after 1-2 minutes".
pub(super) const ALLOCATE: Duration = Duration::from_secs(120);
/// How long it takes to move the provisioned concurrency of an alias to another version: 6 to 8 minutes were seen.
pub(super) const MOVE: Duration = Duration::from_secs(360);
