//! A provider, a metric store and a clock.

use mlroll_backend::{
    Capacity, ErrorKind, GuardToken, Marker, MarkerState, Nature, Readiness, Roles, Snapshot, Timestamp, TrafficSplit,
    embed,
};

use super::{NOW, id, weight};
use crate::rollout::engine::{Action, Input, Look, Rollout, Trouble, Verdict, Windows};

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum WriteFault {
    /// It is done, and so it is answered.
    None,
    /// It is done, and nobody hears of it.
    LostReply,
    /// It is done, and the transport's own retry of it meets a new guard.
    LostThenConflict,
    /// It arrives after some more actions.
    Late(u8),
    /// It is taken, and given up when it should become live; what was before is back then. Where writes are atomic only with
    /// [`World::note_stays`].
    GivenUp,
    /// It is taken, and taken back when it should become live, which the provider says then and afterwards; nothing is atomic.
    TakenBack {
        /// The note, which is written apart, stays.
        keeps_note: bool,
        /// While it is taken back the new split is shown.
        lags: bool,
    },
    /// It is refused by name.
    Refused(ErrorKind),
    /// Nothing came of several attempts.
    Exhausted(ErrorKind),
}

/// A write that is taken back.
#[derive(Clone, Debug)]
pub(super) struct Undo {
    /// What is there again then.
    split: TrafficSplit,
    marker: Option<Marker>,
    /// Whether the new split is shown until it is over.
    lags: bool,
    begun: bool,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    /// What time it is.
    pub(super) now: i64,
    /// How far the clock is from that.
    pub(super) skew: i64,
    pub(super) split: TrafficSplit,
    pub(super) marker: Option<Marker>,
    pub(super) own: String,
    pub(super) guard: u64,
    pub(super) live_at: i64,
    pub(super) failed: bool,
    pub(super) atomic: bool,
    pub(super) overtakes: bool,
    /// How long a write takes to go live, in seconds.
    pub(super) settles: i64,
    /// By number of the read; the last for all further ones.
    pub(super) reads: Vec<Option<ErrorKind>>,
    pub(super) writes: Vec<WriteFault>,
    pub(super) verdicts: Vec<Verdict>,
    /// Whether the metric store answers, by number of the query.
    pub(super) store: Vec<bool>,
    pub(super) read_count: usize,
    pub(super) write_count: usize,
    pub(super) query_count: usize,
    pub(super) late: Vec<(u8, TrafficSplit, Marker, u64)>,
    /// What comes back when the latest write is given up.
    pub(super) fallback: Option<(TrafficSplit, Option<Marker>)>,
    /// Whether the latest write was given up.
    pub(super) given_up: bool,
    /// The latest write when it is taken back.
    pub(super) undo: Option<Undo>,
    /// What the provider said when it last took one back.
    pub(super) word: Option<String>,
    /// Whether it says that still after a later change.
    pub(super) keeps_word: bool,
    /// How long taking back takes, in seconds.
    pub(super) undoes: i64,
    /// Whether the note of a write that is given up stays, where writes are atomic: each is a write of its own.
    pub(super) note_stays: Option<bool>,
    /// Writes of ours that took effect: the splits.
    pub(super) applied: Vec<TrafficSplit>,
    /// What the candidate lacks.
    pub(super) lacks: Option<Capacity>,
    /// Whether the candidate has become too small for the next step, by number of the question.
    pub(super) outgrown: Vec<bool>,
    pub(super) outgrown_count: usize,
    /// What becomes of a call about capacity, by number.
    pub(super) sizings: Vec<Option<ErrorKind>>,
    pub(super) sizing_count: usize,
    /// Whether the candidate has, or may have, what it lacks.
    pub(super) ready: bool,
    /// What the names of revisions stand for.
    pub(super) contents: Option<String>,
    /// Who keeps everything, as the latest restoring was told.
    pub(super) kept: Option<mlroll_backend::RevisionId>,
}

impl World {
    /// Stable has everything, and everything works.
    pub(super) fn calm() -> Self {
        Self {
            now: NOW * 1000,
            skew: 0,
            split: TrafficSplit::full(id("41")),
            marker: None,
            own: "owned by ml".to_owned(),
            guard: 1,
            live_at: 0,
            failed: false,
            atomic: true,
            overtakes: true,
            settles: 0,
            reads: vec![None],
            writes: vec![WriteFault::None],
            verdicts: vec![Verdict::Pass],
            store: vec![true],
            read_count: 0,
            write_count: 0,
            query_count: 0,
            late: Vec::new(),
            fallback: None,
            given_up: false,
            undo: None,
            word: None,
            keeps_word: false,
            undoes: 90,
            note_stays: None,
            applied: Vec::new(),
            lacks: None,
            outgrown: vec![false],
            outgrown_count: 0,
            sizings: vec![None],
            sizing_count: 0,
            ready: false,
            contents: None,
            kept: None,
        }
    }

