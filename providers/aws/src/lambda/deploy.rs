//! New versions, by way of `$LATEST`: its code is replaced and a version published of it, which no alias names yet.
//!
//! Lambda publishes `$LATEST` and nothing else, so its settings are the new version's; where they are not stable's, that is
//! said. Published again without a change, it answers with the version there is: so the same code makes one version, whoever
//! asks how often.

use std::collections::{BTreeMap, BTreeSet};

use mlroll_backend::{Artifact, Deployed, Error, ErrorKind, Pace, Release, Result, Revision, RevisionId, Snapshot};
use sha2::{Digest as _, Sha256};

use super::concurrency::{has_room, provide, rehearsed};
use super::wire::{Calls, Code, Configuration, LATEST, Update, Version};

/// How often an update that somebody else began is looked at, before that is a conflict: ten minutes at least.
const PATIENCE: u32 = 300;

/// A release on its way to a version.
pub(super) struct Delivery<'a> {
    pub(super) calls: Calls<'a>,
    pub(super) release: &'a Release,
    pub(super) pace: &'a dyn Pace,
}

/// `$LATEST` with the code that is wanted.
struct Ready {
    latest: Update,
    /// Whether its code was replaced.
    replaced: bool,
    /// Whether that is only imagined.
    rehearsed: bool,
}

