//! What an observation means.

use mlroll_backend::{Marker, MarkerState, Readiness, Snapshot, Timestamp};

use super::state::{Attempt, Goal, Settling};
use super::trouble::Budget;
use super::{Action, Cause, Ended, Rollout, Stage};
use crate::rollout::{Landing, landing};

/// Whose split it is.
enum Known {
    /// The one before our write, if there was one.
    Confirmed,
    /// The one we wrote.
    Attempted,
    /// The one we wrote before we turned back.
    Overtaken,
    /// Nobody's we know.
    Foreign,
}

impl Rollout {
    pub(super) fn observed(&mut self, seen: Snapshot, now: Timestamp) -> Action {
        self.budget.reads = 0;
        if self.ending.is_some() {
            return self.still_ending(&seen, now);
        }
        let Some(confirmed) = &self.confirmed else {
            return self.first_look(seen, now);
        };
        let is_under_way = self.stage != Stage::Start || self.attempted.is_some();
        // Whatever the split is: the gates have judged somebody else. Who goes back goes on, to the same name.
        if self.goal == Goal::Forward && is_under_way && seen.replaced_since(confirmed).is_some() {
            return self.interfered(seen, now);
        }
        if let (Readiness::Failed(why), Some(settling)) = (&seen.readiness, &self.settling)
            && settling.gives_way(confirmed, &seen)
        {
            let (why, stage) = (why.clone(), settling.stage);
            return self.given_up(stage, why, seen, None, now);
        }
        if let Some(stage) = self.taken_back(confirmed, &seen) {
            let why = seen.taken_back.clone().or_else(|| confirmed.taken_back.clone()).unwrap_or_default();
            // What is shown still has not been live: it may be that which is taken back.
            let kept = self.settling.clone().filter(|_| seen.split == confirmed.split);
            // A rollback is the later one: what it overtook may still arrive.
            if self.attempted.take().is_none() {
                self.overtaken = None;
            }
            // Its stage is live anew, and judged anew: what users got meanwhile is not known.
            (self.tally, self.passed) = (None, None);
            return self.given_up(stage, why, seen, kept, now);
        }
        // So it is where nobody looked before that.
        let has_failed = matches!(seen.readiness, Readiness::Failed(_))
            && (!matches!(confirmed.readiness, Readiness::Failed(_)) || seen.modified != confirmed.modified);
        let was_accepted = self.attempted.as_ref().is_some_and(|attempt| attempt.accepted);
        // A change that fails changes the guard too, and may leave its note.
        let is_note_ours = self.attempted.as_ref().is_some_and(|attempt| seen.marker == attempt.carried);
        let is_as_before = seen.split == confirmed.split && (seen.marker == confirmed.marker || is_note_ours);
        match self.recognise(confirmed, &seen) {
            Known::Confirmed | Known::Foreign if has_failed && was_accepted && is_as_before => {
                let Readiness::Failed(why) = seen.readiness.clone() else { return self.look() };
                self.attempted = None;
                return self.given_up(self.stage, why, seen, None, now);
            }
            Known::Confirmed => {
                if seen.readiness == Readiness::Live && self.settling.take().is_some() && self.attempted.is_none() {
                    self.budget = Budget::default();
                }
                self.confirmed = Some(seen);
            }
            Known::Attempted => {
                if let Some(attempt) = self.attempted.take() {
                    self.landed(attempt.stage, seen);
                }
            }
            Known::Overtaken => {
                if let Some(attempt) = &mut self.overtaken {
                    attempt.in_doubt = false;
                    attempt.accepted = false;
                    let stage = attempt.stage;
                    self.moved(stage, seen);
                }
            }
            Known::Foreign => return self.interfered(seen, now),
        }
        self.proceed(now)
    }

    /// Goes where it is going, from a target that was just seen and recognised.
    pub(super) fn proceed(&mut self, now: Timestamp) -> Action {
        match self.goal {
            Goal::Back(_) => self.go_back(now),
            Goal::Forward => self.go_on(now),
        }
    }

