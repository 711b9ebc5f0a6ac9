//! What a release is called, what it is made of, and what has to be sent for it. Pure.

use std::fmt::Write as _;

use mlroll_backend::{Artifact, Error, ErrorKind, Release, Result, RevisionId, Settings, Snapshot, TrafficSplit};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::service::{is_reserved, short};
use super::wire::{Kind, Making, Revision, Service};

const OPERATION: &str = "UpdateService";

/// Fields that a revision shares with the template it was made from, but for who made it (discovery document, revision
/// 20261031).
const SHARED: [&str; 20] = [
    "ambientNetworking",
    "annotations",
    "containers",
    "encryptionKey",
    "encryptionKeyRevocationAction",
    "encryptionKeyShutdownDuration",
    "executionEnvironment",
    "gpuZonalRedundancyDisabled",
    "labels",
    "maxInstanceRequestConcurrency",
    "nodeSelector",
    "sandboxes",
    "scaling",
    "serviceAccount",
    "serviceMesh",
    "sessionAffinity",
    "timeout",
    "volumes",
    "vpcAccess",
    "workloadIdentityConfig",
];

/// What is asked for, as far as Cloud Run knows it.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) name: RevisionId,
    /// The image; stable's own when there is none.
    pub(super) image: Option<&'a str>,
    pub(super) min_instances: Option<u32>,
}

impl<'a> Wanted<'a> {
    /// Reads a release for a service, to stand beside `stable`.
    ///
    /// # Errors
    /// `Unsupported`: an artifact or setting that Cloud Run does not know. `Invalid`: a name it would not take.
    pub(super) fn of(release: &'a Release, service: &str, stable: &RevisionId) -> Result<Self> {
        let unsupported =
            |what: &str| Error::new(ErrorKind::Unsupported, OPERATION, format!("Cloud Run knows no {what}"));
        let image = match &release.artifact {
            Artifact::Image(image) => Some(image.as_str()),
            Artifact::Stable => None,
            other @ (Artifact::Model(_)
            | Artifact::ModelData { .. }
            | Artifact::ModelPackage(_)
            | Artifact::S3 { .. }
            | Artifact::Zip(_)) => return Err(unsupported(other.kind().flag())),
        };
        let Settings { environment, instance_type, instances, min_instances } = &release.settings;
        let foreign = [
            (environment.is_some(), "--environment"),
            (instance_type.is_some(), "--instance-type: a revision has the resources that its template names"),
            (instances.is_some(), "--instances: it scales by itself, from --min-instances up"),
        ];
        if let Some((_, what)) = foreign.into_iter().find(|(given, _)| *given) {
            return Err(unsupported(what));
        }
        let name = match &release.name {
            Some(name) => name.clone(),
            None => derived(service, image, *min_instances, stable)?,
        };
        if !may_be_called(name.as_str(), service) {
            let message = format!(
                "`{name}` is no name for a revision of {service}: it must begin with `{service}-`, have small letters, \
                 digits and hyphens, and at most 63 of them"
            );
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
        }
        Ok(Self { name, image, min_instances: *min_instances })
    }

    /// The template that makes it. Its settings are those of stable, whatever was deployed since.
    ///
    /// # Errors
    /// `Invalid`: nobody can tell which of several containers the image is for.
    pub(super) fn template(&self, before: &Service, stable: &Revision) -> Result<Map<String, Value>> {
        let mut template = base(before, stable);
        let mut containers = match template.remove("containers") {
            Some(Value::Array(containers)) => containers,
            _ => Vec::new(),
        };
        let ingress = serving(&containers);
        let of_many = containers.len();
        for (at, container) in containers.iter_mut().enumerate() {
            let Value::Object(container) = container else { continue };
            container.remove("buildInfo");
            let image = if Some(at) == ingress && self.image.is_some() {
                self.image
            } else {
                // Another image may be behind the same tag by now.
                let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
                stable.digest(name, of_many)
            };
            if let Some(image) = image {
                container.insert("image".to_owned(), json!(image));
            }
        }
        if ingress.is_none() {
            let message = format!("{of_many} containers, and no single one with a port: which one is the image for?");
            return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
        }
        template.insert("containers".to_owned(), Value::Array(containers));
        if let Some(count) = self.min_instances {
            let scaling = template.entry("scaling").or_insert_with(|| json!({}));
            if let Value::Object(scaling) = scaling {
                scaling.remove("minInstanceCount");
                if count > 0 {
                    scaling.insert("minInstanceCount".to_owned(), json!(count));
                }
            }
        }
        template.insert("revision".to_owned(), json!(self.name.as_str()));
        // Who made stable did not make this one.
        for field in ["client", "clientVersion"] {
            template.remove(field);
        }
        Ok(template)
    }