impl Delivery<'_> {
    /// See [`Backend::deploy`](mlroll_backend::Backend::deploy).
    pub(super) async fn make(&self, seen: &Snapshot) -> Result<Deployed> {
        self.refuse_what_lambda_does_not_know()?;
        let only = seen.split.as_ref().and_then(|split| split.iter().next().map(|(revision, _)| revision));
        let Some(stable) = seen.roles.stable.as_ref().or(only) else {
            return Err(invalid("the alias does not tell which version is stable"));
        };
        if stable.as_str() == LATEST {
            return Err(invalid(
                "the alias points at $LATEST: new code would serve at once; publish a version and point the alias at it \
                 first (aws lambda publish-version, aws lambda update-alias)",
            ));
        }
        let (stable_is, latest) =
            tokio::try_join!(self.calls.get_configuration(stable.as_str()), self.calls.get_configuration(LATEST))?;
        let latest = self.quiet(latest).await?;
        let mut notes = differences(stable, &stable_is, &latest);
        let ready = match &self.release.artifact {
            Artifact::Stable => self.take_from_stable(stable, &stable_is, &latest).await?,
            Artifact::Image(uri) => self.bring(&Code::Image(uri), &latest).await?,
            Artifact::S3 { bucket, key, version } => {
                self.bring(&Code::S3 { bucket, key, version: version.as_deref() }, &latest).await?
            }
            Artifact::Zip(bytes) => self.bring(&Code::Zip(bytes), &latest).await?,
            other @ (Artifact::Model(_) | Artifact::ModelData { .. } | Artifact::ModelPackage(_)) => {
                return Err(unsupported(other.kind().flag()));
            }
        };
        let before = self.calls.list_versions().await?;
        let (version, imagined) = self.publish(&ready, &before).await?;
        let made = !before.iter().any(|known| known.version == version);
        let id: RevisionId = version
            .parse()
            .map_err(|e| Error::new(ErrorKind::Unexpected, "PublishVersion", format!("a version that is none: {e}")))?;
        if !imagined {
            self.active(&version).await?;
        }
        if id == *stable {
            notes =
                vec![format!("code and settings are those of stable {stable}: Lambda makes no second version of them")];
            if self.release.settings.min_instances.is_some() {
                notes.push("its provisioned concurrency is left as it is: it has the traffic".to_owned());
            }
        } else if let Some(wanted) = self.release.settings.min_instances.filter(|wanted| *wanted > 0) {
            if imagined {
                // The version is not there, so nothing can be read of it.
                rehearsed(self.calls.put_provisioned(&version, wanted).await)?;
            } else {
                has_room(&self.calls, &id, wanted).await?;
                provide(&self.calls, &version, wanted, self.pace).await?;
            }
            notes.push(format!(
                "{wanted} environments of version {version} are kept ready, and billed, until that is ended"
            ));
        }
        let created = before.iter().find(|known| known.version == version).and_then(|known| known.modified);
        Ok(Deployed { revision: Revision { id, created, description: latest.description }, made, notes })
    }

    fn refuse_what_lambda_does_not_know(&self) -> Result<()> {
        let settings = &self.release.settings;
        for (given, flag) in [
            (self.release.name.is_some(), "--name"),
            (settings.environment.is_some(), "--environment"),
            (settings.instance_type.is_some(), "--instance-type"),
            (settings.instances.is_some(), "--instances"),
        ] {
            if given {
                return Err(unsupported(flag));
            }
        }
        Ok(())
    }

    /// `$LATEST` when no change of it is under way.
    async fn quiet(&self, first: Configuration) -> Result<Configuration> {
        let mut latest = first;
        for _ in 0..PATIENCE {
            if !latest.update.in_progress {
                return Ok(latest);
            }
            self.pace.pause("an update of $LATEST is in progress", None).await?;
            latest = self.calls.get_configuration(LATEST).await?;
        }
        Err(Error::new(ErrorKind::Conflict, "GetFunctionConfiguration", "the update of $LATEST does not end"))
    }

    /// Puts code into `$LATEST`, unless it is there, and waits until Lambda is done with it.
    async fn bring(&self, code: &Code<'_>, latest: &Configuration) -> Result<Ready> {
        let before = &latest.update;
        let known = match code {
            Code::Zip(bytes) => Some(aws_smithy_types::base64::encode(Sha256::digest(bytes))),
            Code::Image(_) | Code::S3 { .. } => None,
        };
        if known.as_ref() == Some(&before.code_sha256) && before.failure.is_none() {
            return Ok(Ready { latest: before.clone(), replaced: false, rehearsed: false });
        }
        let wanted = match self.calls.update_code(code, &before.revision_id).await {
            Ok(answer) => Some(answer.code_sha256).filter(|sha| !sha.is_empty()).or(known),
            // A rehearsal: the code would be there.
            Err(e) if e.kind() == ErrorKind::Withheld => {
                let code_sha256 = known.unwrap_or_default();
                let latest = Update { code_sha256, ..before.clone() };
                return Ok(Ready { latest, replaced: true, rehearsed: true });
            }
            // Our own, when the answer was lost: seen by the code that is there.
            Err(e) if e.kind() == ErrorKind::Conflict => match (code, &known) {
                (Code::Zip(_), Some(_)) => known,
                (Code::Image(uri), _) if self.calls.get_image(LATEST).await?.named.as_deref() == Some(*uri) => None,
                (Code::Image(_) | Code::S3 { .. } | Code::Zip(_), _) => return Err(e),
            },
            Err(e) => return Err(e),
        };
        let now = self.quiet(self.calls.get_configuration(LATEST).await?).await?.update;
        if let Some(why) = &now.failure {
            let message = format!("Lambda cannot use the new code: {why}");
            return Err(Error::new(ErrorKind::Invalid, "UpdateFunctionCode", message));
        }
        if wanted.is_some_and(|wanted| wanted != now.code_sha256) {
            let message = "somebody else replaced the code of $LATEST meanwhile";
            return Err(Error::new(ErrorKind::Conflict, "UpdateFunctionCode", message));
        }
        Ok(Ready { latest: now, replaced: true, rehearsed: false })
    }

    /// Puts stable's code into `$LATEST`, with a description of its own: without any difference there is no new version.
    async fn take_from_stable(
        &self,
        stable: &RevisionId,
        stable_is: &Configuration,
        latest: &Configuration,
    ) -> Result<Ready> {
        let ready = if stable_is.update.code_sha256 == latest.update.code_sha256 && latest.update.failure.is_none() {
            Ready { latest: latest.update.clone(), replaced: false, rehearsed: false }
        } else if stable_is.package == "Image" {
            let image = self.calls.get_image(stable.as_str()).await?;
            let Some(uri) = image.resolved.or(image.named) else {
                let message = format!("Lambda does not tell the image of version {stable}");
                return Err(Error::new(ErrorKind::Unexpected, "GetFunction", message));
            };
            self.bring(&Code::Image(&uri), latest).await?
        } else {
            return Err(invalid(&format!(
                "$LATEST has other code than version {stable}, which is an archive: name it by --zip or --s3"
            )));
        };
        let provided = self.release.settings.min_instances.unwrap_or_default();
        let description = format!("Copy of version {stable}, {provided} environments kept ready");
        if latest.description == description || ready.rehearsed {
            return Ok(ready);
        }
        match self.calls.describe(&description, &ready.latest.revision_id).await {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Withheld => return Ok(Ready { rehearsed: true, ..ready }),
            // Our own, when the answer was lost.
            Err(e) if e.kind() == ErrorKind::Conflict => {
                if self.calls.get_configuration(LATEST).await?.description != description {
                    return Err(e);
                }
            }
            Err(e) => return Err(e),
        }
        let now = self.quiet(self.calls.get_configuration(LATEST).await?).await?;
        if let Some(why) = &now.update.failure {
            let message = format!("Lambda cannot describe the function: {why}");
            return Err(Error::new(ErrorKind::Invalid, "UpdateFunctionConfiguration", message));
        }
        if now.update.code_sha256 != ready.latest.code_sha256 || now.description != description {
            let message = "somebody else changed $LATEST meanwhile";
            return Err(Error::new(ErrorKind::Conflict, "UpdateFunctionConfiguration", message));
        }
        Ok(Ready { latest: now.update, replaced: true, rehearsed: false })
    }

    /// Makes a version of `$LATEST`, or finds the one that was made of it; and whether that is only imagined.
    async fn publish(&self, ready: &Ready, before: &[Version]) -> Result<(String, bool)> {
        match self.calls.publish(&ready.latest).await {
            // A rehearsal: the newest one where nothing has changed since, or else the next one.
            Err(e) if e.kind() == ErrorKind::Withheld => {
                let numbered = before.iter().filter_map(|v| Some((v.version.parse::<u64>().ok()?, v)));
                let newest = numbered.max_by_key(|(number, _)| *number);
                let version = match newest {
                    Some((_, newest)) if !ready.replaced && newest.code_sha256 == ready.latest.code_sha256 => {
                        newest.version.clone()
                    }
                    newest => newest.map_or(1, |(number, _)| number.saturating_add(1)).to_string(),
                };
                Ok((version, true))
            }
            // Ours, when the answer was lost and publishing renews the revision id: asked again, Lambda says which it is.
            Err(e) if e.kind() == ErrorKind::Conflict => {
                let now = self.quiet(self.calls.get_configuration(LATEST).await?).await?.update;
                if now.code_sha256 != ready.latest.code_sha256 {
                    return Err(e);
                }
                Ok((self.calls.publish(&now).await?, false))
            }
            other => Ok((other?, false)),
        }
    }

    /// Returns when the version could serve.
    async fn active(&self, version: &str) -> Result<()> {
        loop {
            let now = self.calls.get_configuration(version).await?;
            match now.state.as_str() {
                "Active" | "" => return Ok(()),
                "Pending" => {}
                state => {
                    let why =
                        if now.state_reason.is_empty() { String::new() } else { format!(": {}", now.state_reason) };
                    let message = format!("version {version} is {state}{why}");
                    return Err(Error::new(ErrorKind::Invalid, "PublishVersion", message));
                }
            }
            self.pace.pause(&format!("version {version} is Pending"), None).await?;
        }
    }
}

/// The settings that the new version will not have as stable has them.
fn differences(stable: &RevisionId, stable_is: &Configuration, latest: &Configuration) -> Vec<String> {
    let all = |of: &BTreeMap<&'static str, u64>| of.keys().copied().collect::<BTreeSet<_>>();
    let differ: Vec<&str> = all(&stable_is.settings)
        .union(&all(&latest.settings))
        .copied()
        .filter(|name| stable_is.settings.get(name) != latest.settings.get(name))
        .collect();
    if differ.is_empty() {
        return Vec::new();
    }
    vec![format!("settings are those of $LATEST, and other than stable {stable}'s: {}", differ.join(", "))]
}

fn unsupported(flag: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "", format!("`{flag}` means nothing to Lambda"))
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, "", message)
}