    fn recognise(&self, confirmed: &Snapshot, seen: &Snapshot) -> Known {
        for (attempt, known) in [(&self.attempted, Known::Attempted), (&self.overtaken, Known::Overtaken)] {
            if let Some(attempt) = attempt
                && landing(confirmed, &attempt.to, attempt.carried.as_ref(), seen) == Landing::Landed
            {
                return known;
            }
        }
        let untouched =
            |attempt: &Attempt| landing(confirmed, &attempt.to, attempt.carried.as_ref(), seen) == Landing::Untouched;
        if self.attempted.iter().chain(&self.overtaken).any(untouched) {
            return Known::Confirmed;
        }
        if seen.split != confirmed.split || seen.marker != confirmed.marker {
            return Known::Foreign;
        }
        // The split is as before. With another guard that is proof of nothing: our write may have landed, and a
        // human may have put back what it changed.
        let touched = seen.guard.token != confirmed.guard.token;
        let theirs = self.attempted.as_ref().is_some_and(|attempt| match self.goal {
            Goal::Forward => attempt.accepted || attempt.in_doubt,
            // A rollback that may not have been made goes first; one that was made has been undone by somebody.
            Goal::Back(_) => attempt.accepted,
        });
        if touched && theirs { Known::Foreign } else { Known::Confirmed }
    }

    /// What was asked for is there.
    fn landed(&mut self, stage: Stage, seen: Snapshot) {
        // One that is taken and not live may still be given up: only what is live refills what writes are left.
        if seen.readiness == Readiness::Live {
            self.budget = Budget::default();
        }
        self.moved(stage, seen);
        self.overtaken = None;
        self.unsettled = None;
        self.tally = None;
        self.passed = None;
    }

    /// The target is at a stage, live or not yet.
    fn moved(&mut self, stage: Stage, seen: Snapshot) {
        let live = seen.readiness == Readiness::Live;
        let before = self.confirmed.replace(seen);
        let earlier = self.settling.take().map(Box::new);
        self.settling = before.filter(|_| !live).map(|before| Settling { before, stage: self.stage, earlier });
        self.stage = stage;
    }

    /// A write that was taken has come to nothing, and what was before is back: a write that failed, and nobody else's doing.
    /// What else may come back is `kept`.
    fn given_up(
        &mut self,
        stage: Stage,
        why: String,
        seen: Snapshot,
        kept: Option<Settling>,
        now: Timestamp,
    ) -> Action {
        self.moved(stage, seen);
        self.settling = kept;
        self.unsettled = None;
        self.write_came_to_nothing(why, now)
    }

    /// The stage that is there again because the provider says that it takes a write of ours back, or has done so. Its word
    /// counts where it is about that write: while it is said, or when it was not said before the write. A marker that travels
    /// apart from the split may stay behind.
    fn taken_back(&self, confirmed: &Snapshot, seen: &Snapshot) -> Option<Stage> {
        let shown = |marker: &Option<Marker>| {
            let fits = |marker: &&Marker| seen.split.as_ref().is_some_and(|split| marker.fits(split));
            marker.as_ref().filter(fits) == seen.marker.as_ref()
        };
        let goes_back = |at: &Snapshot| at.taken_back.is_some() && matches!(at.readiness, Readiness::Settling(_));
        let is_said = |since: &Snapshot| {
            let is_new = seen.taken_back != since.taken_back || (goes_back(seen) && !goes_back(since));
            seen.taken_back.is_some() && is_new
        };
        let is_undone = |attempt: &Attempt| {
            let was_sent = attempt.accepted || attempt.in_doubt;
            let is_before =
                seen.split == confirmed.split && (seen.marker == confirmed.marker || shown(&attempt.carried));
            was_sent && is_before && seen.split.as_ref() != Some(&attempt.to) && is_said(confirmed)
        };
        if self.attempted.iter().chain(&self.overtaken).any(is_undone) {
            return Some(self.stage);
        }
        let comes_back = |Settling { before, .. }: &&Settling| {
            let is_before = seen.split == before.split && (seen.marker == before.marker || shown(&confirmed.marker));
            is_before && seen.split != confirmed.split && (goes_back(confirmed) || is_said(before))
        };
        let all = std::iter::successors(self.settling.as_ref(), |settling| settling.earlier.as_deref());
        all.into_iter().find(comes_back).map(|settling| settling.stage)
    }

