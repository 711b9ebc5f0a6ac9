//! From an endpoint's description to what it means.

use mlroll_backend::{
    Error, ErrorKind, GuardToken, Marker, MarkerState, Nature, Obstacle, Readiness, Result, RevisionId, Roles, Shadow,
    Snapshot, TrafficSplit, Weight, extract,
};

use super::kinds::{nature, unfit};
use super::wire::{Endpoint, Note, Variant};

/// The longest value of a tag, in characters (SageMaker API model).
pub(super) const TAG: usize = 256;

/// What a shift has to know besides the split: kept in the guard, as there is nothing else for it to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) arn: String,
    pub(super) variants: Vec<String>,
    /// Who gets copies, and of how much; empty when nobody does.
    shadow: String,
}

impl Known {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let variants = endpoint.variants.iter().map(|variant| variant.name.clone()).collect();
        let shadow = shadow_of(endpoint).map(|shadow| format!(" {}:{}", shadow.revision, shadow.share.basis_points()));
        Self { arn: endpoint.arn.clone(), variants, shadow: shadow.unwrap_or_default() }
    }

    /// The parts are an ARN, and names of letters, digits and hyphens: neither has a space or a comma.
    pub(super) fn guard(&self) -> GuardToken {
        let token = format!("{} {}{}", self.arn, self.variants.join(","), self.shadow);
        GuardToken { token, own_text: String::new() }
    }

    pub(super) fn from(guard: &GuardToken) -> Option<Self> {
        let (arn, rest) = guard.token.split_once(' ')?;
        let (variants, shadow) = rest.find(' ').map_or((rest, ""), |at| rest.split_at(at));
        let variants = variants.split(',').map(str::to_owned).collect();
        Some(Self { arn: arn.to_owned(), variants, shadow: shadow.to_owned() })
    }
}

/// Who gets copies of live requests: the share is the shadow's weight over that of the production variant.
///
/// AWS does not write this rule down. Its own example has 1 beside 1, and users of it say that this is every request, and 0.1
/// beside 1 a tenth of them.
pub(super) fn shadow_of(endpoint: &Endpoint) -> Option<Shadow> {
    let shadow = endpoint.shadows.first()?;
    let sum: f64 = endpoint.variants.iter().map(|variant| f64::from(variant.desired)).sum();
    let share = (f64::from(shadow.desired) / sum).clamp(0.0, 1.0);
    let share = if share.is_nan() { 1.0 } else { (share * 10_000.0).round().max(1.0) };
    Some(Shadow { revision: shadow.name.parse().ok()?, share: Weight::from_basis_points(share as u16)? })
}

/// The endpoint config, and whose marker it goes with: what writes the marker alone, as older versions do, leaves this behind.
fn config_tag(config: &str, marker: &Marker) -> String {
    marker.id.as_ref().map_or_else(|| config.to_owned(), |id| format!("{config} id={id}"))
}

/// The endpoint config of the tags, where it goes with this marker.
pub(super) fn noted_config<'n>(note: &'n Note, marker: &Marker) -> Option<&'n str> {
    let tag = note.config.as_deref()?;
    let (config, id) = tag.split_once(" id=").map_or((tag, None), |(config, id)| (config, Some(id)));
    (id == marker.id.as_deref()).then_some(config)
}

/// What the tags said, where they are put back: of a way back that was lost since, nothing any more, as the endpoint config that it was of
/// is not written down twice.
pub(super) fn note_before(marker: &Marker, seen: &Snapshot) -> Note {
    let lost = seen.replaced.is_some() && marker.state == MarkerState::Promoted;
    let previous = marker.previous.clone().filter(|_| !lost);
    note_of(&Marker { previous, ..marker.clone() }, seen)
}

/// What the tags are to say of an endpoint as it was seen: a marker without its brackets, which the values of tags may not have.
pub(super) fn note_of(marker: &Marker, seen: &Snapshot) -> Note {
    let embedded = mlroll_backend::embed("", marker, TAG);
    let carried = embedded.marker.as_ref().unwrap_or(marker);
    let config = seen.contents.as_deref().and_then(config_in);
    Note {
        marker: embedded.text.trim_start_matches('[').trim_end_matches(']').to_owned(),
        config: config.map(|config| config_tag(config, carried)),
    }
}

fn marker_in(tag: &str) -> Option<Marker> {
    let bare = tag.trim().trim_start_matches('[').trim_end_matches(']');
    extract(&format!("[{bare}]")).1
}

