//! The text of an endpoint: read, and edited without touching what is not ours.

use std::collections::BTreeMap;
use std::fmt;

use mlroll_backend::{Result, RevisionId, Shadow, Timestamp, TrafficSplit, Weight};
use serde::Deserialize;
use serde_json::Value;

use super::fields::{self, Fields, READ_ONLY};
use crate::error::unexpected;

/// The tag that carries the marker.
pub(super) const TAG: &str = "mlroll-rollout";

/// How many tags a resource may have (Azure Resource Manager limits).
const MOST_TAGS: usize = 50;

/// What a PUT of an endpoint must not contain besides.
const READ_ONLY_PROPERTIES: [&str; 3] = ["provisioningState", "scoringUri", "swaggerUri"];

/// An endpoint as it was read.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// The answer as it came.
    pub(super) text: String,
    /// Live percents by name, none of them zero.
    pub(super) traffic: BTreeMap<RevisionId, f64>,
    /// Mirrored percents by name, none of them zero.
    pub(super) mirror: BTreeMap<RevisionId, f64>,
    /// Whether it runs on somebody's Kubernetes.
    pub(super) on_kubernetes: bool,
    /// The text of our tag.
    pub(super) tag: Option<String>,
    /// `provisioningState`
    pub(super) state: String,
    /// `systemData.lastModifiedAt`
    pub(super) modified: Option<Timestamp>,
}

/// What an endpoint shall be.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    /// Live percents; `None` leaves the text of them as it is.
    pub(super) traffic: Option<BTreeMap<RevisionId, u16>>,
    /// Mirrored percents that stay; `None` leaves the text of them as it is.
    pub(super) mirror: Option<BTreeMap<RevisionId, f64>>,
    /// The text of our tag; `None` leaves it out.
    pub(super) tag: Option<String>,
}

/// The fields that are looked at. Unknown ones are passed over here and kept in the text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    name: Option<String>,
    tags: Option<BTreeMap<String, Value>>,
    properties: ShownProperties,
    system_data: Option<SystemData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShownProperties {
    traffic: Option<BTreeMap<String, f64>>,
    mirror_traffic: Option<BTreeMap<String, f64>>,
    compute: Option<Value>,
    provisioning_state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SystemData {
    last_modified_at: Option<String>,
}

impl Document {
    /// Reads an answer about the endpoint `name`.
    pub(super) fn parse(operation: &'static str, body: &[u8], name: &str) -> Result<Self> {
        let nonsense = |what: &dyn fmt::Display| unexpected(operation, what);
        let text = std::str::from_utf8(body).map_err(|_| nonsense(&"it is not text"))?;
        // The parser's messages may repeat what was read.
        let shown: Shown = serde_json::from_str(text).map_err(|_| nonsense(&"it is not an online endpoint"))?;
        if !shown.name.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return Err(nonsense(&"it is about another endpoint"));
        }
        let percents = |map: Option<BTreeMap<String, f64>>| -> Result<BTreeMap<RevisionId, f64>> {
            let mut percents = BTreeMap::new();
            for (name, percent) in map.unwrap_or_default() {
                if !percent.is_finite() || percent < 0.0 {
                    return Err(nonsense(&"a share of traffic is no share"));
                }
                if percent > 0.0 {
                    *percents.entry(revision(&name).map_err(|e| nonsense(&e))?).or_insert(0.0) += percent;
                }
            }
            Ok(percents)
        };
        let tag = shown.tags.unwrap_or_default().remove(TAG);
        Ok(Self {
            text: text.to_owned(),
            traffic: percents(shown.properties.traffic)?,
            mirror: percents(shown.properties.mirror_traffic)?,
            on_kubernetes: shown
                .properties
                .compute
                .is_some_and(|compute| compute.as_str().is_some_and(|id| !id.is_empty())),
            tag: tag.and_then(|tag| tag.as_str().map(str::to_owned)),
            state: shown.properties.provisioning_state.unwrap_or_default(),
            modified: shown.system_data.and_then(|data| data.last_modified_at?.parse().ok()),
        })
    }

    /// The split; `None` when nobody is routed to.
    pub(super) fn split(&self, operation: &'static str) -> Result<Option<TrafficSplit>> {
        if self.traffic.is_empty() {
            return Ok(None);
        }
        let shares = self.traffic.iter().map(|(revision, percent)| (revision.clone(), *percent));
        TrafficSplit::apportion(shares).map(Some).map_err(|e| unexpected(operation, e))
    }

    /// What two looks are compared by: everything that we write. `lastModifiedAt` is not in it, as it changes twice with
    /// each write, and in between reads still show the old split.
    pub(super) fn token(&self) -> String {
        token(&self.traffic, &self.mirror, self.tag.as_deref())
    }

    /// The token that the endpoint has when `edit` is done.
    pub(super) fn token_after(&self, edit: &Edit) -> String {
        let whole = |traffic: &BTreeMap<RevisionId, u16>| {
            traffic.iter().map(|(revision, percent)| (revision.clone(), f64::from(*percent))).collect()
        };
        let traffic = edit.traffic.as_ref().map_or_else(|| self.traffic.clone(), whole);
        token(&traffic, edit.mirror.as_ref().unwrap_or(&self.mirror), edit.tag.as_deref())
    }

    /// The body of the PUT that makes `edit` of what was read.
    pub(super) fn edited(&self, operation: &'static str, edit: &Edit) -> Result<String> {
        let failed =
            |e: serde_json::Error| unexpected(operation, format!("it cannot be edited (column {})", e.column()));
        let mut endpoint: Fields = serde_json::from_str(&self.text).map_err(failed)?;
        endpoint.drop(&READ_ONLY);
        let mut properties: Fields = endpoint.object("properties").map_err(failed)?;
        properties.drop(&READ_ONLY_PROPERTIES);
        if let Some(traffic) = &edit.traffic {
            properties.set("traffic", traffic).map_err(failed)?;
        }
        if let Some(mirror) = &edit.mirror {
            let whole = |percent: &f64| {
                let number = serde_json::Number::from_f64(*percent).map(Value::Number).unwrap_or_default();
                // Written as they are read: Azure's percents are integers.
                format!("{percent}").parse::<u64>().map_or(number, Value::from)
            };
            let mirror: BTreeMap<&RevisionId, Value> = mirror.iter().map(|(r, percent)| (r, whole(percent))).collect();
            properties.set("mirrorTraffic", &mirror).map_err(failed)?;
        }
        endpoint.set("properties", &properties).map_err(failed)?;
        fields::forget_principals(&mut endpoint).map_err(failed)?;
        let mut tags =
            if endpoint.has_object("tags") { endpoint.object("tags").map_err(failed)? } else { Fields::default() };
        match &edit.tag {
            Some(tag) => tags.set(TAG, tag).map_err(failed)?,
            None => tags.drop(&[TAG]),
        }
        if endpoint.has_object("tags") || edit.tag.is_some() {
            endpoint.set("tags", &tags).map_err(failed)?;
        }
        serde_json::to_string(&endpoint).map_err(failed)
    }

    /// Whether there is room for our tag. A write must not fail for the want of it.
    pub(super) fn has_room_for_tag(&self) -> bool {
        let tags = serde_json::from_str::<Shown>(&self.text).ok().and_then(|shown| shown.tags).unwrap_or_default();
        tags.contains_key(TAG) || tags.len() < MOST_TAGS
    }
}