    /// Somebody else's split is left alone.
    fn interfered(&mut self, seen: Snapshot, now: Timestamp) -> Action {
        if self.is_rolled_back(&seen) {
            return self.end(Ended::RolledBack, Cause::RolledBackElsewhere);
        }
        if self.is_at_stable(&seen) && self.is_rolling_back() {
            if self.lacks_its_note(&seen) {
                self.confirmed = Some(seen);
                return self.go_back(now);
            }
            self.landed(Stage::Start, seen);
            self.attempted = None;
            return self.go_back(now);
        }
        let expected = match (self.confirmed(), self.attempted()) {
            (Some(confirmed), Some(attempted)) => format!("{confirmed} or {attempted}"),
            (Some(split), None) | (None, Some(split)) => split.to_string(),
            (None, None) => "no traffic to anybody".to_owned(),
        };
        let (expected, found) = match self.confirmed.as_ref().and_then(|confirmed| seen.replaced_since(confirmed)) {
            Some((then, now)) => (format!("{expected} of {then}"), format!("{seen} of {now}")),
            None => (expected, seen.to_string()),
        };
        self.forget_superseded(&seen);
        let why = Cause::Interference { expected, found };
        // A write in doubt could still give the candidate a share.
        let in_doubt = self.attempted.iter().chain(&self.overtaken).any(|attempt| attempt.in_doubt);
        let restores = self.plan.terms().restores_when_halted && self.reserved().is_some();
        if restores && self.is_at_stable(&seen) && !in_doubt {
            return self.restore_by(why, &seen, now);
        }
        self.end(Ended::Halted, why)
    }

    /// Whether our rollback seems to have arrived without its note: where that travels apart, whoever wrote both was cut off in
    /// between. Then both are written again: without the note nothing tells that the candidate was bad.
    fn lacks_its_note(&self, seen: &Snapshot) -> bool {
        let cut_off = |attempt: &Attempt| {
            attempt.stage == Stage::Start && attempt.in_doubt && !attempt.accepted && attempt.carried.is_some()
        };
        let apart = !self.plan.terms().overtakes && self.overtaken.is_none();
        apart && seen.marker.is_none() && self.attempted.as_ref().is_some_and(cut_off) && self.spent().is_none()
    }

    /// What somebody else has changed since our writes is theirs beyond doubt, where ours cannot arrive any more: an atomic
    /// guard refuses one that was sent before theirs; without one, a write that was accepted has ended when the target is
    /// live.
    pub(super) fn forget_superseded(&mut self, seen: &Snapshot) {
        let atomic = self.plan.terms().overtakes;
        let changed = self.confirmed.as_ref().is_some_and(|before| before.guard.token != seen.guard.token);
        for attempt in self.attempted.iter_mut().chain(&mut self.overtaken) {
            if (atomic && changed) || (!attempt.in_doubt && seen.readiness == Readiness::Live) {
                attempt.in_doubt = false;
                attempt.accepted = false;
            }
        }
    }

    fn is_at_stable(&self, seen: &Snapshot) -> bool {
        seen.split.as_ref() == Some(&self.plan.split(Stage::Start))
    }

    /// Whether another run rolled this rollout back: then it is over.
    pub(super) fn is_rolled_back(&self, seen: &Snapshot) -> bool {
        let by_id = seen.marker.as_ref().is_some_and(|marker| {
            matches!(marker.state, MarkerState::RolledBack { .. }) && marker.id.as_ref() == Some(&self.plan.terms().id)
        });
        by_id && self.is_at_stable(seen)
    }

    /// Whether the plan can start from here: stable alone, or a canary of the same two that its first step does not
    /// lower.
    fn first_look(&mut self, seen: Snapshot, now: Timestamp) -> Action {
        if self.is_rolled_back(&seen) {
            return self.end(Ended::RolledBack, Cause::RolledBackElsewhere);
        }
        let terms = self.plan.terms();
        let found = seen.to_string();
        let first = self.plan.split(Stage::Step(0));
        let Some(split) = &seen.split else {
            return self.end(Ended::Halted, Cause::Unsuitable { found });
        };
        let share = split.weight_of(&terms.candidate);
        let ours = split.weight_of(&terms.stable) == share.complement();
        let canary = split.len() == 2
            && seen.marker.as_ref().is_some_and(|marker| {
                marker.stable == terms.stable
                    && marker.state == MarkerState::Canary { candidate: terms.candidate.clone() }
            });
        let lowered = share > first.weight_of(&terms.candidate) && terms.kind == super::Kind::Rollout;
        if !ours || !(split.is_full(&terms.stable) || (canary && !lowered)) {
            return self.end(Ended::Halted, Cause::Unsuitable { found });
        }
        if canary && *split == first {
            // The share that is asked for is there: it is watched on.
            self.stage = Stage::Step(0);
        }
        self.confirmed = Some(seen);
        self.proceed(now)
    }
}

impl Settling {
    /// Whether `seen` is what was there before `confirmed`, and not that itself. Our note may stay.
    fn gives_way(&self, confirmed: &Snapshot, seen: &Snapshot) -> bool {
        let before = &self.before;
        let is_before = seen.split == before.split && (seen.marker == before.marker || seen.marker == confirmed.marker);
        is_before && (seen.split != confirmed.split || seen.marker != confirmed.marker)
    }
}