/// An endpoint and what its tags say as a snapshot.
pub(super) fn snapshot(operation: &'static str, endpoint: &Endpoint, note: Option<&Note>) -> Result<Snapshot> {
    let split = split(operation, endpoint)?;
    let noted = note.and_then(|note| marker_in(&note.marker));
    let fits = |marker: &&Marker| split.as_ref().is_some_and(|split| marker.fits(split));
    let marker = noted.as_ref().filter(fits).cloned();
    let roles = match (&split, &noted) {
        (Some(split), noted) if marker.is_none() && marks_the_smaller(endpoint) => {
            noted.as_ref().map_or_else(Roles::default, |noted| not_live(split, noted))
        }
        (Some(split), _) => Roles::of(split, marker.as_ref(), None),
        (None, _) => Roles::default(),
    };
    Ok(Snapshot {
        roles: Roles { shadow: shadow_of(endpoint), ..roles },
        split,
        marker,
        guard: Known::of(endpoint).guard(),
        readiness: readiness(endpoint),
        modified: endpoint.modified,
        taken_back: taken_back(endpoint),
        contents: contents(endpoint),
        replaced: None,
        nature: nature(endpoint),
    })
}

/// What the variants are: their models stand in the endpoint config, which is never changed, and may be exchanged for another
/// with the same names.
pub(super) fn contents(endpoint: &Endpoint) -> Option<String> {
    (!endpoint.config.is_empty()).then(|| format!("{CONFIG}{}", endpoint.config))
}

/// What stands before the name of an endpoint config.
const CONFIG: &str = "the endpoint config ";

/// The endpoint config that [`contents`] names.
pub(super) fn config_in(contents: &str) -> Option<&str> {
    contents.strip_prefix(CONFIG)
}

/// Who is who where a marker arrived and its weights did not, or were taken back, in a split of which the larger share is not
/// stable's. Of a promotion whoever was to be the way back is stable still; of a rollback whoever was to have everything.
/// Nobody, where the marker says anything else.
fn not_live(split: &TrafficSplit, noted: &Marker) -> Roles {
    let has = |revision: &RevisionId| split.iter().any(|(one, _)| one == revision);
    match (&noted.state, &noted.previous) {
        (MarkerState::Promoted, Some(previous)) if split.len() == 2 && has(previous) && has(&noted.stable) => {
            Roles { stable: Some(previous.clone()), candidate: Some(noted.stable.clone()), ..Roles::default() }
        }
        (MarkerState::RolledBack { .. }, _) if split.len() == 2 && has(&noted.stable) => {
            let other = split.iter().map(|(one, _)| one).find(|one| **one != noted.stable);
            Roles { stable: Some(noted.stable.clone()), candidate: other.cloned(), ..Roles::default() }
        }
        _ => Roles::default(),
    }
}

/// The split that is asked for: while a change is under way, the one that it leads to.
pub(super) fn split(operation: &'static str, endpoint: &Endpoint) -> Result<Option<TrafficSplit>> {
    let unexpected = |e: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Unexpected, operation, format!("SageMaker's answer makes no sense: {e}"))
    };
    let mut shares = Vec::new();
    for Variant { name, desired, .. } in &endpoint.variants {
        shares.push((name.parse::<RevisionId>().map_err(|e| unexpected(&e))?, f64::from(*desired)));
    }
    if shares.iter().all(|(_, share)| *share == 0.0) {
        return Ok(None);
    }
    TrafficSplit::apportion(shares).map(Some).map_err(|e| unexpected(&e))
}

/// SageMaker's own word for a change that it does not make: the status while it goes back, and the reason that stays.
///
/// Whether a reason stays when a later change has gone well is not documented: it is evidence only of a change after which it
/// is new. The status itself is that of the change under way, as an endpoint takes one at a time.
fn taken_back(endpoint: &Endpoint) -> Option<String> {
    let why = || match endpoint.failure.as_str() {
        "" => String::new(),
        why => format!(": {why}"),
    };
    match endpoint.status.as_str() {
        "RollingBack" => Some(format!("SageMaker takes the change back (RollingBack){}", why())),
        "InService" if !endpoint.failure.is_empty() => Some(format!("SageMaker took the change back{}", why())),
        _ => None,
    }
}