    /// As calm, with a candidate that lacks capacity.
    pub(super) fn small() -> Self {
        let lacks = Capacity { token: "1".to_owned(), changes: vec!["42: 1 -> 4".to_owned()] };
        Self { lacks: Some(lacks), ..Self::calm() }
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_unix_milliseconds(self.now + self.skew).unwrap()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let marker = self.marker.clone().filter(|marker| marker.fits(&self.split));
        let readiness = match (self.now < self.live_at, self.failed || self.given_up) {
            (_, true) => Readiness::Failed("a test".to_owned()),
            (true, false) => Readiness::Settling("a test".to_owned()),
            (false, false) => Readiness::Live,
        };
        Snapshot {
            roles: Roles::of(&self.split, marker.as_ref(), Some(&id("41"))),
            split: Some(self.split.clone()),
            marker,
            guard: GuardToken {
                token: if self.atomic { self.guard.to_string() } else { String::new() },
                own_text: self.own.clone(),
            },
            readiness,
            modified: None,
            taken_back: self
                .word
                .clone()
                .filter(|_| self.undo.as_ref().map_or(self.now >= self.live_at, |undo| undo.begun)),
            contents: self.contents.clone(),
            replaced: None,
            nature: Nature::default(),
        }
    }

    /// What the provider takes back, step by step.
    fn take_back(&mut self) {
        if self.now < self.live_at {
            return;
        }
        let Some(mut undo) = self.undo.take() else { return };
        if !undo.lags || undo.begun {
            (self.split, self.marker) = (undo.split.clone(), undo.marker.clone());
        }
        if !undo.begun {
            undo.begun = true;
            self.live_at = self.now + self.undoes * 1000;
            // No two of its reasons are alike.
            self.word = Some(format!("write {} is taken back", self.write_count));
            self.undo = Some(undo);
        }
    }

    /// As [`perform`](Self::perform), but for a shift that the candidate has become too small for.
    pub(super) fn answer(&mut self, rollout: &Rollout, action: &Action) -> Option<Input> {
        if rollout.raises().is_some() {
            self.outgrown_count += 1;
            if nth(&self.outgrown, self.outgrown_count - 1) {
                return Some(Input::TooSmall { lack: "4 and not 6".to_owned(), remedy: "more".to_owned() });
            }
        }
        self.perform(action)
    }

    /// Does what is asked for, and tells what came of it.
    pub(super) fn perform(&mut self, action: &Action) -> Option<Input> {
        self.now += 37;
        if self.now >= self.live_at
            && let Some((split, marker)) = self.fallback.take()
        {
            (self.split, self.given_up) = (split, true);
            if self.note_stays != Some(true) {
                self.marker = marker;
            }
            self.guard += 1;
        }
        self.take_back();
        for write in std::mem::take(&mut self.late) {
            match write {
                (0, to, marker, guard) if guard == self.guard => self.apply(&to, &marker),
                (0, ..) => {}
                (left, to, marker, guard) => self.late.push((left - 1, to, marker, guard)),
            }
        }
        Some(match action {
            Action::Done { .. } => return None,
            Action::Observe => {
                let fault = nth(&self.reads, self.read_count);
                self.read_count += 1;
                match fault {
                    Some(kind) => Input::Unobserved(trouble(kind, 1)),
                    None => Input::Observed(Box::new(self.snapshot())),
                }
            }
            Action::Prepare(capacity) => {
                assert_eq!(Some(capacity), self.lacks.as_ref());
                self.ready = true;
                self.sizing().map_or(Input::Prepared, |kind| Input::Unprepared(trouble(kind, 1)))
            }
            Action::Restore { capacity, keeps } => {
                assert_eq!(Some(capacity), self.lacks.as_ref());
                self.kept = Some(keeps.clone());
                match self.sizing() {
                    Some(kind) => Input::Unrestored(trouble(kind, 1)),
                    None => {
                        self.ready = false;
                        Input::Restored
                    }
                }
            }
            Action::Size { .. } => match self.sizing() {
                Some(kind) => Input::Unprepared(trouble(kind, 1)),
                None => Input::Sized(self.lacks.clone()),
            },
            Action::Sample(windows) => {
                self.query_count += 1;
                if nth(&self.store, self.query_count - 1) {
                    Input::Judged(self.judge(windows))
                } else {
                    Input::Unjudged { why: "a test".to_owned() }
                }
            }
            Action::Shift { to, marker, seen } => self.write(to, marker, seen),
            Action::Wait { until, .. } => {
                self.now = self.now.max(until.unix_milliseconds() - self.skew);
                Input::TimeReached
            }
        })
    }

    fn sizing(&mut self) -> Option<ErrorKind> {
        self.sizing_count += 1;
        nth(&self.sizings, self.sizing_count - 1)
    }

    /// Lets happen what is due, without a look.
    pub(super) fn drain_once(&mut self) {
        self.perform(&Action::Wait { until: self.time(), why: crate::rollout::engine::Pending::Provider });
    }

