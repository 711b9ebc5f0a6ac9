//! Provisioned concurrency: a candidate gets what stable has before its first weight, and the loser gives it back.
//!
//! What stable has on its version, the candidate gets on its own: both are warm until the end, and then the one that lost
//! loses it. What the alias has, Lambda itself shares out between the versions while there are weights ("this value
//! fluctuates", API model) and moves at a promote, keeping users at the old version until the new one is ready; it takes no
//! change of it while there are weights. So it is doubled before the first weight, as AWS advises, and set back at the end.

use mlroll_backend::{Capacity, Error, ErrorKind, Obstacle, Pace, Result, RevisionId, Weight};
use serde_json::{Value, json};

use super::wire::Calls;

/// What changes, as a token keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Plan {
    /// The alias has `had`, and gets `wanted`.
    Alias { had: u32, wanted: u32 },
    /// The candidate's version, which has `had`, gets `wanted`: what stable's has, `of_stable`, or what it has already.
    Version { stable: RevisionId, candidate: RevisionId, had: u32, wanted: u32, of_stable: u32 },
}

impl Plan {
    fn write(&self) -> String {
        match self {
            Self::Alias { had, wanted } => json!({ "on": "alias", "had": had, "wanted": wanted }),
            Self::Version { stable, candidate, had, wanted, of_stable } => {
                json!({ "on": "version", "stable": stable, "candidate": candidate, "had": had, "wanted": wanted,
                    "of_stable": of_stable })
            }
        }
        .to_string()
    }

    fn read(token: &str) -> Result<Self> {
        let wrong = || Error::new(ErrorKind::Invalid, "", format!("`{token}` says nothing of provisioned concurrency"));
        let value: Value = serde_json::from_str(token).map_err(|_| wrong())?;
        let number = |name: &str| value.get(name)?.as_u64().and_then(|n| u32::try_from(n).ok());
        let revision = |name: &str| value.get(name)?.as_str()?.parse().ok();
        let plan = || {
            let (had, wanted) = (number("had")?, number("wanted")?);
            match value.get("on")?.as_str()? {
                "alias" => Some(Self::Alias { had, wanted }),
                "version" => {
                    let (stable, candidate) = (revision("stable")?, revision("candidate")?);
                    // Older ones only knew candidates that had less.
                    let of_stable = number("of_stable").unwrap_or(wanted);
                    Some(Self::Version { stable, candidate, had, wanted, of_stable })
                }
                _ => None,
            }
        };
        plan().ok_or_else(wrong)
    }
}

/// See [`Backend::capacity`](mlroll_backend::Backend::capacity).
pub(super) async fn capacity(
    calls: &Calls<'_>,
    stable: &RevisionId,
    candidate: &RevisionId,
) -> Result<Option<Capacity>> {
    let all = calls.list_provisioned().await?;
    let requested = |qualifier: &str| all.get(qualifier).map_or(0, |provisioned| provisioned.requested);
    let alias = &calls.alias.alias;
    let of_alias = requested(alias);
    let (of_stable, had) = (requested(stable.as_str()), requested(candidate.as_str()));
    let (plan, more, change) = if of_alias > 0 {
        refuse_two_owners(calls, candidate, had)?;
        let wanted = of_alias.saturating_mul(2);
        let change = format!("provisioned concurrency of alias {alias}: {of_alias} -> {wanted}, for both versions");
        (Plan::Alias { had: of_alias, wanted }, wanted.saturating_sub(of_alias), change)
    } else if of_stable == 0 {
        return Ok(None);
    } else {
        let wanted = of_stable.max(had);
        let change = match had < of_stable {
            true => {
                format!("provisioned concurrency of version {candidate}: {had} -> {wanted}, as version {stable} has")
            }
            false => format!(
                "provisioned concurrency of version {stable}: {of_stable} -> 0 once {candidate}, which has {had}, has everything"
            ),
        };
        let plan = Plan::Version { stable: stable.clone(), candidate: candidate.clone(), had, wanted, of_stable };
        (plan, wanted.saturating_sub(had), change)
    };
    let provided = all.values().fold(0, |sum: u32, one| sum.saturating_add(one.requested));
    refuse_without_room(calls.reserved().await?, provided, more)?;
    Ok(Some(Capacity { token: plan.write(), changes: vec![change] }))
}

/// An alias that has some takes no version that has some of its own: Lambda refuses the promote, or to set the alias' back after it.
fn refuse_two_owners(calls: &Calls<'_>, candidate: &RevisionId, own: u32) -> Result<()> {
    if own == 0 {
        return Ok(());
    }
    let (alias, function) = (&calls.alias.alias, calls.function());
    let message = format!(
        "alias {alias} has provisioned concurrency, and version {candidate} has {own} of its own, which Lambda takes from one of them only; \
         end the version's: aws lambda delete-provisioned-concurrency-config --region {} --function-name {function} --qualifier {candidate}",
        calls.alias.region
    );
    Err(Error::new(ErrorKind::Invalid, "ListProvisionedConcurrencyConfigs", message))
}