/// A deployment's name as a revision: Azure compares names without case.
pub(super) fn revision(name: &str) -> Result<RevisionId, mlroll_backend::InvalidRevisionId> {
    name.to_ascii_lowercase().parse()
}

/// Whole percents; `None` when a share is finer.
pub(super) fn percents(split: &TrafficSplit) -> Option<BTreeMap<RevisionId, u16>> {
    let percent = |weight: Weight| {
        let bp = weight.basis_points();
        bp.is_multiple_of(100).then_some(bp / 100)
    };
    split.iter().map(|(id, weight)| Some((revision(id.as_str()).ok()?, percent(weight)?))).collect()
}

/// Who gets copies, and of how many; Azure lets it be one. What is mirrored is never told as nothing.
pub(super) fn shadow_of(mirror: &BTreeMap<RevisionId, f64>) -> Option<Shadow> {
    let (revision, percent) = mirror.iter().next()?;
    let basis_points = (percent * 100.0).round().clamp(1.0, 10_000.0) as u16;
    Some(Shadow { revision: revision.clone(), share: Weight::from_basis_points(basis_points)? })
}

fn token(traffic: &BTreeMap<RevisionId, f64>, mirror: &BTreeMap<RevisionId, f64>, tag: Option<&str>) -> String {
    let listed = |map: &BTreeMap<RevisionId, f64>| {
        let entries: Vec<String> = map.iter().map(|(revision, percent)| format!("{revision}={percent}")).collect();
        entries.join(",")
    };
    format!("traffic {}; mirror {}; tag {}", listed(traffic), listed(mirror), tag.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> RevisionId {
        text.parse().unwrap()
    }

    fn read(text: &str) -> Document {
        Document::parse("Op", text.as_bytes(), "fraud").unwrap()
    }

    fn edit() -> Edit {
        Edit { traffic: Some([(id("blue"), 90), (id("green"), 10)].into()), mirror: None, tag: Some("[m]".to_owned()) }
    }

    #[test]
    fn everything_but_traffic_tag_and_what_is_read_only_stays_byte_for_byte() {
        let uai = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u";
        let text = format!(
            r#"{{"id":"/x","name":"Fraud","type":"t","zone":[1.0, 1e5,{{"b":1,"a":12345678901234567890}}],
            "tags":{{"team":"fra\u00fcd","mlroll-rollout":"old","cost":"1"}},"location":"eastus","kind":"Managed",
            "identity":{{"principalId":"p","type":"SystemAssigned,UserAssigned","tenantId":"t","userAssignedIdentities":{{"{uai}":{{"clientId":"c","future":[],"principalId":"p"}}}},"later":null}},
            "properties":{{"scoringUri":"https://x","mirrorTraffic":{{"red":  10}},"authMode":"AADToken","provisioningState":"Succeeded","description":null,
              "traffic":{{"Blue":100,"green":0}},"publicNetworkAccess":"Disabled","properties":{{"azureml.onlineendpointid":"1","AzureAsyncOperationUri":"https://y"}},"keys":null,"compute":"/k8s","swaggerUri":"z","novelty":{{"x":0.10}}}},
            "sku":null,"systemData":{{"createdAt":"2022-10-28T19:26:29.5331Z","lastModifiedAt":"2022-10-28T19:26:49.5331Z"}}}}"#
        );
        let document = read(&text);
        assert_eq!(document.modified.unwrap().to_string(), "2022-10-28T19:26:49Z");
        let expected = format!(
            r#"{{"zone":[1.0, 1e5,{{"b":1,"a":12345678901234567890}}],"tags":{{"team":"fra\u00fcd","mlroll-rollout":"[m]","cost":"1"}},"location":"eastus","kind":"Managed","identity":{{"type":"SystemAssigned,UserAssigned","userAssignedIdentities":{{"{uai}":{{"future":[]}}}},"later":null}},"properties":{{"mirrorTraffic":{{"red":  10}},"authMode":"AADToken","description":null,"traffic":{{"blue":90,"green":10}},"publicNetworkAccess":"Disabled","properties":{{"azureml.onlineendpointid":"1","AzureAsyncOperationUri":"https://y"}},"keys":null,"compute":"/k8s","novelty":{{"x":0.10}}}},"sku":null}}"#
        );
        assert_eq!(document.edited("Op", &edit()).unwrap(), expected);
    }

    #[test]
    fn names_have_no_case_and_zero_is_absent() {
        let document = read(
            r#"{"name":"fraud","properties":{"traffic":{"Blue":100,"green":0},"mirrorTraffic":{"GREEN":10,"x":0}}}"#,
        );
        assert_eq!(document.traffic, [(id("blue"), 100.0)].into());
        assert_eq!(document.mirror, [(id("green"), 10.0)].into());
        assert_eq!(document.token(), "traffic blue=100; mirror green=10; tag ");
        assert_eq!(document.token_after(&edit()), "traffic blue=90,green=10; mirror green=10; tag [m]");
        let edited = document.edited("Op", &Edit { mirror: Some(BTreeMap::new()), tag: None, ..edit() }).unwrap();
        assert_eq!(edited, r#"{"properties":{"traffic":{"blue":90,"green":10},"mirrorTraffic":{}}}"#);
        for nobody in [r#"{"traffic":{}}"#, r#"{"traffic":{"blue":0}}"#, r#"{"traffic":null}"#, "{}"] {
            let document = read(&format!(r#"{{"name":"fraud","properties":{nobody}}}"#));
            assert_eq!(document.split("Op").unwrap(), None, "{nobody}");
        }
    }

    #[test]
    fn a_full_set_of_tags_is_not_added_to() {
        let tags: Vec<String> = (0..50).map(|n| format!(r#""t{n}":"v""#)).collect();
        let with = |tags: &str| read(&format!(r#"{{"name":"fraud","tags":{{{tags}}},"properties":{{}}}}"#));
        assert!(!with(&tags.join(",")).has_room_for_tag());
        assert!(with(&tags[1..].join(",")).has_room_for_tag());
        assert!(with(&format!(r#"{},"mlroll-rollout":"x""#, tags[1..].join(","))).has_room_for_tag());
    }

    #[test]
    fn what_is_no_endpoint_is_refused_and_not_repeated() {
        for text in [
            "",
            "null",
            "<html>hunter2",
            r#"{"name":"other","properties":{}}"#,
            r#"{"name":"fraud"}"#,
            r#"{"name":"fraud","properties":{"traffic":{"blue":"hunter2"}}}"#,
            r#"{"name":"fraud","properties":{"traffic":{"blue":-1}}}"#,
            r#"{"name":"fraud","properties":{"traffic":{"two words":1}}}"#,
        ] {
            let error = Document::parse("Op", text.as_bytes(), "fraud").unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let twice = read(r#"{"name":"fraud","properties":{"x":1,"x":2}}"#);
        assert!(twice.edited("Op", &edit()).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*", inner in "[\\[\\]{}\",:a-z0-9 ]{0,40}") {
            let _ = Document::parse("Op", text.as_bytes(), "fraud");
            let text = format!(r#"{{"name":"fraud","properties":{{"traffic":{{"blue":100}}}},"extra":{inner}}}"#);
            if let Ok(document) = Document::parse("Op", text.as_bytes(), "fraud") {
                let _ = document.edited("Op", &edit());
            }
        }
    }
}
