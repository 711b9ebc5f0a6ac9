//! The watch over mirrored traffic.

use std::time::Duration;

use mlroll_backend::{Provider, Readiness, Shadow, Snapshot, Timestamp};

use super::{Mirroring, Watched, gone};
use crate::driver::interrupt::Interrupts;
use crate::driver::{Driver, Report};
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::judge::verdict::Verdict;
use crate::output::Bake;
use crate::rollout::engine::{Stage, Windows};
use crate::rollout::{Conclusion, Outcome, Vigil};

/// The longest one reading of the metric store may take: silence is counted, not waited out.
const LOOK: Duration = Duration::from_secs(30);

/// How long a store or a provider that did not answer is left alone.
const RETRY: Duration = Duration::from_secs(15);

/// Why the watch is over.
pub(super) enum Over {
    /// Somebody else changed the target.
    Changed(Box<Snapshot>),
    Concluded(Conclusion),
    Interrupted,
}

impl Mirroring<'_> {
    pub(super) async fn look_on(
        &self,
        watched: &mut Watched,
        shadow: &Shadow,
        mirrored: &Snapshot,
        report: &mut Report,
        interrupts: &mut Interrupts,
    ) -> Result<Over, Failure> {
        let Driver { clock, progress, .. } = self.driver;
        let Watched { plan, bench } = watched;
        let (target, terms) = (&self.selected.target, plan.terms());
        let mut vigil = Vigil::new(plan);
        // The first window begins when the warm-up is over.
        let mut next = on_grid(clock.now().plus(terms.warm_up), terms.look);
        let mut silent = Duration::ZERO;
        loop {
            let (judged, of) = vigil.looks();
            let (look, findings) = (terms.look, bench.findings());
            progress.baking(target, &Bake { step: 1, steps: 1, share: shadow.share, judged, of, look, findings });
            let due = next.plus(terms.look).plus(terms.settle_delay).since(clock.now());
            let began = clock.now().plus(due.max(silent));
            let windows = Windows { stage: Stage::Step(0), from: next, length: terms.look, count: 1 };
            let looked = async {
                clock.sleep(due.max(silent)).await;
                let seen = self.observe_by(clock.deadline(LOOK)).await;
                let judged = clock.by(clock.deadline(LOOK), bench.judge(windows, plan)).await;
                (seen, judged.unwrap_or_else(|_| Err("the metric store does not answer".to_owned())))
            };
            let (seen, looks) = tokio::select! {
                _ = interrupts.next() => return Ok(Over::Interrupted),
                looked = looked => looked,
            };
            let seen = match seen {
                Ok(seen) if is_changed(mirrored, &seen) => return Ok(Over::Changed(Box::new(seen))),
                Ok(seen) => {
                    report.saw(&seen);
                    Ok(seen)
                }
                // Nothing hurries: users do not feel what cannot be seen meanwhile.
                Err(failure) if matches!(failure.kind, "throttled" | "unavailable") => Err(failure),
                Err(failure) => return Err(failure),
            };
            let looks = looks.unwrap_or_else(|why| {
                progress.waiting(target, &why);
                Vec::new()
            });
            let concluded = match looks.last() {
                Some(look) => {
                    (next, silent) = (look.ends, Duration::ZERO);
                    vigil.book(look.verdict)
                }
                None => {
                    let silence = silent.saturating_add(clock.now().since(began));
                    silent = RETRY;
                    vigil.unjudged(silence.min(terms.look.max(RETRY)))
                }
            };
            let concluded = match concluded {
                None => continue,
                Some(Conclusion::Failed) => return Ok(Over::Concluded(Conclusion::Failed)),
                Some(concluded) => concluded,
            };
            // Somebody's operation may yet take away what was just found to be good.
            let now = tokio::select! {
                _ = interrupts.next() => return Ok(Over::Interrupted),
                now = self.quiet(seen?) => now,
            };
            report.saw(&now);
            return match &now.readiness {
                _ if is_changed(mirrored, &now) => Ok(Over::Changed(Box::new(now))),
                Readiness::Settling(why) => {
                    Err(Failure::conflict(format!("the target is still moving: {why}")).about(target))
                }
                Readiness::Failed(_) | Readiness::Live => Ok(Over::Concluded(concluded)),
            };
        }
    }

    /// What the end means, and what has to be done about it.
    pub(super) async fn conclude(&self, over: Over, shadow: &Shadow, report: &mut Report, interrupts: &mut Interrupts) {
        let target = &self.selected.target;
        let candidate = &shadow.revision;
        let (exit, kind, message) = match over {
            Over::Changed(seen) => {
                report.saw(&seen);
                (ExitStatus::Conflict, "conflict", changed(&seen))
            }
            Over::Concluded(Conclusion::Passed) => {
                (report.outcome, report.exit) = (self.outcome(), ExitStatus::Success);
                report.note("every gate passes; it stays mirrored");
                let canary = format!("mlroll canary --pct P --candidate {candidate} --target {target}");
                return report.note(match target.provider() {
                    Provider::SageMaker => {
                        format!("to give it users: `mlroll shadow --off --target {target}`, then `{canary}`")
                    }
                    Provider::AzureMl | Provider::CloudRun | Provider::Lambda => {
                        format!("to give it users, in one write: `{canary}`")
                    }
                });
            }
            Over::Concluded(Conclusion::Failed) => {
                let why = format!("{candidate} is worse on mirrored traffic{}", guilty(report, 1));
                (ExitStatus::GateFailed, "gate_failed", why)
            }
            Over::Interrupted => {
                self.driver.progress.say("interrupted: switching mirrored traffic off");
                (ExitStatus::Interrupted, "interrupted", "interrupted".to_owned())
            }
            Over::Concluded(Conclusion::Starved) => {
                let why = "the candidate gets less than half of the copies it should, or they are not counted";
                (ExitStatus::Held, "starved", format!("{why}; it stays mirrored"))
            }
            Over::Concluded(Conclusion::NoData) => {
                let why = "there is nothing to judge the candidate by; it stays mirrored";
                (ExitStatus::Held, "no_data", format!("{why}{}", guilty(report, usize::MAX)))
            }
            Over::Concluded(Conclusion::Inconclusive) => {
                let why = "the bake is over and the gates have not shown enough; it stays mirrored";
                (ExitStatus::Held, "inconclusive", format!("{why}{}", guilty(report, usize::MAX)))
            }
        };
        let failure = Failure { exit, kind, ..Failure::usage(message) }.about(target);
        if exit == ExitStatus::Held {
            report.outcome = Outcome::Held;
            return report
                .ended_badly(failure.hint("to go on watching: the same command again").hint(self.off_by_hand()));
        }
        if exit == ExitStatus::Conflict {
            report.outcome = Outcome::Halted;
            return report.ended_badly(failure.hint(format!("see what it is now: `mlroll status --target {target}`")));
        }
        let end = async {
            let seen = self.observe_by(self.accept()).await?;
            self.end(Some(candidate), seen, report).await
        };
        match self.heeding(interrupts, end).await {
            None => report.fail(self.left_at_once()),
            Some(Err(off)) => {
                let message = format!("{}; and it could not be switched off: {}", failure.message, off.message);
                report.fail(Failure { message, ..off }.hint(self.off_by_hand()));
            }
            Some(Ok(_)) => {
                report.note(gone(candidate));
                report.outcome = Outcome::RolledBack;
                report.ended_badly(failure);
            }
        }
    }
}

