//! Which revision a canary is about when none is named.

use mlroll_backend::{Provider, Revision, RevisionId};

/// The candidate among the listed revisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// There is one.
    Found {
        /// The newest revision that is newer than stable.
        candidate: RevisionId,
        /// Others that are newer than stable, the newest first.
        others: Vec<RevisionId>,
    },
    /// Nothing is newer than stable.
    Nothing,
    /// The provider's rule does not lead to one revision.
    Several(Vec<RevisionId>),
}

/// Chooses by the provider's rule; `listed` is newest first.
///
/// - Azure ML: the only deployment beside stable.
/// - Cloud Run: the newest revision that is ready and younger than stable; those that are not ready are not listed.
/// - Lambda: the newest published version above stable, by number.
/// - SageMaker: the other variant, if there are exactly two.
#[must_use]
pub fn choose(provider: Provider, stable: &RevisionId, listed: &[Revision]) -> Choice {
    match provider {
        Provider::Lambda => newest_above(stable, listed),
        Provider::CloudRun => younger_than(stable, listed),
        Provider::AzureMl | Provider::SageMaker => the_other(stable, listed),
    }
}

fn several(stable: &RevisionId, listed: &[Revision]) -> Choice {
    Choice::Several(listed.iter().map(|r| r.id.clone()).filter(|id| id != stable).collect())
}

fn younger_than(stable: &RevisionId, listed: &[Revision]) -> Choice {
    // Without its age nobody can be called younger.
    let Some(made) = listed.iter().find(|r| r.id == *stable).and_then(|r| r.created) else {
        return several(stable, listed);
    };
    let mut younger = listed.iter().filter(|r| r.created.is_some_and(|created| created > made)).map(|r| r.id.clone());
    match younger.next() {
        Some(candidate) => Choice::Found { candidate, others: younger.collect() },
        None => Choice::Nothing,
    }
}

fn newest_above(stable: &RevisionId, listed: &[Revision]) -> Choice {
    let number = |id: &RevisionId| id.as_str().parse::<u64>().ok();
    // Everything is newer than `$LATEST`, beside which no candidate can stand: the check of the pair says so.
    let floor = number(stable).unwrap_or(0);
    let mut above = listed.iter().map(|r| &r.id).filter(|id| number(id).is_some_and(|n| n > floor)).cloned();
    match above.next() {
        Some(candidate) => Choice::Found { candidate, others: above.collect() },
        None => Choice::Nothing,
    }
}

/// Names and ages tell nothing: blue follows green and green blue.
fn the_other(stable: &RevisionId, listed: &[Revision]) -> Choice {
    let others: Vec<RevisionId> = listed.iter().map(|r| r.id.clone()).filter(|id| id != stable).collect();
    match others.as_slice() {
        [candidate] => Choice::Found { candidate: candidate.clone(), others: Vec::new() },
        [] | [_, ..] => Choice::Several(others),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RevisionId {
        text.parse().unwrap()
    }

    fn listed(names: &[&str]) -> Vec<Revision> {
        names.iter().map(|n| Revision { id: id(n), created: None, description: String::new() }).collect()
    }

    #[test]
    fn cloud_run_takes_the_newest_revision_younger_than_stable() {
        let made = |name: &str, at: i64| Revision {
            created: mlroll_backend::Timestamp::from_unix_seconds(at),
            ..listed(&[name])[0].clone()
        };
        let all = [made("f-00003-c", 30), made("f-00004-d", 25), made("f-00002-b", 20), made("f-00001-a", 10)];
        let chosen = |stable: &str, listed: &[Revision]| choose(Provider::CloudRun, &id(stable), listed);
        let others = vec![id("f-00004-d")];
        assert_eq!(chosen("f-00002-b", &all), Choice::Found { candidate: id("f-00003-c"), others });
        assert_eq!(chosen("f-00003-c", &all), Choice::Nothing);
        assert_eq!(chosen("f-00001-a", &all[..1]), Choice::Several(vec![id("f-00003-c")]));
    }

    #[test]
    fn azure_ml_takes_the_only_deployment_beside_stable() {
        let choose = |names: &[&str]| choose(Provider::AzureMl, &id("blue"), &listed(names));
        assert_eq!(choose(&["green", "blue"]), Choice::Found { candidate: id("green"), others: Vec::new() });
        assert_eq!(choose(&["red", "green", "blue"]), Choice::Several(vec![id("red"), id("green")]));
        assert_eq!(choose(&["blue"]), Choice::Several(Vec::new()));
    }

    #[test]
    fn lambda_takes_the_newest_version_above_stable_by_number() {
        let choice = choose(Provider::Lambda, &id("9"), &listed(&["11", "10", "9", "8"]));
        assert_eq!(choice, Choice::Found { candidate: id("11"), others: vec![id("10")] });
        assert_eq!(choose(Provider::Lambda, &id("11"), &listed(&["11", "10"])), Choice::Nothing);
        assert_eq!(choose(Provider::Lambda, &id("11"), &[]), Choice::Nothing);
        let choice = choose(Provider::Lambda, &id("$LATEST"), &listed(&["2"]));
        assert_eq!(choice, Choice::Found { candidate: id("2"), others: Vec::new() });
    }

    #[test]
    fn sagemaker_takes_the_other_of_two_variants() {
        let choice = choose(Provider::SageMaker, &id("a"), &listed(&["a", "b"]));
        assert_eq!(choice, Choice::Found { candidate: id("b"), others: Vec::new() });
        assert_eq!(choose(Provider::SageMaker, &id("a"), &listed(&["a"])), Choice::Several(Vec::new()));
        let choice = choose(Provider::SageMaker, &id("b"), &listed(&["a", "b", "c"]));
        assert_eq!(choice, Choice::Several(vec![id("a"), id("c")]));
    }
}
