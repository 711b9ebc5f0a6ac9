//! What a service says of itself, in our words; and the change that makes it say something else.

use std::collections::{BTreeMap, BTreeSet};

use mlroll_backend::{
    Error, ErrorKind, GuardToken, Marker, Nature, Readiness, Result, RevisionId, Roles, Snapshot, TrafficSplit, Weight,
    embed, extract,
};

use super::wire::{Change, Condition, Kind, MultiRegion, Service, Share};
use crate::error::printable;

/// The annotation that the marker is kept in.
pub(super) const ANNOTATION: &str = "mlroll.dev/rollout";

/// The longest marker, in UTF-16 code units. All annotations of a service may have 256 KiB together.
pub(super) const NOTE: usize = 1024;

/// Namespaces of annotations that v2 keeps as fields and refuses in the map (discovery document, `Service.annotations`).
const RESERVED: [&str; 4] =
    ["run.googleapis.com", "cloud.googleapis.com", "serving.knative.dev", "autoscaling.knative.dev"];

/// A service's answer as a snapshot.
pub(super) fn read(operation: &'static str, service: &Service) -> Result<Snapshot> {
    if let Some(settings) = service.multi_region_settings.as_ref().filter(|settings| settings.spans_regions()) {
        let which = if settings.regions.is_empty() {
            format!("regions (as {})", printable(&settings.multi_region_id, 200))
        } else {
            format!("the regions {}", printable(&settings.regions.join(", "), 200))
        };
        let message = format!("the service spans {which}: one of them is not moved without the others");
        return Err(Error::new(ErrorKind::Unsupported, operation, message));
    }
    if service.delete_time.as_deref().is_some_and(|time| !time.is_empty()) {
        return Err(Error::new(ErrorKind::NotFound, operation, "the service is being deleted"));
    }
    let unexpected =
        |e: String| Error::new(ErrorKind::Unexpected, operation, format!("Cloud Run's answer makes no sense: {e}"));
    let wanted = service.wanted().map_err(unexpected)?;
    let effective = service.effective().map_err(unexpected)?;
    let (own_text, marker) = extract(service.annotations.get(ANNOTATION).map_or("", String::as_str));
    let marker = marker.zip(wanted.as_ref()).filter(|(marker, split)| marker.fits(split)).map(|(marker, _)| marker);
    Ok(Snapshot {
        roles: wanted.as_ref().map(|split| Roles::of(split, marker.as_ref(), None)).unwrap_or_default(),
        readiness: service.readiness(wanted.as_ref(), effective.as_ref()),
        split: wanted,
        marker,
        guard: GuardToken { token: service.etag.clone(), own_text: own_text.to_owned() },
        modified: service.update_time.as_deref().and_then(|time| time.parse().ok()),
        taken_back: None,
        contents: None,
        replaced: None,
        nature: Nature::default(),
    })
}

impl MultiRegion {
    fn spans_regions(&self) -> bool {
        !self.regions.is_empty() || !self.multi_region_id.is_empty()
    }
}

impl Service {
    /// Whether users get a revision, by a share or a tag, or would get it as the latest: then it was there when the service was
    /// read. What is only wanted may not be: Cloud Run takes any name.
    pub(super) fn has(&self, revision: &RevisionId) -> bool {
        let served = self.traffic_statuses.iter().map(|share| short(&share.revision));
        served.chain(self.latest()).any(|name| name == revision.as_str())
    }

    /// Whether Cloud Run is still at work on a change.
    pub(super) fn is_moving(&self) -> bool {
        self.reconciling || self.observed_generation != self.generation
    }

    /// What users get, as an addition to what is said of it.
    pub(super) fn served(&self) -> String {
        let effective = self.effective().ok().flatten();
        effective.map_or_else(String::new, |split| format!("; users get {split}"))
    }

    /// The split that is asked for; `None` when nobody is.
    fn wanted(&self) -> Result<Option<TrafficSplit>, String> {
        if self.traffic.iter().all(|share| share.percent == 0) {
            // Empty means "everything to the latest ready revision".
            return match self.latest() {
                Some(latest) => Ok(Some(TrafficSplit::full(latest.parse().map_err(|e| format!("{e}"))?))),
                None => Ok(None),
            };
        }
        let latest = self.latest();
        let shares = self.traffic.iter().map(|share| match share.kind {
            Kind::Latest => (latest.unwrap_or_default(), share.percent),
            Kind::Revision | Kind::Unspecified => (short(&share.revision), share.percent),
        });
        split(shares)
    }

    /// The split that users get.
    fn effective(&self) -> Result<Option<TrafficSplit>, String> {
        split(self.traffic_statuses.iter().map(|share| (short(&share.revision), share.percent)))
    }

    /// Who "the latest" is: whom the status names, else the latest that was ready.
    fn latest(&self) -> Option<&str> {
        let named = self.traffic_statuses.iter().find(|share| share.kind == Kind::Latest && share.percent > 0);
        let named = named.map_or(self.latest_ready_revision.as_str(), |share| share.revision.as_str());
        Some(short(named)).filter(|name| !name.is_empty())
    }

    /// Whether users get what is asked for.
    ///
    /// The terminal condition alone does not tell: it also fails when a deploy without traffic does.
    fn readiness(&self, wanted: Option<&TrafficSplit>, effective: Option<&TrafficSplit>) -> Readiness {
        let served = self.served();
        let terminal = self.terminal_condition.as_ref();
        if self.is_moving() {
            let said = terminal.filter(|c| !c.has_succeeded() && !c.message.is_empty()).map(said);
            let said = said.map_or_else(String::new, |said| format!(" ({said})"));
            return Readiness::Settling(format!("Cloud Run is still applying the change{said}{served}"));
        }
        let routes = self.conditions.iter().find(|condition| condition.kind == "RoutesReady");
        if wanted == effective && !routes.is_some_and(Condition::has_failed) {
            return Readiness::Live;
        }
        match routes.filter(|c| c.has_failed()).or_else(|| terminal.filter(|c| c.has_failed())) {
            Some(condition) => Readiness::Failed(format!("{}{served}", said(condition))),
            None => Readiness::Settling(format!("the split is not the one that is asked for{served}")),
        }
    }