/// Whether `more` environments of a version can be kept ready beside what the function has.
pub(super) async fn has_room(calls: &Calls<'_>, version: &RevisionId, wanted: u32) -> Result<()> {
    let all = calls.list_provisioned().await?;
    let requested = |qualifier: &str| all.get(qualifier).map_or(0, |provisioned| provisioned.requested);
    if requested(&calls.alias.alias) > 0 {
        refuse_two_owners(calls, version, wanted)?;
    }
    let provided = all.values().fold(0, |sum: u32, one| sum.saturating_add(one.requested));
    refuse_without_room(calls.reserved().await?, provided, wanted.saturating_sub(requested(version.as_str())))
}

/// See [`Backend::outgrown`](mlroll_backend::Backend::outgrown).
pub(super) async fn outgrown(calls: &Calls<'_>, reserved: &Capacity, share: Weight) -> Result<Option<Obstacle>> {
    let Plan::Version { stable, candidate, .. } = Plan::read(&reserved.token)? else { return Ok(None) };
    let all = calls.list_provisioned().await?;
    let has = all.get(stable.as_str()).map_or(0, |provisioned| provisioned.requested);
    let gets = all.get(candidate.as_str()).map_or(0, |provisioned| provisioned.allocated);
    if f64::from(gets) >= f64::from(has) * share.fraction() {
        return Ok(None);
    }
    Ok(Some(Obstacle {
        what: format!("version {candidate} has {gets} environments kept ready, and version {stable} has {has} by now"),
        remedy: format!(
            "give it as many: aws lambda put-provisioned-concurrency-config --region {} --function-name {} --qualifier {candidate} \
             --provisioned-concurrent-executions {has}",
            calls.alias.region,
            calls.function()
        ),
    }))
}

/// What is provided is taken out of what is reserved. Where nothing is left of that Lambda throttles every request that meets no
/// environment kept ready, and where it is too little it refuses.
fn refuse_without_room(reserved: Option<u32>, provided: u32, more: u32) -> Result<()> {
    let Some(reserved) = reserved.filter(|reserved| provided.saturating_add(more) >= *reserved) else { return Ok(()) };
    let message = format!(
        "the function has {reserved} executions reserved, of which {provided} are provisioned: {more} more leave none for other requests, \
         and those would be throttled; reserve more than {}",
        provided.saturating_add(more)
    );
    Err(Error::new(ErrorKind::Invalid, "GetFunctionConcurrency", message))
}

/// See [`Backend::prepare`](mlroll_backend::Backend::prepare).
pub(super) async fn prepare(calls: &Calls<'_>, capacity: &Capacity, pace: &dyn Pace) -> Result<()> {
    match Plan::read(&capacity.token)? {
        Plan::Alias { wanted, .. } => provide(calls, &calls.alias.alias, wanted, pace).await,
        Plan::Version { candidate, wanted, .. } => provide(calls, candidate.as_str(), wanted, pace).await,
    }
}

/// See [`Backend::restore`](mlroll_backend::Backend::restore).
pub(super) async fn restore(calls: &Calls<'_>, capacity: &Capacity, keeps: &RevisionId, pace: &dyn Pace) -> Result<()> {
    match Plan::read(&capacity.token)? {
        Plan::Alias { had, wanted } => {
            // Lambda takes no change while there are weights, its own included: it moves what the old version had.
            while !calls.get_alias().await?.additional.is_empty() {
                pace.pause("provisioned concurrency moves to the version that has everything", None).await?;
            }
            let alias = &calls.alias.alias;
            refuse_anothers(calls, alias, &[had, wanted]).await?;
            provide(calls, alias, had, pace).await
        }
        Plan::Version { stable, candidate, of_stable, .. } if *keeps == candidate => {
            refuse_anothers(calls, stable.as_str(), &[0, of_stable]).await?;
            withdraw(calls, &stable).await
        }
        Plan::Version { stable, candidate, had, wanted, of_stable } => {
            refuse_anothers(calls, candidate.as_str(), &[had, wanted]).await?;
            match had {
                0 => withdraw(calls, &candidate).await?,
                had => provide(calls, candidate.as_str(), had, pace).await?,
            }
            // A promote that was taken back had ended it.
            if *keeps == stable && calls.get_provisioned(stable.as_str()).await?.is_none() {
                provide(calls, stable.as_str(), of_stable, pace).await?;
            }
            Ok(())
        }
    }
}

