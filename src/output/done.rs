//! What a verb did, as every output tells it.

use mlroll_backend::Usage;

use crate::config::Unreadable;
use crate::driver::Report;
use crate::exit::ExitStatus;
use crate::failure::Failure;
use crate::rollout::Outcome;

/// What a verb did.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// The verb as it is typed.
    pub verb: &'a str,
    /// Why, in the words of who typed it.
    pub reason: Option<&'a str>,
    /// What became of each target.
    pub reports: &'a [Report],
    /// What was meant too, but could not be read.
    pub unreadable: &'a [Unreadable],
    /// What runs that share a metric store asked of it, all of them together; those of their own say it themselves.
    pub shared: Option<Usage>,
}

impl Done<'_> {
    /// What the process says: the worst of all.
    #[must_use]
    pub fn exit(&self) -> ExitStatus {
        let unreadable = self.unreadable.iter().map(|u| u.failure.exit);
        ExitStatus::worst(self.reports.iter().map(|r| r.exit).chain(unreadable))
    }

    /// What happened to all of them: a failure counts most, then whatever moved.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.unreadable.is_empty() {
            self.reports.iter().map(|r| r.outcome).min().unwrap_or(Outcome::Unchanged)
        } else {
            Outcome::Failed
        }
    }

    /// What became of a target, for people: mirrored traffic is not shifted to anybody.
    #[must_use]
    pub fn words(&self, outcome: Outcome) -> &'static str {
        match (self.verb, outcome) {
            ("shadow", Outcome::Shifted) => "mirrored",
            ("shadow", Outcome::RolledBack) => "switched off",
            _ => outcome.words(),
        }
    }

    /// Whether all splits are known to be live.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.unreadable.is_empty() && self.reports.iter().all(|r| r.settled)
    }

    /// What was asked of metric stores that bill their answers.
    #[must_use]
    pub fn metrics(&self) -> Option<Usage> {
        let alone = self.reports.iter().filter_map(|report| report.metrics);
        alone.chain(self.shared).reduce(|all, one| all.plus(one, 1))
    }

    /// The failure that decides the exit status.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        let exit = self.exit();
        let failures = self.reports.iter().filter_map(|r| r.failure.as_ref());
        failures.chain(self.unreadable.iter().map(|u| &u.failure)).find(|failure| failure.exit == exit)
    }
}
