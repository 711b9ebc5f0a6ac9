//! A write, and what is said when it comes to nothing.

use mlroll_backend::{Error, Marker, Readiness, Snapshot, Target};

use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Step;

/// A write and the state it was made in.
pub(super) struct Attempt {
    pub(super) before: Snapshot,
    pub(super) step: Step,
    pub(super) carried: Option<Marker>,
}

impl Attempt {
    /// Why the write came to nothing, where the provider says that it takes it back or has done so: it says that now, or it
    /// `said` so while what was before came back, and before the write it had not said it.
    pub(super) fn undone(&self, now: &Snapshot, said: bool) -> Option<String> {
        let to = Some(&self.step.to);
        // Where nothing had to be written it is not known what was before.
        let is_before = now.split == self.before.split || self.before.split.as_ref() == to;
        let is_back = is_before && now.split.as_ref() != to;
        let is_new = !now.is_settled() || now.taken_back != self.before.taken_back;
        let why = now.taken_back.clone().filter(|_| is_new);
        let why = why.or_else(|| said.then(|| "the provider took it back".to_owned()));
        why.filter(|_| is_back && !matches!(now.readiness, Readiness::Failed(_)))
    }
}

/// Traffic is neither what we saw nor what we wrote.
pub(super) fn interference(target: &Target, attempt: &Attempt, now: &Snapshot) -> Failure {
    let message = format!(
        "someone else changed the target: it had {}, asked for was {}, and now it has {now}; theirs is left alone",
        attempt.before, attempt.step.to
    );
    let failure = Failure { exit: ExitStatus::Conflict, kind: "conflict", ..Failure::usage(message) }
        .about(target)
        .hint(format!("see what it is now: `mlroll status --target {target}`"))
        .hint("then decide again");
    if now.marker.is_none() { failure.suspecting(target) } else { failure }
}

/// Our write was refused because the target had changed, and the change cannot be read.
pub(super) fn unread(target: &Target, look: &Error) -> Failure {
    let message = format!("someone else changed the target, and what it is now cannot be read: {look}");
    Failure { message, ..Failure::of(look, target) }
}

/// A write may or may not have taken effect, and the target cannot be read.
pub(super) fn unknown(failure: Failure, look: &Error) -> Failure {
    let message = format!("{}; and whether it took effect could not be confirmed: {look}", failure.message);
    let target = failure.target.as_ref().map_or_else(String::new, |t| format!(" --target {t}"));
    let hints = vec![
        format!("look until it answers: `mlroll status{target}`"),
        format!("if stable must have everything now: `mlroll rollback{target}`, which is safe to repeat"),
    ];
    Failure { exit: ExitStatus::Unsafe, message, hints, ..failure }
}

/// A write was accepted, and the provider took it back.
pub(super) fn taken_back(target: &Target, why: &str, now: &Snapshot) -> Failure {
    let message = format!("the change was accepted and then taken back: {why}; traffic is as before: {now}");
    Failure { exit: ExitStatus::Unreachable, kind: "unavailable", ..Failure::usage(message) }
        .about(target)
        .hint("see in the provider's events why, then type the same again")
}

/// A write was accepted, but the split never went live.
pub(super) fn never_settled(target: &Target, why: &str) -> Failure {
    let message = format!("the change was accepted but is not live: {why}");
    Failure { exit: ExitStatus::Unsafe, kind: "unavailable", ..Failure::usage(message) }
        .about(target)
        .hint(format!("watch it: `mlroll status --target {target}`"))
        .hint("give it more time: --timeout 30m")
}