fn readiness(endpoint: &Endpoint) -> Readiness {
    let failure = match endpoint.failure.as_str() {
        "" => String::new(),
        why => format!(": {why}"),
    };
    match endpoint.status.as_str() {
        "InService" => {
            let moving = endpoint.variants.iter().find(|variant| variant.current != variant.desired);
            match moving {
                Some(Variant { name, current, desired, .. }) => {
                    Readiness::Settling(format!("variant {name} has weight {current}, and will have {desired}"))
                }
                None => Readiness::Live,
            }
        }
        "Creating" => Readiness::Settling("the endpoint is being created".to_owned()),
        "Updating" if endpoint.pending.is_some() => Readiness::Settling(match nature(endpoint) {
            Nature { kind: Some(kind), what, .. } if kind == "guardrail_deployment" => what,
            _ => "a new endpoint config is being deployed".to_owned(),
        }),
        "Updating" => Readiness::Settling("the endpoint is Updating".to_owned()),
        "SystemUpdating" => {
            Readiness::Settling("AWS maintains the endpoint (SystemUpdating); nobody can hurry it".to_owned())
        }
        "RollingBack" => Readiness::Settling(
            "SageMaker takes back a change that failed (RollingBack): the old weights return".to_owned(),
        ),
        "Deleting" => Readiness::Failed("the endpoint is being deleted".to_owned()),
        "Failed" => Readiness::Failed(format!(
            "the endpoint is Failed: AWS lets nobody do anything but delete it, and does not tell whether it still answers{failure}"
        )),
        "OutOfService" => Readiness::Failed(format!("the endpoint is OutOfService{failure}")),
        "UpdateRollbackFailed" => Readiness::Failed(format!(
            "the endpoint is UpdateRollbackFailed: a rolling deployment and its rollback failed, a mix of the old and the new config \
             serves, and weights cannot be moved in it{failure}"
        )),
        other => Readiness::Settling(format!("the endpoint is {other}, which mlroll does not know")),
    }
}

/// The weights that make `to` the split, for all variants: whole percents where that is enough. They are twice as large when
/// `stable` has no more than another, so that whoever reads them without the tag does not take the larger one for it.
pub(super) fn weights(to: &TrafficSplit, stable: &RevisionId, variants: &[String]) -> Vec<(String, u16)> {
    let hundred = Weight::from_basis_points(100).unwrap_or(Weight::FULL);
    let unit = if to.iter().all(|(_, weight)| weight.is_multiple_of(hundred)) { 100 } else { 1 };
    let own = to.weight_of(stable);
    let times = if to.iter().any(|(revision, weight)| revision != stable && weight >= own) { 2 } else { 1 };
    let weight = |name: &String| {
        let share = to.iter().find(|(revision, _)| revision.as_str() == name).map_or(0, |(_, w)| w.basis_points());
        (name.clone(), share / unit * times)
    };
    variants.iter().map(weight).collect()
}

/// Whether the weights are those of a canary that has as much as stable, or more.
pub(super) fn marks_the_smaller(endpoint: &Endpoint) -> bool {
    let sum: f64 = endpoint.variants.iter().map(|variant| f64::from(variant.desired)).sum();
    [200.0, 20_000.0].contains(&sum)
}

/// What keeps a candidate from standing beside stable.
pub(super) fn obstacles(
    endpoint: &Endpoint,
    without_model: &[String],
    stable: &RevisionId,
    candidate: &RevisionId,
) -> Vec<Obstacle> {
    let mut found = Vec::new();
    let mut add = |what: String, remedy: &str| found.push(Obstacle { what, remedy: remedy.to_owned() });
    if let Some(unfit) = unfit(endpoint, !without_model.is_empty()) {
        add(unfit.what, &unfit.remedies.join("; "));
    }
    for shadow in endpoint.shadows.iter().filter(|shadow| shadow.name != candidate.as_str()) {
        add(format!("shadow variant {} gets copies of requests", shadow.name), "end that first: `mlroll shadow --off`");
    }
    // One that is a shadow may get more copies; it gets no users as long as it is one, which a shift says.
    let all = || endpoint.variants.iter().chain(&endpoint.shadows);
    for revision in [candidate, stable] {
        match all().find(|variant| variant.name == revision.as_str()) {
            None => add(
                format!("the endpoint has no variant {revision}"),
                "name one that it has, or add it by a new endpoint config",
            ),
            Some(Variant { instances, wanted_instances, .. })
                if *instances == Some(0) || *wanted_instances == Some(0) =>
            {
                add(
                    format!("variant {revision} has no instance"),
                    "give it some first: aws sagemaker update-endpoint-weights-and-capacities",
                );
            }
            Some(_) => {}
        }
    }
    found
}
