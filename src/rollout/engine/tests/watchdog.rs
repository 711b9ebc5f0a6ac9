//! The invariants of `docs/design/0003-the-engine.md`, checked at every step.

use mlroll_backend::{Readiness, Snapshot, Timestamp, TrafficSplit, Weight};

use super::world::World;
use crate::rollout::engine::{Action, Cause, Ended, Input, Kind, Rollout, Verdict};

/// Sees every input and action, and knows what really happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Watchdog {
    steps: usize,
    /// The candidate's shares that were asked for.
    shares: Vec<Weight>,
    last_write: Option<TrafficSplit>,
    /// What was known before the latest split was asked for, should it never be sent.
    unsent: Option<Box<Self>>,
    /// Whether nothing was judged since the candidate was found too small.
    small: bool,
    /// Verdicts delivered since the last write.
    looks: Vec<Verdict>,
    consumed: Option<Timestamp>,
    live_since: Option<Timestamp>,
    pub(super) aborted: bool,
    /// Somebody else wrote.
    pub(super) foreign: bool,
    /// How many of our writes had taken effect when somebody else made a split that we do not know.
    pub(super) theirs: Option<usize>,
    /// How many had when somebody put back what a write of ours in doubt had changed.
    pub(super) put_back: Option<usize>,
    last_seen: Option<Snapshot>,
    /// Whether the candidate lacks capacity, as it was told.
    sized: Option<bool>,
    prepared: bool,
    /// Whether capacity was set back, or tried to be, since it was last made ready.
    restored: bool,
}

impl Watchdog {
    pub(super) fn sees(&mut self, rollout: &Rollout, input: &Input, now: Timestamp, action: &Action) {
        self.steps += 1;
        assert!(self.steps < 6000, "1: it goes on and on");
        self.note(rollout, input, now);
        match action {
            Action::Shift { to, seen, marker } => {
                let share = to.weight_of(&rollout.plan().terms().candidate);
                self.check_exposure(rollout, share);
                self.check_capacity(rollout, seen, share);
                self.check_passes(rollout, to, share);
                assert!(!self.small || share == Weight::ZERO, "10: shifted to what is too small, and not judged on");
                assert!(!self.aborted || share == Weight::ZERO, "4: an aborted rollout exposes the candidate");
                if matches!(seen.readiness, Readiness::Settling(_)) {
                    let overtakes = rollout.plan().terms().overtakes;
                    assert!(share == Weight::ZERO && overtakes, "8: a write while settling");
                }
                assert_eq!(self.last_seen.as_ref(), Some(&**seen), "a write is about what was last seen");
                assert!(marker.fits(to));
                if self.last_write.as_ref() != Some(to) {
                    self.unsent = None;
                    self.unsent = Some(Box::new(self.clone()));
                    self.looks.clear();
                    self.live_since = None;
                    self.last_write = Some(to.clone());
                }
            }
            Action::Sample(windows) => {
                let terms = rollout.plan().terms();
                let seconds = windows.length.as_secs();
                assert_eq!(windows.from.unix_milliseconds() % i64::try_from(seconds * 1000).unwrap(), 0, "on the grid");
                assert!(self.consumed.is_none_or(|end| windows.from >= end), "a window is consumed twice");
                let last = windows.from.plus(windows.length * windows.count).plus(terms.settle_delay);
                assert!(last <= now, "a window is read before it is settled");
                let live = self.live_since.unwrap();
                assert!(
                    windows.from.since(live) >= terms.warm_up || windows.from < live,
                    "warm-up is judged: {live} {windows:?}"
                );
            }
            Action::Done { ended, why } => self.check_end(rollout, *ended, why),
            Action::Wait { until, .. } => assert!(*until > now || *input == Input::Hold, "a wait that is over"),
            Action::Prepare(_) | Action::Size { .. } => {
                self.restored = false;
                assert!(rollout.plan().terms().capacity && self.shares.is_empty() && !self.aborted, "9: too late");
            }
            Action::Observe => {}
            Action::Restore { keeps, .. } => {
                let split = self.last_seen.as_ref().and_then(|seen| seen.split.as_ref());
                assert!(
                    split.is_some_and(|split| split.is_full(keeps)),
                    "9: {keeps} does not have everything: {split:?}"
                );
                self.restored = true;
            }
        }
    }

    fn note(&mut self, rollout: &Rollout, input: &Input, now: Timestamp) {
        match input {
            Input::Observed(seen) => {
                self.last_seen = Some((**seen).clone());
                let ours = seen.split.as_ref() == rollout.confirmed();
                if ours && self.live_since.is_none() && seen.is_settled() {
                    self.live_since = Some(now);
                }
            }
            Input::Prepared => self.prepared = true,
            Input::Sized(found) => self.sized = Some(found.is_some()),
            // One that may have been sent stays what was last asked for, and is asked about each time.
            Input::TooSmall { .. } if rollout.attempted().is_some() => {}
            Input::TooSmall { .. } => {
                let unsent = *self.unsent.take().unwrap();
                let Self { shares, last_write, looks, live_since, .. } = unsent;
                *self = Self { shares, last_write, looks, live_since, small: true, ..std::mem::take(self) };
            }
            Input::Judged(looks) => {
                self.small &= looks.is_empty();
                self.looks.extend(looks.iter().map(|look| look.verdict));
                self.consumed = looks.last().map(|look| look.ends).or(self.consumed);
            }
            Input::Abort
            | Input::Accepted
            | Input::Hold
            | Input::Refused(_)
            | Input::Restored
            | Input::Resume
            | Input::Started
            | Input::TimeReached
            | Input::Unjudged { .. }
            | Input::Unobserved(_)
            | Input::Unprepared(_)
            | Input::Unsent
            | Input::Unrestored(_) => {}
        }
    }

