//! Who is tried: found where nobody is named, and checked before the first share.

use mlroll_backend::{ErrorKind, RevisionId, Snapshot};

use super::{Job, Report, names, time_is_up};
use crate::failure::Failure;
use crate::rollout::{Choice, Refusal, choose};

impl Job<'_> {
    pub(super) async fn find_candidate(
        &self,
        stable: &RevisionId,
        seen: &Snapshot,
        report: &mut Report,
    ) -> Result<RevisionId, Failure> {
        let listing = self.backend.revisions(&self.target, usize::MAX);
        let listed = self.driver().clock.by(self.deadline.get(), listing).await.unwrap_or_else(|_| Err(time_is_up()));
        let listed = listed.map_err(|e| Failure::of(&e, &self.target))?;
        let refuse = |kind, message: String, hint: &str| {
            let refusal = Refusal::new(kind, message);
            let refusal = if hint.is_empty() { refusal } else { refusal.hint(hint) };
            Err(Failure::from(refusal).about(&self.target))
        };
        match choose(self.target.provider(), stable, &listed) {
            Choice::Found { candidate, others } => {
                if !others.is_empty() {
                    let others = names(&others);
                    report
                        .note(format!("the candidate is {candidate}, the newest; also newer than {stable}: {others}"));
                }
                Ok(candidate)
            }
            Choice::Nothing => {
                let message = format!("there is no candidate: nothing newer than {stable} is published");
                refuse(ErrorKind::NotFound, message, "publish a version first, or name an older one: `--candidate REV`")
            }
            Choice::Several(ids) if ids.is_empty() => Err(self.alone(stable, seen).await),
            Choice::Several(ids) => refuse(
                ErrorKind::Invalid,
                format!("which candidate? there are {}", names(&ids)),
                "name it: `--candidate REV`",
            ),
        }
    }

    /// Why nobody stands beside stable, and what to do about it.
    async fn alone(&self, stable: &RevisionId, seen: &Snapshot) -> Failure {
        let asking = self.driver().clock.by(self.deadline.get(), self.backend.nature(&self.target, seen)).await;
        // It only tells more of what is so anyway.
        let nature = asking.ok().and_then(Result::ok).unwrap_or_else(|| seen.nature.clone());
        let more = if nature.what.is_empty() { String::new() } else { format!("; {}", nature.what) };
        let message = format!("there is no candidate: {stable} is all there is{more}");
        let refusal = match nature.bar() {
            Some(what) => Refusal::new(ErrorKind::Unsupported, what),
            None => Refusal::new(ErrorKind::NotFound, message),
        };
        Failure::from(nature.remedies.iter().fold(refusal, Refusal::hint)).about(&self.target)
    }

    /// Refuses a candidate that could not serve.
    pub(super) async fn check(&self, stable: &RevisionId, candidate: &RevisionId) -> Result<(), Failure> {
        let check = self.backend.check(&self.target, stable, candidate);
        let found = self.driver().clock.by(self.deadline.get(), check).await.unwrap_or_else(|_| Err(time_is_up()));
        let found = found.map_err(|e| Failure::of(&e, &self.target))?;
        if found.is_empty() {
            return Ok(());
        }
        let what: Vec<&str> = found.iter().map(|obstacle| obstacle.what.as_str()).collect();
        let refusal = Refusal::new(ErrorKind::Invalid, what.join("; "));
        let refusal = found.iter().fold(refusal, |refusal, obstacle| refusal.hint(obstacle.remedy.clone()));
        Err(Failure::from(refusal).about(&self.target))
    }
}
