//! Exit status, and the one mapping from errors to it.

use mlroll_backend::ErrorKind;

/// What the process tells its caller. The numbers are documented in `docs/exit-codes.md` and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// 0: as asked, unchanged, or the question answered.
    Success,
    /// 1: a gate failed and the candidate was rolled back.
    GateFailed,
    /// 2: arguments, config, or a plan the provider cannot do. Traffic is untouched.
    Usage,
    /// 3: held; a person decides.
    Held,
    /// 4: someone else changed the split, or another run is in charge.
    Conflict,
    /// 5: credentials or permission.
    Auth,
    /// 6: target, revision, canary or way back not found.
    NotFound,
    /// 7: the provider could not be reached; run again.
    Unreachable,
    /// 8: traffic is in a state that could not be confirmed: page someone.
    Unsafe,
    /// 70: a bug.
    Bug,
    /// 130: interrupted.
    Interrupted,
}

impl ExitStatus {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::GateFailed => 1,
            Self::Usage => 2,
            Self::Held => 3,
            Self::Conflict => 4,
            Self::Auth => 5,
            Self::NotFound => 6,
            Self::Unreachable => 7,
            Self::Unsafe => 8,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }

    /// The worst of several targets: what most needs a person comes first. An interrupt is the caller's own doing and
    /// hides nothing but success.
    #[must_use]
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        const ORDER: [ExitStatus; 11] = [
            ExitStatus::Unsafe,
            ExitStatus::Bug,
            ExitStatus::Unreachable,
            ExitStatus::Auth,
            ExitStatus::Conflict,
            ExitStatus::NotFound,
            ExitStatus::Usage,
            ExitStatus::Held,
            ExitStatus::GateFailed,
            ExitStatus::Interrupted,
            ExitStatus::Success,
        ];
        let rank = |status: &Self| ORDER.iter().position(|s| s == status);
        all.into_iter().min_by_key(rank).unwrap_or(Self::Success)
    }
}

/// What a provider's error means for the caller, when traffic is known to be as it was.
impl From<ErrorKind> for ExitStatus {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Auth => Self::Auth,
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Invalid | ErrorKind::Unsupported => Self::Usage,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Unexpected => Self::Unreachable,
            ErrorKind::Withheld => Self::Bug,
        }
    }
}

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_what_most_needs_a_person() {
        let worst = |all: &[ExitStatus]| ExitStatus::worst(all.iter().copied()).code();
        assert_eq!(worst(&[]), 0);
        assert_eq!(worst(&[ExitStatus::Success, ExitStatus::Held, ExitStatus::GateFailed]), 3);
        assert_eq!(worst(&[ExitStatus::Usage, ExitStatus::NotFound, ExitStatus::Conflict]), 4);
        assert_eq!(worst(&[ExitStatus::Auth, ExitStatus::Unreachable, ExitStatus::Bug]), 70);
        assert_eq!(worst(&[ExitStatus::Bug, ExitStatus::Unsafe]), 8);
        assert_eq!(worst(&[ExitStatus::Success, ExitStatus::Interrupted]), 130);
    }
}