    fn check_exposure(&mut self, rollout: &Rollout, share: Weight) {
        let known = share == Weight::ZERO || rollout.plan().terms().steps.contains(&share);
        assert!(known, "2: {share} is no step of the plan");
        let before = self.shares.last().copied().unwrap_or(Weight::ZERO);
        let gone = self.shares.contains(&Weight::ZERO);
        assert!(share == Weight::ZERO || (share >= before && !gone), "2: {:?} then {share}", self.shares);
        self.shares.push(share);
    }

    /// Nobody shifts to a candidate that cannot carry its share.
    fn check_capacity(&self, rollout: &Rollout, seen: &Snapshot, share: Weight) {
        let terms = rollout.plan().terms();
        let alone = seen.split.as_ref().is_some_and(|split| split.is_full(&terms.stable));
        if terms.capacity && alone && share != Weight::ZERO {
            assert!(self.sized == Some(false) || self.prepared, "9: shifted to what is not ready");
        }
    }

    /// The first step and the way back need none, and a write that is repeated has them.
    fn check_passes(&self, rollout: &Rollout, to: &TrafficSplit, share: Weight) {
        let Some(last) = &self.last_write else { return };
        if last == to || share == Weight::ZERO {
            return;
        }
        if !rollout.plan().terms().judged {
            assert!(
                self.looks.len() >= usize::try_from(rollout.plan().bake_looks()).unwrap(),
                "3: left before its bake"
            );
            return;
        }
        let data = |v: &&Verdict| !matches!(v, Verdict::Fail | Verdict::NoData | Verdict::Starved);
        let judged = self.looks.iter().filter(data).count();
        assert!(judged >= usize::try_from(rollout.plan().min_looks()).unwrap(), "3: left after {judged} looks");
        assert_eq!(self.looks.last(), Some(&Verdict::Pass), "3: left without a pass");
        let time = rollout.plan().terms().look * u32::try_from(judged).unwrap() + rollout.plan().terms().warm_up;
        assert!(time >= rollout.plan().terms().min_bake, "3: left before min_bake");
    }

    fn check_end(&self, rollout: &Rollout, ended: Ended, why: &Cause) {
        let terms = rollout.plan().terms();
        let split = self.last_seen.as_ref().and_then(|seen| seen.split.as_ref());
        match ended {
            Ended::Promoted => assert!(split.unwrap().is_full(&terms.candidate), "5: promoted, and not seen"),
            Ended::RolledBack => assert!(split.unwrap().is_full(&terms.stable), "5: rolled back, and not seen"),
            Ended::Halted | Ended::Held | Ended::Shifted => {}
        }
        if ended == Ended::Shifted && terms.kind == Kind::Experiment {
            assert_eq!((why, self.looks.last()), (&Cause::Better, Some(&Verdict::Better)), "3: kept, and not better");
        }
        if matches!(why, Cause::Interference { .. } | Cause::RolledBackElsewhere) {
            assert!(self.foreign, "6: nobody interfered: {why}");
        }
    }

    /// When nothing more will happen.
    pub(super) fn at_the_end(&self, rollout: &Rollout, world: &mut World) {
        let (ended, why) = rollout.ended().expect("1: it ends");
        if self.aborted {
            assert!(matches!(ended, Ended::RolledBack | Ended::Halted), "4: aborted, and {ended:?}: {why}");
        }
        let terms = rollout.plan().terms();
        let keeps = if ended == Ended::Promoted { &terms.candidate } else { &terms.stable };
        let lasts = matches!(ended, Ended::Promoted | Ended::RolledBack);
        assert!(!world.ready || rollout.reserved().is_some(), "9: capacity is forgotten");
        if lasts && world.ready {
            assert!(rollout.unrestored().is_some(), "9: capacity is left");
        }
        if lasts && let Some(kept) = &world.kept {
            assert_eq!(kept, keeps, "9: the wrong one keeps it");
        }
        if world.ready {
            let stays =
                terms.kind.may_leave_capacity() && matches!(ended, Ended::Halted | Ended::Held | Ended::Shifted);
            let tried = self.restored && rollout.unrestored().is_some();
            assert!(tried || rollout.is_unfinished() || stays, "9: capacity is left for good: {ended:?}: {why}");
            assert!(rollout.restorable().is_none() || rollout.is_unfinished() || stays, "9: nobody sets it back");
        }
        world.drain();
        if world.atomic
            && let Some(ours) = self.theirs
        {
            assert_eq!(world.applied.len(), ours, "6: somebody else's split is written over");
        }
        if world.atomic
            && !rollout.is_rolling_back()
            && let Some(ours) = self.put_back
        {
            assert_eq!(world.applied.len(), ours, "6: what a human put back is written over");
        }
        if world.atomic && ended == Ended::RolledBack && !self.foreign {
            assert_eq!(world.split, TrafficSplit::full(rollout.plan().terms().stable.clone()), "4: exposed afterwards");
        }
    }
}
