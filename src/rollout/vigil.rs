//! How long mirrored traffic is watched: verdicts of looks in, the end out.

use std::time::Duration;

use super::engine::{Plan, Verdict};

/// The watch over mirrored traffic. It counts as the bake of a canary does; what follows is another: users never see
/// the candidate, so nothing but a failed gate ends the mirroring.
#[derive(Clone, Debug)]
pub struct Vigil {
    most: u32,
    least: u32,
    look: Duration,
    budget: Duration,
    judged: u32,
    without_data: Duration,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// A gate failed.
    Failed,
    /// The bake is over, and the gates have not shown enough.
    Inconclusive,
    /// There was no data for as long as is allowed.
    NoData,
    /// Every gate passes.
    Passed,
    /// Stable has traffic, and the candidate too few copies of it.
    Starved,
}

impl Vigil {
    /// Over the bake of a canary's plan.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let terms = plan.terms();
        Self {
            most: plan.bake_looks(),
            least: plan.min_looks(),
            look: terms.look,
            budget: terms.no_data_budget,
            judged: 0,
            without_data: Duration::ZERO,
        }
    }

    /// Looks with data so far, and how many there are at most.
    #[must_use]
    pub const fn looks(&self) -> (u32, u32) {
        (self.judged, self.most)
    }

    /// Books a look, once. `None`: go on.
    pub fn book(&mut self, verdict: Verdict) -> Option<Conclusion> {
        match verdict {
            Verdict::Fail => return Some(Conclusion::Failed),
            Verdict::Starved => return Some(Conclusion::Starved),
            Verdict::NoData => return self.unjudged(self.look),
            // What only an experiment is told decides nothing here.
            Verdict::Better
            | Verdict::Inconclusive
            | Verdict::Mismatched
            | Verdict::Pass
            | Verdict::Reached
            | Verdict::Worse => {}
        }
        self.judged = self.judged.saturating_add(1);
        if verdict == Verdict::Pass && self.judged >= self.least {
            return Some(Conclusion::Passed);
        }
        (self.judged >= self.most).then_some(Conclusion::Inconclusive)
    }

    /// Books time in which nothing could be judged.
    pub fn unjudged(&mut self, time: Duration) -> Option<Conclusion> {
        self.without_data = self.without_data.saturating_add(time);
        (self.without_data >= self.budget).then_some(Conclusion::NoData)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn vigil() -> Vigil {
        let (judged, without_data) = (0, Duration::ZERO);
        Vigil { most: 4, least: 2, look: MINUTE, budget: MINUTE * 3, judged, without_data }
    }

    fn ends(verdicts: &[Verdict]) -> (usize, Option<Conclusion>) {
        let mut vigil = vigil();
        for (n, verdict) in verdicts.iter().enumerate() {
            if let Some(end) = vigil.book(*verdict) {
                return (n + 1, Some(end));
            }
        }
        (verdicts.len(), None)
    }

    #[test]
    fn a_pass_needs_the_shortest_bake_and_what_is_not_shown_is_no_pass() {
        use Verdict::{Fail, Inconclusive, NoData, Pass, Starved};
        assert_eq!(ends(&[Pass]), (1, None));
        assert_eq!(ends(&[Pass, Pass]), (2, Some(Conclusion::Passed)));
        assert_eq!(ends(&[Pass, Inconclusive, Inconclusive, Inconclusive]), (4, Some(Conclusion::Inconclusive)));
        assert_eq!(ends(&[Pass, Fail]), (2, Some(Conclusion::Failed)));
        assert_eq!(ends(&[Starved]), (1, Some(Conclusion::Starved)));
        // Looks without data are no looks, and their time adds up.
        assert_eq!(ends(&[NoData, NoData, Pass, Pass]), (4, Some(Conclusion::Passed)));
        assert_eq!(ends(&[NoData, Inconclusive, NoData, Inconclusive, NoData]), (5, Some(Conclusion::NoData)));
    }

    #[test]
    fn silence_is_time_without_data() {
        let mut vigil = vigil();
        assert_eq!(vigil.unjudged(MINUTE), None);
        assert_eq!(vigil.book(Verdict::Inconclusive), None);
        assert_eq!(vigil.looks(), (1, 4));
        assert_eq!(vigil.book(Verdict::NoData), None);
        assert_eq!(vigil.unjudged(MINUTE), Some(Conclusion::NoData));
    }
}