    /// How a revision that has the name already differs from what is wanted.
    pub(super) fn differs_from(&self, found: &Revision) -> Option<String> {
        let containers = found.rest.get("containers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let image = serving(containers).and_then(|at| containers.get(at)?.get("image")?.as_str());
        let digest = containers.len() == 1;
        let digest = digest.then(|| found.digest("", 1)).flatten();
        if let Some(wanted) = self.image.filter(|wanted| image != Some(wanted) && digest != Some(wanted)) {
            return Some(format!("it runs {}, not {wanted}", image.unwrap_or("several containers")));
        }
        let count = min_instances(&found.rest);
        let wanted = self.min_instances.map(u64::from).filter(|wanted| *wanted != count);
        wanted.map(|wanted| format!("it has {count} minimum instances, not {wanted}"))
    }

    /// Whether the same name may stand for another image later.
    pub(super) fn is_movable(&self) -> bool {
        self.image.is_some_and(|image| !image.contains("@sha256:"))
    }
}

/// All that has to be sent, and who was pinned by it.
///
/// Traffic that follows the latest revision would follow to the new one: whoever serves now is named instead, in the same
/// request. Traffic that names revisions is not sent, so it cannot change.
///
/// # Errors
/// `Conflict`: traffic follows the latest revision, and a change is under way, so nobody can tell who that will be.
pub(super) fn making(
    before: &Service,
    seen: &Snapshot,
    split: &TrafficSplit,
    template: Map<String, Value>,
) -> Result<(Making, bool)> {
    let by_share = before.traffic.iter().any(|share| share.kind == Kind::Latest && share.percent > 0);
    let follows = by_share || before.traffic.iter().all(|share| share.percent == 0);
    if follows && !seen.is_settled() {
        let message = "traffic follows the latest revision, and a change is still being applied";
        return Err(Error::new(ErrorKind::Conflict, OPERATION, message));
    }
    let traffic = if follows { Some(before.pinned(OPERATION, split)?) } else { None };
    Ok((Making { etag: before.etag.clone(), template, traffic }, follows))
}

/// A name that says what is in the revision: the same release beside the same stable has the same one.
fn derived(service: &str, image: Option<&str>, min_instances: Option<u32>, stable: &RevisionId) -> Result<RevisionId> {
    // Revisions never change, so stable's name stands for all its settings.
    let what = json!([image, min_instances, stable.as_str()]).to_string();
    let mut name = format!("{service}-m");
    for byte in Sha256::digest(what.as_bytes()).iter().take(5) {
        // Writing to a text cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.parse().map_err(|e| Error::new(ErrorKind::Invalid, OPERATION, format!("{e}")))
}

/// `SERVICE-...`, small letters, digits and hyphens, at most 63 (`gcloud run deploy --revision-suffix`).
fn may_be_called(name: &str, service: &str) -> bool {
    let rest = name.strip_prefix(service).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !rest.is_empty() && name.len() <= 63 && rest.bytes().all(allowed) && !name.ends_with('-')
}

/// What stable was made from: the service's template while that is stable's, else what the revision still says of it.
fn base(before: &Service, stable: &Revision) -> Map<String, Value> {
    let named = before.template.get("revision").and_then(Value::as_str).filter(|name| !name.is_empty());
    let of = named.unwrap_or(&before.latest_created_revision);
    let mut template = if short(of) == short(&stable.name) {
        before.template.clone()
    } else {
        stable
            .rest
            .iter()
            .filter(|(key, _)| SHARED.contains(&key.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    for map in ["annotations", "labels"] {
        if let Some(Value::Object(members)) = template.get_mut(map) {
            members.retain(|key, _| !is_reserved(key));
        }
    }
    template
}

/// The container that requests come to: the only one, or the only one with a port.
fn serving(containers: &[Value]) -> Option<usize> {
    if containers.len() == 1 {
        return Some(0);
    }
    let has_port =
        |container: &Value| container.get("ports").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
    let mut open = containers.iter().enumerate().filter(|(_, container)| has_port(container)).map(|(at, _)| at);
    open.next().filter(|_| open.next().is_none())
}

/// How many instances a revision or a template keeps by itself.
pub(super) fn min_instances(of: &Map<String, Value>) -> u64 {
    of.get("scaling").and_then(|scaling| scaling.get("minInstanceCount")?.as_u64()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(artifact: Artifact, min_instances: Option<u32>) -> Release {
        let settings = Settings { min_instances, ..Settings::default() };
        Release { artifact, settings, name: None, may_discard_previous: false, anew: false }
    }

    fn name(release: &Release, stable: &str) -> String {
        Wanted::of(release, "fraud", &stable.parse().unwrap()).unwrap().name.to_string()
    }

    #[test]
    fn the_name_says_what_is_in_it() {
        let image = |image: &str| Artifact::Image(image.to_owned());
        let first = name(&release(image("a"), None), "fraud-b");
        assert!(first.starts_with("fraud-m") && first.len() == "fraud-m".len() + 10, "{first}");
        assert_eq!(first, name(&release(image("a"), None), "fraud-b"));
        let others = [
            name(&release(image("b"), None), "fraud-b"),
            name(&release(image("a"), Some(0)), "fraud-b"),
            name(&release(image("a"), None), "fraud-c"),
            name(&release(Artifact::Stable, Some(1)), "fraud-b"),
        ];
        assert!(!others.contains(&first), "{others:?}");
        // The longest name that a service may have leaves room for it (fewer than 50 characters).
        let longest = "a".repeat(49);
        let name = derived(&longest, Some("a"), None, &"b".parse().unwrap()).unwrap();
        assert!(may_be_called(name.as_str(), &longest), "{name}");
    }

    #[test]
    fn what_cloud_run_does_not_know_is_refused() {
        let stable: RevisionId = "fraud-b".parse().unwrap();
        let kind = |release: &Release| Wanted::of(release, "fraud", &stable).unwrap_err().kind();
        assert_eq!(kind(&release(Artifact::Zip(vec![1]), None)), ErrorKind::Unsupported);
        assert_eq!(kind(&release(Artifact::Model("m".to_owned()), None)), ErrorKind::Unsupported);
        let settings = Settings { instances: Some(1), ..Settings::default() };
        assert_eq!(kind(&Release { settings, ..release(Artifact::Stable, None) }), ErrorKind::Unsupported);
        for bad in ["other-1", "fraud", "fraud-", "fraud-A", "fraud-a_b", "fraud-a-"] {
            let release = Release { name: bad.parse().ok(), ..release(Artifact::Stable, None) };
            assert_eq!(kind(&release), ErrorKind::Invalid, "{bad}");
        }
    }

    #[test]
    fn the_container_with_the_port_gets_the_image() {
        let port = json!([{ "containerPort": 8080 }]);
        assert_eq!(serving(&[json!({})]), Some(0));
        assert_eq!(serving(&[json!({}), json!({ "ports": port })]), Some(1));
        assert_eq!(serving(&[json!({}), json!({})]), None);
        assert_eq!(serving(&[json!({ "ports": port }), json!({ "ports": port })]), None);
    }

    #[test]
    fn settings_are_stables_and_not_those_of_the_latest() {
        let revision = |name: &str, timeout: &str| {
            json!({
                "name": format!("projects/p/locations/l/services/fraud/revisions/{name}"), "timeout": timeout, "uid": "u",
                "labels": {"team": "ml", "serving.knative.dev/x": "y"},
                "containers": [{"image": "i:1", "buildInfo": {}}],
                "containerStatuses": [{"imageDigest": "i@sha256:1"}],
                "scaling": {"minInstanceCount": 3, "maxInstanceCount": 9},
            })
        };
        let stable: Revision = serde_json::from_value(revision("fraud-b", "10s")).unwrap();
        let before: Service = serde_json::from_value(json!({
            "etag": "e", "latestCreatedRevision": "projects/p/locations/l/services/fraud/revisions/fraud-c",
            "template": {"timeout": "99s", "containers": [{"image": "i:2"}]},
        }))
        .unwrap();
        let wanted = Wanted { name: "fraud-d".parse().unwrap(), image: Some("i:3"), min_instances: Some(1) };
        let made = Value::Object(wanted.template(&before, &stable).unwrap());
        assert_eq!(
            made,
            json!({
                "revision": "fraud-d", "timeout": "10s", "labels": {"team": "ml"}, "containers": [{"image": "i:3"}],
                "scaling": {"minInstanceCount": 1, "maxInstanceCount": 9},
            })
        );
        // A copy has the very image that stable runs, whatever its tag means by now.
        let copy = Wanted { image: None, min_instances: None, ..wanted };
        let made = copy.template(&before, &stable).unwrap();
        assert_eq!(made["containers"], json!([{"image": "i@sha256:1"}]));
        // While the template is stable's own, all of it counts.
        let latest: Revision = serde_json::from_value(revision("fraud-c", "10s")).unwrap();
        assert_eq!(copy.template(&before, &latest).unwrap()["timeout"], "99s");
    }
}
