//! What the end of a watched run means, and what to type next.

use mlroll_backend::Usage;

use super::Watch;
use crate::driver::{Doubt, Report};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::judge::verdict::Verdict;
use crate::rollout::Outcome;
use crate::rollout::engine::{Cause, Ended, Rollout};

impl Watch<'_> {
    /// What the end means; of a run that was taken up for its capacity alone where it `only_restores`.
    pub(super) fn conclude(&self, mut report: Report, only_restores: bool) -> Report {
        report.calls = self.driver.wire.count(&self.selected.target);
        report.found(self.bench.findings());
        report.experiment = self.bench.summary(&self.selected.target, &self.rollout);
        report.metrics = self.bench.usage();
        if let Some(Usage { calls, series }) = report.metrics.filter(|usage| usage.calls > 0) {
            report.note(format!("the metric store was asked {calls} times, for {series} series in all"));
        }
        let is_lasting = self.rollout.plan().terms().kind.may_leave_capacity();
        if let Some(capacity) = self.rollout.reserved().filter(|_| is_lasting && self.rollout.unrestored().is_none()) {
            report.note(format!("the candidate keeps its capacity: {}", capacity.changes.join("; ")));
        } else if let Some(capacity) = self.rollout.reserved() {
            let why = self.rollout.unrestored().map(|why| format!(" ({why})")).unwrap_or_default();
            let target = &self.selected.target;
            let next = match (self.rollout.is_unfinished(), self.rollout.ending()) {
                (false, _) => String::new(),
                (true, Some(_)) => format!("; `mlroll resume --target {target}` sets it back"),
                (true, None) => format!("; `mlroll resume --target {target}` goes on with it"),
            };
            report.note(format!("capacity is not set back{why}: {}{next}", capacity.changes.join("; ")));
        }
        if let (Some(changes), Some(_)) = (&self.set_back, halted(&self.rollout)) {
            report.note(format!("capacity is set back: {changes}"));
        }
        if report.failure.is_some() {
            return report;
        }
        let Some((ended, why)) = self.rollout.ended().or_else(|| self.rollout.ending()) else {
            report.fail(Failure::interrupted(&self.selected.target));
            return report;
        };
        if only_restores && self.rollout.reserved().is_none() {
            report.outcome = Outcome::Unchanged;
            report.exit = ExitStatus::Success;
            report.note(format!("rollout {} stays ended: {why}", self.rollout.plan().terms().id));
            return report;
        }
        report.outcome = match ended {
            Ended::Halted => Outcome::Halted,
            Ended::Held => Outcome::Held,
            Ended::Promoted => Outcome::Promoted,
            Ended::RolledBack => Outcome::RolledBack,
            Ended::Shifted => Outcome::Shifted,
        };
        // What is refused for good is in nobody's doubt: whoever has traffic was read.
        let in_doubt = match &report.beyond {
            Some(_) => self.rollout.may_still_land(),
            None => self.rollout.is_traffic_in_doubt(),
        };
        let exit = exit_of(ended, why, in_doubt, report.calls.write > 0);
        report.exit = if exit == ExitStatus::Held && self.interrupted {
            ExitStatus::Interrupted
        } else if exit == ExitStatus::Interrupted && !self.interrupted {
            // It was the journal that ended it, and nobody.
            ExitStatus::Unreachable
        } else {
            exit
        };
        if in_doubt {
            report.doubt = Some(Doubt::MayStillLand);
            report.settled = false;
        }
        report.note(format!("rollout {}: {why}", self.rollout.plan().terms().id));
        if let (Some(about), Some(effect)) = (&self.rollout.plan().terms().experiment, self.bench.effect(&self.rollout))
        {
            report.note(format!("effect on `{}`: {effect}", about.metric));
        }
        if report.exit != ExitStatus::Success {
            let failure = report.told(self.failure(report.exit, ended, why));
            report.exit = failure.exit;
            report.failure = Some(failure);
        }
        report
    }

    fn failure(&self, exit: ExitStatus, ended: Ended, why: &Cause) -> Failure {
        let target = &self.selected.target;
        let mut message = match &self.unrecorded {
            Some(unrecorded) if *why == Cause::Aborted => {
                format!("{unrecorded}; what cannot be written down does not go on")
            }
            Some(_) | None => why.to_string(),
        };
        let mut guilty: Vec<_> =
            self.bench.findings().into_iter().filter(|f| !f.advisory && f.verdict != Verdict::Pass).collect();
        guilty.sort_by(|a, b| b.ln_e_fail.total_cmp(&a.ln_e_fail));
        let named = if *why == Cause::Failed {
            1
        } else if matches!(why, Cause::Inconclusive | Cause::NoData) {
            guilty.len()
        } else {
            0
        };
        if *why == Cause::Mismatched
            && let Some(split) = self.bench.split()
        {
            message.push_str(&format!("; {split}"));
        }
        if matches!(why, Cause::Undecided | Cause::Worse)
            && let Some(metric) = self.bench.findings().pop()
        {
            message.push_str(&format!("; `{}`: {}", metric.gate, metric.reason));
        }
        for finding in guilty.into_iter().take(named) {
            message.push_str(&format!("; gate `{}`: {}", finding.gate, finding.reason));
        }
        let left = self.rollout.restorable().filter(|_| self.rollout.only_restores());
        if let Some(capacity) = left {
            let why = self.rollout.unrestored().map(|why| format!(" ({why})")).unwrap_or_default();
            message.push_str(&format!("; capacity is not set back{why}: {}", capacity.changes.join("; ")));
        }
        let kind = match exit {
            _ if *why == Cause::Starved => "starved",
            _ if *why == Cause::NoData => "no_data",
            _ if *why == Cause::Inconclusive => "inconclusive",
            _ if matches!(why, Cause::TooSmall { .. } | Cause::Unprepared(_)) => "capacity",
            _ if *why == Cause::Mismatched => "sample_ratio_mismatch",
            _ if *why == Cause::Undecided => "undecided",
            _ if matches!(why, Cause::TargetFailed { .. }) => "target_failed",
            ExitStatus::Conflict => "conflict",
            ExitStatus::Interrupted => "interrupted",
            ExitStatus::Auth => "auth",
            ExitStatus::NotFound => "not_found",
            ExitStatus::Usage => "invalid",
            ExitStatus::GateFailed => "gate_failed",
            ExitStatus::Held => "held",
            ExitStatus::Unreachable | ExitStatus::Unsafe => "unavailable",
            ExitStatus::Bug | ExitStatus::Success => "unexpected",
        };
        let failure = Failure { exit, kind, ..Failure::usage(message) }.about(target);
        match ended {
            Ended::Halted if matches!(why, Cause::Unprepared(_)) => failure
                .hint(format!("try again: `mlroll resume --target {target}`"))
                .hint("or leave the candidate as it is: capacity = \"leave\""),
            Ended::Held if *why == Cause::Mismatched => failure
                .hint("find out which requests are missing, or sent past the split: its numbers compare unlike users")
                .hint(format!("take it back: `mlroll rollback --target {target}`")),
            Ended::Held => {
                let grows = if let Cause::TooSmall { remedy, .. } = why { Some(remedy) } else { None };
                let failure = grows.into_iter().fold(failure, Failure::hint);
                failure
                    .hint(format!("go on watching: `mlroll resume --target {target}`"))
                    .hint(format!("take it back: `mlroll rollback --target {target}`"))
                    .hint(format!("or go on: `mlroll promote --force --target {target}`"))
            }
            Ended::Halted if matches!(why, Cause::Interference { .. } | Cause::Unsuitable { .. }) => {
                let failure = failure.hint(format!("see what it is now: `mlroll status --target {target}`"));
                let failure = match left {
                    Some(_) => failure
                        .hint(format!(
                            "set the capacity back: `mlroll resume --target {target}`, once one revision has everything"
                        ))
                        .hint(format!("to give stable everything before that: `mlroll rollback --target {target}`")),
                    None => failure,
                };
                failure.suspecting(target)
            }
            Ended::Halted if exit == ExitStatus::Auth && self.rollout.is_rolling_back() => failure
                .hint("the candidate still has its share: allow what was refused, or take other credentials")
                .hint(format!("then take it back: `mlroll rollback --target {target}`")),
            Ended::Halted => failure.hint(format!("see what it is now: `mlroll status --target {target}`")),
            Ended::Promoted | Ended::RolledBack | Ended::Shifted => failure,
        }
    }
}

/// Why it was given up, where it was.
fn halted(rollout: &Rollout) -> Option<&Cause> {
    rollout.ended().and_then(|(ended, why)| (ended == Ended::Halted).then_some(why))
}

fn exit_of(ended: Ended, why: &Cause, in_doubt: bool, wrote: bool) -> ExitStatus {
    match (ended, why) {
        _ if in_doubt => ExitStatus::Unsafe,
        (Ended::Promoted | Ended::Shifted, _) => ExitStatus::Success,
        (Ended::Held, _) => ExitStatus::Held,
        (_, Cause::RolledBackElsewhere | Cause::Interference { .. } | Cause::Unsuitable { .. }) => ExitStatus::Conflict,
        (Ended::RolledBack, Cause::Aborted) => ExitStatus::Interrupted,
        (Ended::RolledBack, _) => ExitStatus::GateFailed,
        (Ended::Halted, Cause::Refused(trouble) | Cause::Unprepared(trouble) | Cause::Unreachable(trouble)) => {
            trouble.kind.into()
        }
        // Moving or failed by somebody else's doing, and not touched.
        (Ended::Halted, _) if !wrote => ExitStatus::Conflict,
        (Ended::Halted, _) => ExitStatus::Unsafe,
    }
}
