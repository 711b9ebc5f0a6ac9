//! What a verb does to a target in a given state.

use std::time::Duration;

use mlroll_backend::{
    Capabilities, ErrorKind, GuardKind, Marker, MarkerState, Readiness, RevisionId, Snapshot, TrafficSplit, Weight,
};

use super::{Intent, Outcome, Stamp};
use crate::exit::ExitStatus;

/// Where there is no atomic guard, a split younger than this may still be changing under the reader.
const QUIET: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Find the candidate first: none was named and none is in flight.
    FindCandidate {
        /// Who it will stand beside.
        stable: RevisionId,
    },
    /// Do nothing, and say why.
    Refuse(Refusal),
    /// Write a split.
    Shift(Step),
    /// There is nothing to do.
    Unchanged {
        /// Why.
        why: String,
    },
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The split.
    pub to: TrafficSplit,
    /// What travels with it.
    pub marker: Marker,
    /// What it is called when it is done.
    pub outcome: Outcome,
    /// A revision that gets its first share by this, to be checked before.
    pub newcomer: Option<RevisionId>,
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the process says.
    pub exit: ExitStatus,
    /// The kind in JSON.
    pub kind: ErrorKind,
    /// What is in the way.
    pub message: String,
    /// What to type next.
    pub hints: Vec<String>,
    /// Whether the revisions that exist help to go on.
    pub list_revisions: bool,
}

/// Decides, from what was seen alone.
#[must_use]
pub fn decide(intent: &Intent, seen: &Snapshot, can: &Capabilities, stamp: &Stamp) -> Decision {
    let Some(split) = &seen.split else {
        // A pipeline that forgets the traffic takes it from everybody: a revision that is named may have it back.
        if let Intent::Rollback { to: Some(to), .. } = intent {
            return Decision::Shift(Step {
                to: TrafficSplit::full(to.clone()),
                marker: Marker {
                    state: MarkerState::RolledBack { bad: None },
                    stable: to.clone(),
                    previous: None,
                    at: Some(stamp.at),
                    id: Some(stamp.id.clone()),
                },
                outcome: Outcome::RolledBack,
                newcomer: None,
            });
        }
        let mut refusal = Refusal::new(ErrorKind::NotFound, "nobody is routed to: there is no traffic to shift");
        refusal.list_revisions = true;
        return Decision::Refuse(refusal);
    };
    let case = Case { seen, split, can, stamp };
    match intent {
        Intent::Canary { share, candidate, again } => case.canary(*share, candidate.as_ref(), *again),
        Intent::Promote { candidate, .. } => case.promote(candidate.as_ref()),
        Intent::Rollback { to: Some(to), .. } => case.rollback_to(to),
        Intent::Rollback { to: None, recent } => case.rollback(*recent),
    }
}

struct Case<'a> {
    seen: &'a Snapshot,
    split: &'a TrafficSplit,
    can: &'a Capabilities,
    stamp: &'a Stamp,
}