    /// Revisions that Cloud Run itself calls failed.
    pub(super) fn failed(&self) -> BTreeSet<&str> {
        let mut failed = BTreeSet::new();
        for condition in self.conditions.iter().chain(&self.terminal_condition).filter(|c| c.has_failed()) {
            let named: Vec<&str> = quoted(&condition.message).collect();
            if named.is_empty() && condition.reason == "REVISION_FAILED" {
                let (created, ready) = (short(&self.latest_created_revision), short(&self.latest_ready_revision));
                failed.extend(Some(created).filter(|created| *created != ready && !created.is_empty()));
            }
            failed.extend(named);
        }
        failed
    }

    /// The change that makes `to` the split.
    ///
    /// # Errors
    /// `Unsupported`: Cloud Run cannot store a share.
    pub(super) fn change(&self, operation: &'static str, to: &TrafficSplit, marker: &Marker) -> Result<Change> {
        let traffic = self.pinned(operation, to)?;
        let carried = embed(self.own_text(), marker, NOTE);
        let mut annotations = self.own_annotations();
        annotations.insert(ANNOTATION.to_owned(), carried.text);
        Ok(Change { etag: self.etag.clone(), traffic, annotations: Some(annotations) })
    }

    /// The traffic that gives each revision its share by name, with the user's tags.
    ///
    /// # Errors
    /// `Unsupported`: Cloud Run cannot store a share.
    pub(super) fn pinned(&self, operation: &'static str, to: &TrafficSplit) -> Result<Vec<Share>> {
        let mut traffic = Vec::new();
        for (revision, weight) in to.by_share() {
            let whole = Weight::from_basis_points(100).is_some_and(|percent| weight.is_multiple_of(percent));
            if !whole {
                let message = format!("Cloud Run stores whole percents, and {revision} shall get {weight}");
                return Err(Error::new(ErrorKind::Unsupported, operation, message));
            }
            let percent = u32::from(weight.basis_points() / 100);
            let (kind, revision, tag) = (Kind::Revision, revision.to_string(), String::new());
            traffic.push(Share { kind, revision, percent, tag, ..Share::default() });
        }
        traffic.extend(self.tags(to));
        Ok(traffic)
    }

    fn own_text(&self) -> &str {
        extract(self.annotations.get(ANNOTATION).map_or("", String::as_str)).0
    }

    /// The user's tags, on the revisions they are on, but for failed ones that get no traffic.
    fn tags(&self, to: &TrafficSplit) -> Vec<Share> {
        let failed = self.failed();
        let serves = |name: &str| name.parse().is_ok_and(|id: RevisionId| to.weight_of(&id) != Weight::ZERO);
        let mut tags = Vec::new();
        for share in self.traffic.iter().filter(|share| !share.tag.is_empty()) {
            let (kind, revision) = match share.kind {
                // A tag that follows the latest goes on to; one that shared its traffic stays where users are.
                Kind::Latest if share.percent == 0 => (Kind::Latest, ""),
                Kind::Latest => (Kind::Revision, self.latest().unwrap_or_default()),
                Kind::Revision | Kind::Unspecified => (Kind::Revision, short(&share.revision)),
            };
            if failed.contains(revision) && !serves(revision) {
                continue;
            }
            let (revision, tag) = (revision.to_owned(), share.tag.clone());
            tags.push(Share { kind, revision, tag, ..Share::default() });
        }
        tags
    }

    /// All annotations that may be sent back: the map is replaced as a whole.
    fn own_annotations(&self) -> BTreeMap<String, String> {
        self.annotations.iter().filter(|(key, _)| !is_reserved(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

/// Whether v2 refuses a key in a map of the user's.
pub(super) fn is_reserved(key: &str) -> bool {
    let namespace = key.split('/').next().unwrap_or_default();
    RESERVED.iter().any(|reserved| namespace == *reserved || namespace.ends_with(&format!(".{reserved}")))
}

/// Adds up all entries of a revision: it may have one for its share and others for its tags.
fn split<'a>(shares: impl Iterator<Item = (&'a str, u32)>) -> Result<Option<TrafficSplit>, String> {
    let mut live = Vec::new();
    for (name, percent) in shares.filter(|(_, percent)| *percent > 0) {
        let revision: RevisionId = name.parse().map_err(|e| format!("{e}"))?;
        live.push((revision, f64::from(percent)));
    }
    if live.is_empty() {
        return Ok(None);
    }
    TrafficSplit::apportion(live).map(Some).map_err(|e| e.to_string())
}

/// The last part of a resource name.
pub(super) fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// A condition's own words.
pub(super) fn said(condition: &Condition) -> String {
    let reason = [&condition.reason, &condition.revision_reason].into_iter().find(|reason| !reason.is_empty());
    match (condition.message.as_str(), reason) {
        ("", None) => format!("{} is {}", condition.kind, condition.state),
        ("", Some(reason)) => printable(reason, 80),
        (message, _) => printable(message, 600),
    }
}

/// What stands between single quotes: Cloud Run names revisions so.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('\'').skip(1).step_by(2).filter(|name| name.parse::<RevisionId>().is_ok())
}
