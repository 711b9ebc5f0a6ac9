//! What went wrong with a provider, in a form the callers can act on.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The result of asking a provider for something.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A request to a provider that failed.
///
/// Request ids go into the context; tokens, signed URLs and bodies never do.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    operation: &'static str,
    message: String,
    context: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    has_changed_nothing: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No credentials, wrong ones, or no permission.
    Auth,
    /// The target is not as the guard says, or is busy with another change: look again.
    Conflict,
    /// The request makes no sense to the provider, or would be unsafe to send.
    Invalid,
    /// The target or a revision does not exist.
    NotFound,
    /// Too many requests, also after waiting and trying again.
    Throttled,
    /// No answer, or none that helps, also after trying again.
    Unavailable,
    /// An answer that this provider should not give.
    Unexpected,
    /// The provider cannot do it, as its capabilities say.
    Unsupported,
    /// A rehearsal stopped the call at the wire.
    Withheld,
}

impl Error {
    /// An error of `operation`, named as the provider names it (`GetAlias`).
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            operation,
            message: message.into(),
            context: Vec::new(),
            retry_after: None,
            has_changed_nothing: false,
            source: None,
        }
    }

    /// Adds a fact, such as a request id, or the `status` of the answer.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((key, value.to_string()));
        self
    }

    /// Adds when the provider wants to be asked again, where it says so (`Retry-After`, `RetryInfo`).
    #[must_use]
    pub fn again_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait.or(self.retry_after);
        self
    }

    /// Says that of a change made by several requests, of which one was refused by name, nothing has taken effect.
    #[must_use]
    pub const fn changed_nothing(mut self) -> Self {
        self.has_changed_nothing = true;
        self
    }

    /// Adds what caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The provider's name of what failed.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        self.operation
    }

    /// What happened, in one sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the provider answered: an error without a status is about a request whose fate is not known.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        self.context.iter().any(|(key, _)| *key == "status")
    }

    /// How long the provider wants to be left alone, where it refused to do anything meanwhile: longer than its transport had
    /// time to wait. Counted from when the error was made.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the adapter knows that nothing of the change took effect, however many requests it sent.
    #[must_use]
    pub const fn has_changed_nothing(&self) -> bool {
        self.has_changed_nothing
    }

    /// Facts about it, in the order they were added.
    #[must_use]
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.context
    }
}

impl ErrorKind {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Conflict => "conflict",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unexpected => "unexpected",
            Self::Unsupported => "unsupported",
            Self::Withheld => "withheld",
        }
    }
}

/// Writes `GetAlias: message (status 503, request id ...)`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)?;
        for (n, (key, value)) in self.context.iter().enumerate() {
            let opening = if n == 0 { " (" } else { ", " };
            write!(f, "{opening}{key} {value}")?;
        }
        if self.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