impl Case<'_> {
    fn canary(&self, share: Weight, named: Option<&RevisionId>, again: bool) -> Decision {
        let refusal = self.refuse_share(share).or_else(|| self.refuse_kind()).or_else(|| self.refuse_unsettled());
        if let Some(refusal) = refusal {
            return Decision::Refuse(refusal);
        }
        let roles = &self.seen.roles;
        let Some(stable) = &roles.stable else {
            return Decision::Refuse(self.ambiguous());
        };
        let in_flight = self.split.iter().map(|(revision, _)| revision).find(|revision| *revision != stable);
        if in_flight.is_some() && self.split.len() > 2 {
            return Decision::Refuse(self.ambiguous());
        }
        if named == Some(stable) {
            let message = format!("{stable} is stable already: it cannot be the candidate too");
            let mut refusal = Refusal::new(ErrorKind::Invalid, message);
            refusal.list_revisions = true;
            return Decision::Refuse(refusal);
        }
        let candidate = match (in_flight, named) {
            (Some(running), Some(named)) if running != named => {
                return Decision::Refuse(self.taken(running, &format!("asked for is {named}")));
            }
            (Some(running), None) if self.seen.marker.is_none() => {
                let mut refusal = self.taken(running, "and it was not mlroll that put it there");
                refusal.hints.push(format!("to take it over: --candidate {running}"));
                return Decision::Refuse(refusal);
            }
            (Some(running), _) => running,
            (None, Some(named)) => named,
            (None, None) => return Decision::FindCandidate { stable: stable.clone() },
        };
        if let (Some(running), None, Some(refusal)) = (in_flight, named, self.refuse_replaced(candidate))
            && running == candidate
        {
            return Decision::Refuse(refusal);
        }
        if roles.bad.as_ref() == Some(candidate) && !again {
            let message = format!("{candidate} was rolled back before");
            let hint = format!("if it is to be tried again: --candidate {candidate} --again");
            return Decision::Refuse(Refusal::new(ErrorKind::Invalid, message).hint(hint));
        }
        let is_noted = self.seen.marker.is_some() && self.seen.replaced.is_none();
        if in_flight.is_some() && is_noted && self.split.weight_of(candidate) == share {
            return Decision::Unchanged { why: format!("{candidate} already gets {share}") };
        }
        Decision::Shift(Step {
            to: TrafficSplit::between(stable.clone(), candidate.clone(), share),
            marker: Marker {
                state: MarkerState::Canary { candidate: candidate.clone() },
                stable: stable.clone(),
                previous: roles.previous.clone(),
                at: Some(self.stamp.at),
                id: Some(self.id_going_on(Outcome::Shifted)),
            },
            outcome: Outcome::Shifted,
            newcomer: in_flight.is_none().then(|| candidate.clone()),
        })
    }

    fn promote(&self, named: Option<&RevisionId>) -> Decision {
        let roles = &self.seen.roles;
        if let Some(only) = self.split.sole() {
            if let Some(refusal) = self.refuse_kind() {
                return Decision::Refuse(refusal);
            }
            let message = format!("no canary is in flight: {only} gets everything");
            let hint = "start one with `mlroll canary --pct 10`";
            return Decision::Refuse(Refusal::new(ErrorKind::NotFound, message).hint(hint));
        }
        let (Some(stable), Some(candidate)) = (&roles.stable, &roles.candidate) else {
            return Decision::Refuse(self.ambiguous());
        };
        if let (Readiness::Failed(_), Some(_), Some(refusal)) =
            (&self.seen.readiness, self.seen.nature.bar(), self.refuse_unsettled())
        {
            // Nobody can move it, and it does not pass by itself.
            return Decision::Refuse(refusal);
        }
        match named {
            Some(named) if named != candidate => {
                return Decision::Refuse(self.taken(candidate, &format!("asked for is {named}")));
            }
            None if self.seen.marker.is_none() => {
                let message = format!(
                    "{candidate} gets {}, and it was not mlroll that put it there",
                    self.split.weight_of(candidate)
                );
                let mut refusal = Refusal::new(ErrorKind::Conflict, message);
                refusal.exit = ExitStatus::Held;
                return Decision::Refuse(refusal.hint(format!("to promote it all the same: --candidate {candidate}")));
            }
            None => {
                if let Some(refusal) = self.refuse_replaced(candidate) {
                    return Decision::Refuse(refusal);
                }
            }
            Some(_) => {}
        }
        Decision::Shift(Step {
            to: TrafficSplit::full(candidate.clone()),
            marker: Marker {
                state: MarkerState::Promoted,
                stable: candidate.clone(),
                previous: Some(stable.clone()),
                at: Some(self.stamp.at),
                id: Some(self.id_going_on(Outcome::Promoted)),
            },
            outcome: Outcome::Promoted,
            newcomer: None,
        })
    }

    fn rollback(&self, recent: Option<Duration>) -> Decision {
        let roles = &self.seen.roles;
        match (self.split.sole(), &self.seen.marker) {
            (None, _) => match (&roles.stable, self.split.len()) {
                (Some(stable), 2) => self.back_to(stable, roles.candidate.as_ref(), roles.previous.as_ref()),
                _ if recent.is_some() => {
                    Decision::Unchanged { why: "the split does not tell who is stable".to_owned() }
                }
                _ => Decision::Refuse(self.no_way_back()),
            },
            (Some(_), Some(Marker { state: MarkerState::Promoted, previous: Some(previous), at, .. })) => {
                if let Some(recent) = recent {
                    let age = at.map(|at| self.stamp.at.since(at));
                    if age.is_none_or(|age| age > recent) {
                        let when =
                            age.map_or_else(|| "at an unknown time".to_owned(), |age| format!("{} ago", rough(age)));
                        return Decision::Unchanged { why: format!("was promoted {when}") };
                    }
                }
                if let Some(replaced) = &self.seen.replaced {
                    return Decision::Refuse(replaced_way_back(previous, replaced));
                }
                self.back_to(previous, self.split.sole(), None)
            }
            (Some(only), Some(Marker { state: MarkerState::RolledBack { bad }, .. })) => {
                if !self.is_quiet() || (self.is_mirrored() && recent.is_none()) {
                    return self.back_to(only, bad.as_ref(), roles.previous.as_ref());
                }
                let from = bad.as_ref().map_or_else(String::new, |bad| format!(" from {bad}"));
                Decision::Unchanged { why: format!("already rolled back{from}; further back: `--to REV`") }
            }
            (Some(only), _) if recent.is_some() => {
                Decision::Unchanged { why: format!("no canary is in flight: {only} gets everything") }
            }
            // Nothing but copies goes to anybody else, and they end with it.
            (Some(only), _) if self.is_mirrored() => self.back_to(only, None, roles.previous.as_ref()),
            (Some(_), _) => Decision::Refuse(self.no_way_back()),
        }
    }

    fn rollback_to(&self, to: &RevisionId) -> Decision {
        if self.split.is_full(to) && self.is_quiet() && !self.is_mirrored() {
            return Decision::Unchanged { why: format!("{to} already gets everything") };
        }
        let bad = match (self.split.sole(), &self.seen.roles.candidate) {
            (Some(only), _) => Some(only),
            (None, Some(candidate)) => Some(candidate),
            (None, None) => None,
        };
        self.back_to(to, bad.filter(|bad| *bad != to), None)
    }

    fn back_to(&self, stable: &RevisionId, bad: Option<&RevisionId>, previous: Option<&RevisionId>) -> Decision {
        Decision::Shift(Step {
            to: TrafficSplit::full(stable.clone()),
            marker: Marker {
                state: MarkerState::RolledBack { bad: bad.cloned() },
                stable: stable.clone(),
                previous: previous.cloned(),
                at: Some(self.stamp.at),
                id: Some(self.id_going_on(Outcome::RolledBack)),
            },
            outcome: Outcome::RolledBack,
            newcomer: None,
        })
    }

    /// A canary, its promote and their rollback are one rollout and share an id; what follows a promote is another.
    fn id_going_on(&self, outcome: Outcome) -> String {
        let same = |m: &&Marker| match m.state {
            MarkerState::Canary { .. } => true,
            MarkerState::Promoted => outcome == Outcome::RolledBack,
            MarkerState::RolledBack { .. } => false,
        };
        let running = self.seen.marker.as_ref().filter(same);
        running.and_then(|m| m.id.clone()).unwrap_or_else(|| self.stamp.id.clone())
    }

    /// Whether what was seen will still be so in a moment, unless somebody acts.
    fn is_quiet(&self) -> bool {
        match self.can.guard {
            GuardKind::Atomic => self.seen.is_settled(),
            GuardKind::ReadCompare => {
                self.seen.is_settled() && self.seen.modified.is_some_and(|at| self.stamp.at.since(at) >= QUIET)
            }
        }
    }

    /// Whether there is mirrored traffic, which a rollback ends.
    fn is_mirrored(&self) -> bool {
        self.seen.roles.shadow.is_some()
    }

    fn refuse_share(&self, share: Weight) -> Option<Refusal> {
        if share == Weight::ZERO {
            let refusal = Refusal::new(ErrorKind::Invalid, "a canary of 0 % is no canary");
            return Some(refusal.hint("to give stable everything: `mlroll rollback`"));
        }
        if share == Weight::FULL {
            let refusal = Refusal::new(ErrorKind::Invalid, "a canary of 100 % is no canary");
            return Some(refusal.hint("to give the candidate everything: `mlroll promote`"));
        }
        let granule = self.can.granule;
        if share.is_multiple_of(granule) {
            return None;
        }
        let below = share.basis_points() / granule.basis_points().max(1) * granule.basis_points();
        let near = [below, below + granule.basis_points()].map(|bp| Weight::from_basis_points(bp).unwrap_or_default());
        let usable: Vec<String> = near
            .iter()
            .filter(|w| **w != Weight::ZERO && **w != Weight::FULL)
            .map(|w| format!("--pct {}", w.percent()))
            .collect();
        let message = format!("{share} is finer than this provider can store ({granule} steps); nothing is rounded");
        Some(Refusal::new(ErrorKind::Invalid, message).hint(format!("take {}", usable.join(" or "))))
    }

    /// One that nobody can split. What it takes where it has failed goes first.
    fn refuse_kind(&self) -> Option<Refusal> {
        let what = self.seen.nature.bar().filter(|_| !matches!(self.seen.readiness, Readiness::Failed(_)))?;
        let refusal = Refusal::new(ErrorKind::Unsupported, what);
        Some(self.seen.nature.remedies.iter().fold(refusal, Refusal::hint))
    }

    fn refuse_unsettled(&self) -> Option<Refusal> {
        let remedies = &self.seen.nature.remedies;
        match &self.seen.readiness {
            Readiness::Live => None,
            Readiness::Settling(why) => {
                let refusal = Refusal::new(ErrorKind::Conflict, format!("the target is still moving: {why}"));
                let refusal = refusal.hint("wait until `mlroll status` says it is live");
                Some(remedies.iter().fold(refusal, Refusal::hint))
            }
            Readiness::Failed(why) => {
                let refusal = Refusal::new(ErrorKind::Conflict, format!("the target has failed: {why}"));
                Some(match remedies.as_slice() {
                    [] => refusal.hint("`mlroll rollback` is the way out"),
                    remedies => remedies.iter().fold(refusal, Refusal::hint),
                })
            }
        }
    }

    /// A candidate that is not who was put in flight is named by whoever means it.
    fn refuse_replaced(&self, candidate: &RevisionId) -> Option<Refusal> {
        let replaced = self.seen.replaced.as_ref()?;
        let message = format!("somebody else deployed since {candidate} was put in flight: {replaced}");
        let refusal = Refusal::new(ErrorKind::Conflict, message).hint("to end it: `mlroll rollback`");
        Some(refusal.hint(format!("to go on with what {candidate} is now: --candidate {candidate}")))
    }

    fn taken(&self, running: &RevisionId, but: &str) -> Refusal {
        let share = self.split.weight_of(running);
        let message = format!("another candidate is in flight: {running} gets {share}, {but}");
        Refusal::new(ErrorKind::Conflict, message).hint("end it first: `mlroll rollback`, or `mlroll promote`")
    }

    fn ambiguous(&self) -> Refusal {
        let message = format!("the split does not tell who is stable: {}", self.split);
        Refusal::new(ErrorKind::Invalid, message).hint("give one revision everything first: `mlroll rollback --to REV`")
    }

    fn no_way_back(&self) -> Refusal {
        let message = format!("nothing says where to go back to: {} and no note of an earlier revision", self.split);
        let mut refusal = Refusal::new(ErrorKind::NotFound, message);
        refusal.list_revisions = true;
        refusal
    }
}

impl Refusal {
    /// A refusal whose exit status follows from its kind.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { exit: kind.into(), kind, message: message.into(), hints: Vec::new(), list_revisions: false }
    }

    /// Adds what to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// The way back of a promote leads to somebody else by now.
fn replaced_way_back(previous: &RevisionId, replaced: &str) -> Refusal {
    let message = format!("{previous} may not be what it was before the promote: {replaced}");
    let refusal = Refusal::new(ErrorKind::Conflict, message);
    refusal.hint(format!("to give {previous} everything as it is now: --to {previous}"))
}

/// An age for people: its largest unit.
fn rough(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