/// Whether somebody else changed what we mirror, or whom. An operation under way is judged by what comes of it.
fn is_changed(mirrored: &Snapshot, seen: &Snapshot) -> bool {
    match &seen.readiness {
        Readiness::Settling(_) => false,
        Readiness::Failed(_) => true,
        Readiness::Live => seen.split != mirrored.split || seen.guard.token != mirrored.guard.token,
    }
}

/// The first moment of the grid that is not before `moment`.
fn on_grid(moment: Timestamp, look: Duration) -> Timestamp {
    let length = i64::try_from(look.as_millis()).unwrap_or(i64::MAX).max(1);
    let at = moment.unix_milliseconds();
    let ceiling = at.div_euclid(length).saturating_add(i64::from(at.rem_euclid(length) > 0)).saturating_mul(length);
    Timestamp::from_unix_milliseconds(ceiling).unwrap_or(moment)
}

/// What somebody else made of it.
fn changed(seen: &Snapshot) -> String {
    let shadow = seen.roles.shadow.as_ref().map_or_else(|| "nothing mirrored".to_owned(), Shadow::to_string);
    match &seen.readiness {
        Readiness::Failed(why) => format!("the target has failed: {why}; it is left alone"),
        Readiness::Live | Readiness::Settling(_) => {
            format!("someone else changed the target: now it has {seen}, {shadow}; theirs is left alone")
        }
    }
}

/// What the critical gates say that do not pass, those nearest to a fail first.
fn guilty(report: &Report, most: usize) -> String {
    let critical = report.findings.iter().filter(|f| !f.advisory && f.verdict != Verdict::Pass);
    let mut critical: Vec<_> = critical.collect();
    critical.sort_by(|a, b| b.ln_e_fail.total_cmp(&a.ln_e_fail));
    critical.into_iter().take(most).map(|f| format!("; gate `{}`: {}", f.gate, f.reason)).collect()
}
