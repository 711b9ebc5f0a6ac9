//! The faults a test can script.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::operation::{Operation, Route};
use crate::world::Alias;

/// A fault, and the requests it befalls.
///
/// Faults are tried in the order they were added. One that answers a request itself hides it from the later ones, so
/// several faults on the same operation befall consecutive requests. [`Kind::Latency`], [`Kind::ForeignWrite`] and
/// [`Kind::DeleteVersion`] let the request go on, and so combine with whatever comes after them.
#[derive(Clone, Debug)]
pub struct Fault {
    operation: Option<Operation>,
    target: Option<String>,
    skip: u32,
    left: Times,
    kind: Kind,
}

impl Fault {
    /// Befalls one operation, once, with an internal error unless told otherwise.
    #[must_use]
    pub fn on(operation: Operation) -> Self {
        Self { operation: Some(operation), ..Self::any() }
    }

    /// Befalls any operation, once, with an internal error unless told otherwise.
    #[must_use]
    pub fn any() -> Self {
        let kind = Kind::status(500, "ServiceException", "An error occurred and the request cannot be processed.");
        Self { operation: None, target: None, skip: 0, left: Times::Count(1), kind }
    }

    /// Restricts the fault to `function@alias`, `function@version`, or all of `function`.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Lets the first `count` matching requests through.
    #[must_use]
    pub fn skip(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// Befalls `count` requests.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.left = Times::Count(count);
        self
    }

    /// Befalls every request from the first to the end of the test.
    #[must_use]
    pub fn forever(mut self) -> Self {
        self.left = Times::Forever;
        self
    }

    /// Chooses what happens.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Returns whether the fault befalls this request, and counts it.
    fn strikes(&mut self, operation: Operation, target: Option<&str>) -> bool {
        let here = self.operation.is_none_or(|own| own == operation)
            && self.target.as_deref().is_none_or(|own| target.is_some_and(|target| covers(own, target)));
        if !here || self.left == Times::Count(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Times::Count(left) = &mut self.left {
            *left -= 1;
        }
        true
    }
}

/// What happens to a request.
///
/// Where a name ends in `Before` the service never sees the request; where it ends in `After`, and wherever it says
/// so, the service carries it out and only the answer suffers.
#[derive(Clone, Debug)]
pub enum Kind {
    /// The version vanishes, then the request is served.
    DeleteVersion(String),
    /// The request is carried out and answered with status 200 and no body.
    EmptyBody,
    /// Somebody else changes the alias, then the request is served.
    ForeignWrite(Change),
    /// The request is carried out and answered with valid JSON of the wrong shape.
    GarbageJson,
    /// The request is carried out and never answered.
    HangAfter,
    /// The request is neither carried out nor answered.
    HangBefore,
    /// The request is served after a delay.
    Latency(Duration),
    /// The request is carried out, then the connection is reset before the first byte of the answer.
    ResetAfter,
    /// The connection is reset and the request not carried out.
    ResetBefore,
    /// The request is refused with an error.
    Status {
        /// The HTTP status.
        status: u16,
        /// The error code.
        code: String,
        /// The error message.
        message: String,
        /// Further headers, such as `Retry-After`.
        headers: Vec<(String, String)>,
    },
    /// The request is carried out, and the connection closed after half of the body.
    Truncate,
    /// The request is carried out and answered with status 200 and a web page.
    WrongContentTypeAfter,
    /// The request is not carried out but answered with status 200 and a web page, as captive portals do.
    WrongContentTypeBefore,
}

impl Kind {
    /// Refuses the request with an error.
    #[must_use]
    pub fn status(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Status { status, code: code.into(), message: message.into(), headers: Vec::new() }
    }

    /// Refuses the request with 429, and says when to come back if asked to.
    #[must_use]
    pub fn throttled(retry_after: Option<Duration>) -> Self {
        let headers = retry_after.map(|after| ("Retry-After".to_owned(), after.as_secs().to_string()));
        Self::Status {
            status: 429,
            code: "TooManyRequestsException".to_owned(),
            message: "Rate Exceeded.".to_owned(),
            headers: headers.into_iter().collect(),
        }
    }

    /// Has somebody else change the request's alias just before it is served, which makes a conditional write stale.
    ///
    /// A request that names no alias is served as if nothing had happened.
    #[must_use]
    pub fn foreign_write(change: impl Fn(&mut Alias) + Send + Sync + 'static) -> Self {
        Self::ForeignWrite(Change { alias: None, make: Arc::new(change) })
    }

