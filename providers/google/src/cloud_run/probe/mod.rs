//! One request to one revision, also at zero traffic: by the address of a tag, which moves nobody.
//!
//! A revision that has no tag gets one, in a write of the traffic under the etag that changes no share, after it is ready:
//! on one that fails, a tag would make the service look failed. The tag stays, since taking it away would be another write,
//! and moves on with the next revision that is tried.

mod wire;

use mlroll_backend::{Error, ErrorKind, Pace, Probe, Question, Readiness, Result, RevisionId};

use self::wire::{Answer, invoke};
use super::service::{read, short};
use super::wire::{Calls, Change, Kind, Service, Share};
use crate::error::printable;

const OPERATION: &str = "smoke test";

/// The tag of what is tried. It is a part of a host name, which has 63 characters with that of the service.
const TAG: &str = "mlroll";

/// How much of an answer is shown, in characters.
const SHOWN: usize = 200;

/// Where a revision alone can be asked.
struct Address {
    /// Of the tag.
    tagged: String,
    /// Of the service: the audience of identity tokens, whatever tag is asked.
    service: String,
}

/// Asks a revision, and tells what it answers.
pub(super) async fn probe(
    calls: &Calls<'_>,
    revision: &RevisionId,
    question: &Question<'_>,
    pace: &dyn Pace,
) -> Result<Probe> {
    let address = address(calls, revision, pace).await?;
    let Answer { status, had_identity, body } = invoke(calls, &address, question).await?;
    let body = printable(&String::from_utf8_lossy(&body), SHOWN);
    if matches!(status, 401 | 403) {
        let why = match had_identity {
            true => format!("{} does not let us in: `roles/run.invoker` on the service is needed", address.service),
            false => format!(
                "{} lets nobody in without an identity token, and these credentials have none: a service account has \
                 (its key, impersonation, or a machine on Google Cloud)",
                address.service
            ),
        };
        return Err(Error::new(ErrorKind::Auth, OPERATION, why).with("status", status));
    }
    let answer = format!("{status} {body}").trim().to_owned();
    Ok(Probe { ok: (200..300).contains(&status), answer })
}

/// The address of a tag on the revision; one is put there when there is none.
async fn address(calls: &Calls<'_>, revision: &RevisionId, pace: &dyn Pace) -> Result<Address> {
    let mut is_asked_for = false;
    loop {
        let service = calls.get_service().await?;
        let seen = read(OPERATION, &service)?;
        let of_it = |share: &&Share| short(&share.revision) == revision.as_str() && !share.uri.is_empty();
        if let Some(status) = service.traffic_statuses.iter().find(of_it) {
            return Ok(Address { tagged: status.uri.clone(), service: service.uri.clone() });
        }
        if seen.is_settled() {
            if is_asked_for {
                let message = format!("Cloud Run took the tag {TAG} for {revision}, and tells no address of it");
                return Err(Error::new(ErrorKind::Unexpected, OPERATION, message));
            }
            let change = Change { etag: service.etag.clone(), traffic: service.with_tag(revision), annotations: None };
            if let Some(failed) = calls.update_service(&change).await?.error {
                let message = format!("Cloud Run could not tag {revision}: {}", printable(&failed.message, 600));
                return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
            }
            is_asked_for = true;
        } else if let Readiness::Failed(why) = &seen.readiness {
            let message = format!("{revision} gets no address: {why}");
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
        }
        pace.pause(&format!("an address for {revision}"), None).await?;
    }
}

impl Service {
    /// The traffic as it is, and a tag on a revision besides. Tags on failed revisions without traffic go: a change that names
    /// one of them fails.
    fn with_tag(&self, revision: &RevisionId) -> Vec<Share> {
        let mut traffic = self.traffic.clone();
        if traffic.iter().all(|share| share.percent == 0) {
            // Empty means the same; a tag alone would not.
            traffic.push(Share { kind: Kind::Latest, percent: 100, ..Share::default() });
        }
        let failed = self.failed();
        traffic.retain(|share| {
            share.percent > 0 || share.kind == Kind::Latest || !failed.contains(short(&share.revision))
        });
        // It is on what was tried last.
        traffic.retain(|share| share.tag != TAG || share.percent > 0);
        for share in traffic.iter_mut().filter(|share| share.tag == TAG) {
            share.tag.clear();
        }
        let (kind, revision, tag) = (Kind::Revision, revision.to_string(), TAG.to_owned());
        traffic.push(Share { kind, revision, tag, ..Share::default() });
        traffic
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_tag_moves_nobody_and_is_there_once() {
        let entry = |revision: &str, percent: u32, tag: &str| json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": revision, "percent": percent, "tag": tag});
        let latest = json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100});
        for (traffic, rest) in [
            (json!([entry("a", 100, "")]), "a=100:"),
            (json!([entry("a", 90, "live"), entry("b", 10, ""), entry("b", 0, "mlroll")]), "a=90:live b=10:"),
            (json!([entry("a", 100, "mlroll")]), "a=100:"),
            (json!([latest]), "=100:"),
            (json!([]), "=100:"),
            (json!([entry("a", 0, "old")]), "a=0:old =100:"),
        ] {
            assert_eq!(tagged(&json!({"traffic": traffic})), format!("{rest} c=0:mlroll"), "{traffic}");
        }
    }

    fn tagged(service: &Value) -> String {
        let service: Service = serde_json::from_value(service.clone()).unwrap();
        let tagged = service.with_tag(&"c".parse().unwrap()).into_iter();
        let shown: Vec<String> =
            tagged.map(|share| format!("{}={}:{}", share.revision, share.percent, share.tag)).collect();
        shown.join(" ")
    }

    /// Facts of a failed deploy: the condition names the revision, and any change that refers to it without traffic fails.
    #[test]
    fn tags_of_failed_revisions_without_traffic_are_dropped() {
        let entry = |revision: &str, percent: u32, tag: &str| json!({"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": revision, "percent": percent, "tag": tag});
        let condition = |revision: &str| json!([{"type": "ConfigurationsReady", "state": "CONDITION_FAILED", "message": format!("Revision '{revision}' is not ready and cannot serve traffic.")}]);
        for (failed, rest) in [("b", "a=100:live"), ("a", "a=100:live b=0:next"), ("z", "a=100:live b=0:next")] {
            let traffic = json!([entry("a", 100, "live"), entry("b", 0, "next")]);
            let service = json!({"traffic": traffic, "conditions": condition(failed)});
            assert_eq!(tagged(&service), format!("{rest} c=0:mlroll"), "{failed}");
        }
    }
}