    /// Lets every write arrive that is still under way.
    pub(super) fn drain(&mut self) {
        for _ in 0..=u8::MAX {
            if !self.late.is_empty() {
                self.drain_once();
            }
        }
    }

    fn judge(&self, windows: &Windows) -> Vec<Look> {
        let mut ends = windows.from;
        let looks = (0..windows.count).map(|_| {
            ends = ends.plus(windows.length);
            let nth_window = ends.unix_seconds() / i64::try_from(windows.length.as_secs()).unwrap();
            let verdict = self.verdicts[usize::try_from(nth_window).unwrap() % self.verdicts.len()];
            let known = ends.unix_milliseconds() <= self.now;
            Look { ends, verdict: if known { verdict } else { Verdict::NoData } }
        });
        looks.collect()
    }

    fn write(&mut self, to: &TrafficSplit, marker: &Marker, seen: &Snapshot) -> Input {
        let fault = nth(&self.writes, self.write_count);
        self.write_count += 1;
        if self.atomic && seen.guard.token != self.guard.to_string() {
            return Input::Refused(trouble(ErrorKind::Conflict, 1));
        }
        if self.now < self.live_at && !self.overtakes {
            return Input::Refused(trouble(ErrorKind::Conflict, 1));
        }
        match fault {
            WriteFault::None => {
                self.apply(to, marker);
                Input::Accepted
            }
            WriteFault::LostReply => {
                self.apply(to, marker);
                Input::Refused(trouble(ErrorKind::Unavailable, 1))
            }
            WriteFault::GivenUp if !self.atomic || self.note_stays.is_some() => {
                let before = (self.split.clone(), self.marker.clone());
                self.apply(to, marker);
                self.live_at = self.live_at.max(self.now + 1000);
                self.fallback = Some(before);
                Input::Accepted
            }
            WriteFault::TakenBack { keeps_note, lags } if !self.atomic => {
                let (before, note) = (self.split.clone(), self.marker.clone());
                self.apply(to, marker);
                self.live_at = self.live_at.max(self.now + 1000);
                let note = if keeps_note { self.marker.clone() } else { note };
                self.undo = Some(Undo { split: before, marker: note, lags, begun: false });
                Input::Accepted
            }
            WriteFault::GivenUp | WriteFault::TakenBack { .. } => {
                self.apply(to, marker);
                Input::Accepted
            }
            WriteFault::LostThenConflict => {
                self.apply(to, marker);
                Input::Refused(trouble(ErrorKind::Conflict, 2))
            }
            WriteFault::Late(after) if self.atomic => {
                self.late.push((after, to.clone(), marker.clone(), self.guard));
                Input::Refused(trouble(ErrorKind::Unavailable, 1))
            }
            WriteFault::Late(_) => Input::Refused(trouble(ErrorKind::Unavailable, 1)),
            WriteFault::Refused(kind) => Input::Refused(trouble(kind, 1)),
            WriteFault::Exhausted(kind) => Input::Refused(trouble(kind, 5)),
        }
    }

    fn apply(&mut self, to: &TrafficSplit, marker: &Marker) {
        (self.fallback, self.given_up) = (None, false);
        self.undo = None;
        self.word = self.word.take().filter(|_| self.keeps_word);
        self.applied.push(to.clone());
        self.split = to.clone();
        self.marker = embed(&self.own, marker, 256).marker;
        self.guard += 1;
        self.live_at = self.now + self.settles * 1000;
    }

    /// Somebody else gives `share` to `revision`, with or without minding the note that lies there.
    pub(super) fn foreign(&mut self, revision: &str, share: u16, erase: bool) {
        (self.fallback, self.given_up) = (None, false);
        self.undo = None;
        self.word = self.word.take().filter(|_| self.keeps_word);
        self.split = TrafficSplit::between(id("41"), id(revision), weight(share));
        if erase {
            self.marker = None;
        }
        self.guard += 1;
    }

    /// `mlroll rollback` in a second terminal.
    pub(super) fn rolled_back_by_hand(&mut self, rollout: &str) {
        self.foreign("42", 0, true);
        self.marker = Some(Marker {
            state: MarkerState::RolledBack { bad: Some(id("42")) },
            stable: id("41"),
            previous: None,
            at: Timestamp::from_unix_seconds(self.now / 1000),
            id: Some(rollout.to_owned()),
        });
    }

    /// Somebody changes what is no traffic.
    pub(super) fn touch(&mut self) {
        self.own.push('!');
        self.guard += 1;
    }
}

pub(super) fn trouble(kind: ErrorKind, sent: u32) -> Trouble {
    Trouble { kind, message: "a test".to_owned(), sent, wait: None }
}

fn nth<T: Copy>(all: &[T], n: usize) -> T {
    *all.get(n).unwrap_or_else(|| all.last().unwrap())
}