    /// Has somebody else change the alias of a function just before any request is served.
    #[must_use]
    pub fn foreign_write_to(
        function: impl Into<String>,
        alias: impl Into<String>,
        change: impl Fn(&mut Alias) + Send + Sync + 'static,
    ) -> Self {
        Self::ForeignWrite(Change { alias: Some((function.into(), alias.into())), make: Arc::new(change) })
    }

    /// Returns how long the request has to wait.
    pub(crate) fn latency(&self) -> Duration {
        if let Self::Latency(latency) = self { *latency } else { Duration::ZERO }
    }

    fn goes_on(&self) -> bool {
        matches!(self, Self::DeleteVersion(_) | Self::ForeignWrite(_) | Self::Latency(_))
    }
}

/// Somebody else's change to an alias, made by [`Kind::foreign_write`] or [`Kind::foreign_write_to`].
#[derive(Clone)]
pub struct Change {
    alias: Option<(String, String)>,
    make: Arc<dyn Fn(&mut Alias) + Send + Sync>,
}

impl Change {
    /// Returns the function and the alias that change: those named, or else the request's.
    pub(crate) fn alias<'a>(&'a self, route: &'a Route) -> Option<(&'a str, &'a str)> {
        match &self.alias {
            Some((function, alias)) => Some((function, alias)),
            None => Some((&route.function, route.qualifier.as_deref()?)),
        }
    }

    pub(crate) fn make(&self, alias: &mut Alias) {
        (self.make)(alias);
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("alias", &self.alias).finish_non_exhaustive()
    }
}

/// The faults of a server in the order they were added.
#[derive(Debug, Default)]
pub(crate) struct Script {
    faults: Vec<Fault>,
}

impl Script {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Returns what befalls a request: any number of kinds that let it go on, then at most one that does not.
    pub(crate) fn strike(&mut self, operation: Operation, target: Option<&str>) -> Vec<Kind> {
        let mut strikes = Vec::new();
        for fault in &mut self.faults {
            if fault.strikes(operation, target) {
                strikes.push(fault.kind.clone());
                if !fault.kind.goes_on() {
                    break;
                }
            }
        }
        strikes
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Times {
    Count(u32),
    Forever,
}

/// Returns whether `own` is the target itself or the function it belongs to.
fn covers(own: &str, target: &str) -> bool {
    own == target || target.strip_prefix(own).is_some_and(|rest| rest.starts_with('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(script: &mut Script, operation: Operation, target: &str) -> Vec<String> {
        let strikes = script.strike(operation, Some(target));
        strikes.iter().map(|kind| format!("{kind:?}")).collect()
    }

    #[test]
    fn skips_then_strikes_then_ends() {
        let mut script = Script::default();
        script.add(Fault::on(Operation::GetAlias).skip(1).times(2).kind(Kind::Truncate));
        let struck: Vec<bool> =
            (0..5).map(|_| !kinds(&mut script, Operation::GetAlias, "fraud@prod").is_empty()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
    }

    #[test]
    fn other_operations_and_targets_do_not_count() {
        let mut script = Script::default();
        script.add(Fault::on(Operation::GetAlias).target("fraud@prod").kind(Kind::Truncate));
        script.add(Fault::any().target("scores").forever().kind(Kind::EmptyBody));
        assert!(kinds(&mut script, Operation::UpdateAlias, "fraud@prod").is_empty());
        assert!(kinds(&mut script, Operation::GetAlias, "fraud@production").is_empty());
        assert_eq!(kinds(&mut script, Operation::GetAlias, "fraud@prod"), ["Truncate"]);
        assert_eq!(kinds(&mut script, Operation::ListAliases, "scores"), ["EmptyBody"]);
        assert_eq!(kinds(&mut script, Operation::UpdateAlias, "scores@prod"), ["EmptyBody"]);
        assert!(kinds(&mut script, Operation::UpdateAlias, "scores2@prod").is_empty());
    }

    #[test]
    fn answers_hide_requests_and_the_rest_combines() {
        let mut script = Script::default();
        script.add(Fault::any().times(2).kind(Kind::Latency(Duration::ZERO)));
        script.add(Fault::any().kind(Kind::ResetBefore));
        script.add(Fault::any().kind(Kind::HangBefore));
        assert_eq!(kinds(&mut script, Operation::GetAlias, "f@a"), ["Latency(0ns)", "ResetBefore"]);
        assert_eq!(kinds(&mut script, Operation::GetAlias, "f@a"), ["Latency(0ns)", "HangBefore"]);
        assert!(kinds(&mut script, Operation::GetAlias, "f@a").is_empty());
    }
}
