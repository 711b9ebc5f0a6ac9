//! The traffic of a request: what is in it, and what Cloud Run refuses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::state::{Entry, Whom};
use crate::google::{self, Refusal};

/// The names of allocation types, by their numbers.
pub(super) const TYPES: [&str; 3] = [
    "TRAFFIC_TARGET_ALLOCATION_TYPE_UNSPECIFIED",
    "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST",
    "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION",
];

/// Reads the `traffic` of a service; absent is empty.
pub(super) fn read(sent: Option<&Value>) -> Result<Vec<Entry>, Refusal> {
    let entries = match sent {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(Refusal::invalid("Invalid value at 'service.traffic' (type.googleapis.com/list)")),
    };
    let mut read = Vec::with_capacity(entries.len());
    for (at, sent) in entries.iter().enumerate() {
        read.push(entry(sent, &format!("service.traffic[{at}]"))?);
    }
    let mut tags = BTreeSet::new();
    if let Some(twice) = read.iter().map(|entry| &entry.tag).find(|tag| !tag.is_empty() && !tags.insert(*tag)) {
        return Err(Refusal::invalid(format!("traffic: tag '{twice}' must be unique, but is used more than once")));
    }
    let sum: u64 = read.iter().map(|entry| u64::from(entry.percent)).sum();
    if !read.is_empty() && sum != 100 {
        return Err(Refusal::invalid(format!("traffic: percents must sum to 100, and the sum is {sum}")));
    }
    Ok(read)
}

fn entry(sent: &Value, place: &str) -> Result<Entry, Refusal> {
    let Some(members) = sent.as_object() else {
        return Err(Refusal::invalid(format!("Invalid value at '{place}', an object is needed")));
    };
    google::known(members, place, &["percent", "revision", "tag", "type"])?;
    let text = |field: &str| match members.get(field) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(other) => Err(Refusal::invalid(format!("Invalid value at '{place}.{field}' (TYPE_STRING), {other}"))),
    };
    let revision = text("revision")?;
    let kind = match members.get("type") {
        None | Some(Value::Null) => Some(0),
        Some(Value::String(name)) => TYPES.iter().position(|known| known == name),
        Some(other) => other.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n < TYPES.len()),
    };
    let whom = match kind {
        Some(1) if revision.is_empty() => Whom::Latest,
        Some(1) => return Err(Refusal::invalid(format!("{place}: the latest revision is not to be named"))),
        Some(2) if revision.is_empty() => return Err(Refusal::invalid(format!("{place}: a revision must be named"))),
        // One that is not there is taken, and fails the operation.
        Some(2) => Whom::Revision(revision.to_owned()),
        Some(0) => return Err(Refusal::invalid(format!("{place}.type must be given"))),
        Some(_) | None => {
            let found = members.get("type").unwrap_or(&Value::Null);
            let kind = "type.googleapis.com/google.cloud.run.v2.TrafficTargetAllocationType";
            return Err(Refusal::invalid(format!("Invalid value at '{place}.type' ({kind}), {found}")));
        }
    };
    let percent = match members.get("percent") {
        None | Some(Value::Null) => 0,
        Some(sent) => {
            let whole = sent.as_u64().filter(|percent| *percent <= 100).and_then(|percent| percent.try_into().ok());
            whole.ok_or_else(|| Refusal::invalid(format!("Invalid value at '{place}.percent' (TYPE_INT32), {sent}")))?
        }
    };
    let tag = text("tag")?;
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !tag.bytes().all(allowed) || tag.starts_with('-') || tag.ends_with('-') || tag.len() > 46 {
        return Err(Refusal::invalid(format!(
            "{place}.tag: '{tag}' may only have small letters, digits and hyphens, and no hyphen at its ends"
        )));
    }
    Ok(Entry { whom, percent, tag: tag.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cloud_run_does_not_take_is_refused() {
        let share = |revision: &str, percent: i64| json!({"type": TYPES[2], "revision": revision, "percent": percent});
        let good = json!([share("fraud-00002-b", 90), {"type": 2, "revision": "fraud-00003-c", "percent": 10},
            {"type": 1, "tag": "newest"}]);
        assert_eq!(read(Some(&good)).unwrap().len(), 3);
        assert_eq!(read(None).unwrap(), []);
        for (bad, said) in [
            (json!([share("fraud-00002-b", 90)]), "the sum is 90"),
            (json!([{"type": TYPES[2], "revision": "fraud-00002-b", "percent": 12.5}]), "TYPE_INT32"),
            (json!([{"type": TYPES[2], "revisionName": "fraud-00002-b", "percent": 100}]), "Unknown name"),
            (json!([{"type": "REVISION", "revision": "fraud-00002-b", "percent": 100}]), "AllocationType"),
            (json!([{"type": 7, "revision": "fraud-00002-b", "percent": 100}]), "AllocationType"),
            (json!([{"revision": "fraud-00002-b", "percent": 100}]), "type must be given"),
            (json!([{"type": 1, "revision": "fraud-00002-b", "percent": 100}]), "not to be named"),
            (json!([{"type": 1, "percent": 100, "tag": "Blue"}]), "small letters"),
            (json!([{"type": 1, "percent": 100, "tag": "a"}, {"type": 1, "tag": "a"}]), "unique"),
            (json!({"type": 1}), "service.traffic"),
        ] {
            let refused = format!("{:?}", read(Some(&bad)).unwrap_err());
            assert!(refused.contains(said), "{bad}: {refused}");
        }
    }
}