/// What is neither what the run found nor what it gave is somebody else's.
async fn refuse_anothers(calls: &Calls<'_>, qualifier: &str, ours: &[u32]) -> Result<()> {
    let now = calls.get_provisioned(qualifier).await?.map_or(0, |provisioned| provisioned.requested);
    if ours.contains(&now) {
        return Ok(());
    }
    let message = format!("somebody gave {qualifier} {now} environments meanwhile, which are left as they are");
    Err(Error::new(ErrorKind::Invalid, "GetProvisionedConcurrencyConfig", message))
}

/// Takes a version's environments away, unless an alias still sends somebody there: another one, or ours by now.
async fn withdraw(calls: &Calls<'_>, version: &RevisionId) -> Result<()> {
    if let Some(alias) = calls.user_of(version.as_str()).await? {
        let message =
            format!("alias {alias} points to version {version}, whose provisioned concurrency is left as it is");
        return Err(Error::new(ErrorKind::Invalid, "DeleteProvisionedConcurrencyConfig", message));
    }
    rehearsed(calls.delete_provisioned(version.as_str()).await)
}

/// What came of a write, where one that a rehearsal withheld counts as done.
pub(super) fn rehearsed(written: Result<()>) -> Result<()> {
    match written {
        Err(e) if e.kind() == ErrorKind::Withheld => Ok(()),
        other => other,
    }
}

/// Gives a version or an alias `wanted` environments, and returns when they are ready.
pub(super) async fn provide(calls: &Calls<'_>, qualifier: &str, wanted: u32, pace: &dyn Pace) -> Result<()> {
    let before = calls.get_provisioned(qualifier).await?;
    if before.as_ref().is_none_or(|before| before.requested != wanted || before.failure.is_some()) {
        match calls.put_provisioned(qualifier, wanted).await {
            // A rehearsal: it would become ready.
            Err(e) if e.kind() == ErrorKind::Withheld => return Ok(()),
            put => put?,
        }
    } else if before.is_some_and(|before| before.ready) {
        return Ok(());
    }
    loop {
        let operation = "GetProvisionedConcurrencyConfig";
        match calls.get_provisioned(qualifier).await? {
            Some(now) if now.requested != wanted => {
                let message = format!("somebody asked for {} for {qualifier}, not {wanted}", now.requested);
                return Err(Error::new(ErrorKind::Conflict, operation, message));
            }
            Some(now) if now.ready => return Ok(()),
            Some(now) => {
                if let Some(why) = now.failure {
                    let message = format!("Lambda cannot provide {wanted} environments for {qualifier}: {why}");
                    return Err(Error::new(ErrorKind::Invalid, operation, message));
                }
            }
            None => {
                let message = format!("somebody removed the provisioned concurrency of {qualifier}");
                return Err(Error::new(ErrorKind::Conflict, operation, message));
            }
        }
        pace.pause(&format!("Lambda provides {wanted} environments for {qualifier}"), None).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_has_to_hold_both_and_one_request_more() {
        for (reserved, provided, more, fits) in
            [(None, 400, 400, true), (Some(9), 4, 4, true), (Some(8), 4, 4, false), (Some(7), 4, 4, false)]
        {
            assert_eq!(refuse_without_room(reserved, provided, more).is_ok(), fits, "{reserved:?} {provided} {more}");
        }
        let refused = refuse_without_room(Some(7), 4, 4).unwrap_err().to_string();
        assert!(
            ["7 executions", "4 are provisioned", "4 more", "more than 8"].iter().all(|n| refused.contains(n)),
            "{refused}"
        );
    }

    #[test]
    fn a_token_says_what_it_said() {
        let id = |text: &str| text.parse::<RevisionId>().unwrap();
        for plan in [
            Plan::Alias { had: 3, wanted: 6 },
            Plan::Version { stable: id("2"), candidate: id("3"), had: 7, wanted: 7, of_stable: 5 },
        ] {
            assert_eq!(Plan::read(&plan.write()).unwrap(), plan);
        }
        let older = r#"{"on":"version","stable":"2","candidate":"3","had":1,"wanted":5}"#;
        let plan = Plan::Version { stable: id("2"), candidate: id("3"), had: 1, wanted: 5, of_stable: 5 };
        assert_eq!(Plan::read(older).unwrap(), plan);
        for nonsense in ["", "{}", r#"{"on":"alias","had":-1,"wanted":2}"#, r#"{"on":"version","had":1,"wanted":2}"#] {
            assert_eq!(Plan::read(nonsense).unwrap_err().kind(), ErrorKind::Invalid, "{nonsense}");
        }
    }
}
