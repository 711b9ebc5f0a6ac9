//! What was accepted and is not shown yet.
//!
//! While Azure works on a write, and for a while after, reads show the split from before. That is neither somebody else's
//! change nor a write that was lost: until then what was accepted is what is told, as settling.

use std::time::Duration;

use mlroll_backend::{Marker, Shadow, TrafficSplit};
use tokio::time::Instant;

use super::document::{Document, shadow_of};

/// How long a read may lag behind an operation that has ended. `azd` reads three times at 10 s for the same reason.
const LAG: Duration = Duration::from_secs(30);

/// A write that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// The endpoint before it.
    pub(super) before: Document,
    /// What was asked for.
    pub(super) to: TrafficSplit,
    /// What will be mirrored besides.
    pub(super) shadow: Option<Shadow>,
    /// What of the marker travels with it.
    pub(super) marker: Option<Marker>,
    /// The token that the endpoint will have.
    pub(super) token: String,
    /// The text of our tag in it.
    pub(super) tag: Option<String>,
    /// Where Azure tells about the operation.
    pub(super) operation: Option<String>,
    /// Since when it is shown as ended.
    pub(super) ended_since: Option<Instant>,
}

/// What a read says about a write that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It is shown, or somebody else's is: what is read is how it is.
    Shown,
    /// It is shown, and has ended; a later read may still lag.
    Done,
    /// It is not shown yet; the word says why.
    Awaited(&'static str),
    /// The operation ended without it.
    Failed,
}

impl Pending {
    /// Judges a read made at `now`.
    pub(super) fn progress(&mut self, read: &Document, now: Instant) -> Progress {
        let ended = is_terminal(&read.state);
        if read.token() == self.token {
            if !read.state.eq_ignore_ascii_case("succeeded") {
                return Progress::Shown;
            }
            self.ended_since.get_or_insert(now);
            return Progress::Done;
        }
        // Nobody can write until then, and what others wrote just before us is over with our write.
        if !ended {
            self.ended_since = None;
            return Progress::Awaited("Azure is working on it");
        }
        // A tag that was neither there before nor is ours has come after us, also where the traffic is that from before:
        // somebody else's rollback.
        let later = read.tag != self.before.tag && read.tag != self.tag;
        // So has what is mirrored to somebody else, or less or more.
        let copied = read.mirror != self.before.mirror && shadow_of(&read.mirror) != self.shadow;
        if read.traffic != self.before.traffic || later || copied {
            return Progress::Shown;
        }
        // A failure is new unless it is the very text from before our write.
        if !read.state.eq_ignore_ascii_case("succeeded") && read.text != self.before.text {
            return Progress::Failed;
        }
        let since = *self.ended_since.get_or_insert(now);
        if now.duration_since(since) < LAG {
            Progress::Awaited("Azure accepted it and still shows the split from before")
        } else {
            Progress::Shown
        }
    }
}

/// Whether an operation has ended.
pub(super) fn is_terminal(state: &str) -> bool {
    ["succeeded", "failed", "canceled"].iter().any(|end| state.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(traffic: &str, state: &str, extra: &str) -> Document {
        let text = format!(
            r#"{{"name":"fraud","extra":"{extra}","properties":{{"traffic":{traffic},"provisioningState":"{state}"}}}}"#
        );
        Document::parse("Op", text.as_bytes(), "fraud").unwrap()
    }

    #[test]
    fn what_is_not_shown_yet_is_awaited_for_thirty_seconds_after_the_end() {
        let before = read(r#"{"blue":100}"#, "Succeeded", "");
        let to = TrafficSplit::full("green".parse().unwrap());
        let token = read(r#"{"green":100}"#, "", "").token();
        let tag = Some("ours".to_owned());
        let mut pending =
            Pending { before, to, shadow: None, marker: None, token, tag, operation: None, ended_since: None };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let old = |state: &str| read(r#"{"blue":100}"#, state, "later");
        assert!(matches!(pending.progress(&old("Updating"), at(0)), Progress::Awaited(_)));
        assert!(matches!(pending.progress(&old("Succeeded"), at(20)), Progress::Awaited(_)));
        assert!(matches!(pending.progress(&old("Succeeded"), at(49)), Progress::Awaited(_)));
        assert_eq!(pending.progress(&old("Succeeded"), at(50)), Progress::Shown, "drift");
        // Back at work: the lag begins anew.
        assert!(matches!(pending.progress(&old("Updating"), at(51)), Progress::Awaited(_)));
        assert!(matches!(pending.progress(&old("Succeeded"), at(60)), Progress::Awaited(_)));
        assert_eq!(pending.progress(&old("Failed"), at(61)), Progress::Failed);
        assert_eq!(pending.progress(&old("Canceled"), at(61)), Progress::Failed);
        let theirs = |state: &str| read(r#"{"blue":50,"red":50}"#, state, "");
        assert!(matches!(pending.progress(&theirs("Updating"), at(62)), Progress::Awaited(_)), "from before our write");
        assert_eq!(pending.progress(&theirs("Succeeded"), at(62)), Progress::Shown, "from after it");
        assert_eq!(pending.progress(&read(r#"{"green":100}"#, "Updating", ""), at(62)), Progress::Shown);
        pending.ended_since = None;
        assert_eq!(pending.progress(&read(r#"{"Green":100,"blue":0}"#, "Succeeded", ""), at(62)), Progress::Done);
        assert!(
            matches!(pending.progress(&old("Succeeded"), at(63)), Progress::Awaited(_)),
            "one of many readers lags"
        );
        assert_eq!(pending.progress(&old("Succeeded"), at(93)), Progress::Shown, "somebody put it back");
        pending.ended_since = None;
        let mirrored = |percent: &str| {
            let traffic = format!(r#"{{"blue":100}},"mirrorTraffic":{{"green":{percent}}}"#);
            read(&traffic, "Succeeded", "later")
        };
        pending.shadow = shadow_of(&mirrored("10").mirror);
        assert!(matches!(pending.progress(&mirrored("0"), at(94)), Progress::Awaited(_)));
        assert_eq!(pending.progress(&mirrored("20"), at(94)), Progress::Shown, "somebody else's mirror");
        pending.ended_since = None;
        let tagged = |tag: &str| Document { tag: Some(tag.to_owned()), ..old("Succeeded") };
        assert!(matches!(pending.progress(&tagged("ours"), at(94)), Progress::Awaited(_)), "tags may be there first");
        assert_eq!(pending.progress(&tagged("theirs"), at(94)), Progress::Shown, "somebody put it back and said so");
    }

    #[test]
    fn a_failure_from_before_is_not_ours() {
        let before = read(r#"{"blue":100}"#, "Failed", "");
        let to = TrafficSplit::full("green".parse().unwrap());
        let mut pending = Pending {
            before: before.clone(),
            to,
            shadow: None,
            marker: None,
            token: String::new(),
            tag: None,
            operation: None,
            ended_since: None,
        };
        assert!(matches!(pending.progress(&before, Instant::now()), Progress::Awaited(_)));
        assert_eq!(pending.progress(&read(r#"{"blue":100}"#, "Failed", "anew"), Instant::now()), Progress::Failed);
    }
}
