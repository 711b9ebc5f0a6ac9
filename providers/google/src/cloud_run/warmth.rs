//! How many instances are kept ready for a candidate, and what it means when there are none; and what it means when clients
//! stay with the revision they had. Pure.
//!
//! A service's own minimum is shared out over its revisions by their percents, and a revision's is its own (discovery
//! document, `ServiceScaling.minInstanceCount` and `RevisionScaling.minInstanceCount`).

use mlroll_backend::{RevisionId, Weight};
use serde_json::{Map, Value};

use super::release::min_instances;
use super::wire::Scaling;

/// What Cloud Run grants a container to start when nobody says otherwise, in seconds; who asks for more loads slowly.
const USUAL_START: u64 = 240;

/// What a revision says of how it starts, and of who comes back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Warmth {
    /// How many instances it keeps ready by itself.
    kept: u64,
    /// Whether it says that it takes long to start: a GPU, or a probe that waits for longer than usual.
    slow: bool,
    /// Whether clients stay with it, by a cookie: `sessionAffinity`.
    sticky: bool,
}

impl Warmth {
    /// Of a revision, or of a template.
    pub(super) fn of(revision: &Map<String, Value>) -> Self {
        let accelerator = revision.get("nodeSelector").and_then(|node| node.get("accelerator")?.as_str());
        let containers = revision.get("containers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let has_gpu = accelerator.is_some_and(|name| !name.is_empty()) || containers.iter().any(wants_gpu);
        let sticky = revision.get("sessionAffinity").and_then(Value::as_bool).unwrap_or_default();
        Self { kept: min_instances(revision), slow: has_gpu || containers.iter().any(starts_late), sticky }
    }
}

fn wants_gpu(container: &Value) -> bool {
    let limits = container.get("resources").and_then(|resources| resources.get("limits"));
    limits.and_then(Value::as_object).is_some_and(|limits| limits.contains_key("nvidia.com/gpu"))
}

fn starts_late(container: &Value) -> bool {
    let Some(probe) = container.get("startupProbe") else { return false };
    let number = |field: &str, default| probe.get(field).and_then(Value::as_u64).unwrap_or(default);
    // Defaults: the discovery document, `Probe`.
    let tried = number("failureThreshold", 3).saturating_mul(number("periodSeconds", 10));
    number("initialDelaySeconds", 0).saturating_add(tried) > USUAL_START
}

/// What a person should know before a candidate gets a share, if anything: that none of its instances is kept ready, where
/// that matters to somebody.
pub(super) fn advice(
    service: &Scaling,
    (stable, of_stable): (&RevisionId, &Warmth),
    (candidate, of_candidate): (&RevisionId, &Warmth),
    share: Weight,
) -> Option<String> {
    let of_all = service.manual_instance_count.unwrap_or(service.min_instance_count);
    let of_these = u64::from(of_all) * u64::from(share.basis_points()) / 10_000;
    if of_candidate.kept > 0 || of_these > 0 {
        return None;
    }
    let why = if of_all > 0 {
        let which = if service.manual_instance_count.is_some() { "" } else { " minimum" };
        format!("the service's {of_all}{which} instances are shared out by percent, and {share} of them is none")
    } else if of_stable.kept > 0 {
        format!("{stable} keeps {} instances ready, and {candidate} none", of_stable.kept)
    } else if of_candidate.slow {
        format!("{candidate} is slow to start, and keeps no instance ready")
    } else {
        return None;
    };
    Some(format!(
        "{why}: at {share} its first requests, and those after each pause, wait until the model is loaded, so it looks slower, \
         or fails more often, than it is. Give it its own: `mlroll deploy --image IMAGE --min-instances 1`"
    ))
}

/// What a person should know of a split of clients that stay where they are: affinity goes before percents. A new split moves
/// as many clients as it must, those that no revision holds are split at random each time, and so drift to a revision that
/// does hold them (Google, "Session affinity and traffic splitting").
pub(super) fn affinity(
    (stable, of_stable): (&RevisionId, &Warmth),
    (candidate, of_candidate): (&RevisionId, &Warmth),
    share: Weight,
) -> Option<String> {
    if share == Weight::FULL {
        return None;
    }
    Some(match (of_stable.sticky, of_candidate.sticky) {
        (false, false) => return None,
        (true, true) => format!(
            "{stable} and {candidate} have session affinity: clients are split, and not requests, so with few or busy clients \
             {candidate} gets more or less than {share}. A watched run takes back who gets less than half: set \
             `on_starved = \"hold\"`, or a longer `warm_up`"
        ),
        (true, false) => format!(
            "{stable} has session affinity and {candidate} has none: clients drift to {stable} and stay, so {candidate} gets \
             less and less of its {share}. A watched run takes back who gets less than half: give both the same, or set \
             `on_starved = \"hold\"`"
        ),
        (false, true) => format!(
            "{candidate} has session affinity and {stable} has none: clients drift to {candidate} and stay, so it gets more \
             and more than {share}. Give both the same"
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn warmth(revision: &Value) -> Warmth {
        Warmth::of(revision.as_object().unwrap())
    }

    #[test]
    fn what_loads_slowly_says_so() {
        let probe = |initial: u64, period: u64, tries: u64| {
            json!({"containers": [{"startupProbe":
                {"initialDelaySeconds": initial, "periodSeconds": period, "failureThreshold": tries}}]})
        };
        for (revision, slow) in [
            (json!({}), false),
            (json!({"containers": [{"resources": {"limits": {"cpu": "4"}}}]}), false),
            (json!({"containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]}), true),
            (json!({"nodeSelector": {"accelerator": "nvidia-l4"}}), true),
            // What Cloud Run writes into every revision that has none.
            (probe(0, 240, 1), false),
            (probe(1, 240, 1), true),
            (json!({"containers": [{"startupProbe": {"initialDelaySeconds": 211}}]}), true),
        ] {
            assert_eq!(warmth(&revision).slow, slow, "{revision}");
        }
    }

    #[test]
    fn whoever_splits_clients_that_stay_is_told_what_becomes_of_the_share() {
        let id = |name: &str| name.parse::<RevisionId>().unwrap();
        let of = |sticky: bool| warmth(&if sticky { json!({"sessionAffinity": true}) } else { json!({}) });
        let tenth = Weight::from_basis_points(1_000).unwrap();
        for (stable, candidate, share, says) in [
            (false, false, tenth, &[][..]),
            (true, true, Weight::FULL, &[]),
            (
                true,
                true,
                tenth,
                &["s and c have session affinity", "more or less than 10 %", "on_starved = \"hold\"", "warm_up"],
            ),
            (
                true,
                false,
                tenth,
                &["clients drift to s and stay", "less and less of its 10 %", "on_starved = \"hold\""],
            ),
            (false, true, tenth, &["clients drift to c and stay", "more and more than 10 %"]),
        ] {
            let said = affinity((&id("s"), &of(stable)), (&id("c"), &of(candidate)), share);
            assert_eq!(said.is_some(), !says.is_empty(), "{said:?}");
            assert!(says.iter().all(|part| said.as_deref().unwrap_or_default().contains(part)), "{said:?}");
        }
        assert!(!warmth(&json!({"sessionAffinity": "yes"})).sticky);
    }

    #[test]
    fn nobody_is_warned_of_what_is_kept_warm_or_not_meant_to_be() {
        let id = |name: &str| name.parse::<RevisionId>().unwrap();
        let keeps = |count: u64| warmth(&json!({"scaling": {"minInstanceCount": count}}));
        let slow = warmth(&json!({"nodeSelector": {"accelerator": "nvidia-l4"}}));
        let (cold, percent) = (keeps(0), |whole: u16| Weight::from_basis_points(whole * 100).unwrap());
        let at_least = |min_instance_count| Scaling { min_instance_count, manual_instance_count: None };
        let exactly = |count| Scaling { min_instance_count: 0, manual_instance_count: Some(count) };
        for (service, stable, candidate, share, says) in [
            (at_least(0), cold, cold, 1, None),
            (
                at_least(4),
                cold,
                cold,
                1,
                Some("the service's 4 minimum instances are shared out by percent, and 1 % of"),
            ),
            (at_least(4), cold, cold, 25, None),
            (at_least(4), cold, keeps(1), 1, None),
            (exactly(3), cold, cold, 10, Some("the service's 3 instances are shared out by percent, and 10 % of")),
            (at_least(0), keeps(2), cold, 50, Some("s keeps 2 instances ready, and c none: at 50 %")),
            (at_least(0), keeps(2), keeps(1), 50, None),
            (at_least(0), cold, slow, 1, Some("c is slow to start, and keeps no instance ready: at 1 %")),
            (at_least(0), slow, cold, 1, None),
        ] {
            let said = advice(&service, (&id("s"), &stable), (&id("c"), &candidate), percent(share));
            match (&said, says) {
                (None, None) => {}
                (Some(said), Some(says)) => {
                    assert!(said.starts_with(says) && said.contains("--min-instances 1"), "{said}")
                }
                _ => panic!("{service:?} {stable:?} {candidate:?} {share}: {said:?}"),
            }
        }
    }
}
