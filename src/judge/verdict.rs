//! From evidence to a verdict (docs/judge.md section 3.9).

use serde::{Deserialize, Serialize};

/// What the evidence says about the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Worse than tolerated.
    Fail,
    /// Neither is shown: keep baking. Never a promotion.
    Inconclusive,
    /// Not worse than the maximum tolerated.
    Pass,
}

/// When the two tests decided, counting looks from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    looks: u64,
    /// The first look at which FAIL had decided.
    pub first_fail: Option<u64>,
    /// The first look at which PASS had decided.
    pub first_pass: Option<u64>,
}

impl Course {
    /// Books what the tests say after one look, and gives the verdict at it: fail is sticky, pass holds while it holds.
    pub fn look(&mut self, fails: bool, passes: bool) -> Verdict {
        self.looks = self.looks.saturating_add(1);
        if fails && self.first_fail.is_none() {
            self.first_fail = Some(self.looks);
        }
        if passes && self.first_pass.is_none() {
            self.first_pass = Some(self.looks);
        }
        match (self.first_fail, passes) {
            (Some(_), _) => Verdict::Fail,
            (None, true) => Verdict::Pass,
            (None, false) => Verdict::Inconclusive,
        }
    }

    /// What a rollout would have done: the decision that came first, fail on a tie.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match (self.first_fail, self.first_pass) {
            (None, None) => Verdict::Inconclusive,
            (Some(fail), Some(pass)) if pass < fail => Verdict::Pass,
            (Some(_), _) => Verdict::Fail,
            (None, Some(_)) => Verdict::Pass,
        }
    }
}

impl Verdict {
    /// The word in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Pass => "pass",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fail_is_sticky_and_pass_is_not() {
        let mut course = Course::default();
        let verdicts = [(false, true), (false, false), (true, true), (false, true)].map(|(f, p)| course.look(f, p));
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail, Verdict::Fail]);
        assert_eq!((course.first_fail, course.first_pass), (Some(3), Some(1)));
        assert_eq!(course.verdict(), Verdict::Pass);
    }

    #[test]
    fn a_tie_is_a_fail() {
        let mut course = Course::default();
        assert_eq!(course.verdict(), Verdict::Inconclusive);
        assert_eq!(course.look(true, true), Verdict::Fail);
        assert_eq!(course.verdict(), Verdict::Fail);
    }
}
